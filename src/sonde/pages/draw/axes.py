"""The scales of the larger charts: what they have to show, in round numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from datetime import date

from sonde.pages import words
from sonde.pages.draw.scale import Scale, decimals, multiples, plain, rounded, signed, step, usual
from sonde.pages.interval import Interval

_FAR = 5.0  # times the highest limit: a margin beyond does not stretch the chart
_MOST_DAYS = 7
_NOTHING = 1e-12  # a smaller span cannot be told from rounding
_ENDLESS = 1e15  # no axis is longer


def change_scale(changes: Sequence[Interval], margin: float | None, title: str, most: int) -> Scale:
    """Of relative changes: zero, each estimate, and the usual limits. most: parts, about."""
    values = [0.0, *usual(changes), *(each.point for each in changes)]
    highest = max(map(abs, values))
    if margin is not None and (not changes or abs(margin) <= _FAR * highest):
        values.append(margin * 1.2)
    return _round(values, title, most, signed, 100.0, " %")


def level_scale(
    values: Iterable[float], title: str, label: Callable[[float, int, str], str] = plain
) -> Scale:
    """Of values in a unit of their own."""
    return _round([each for each in values if math.isfinite(each)], title, 5, label)


def split_scale(
    share: Sequence[float], lower: Sequence[float], upper: Sequence[float], design: float
) -> Scale:
    """Around the designed share, wide enough for where the share settled; early days leave it."""
    late = len(share) // 3
    offsets = [each - design for each in (*lower[late:], *upper[late:], *share[late:])]
    reach = max((abs(each) for each in offsets), default=0.0)
    values = [max(design - reach, 0.0), min(design + reach, 1.0)]
    return _round(values, "share of units so far", 4, plain, 100.0, " %")


def windows(names: Sequence[str], spread: float = 0.0) -> Scale:
    """One place for each window, in their order."""
    ticks = tuple((float(place), name) for place, name in enumerate(names))
    last = float(max(len(names) - 1, 0))
    return (
        Scale(-spread, last + spread, ticks) if last + 2 * spread > 0 else Scale(-0.5, 0.5, ticks)
    )


def days(found: Sequence[date], around: float = 0.0) -> Scale:
    """From the first day to the last. around: room on both sides, in days."""
    if not found:
        return Scale(0.0, 1.0)
    first, last = found[0].toordinal(), found[-1].toordinal()
    apart = max(1, math.ceil((last - first) / _MOST_DAYS))
    places = range(first, last + 1, apart)
    ticks = tuple((float(place), words.day(date.fromordinal(place))) for place in places)
    if first == last:
        around = around or 0.5
    return Scale(first - around, last + around, ticks)


def _round(
    values: Sequence[float],
    title: str,
    most: int,
    label: Callable[[float, int, str], str],
    factor: float = 1.0,
    unit: str = "",
) -> Scale:
    low = max(min(values, default=0.0), -_ENDLESS)
    high = min(max(values, default=0.0), _ENDLESS)
    size = max(abs(low), abs(high))
    if not high - low > max(size * 1e-9, _NOTHING):  # all the same, or nothing
        around = size * 0.1 if size > _NOTHING else 1.0 / factor
        low, high = low - around, high + around
    distance = step(high - low, most)
    low, high = math.floor(low / distance + 1e-9), math.ceil(high / distance - 1e-9)
    low, high = rounded(low * distance), rounded(high * distance)
    places = decimals(rounded(distance * factor))
    ticks = tuple(
        (each, label(rounded(each * factor), places, unit))
        for each in multiples(low, high, distance)
    )
    return Scale(low, high, ticks, title)
