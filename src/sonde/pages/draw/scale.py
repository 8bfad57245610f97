"""From values to pixels, and where the ticks go."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass

from sonde.pages.interval import Interval
from sonde.pages.words import MINUS, NBSP

_STEPS = (1.0, 2.0, 4.0, 5.0, 10.0)
_GIANT = 3.0  # times the median: what is larger leaves the picture rather than flatten the rest


def rounded(value: float) -> float:
    """Without what binary fractions add.

    >>> rounded(3 * 0.1), rounded(-0.0)
    (0.3, 0.0)
    """
    return float(f"{value:.12g}") + 0.0


def step(span: float, most: int) -> float:
    """The smallest round distance that divides a span into at most so many parts.

    >>> step(0.12, 6), step(7, 4), step(0.9, 4)
    (0.02, 2.0, 0.4)
    """
    power = 10.0 ** math.floor(math.log10(span / most))
    found = next(each for each in _STEPS if each * power * most >= span * (1 - 1e-9))
    return rounded(found * power)


def multiples(low: float, high: float, distance: float) -> tuple[float, ...]:
    """The multiples of a distance from low to high.

    >>> multiples(-0.05, 0.05, 0.02)
    (-0.04, -0.02, 0.0, 0.02, 0.04)
    """
    first, last = math.ceil(low / distance - 1e-9), math.floor(high / distance + 1e-9)
    return tuple(rounded(each * distance) for each in range(first, last + 1))


def usual_reach(changes: Iterable[Interval]) -> float:
    """How far from zero intervals usually go; infinite where none goes anywhere.

    >>> usual_reach([Interval(0, -0.01, 0.02), Interval(0, -0.03, 0.01), Interval(0, -7.0, 7.0)])
    0.03
    """
    reaches = (_reach(each) for each in changes)
    found = sorted(each for each in reaches if 0 < each < math.inf)
    return statistics.median_low(found) if found else math.inf


def usual(changes: Iterable[Interval], most: float = _GIANT) -> list[float]:
    """The limits of those intervals that are no giants among the others, as far as they are finite.

    most: times the usual reach.

    >>> usual([Interval(0, -0.01, 0.02), Interval(0, -0.03, 0.01), Interval(0, -7.0, 7.0)])
    [-0.01, 0.02, -0.03, 0.01]
    """
    known = list(changes)
    end = most * usual_reach(known)
    inside = (each for each in known if _reach(each) < math.inf and _reach(each) <= end)
    return [limit for each in inside for limit in (each.lower, each.upper)]


def _reach(change: Interval) -> float:
    return max(abs(change.lower), abs(change.upper))


@dataclass(frozen=True)
class Scale:
    """Values from low to high over so many pixels, and the ticks with their labels."""

    low: float
    high: float
    ticks: tuple[tuple[float, str], ...] = ()
    title: str = ""

    def at(self, value: float, pixels: float) -> float:
        """Where a value lies; what is outside lies at the end.

        >>> Scale(-1, 1).at(0.5, 200), Scale(-1, 1).at(3, 200)
        (150.0, 200.0)
        """
        inside = min(max(value, self.low), self.high)
        return (inside - self.low) / (self.high - self.low) * pixels


def decimals(distance: float) -> int:
    """How many it takes to tell multiples of a distance from one another.

    >>> decimals(2), decimals(0.5), decimals(0.25), decimals(1000)
    (0, 1, 2, 0)
    """
    text = f"{distance:.10f}".rstrip("0")
    return len(text.partition(".")[2])


def signed(value: float, places: int, unit: str) -> str:
    r"""The label of a tick of a change.

    >>> signed(4, 0, " %"), signed(-0.25, 2, ""), signed(0, 0, " %")
    ('+4\xa0%', '−0.25', '0')
    """
    if value == 0:
        return "0"
    return f"{MINUS if value < 0 else '+'}{plain(abs(value), places, unit)}"


def plain(value: float, places: int, unit: str) -> str:
    r"""The label of a tick of a level.

    >>> plain(12500, 0, ""), plain(-2, 0, " %")
    ('12\xa0500', '−2\xa0%')
    """
    text = f"{value:,.{places}f}{unit}"
    return text.replace(",", NBSP).replace(" ", NBSP).replace("-", MINUS)
