"""The law of a sample quantile's rank, and the ends of what is made of pairs of such laws."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sonde.stats.counts import Floats, Integers

# In standard deviations of a rank: what lies beyond is left out (1e-22 of the law and less).
_REACH = 10.0
# One in so many numbers says about where the ends of all are. The multiples of the golden ratio
# by 12 spread as evenly as those by 1: by a Fibonacci number they would not.
_STRIDE = 12
# So many numbers of such a sample are taken for its error.
_MARGIN = 8


@dataclass(frozen=True, eq=False)
class RankLaw:
    """A Binomial(n - 1, quantile) rank: `below[i]` is the share at or below rank `first + i`."""

    first: int
    below: Floats

    @classmethod
    @functools.lru_cache(maxsize=512)  # the metrics of a window have the same units
    def of(cls, n: int, quantile: float) -> RankLaw:
        """The law among n rows."""
        trials, odds = n - 1, quantile / (1 - quantile)
        reach = _REACH * math.sqrt(trials * quantile * (1 - quantile)) + _REACH
        first = max(0, math.floor(trials * quantile - reach))
        last = min(trials, math.ceil(trials * quantile + reach))
        mode = min(trials, int((trials + 1) * quantile))
        # Each rank's share is a known multiple of its neighbour's, here from the largest outwards.
        down, up = np.arange(mode, first, -1.0), np.arange(mode, last, 1.0)
        shares = np.ones(last - first + 1)
        shares[: mode - first][::-1] = np.cumprod(down / ((trials + 1 - down) * odds))
        shares[mode - first + 1 :] = np.cumprod((trials - up) * odds / (up + 1))
        below = np.cumsum(shares)
        return cls(first, below / below[-1])

    @property
    def last(self) -> int:
        """The highest rank of the law."""
        return self.first + len(self.below) - 1

    def share_below(self, ranks: Integers) -> Floats:
        """The share at or below each of these, none lower than `first`."""
        return self.below.take(ranks - self.first, mode="clip")


@functools.lru_cache(maxsize=8)
def turned(points: int) -> Integers:
    """An order of evenly spaced probabilities that pairs them evenly with themselves.

    The pairs lie on a lattice turned by the golden ratio: shares of the unit square are off by
    some 1 / points, where as many random pairs are off by 1 / sqrt(points).
    """
    places = np.modf(np.arange(points) * ((math.sqrt(5) - 1) / 2))[0]
    return np.argsort(np.argsort(places))


@dataclass(frozen=True)
class Ends:
    """Where among `points` numbers in ascending order the ends of an interval lie.

    Each end is interpolated linearly between two neighbours (R's type 7): `low` and `high` are the
    lower ones' ranks, from 0; the shares are how far the ends lie on the way to the upper ones.
    """

    points: int
    low: int
    low_share: float
    high: int
    high_share: float

    @classmethod
    @functools.lru_cache(maxsize=64)
    def of(cls, points: int, ci_width: float) -> Ends:
        """The ends of the interval with this share of all in it."""
        places = [(1 - ci_width) / 2 * (points - 1), (1 + ci_width) / 2 * (points - 1)]
        low, high = (max(0, min(int(place), points - 2)) for place in places)
        return cls(points, low, places[0] - low, high, places[1] - high)

    @functools.cached_property
    def ranks(self) -> Integers:
        """Of the numbers around the ends: two for each."""
        top = self.points - 1
        return np.array([self.low, min(self.low + 1, top), self.high, min(self.high + 1, top)])

    def with_values(self, around: Floats) -> EndValues:
        """The ends between these numbers, those at `ranks`."""
        low, above_low, high, above_high = around.tolist()
        return EndValues(low, above_low, high, above_high, self.low_share, self.high_share)

    def among(self, numbers: Floats) -> EndValues:
        """The ends of numbers in any order.

        A sample says below which number the low end is found, and above which the high end; only
        what lies there is sorted.
        """
        sample = np.sort(numbers[::_STRIDE])
        lowest = _taken(self.low + 1, numbers, numbers <= sample[_place(self.low, sample)])
        beyond = self.points - 1 - self.ranks[2:]
        place = _place(int(beyond[0]), sample)
        highest = _taken(int(beyond[0]), numbers, numbers >= sample[-1 - place])
        return self.with_values(
            np.concatenate([lowest[self.ranks[:2]], highest[len(highest) - 1 - beyond]])
        )


def _place(rank: int, sample: Floats) -> int:
    """Where in a sample what is beyond this rank of all is surely found; or nearly so."""
    return min(rank // _STRIDE + _MARGIN, len(sample) - 1)


def _taken(rank: int, numbers: Floats, is_candidate: npt.NDArray[np.bool_]) -> Floats:
    """The candidates in ascending order; all numbers, where candidates do not reach the rank."""
    candidates = numbers[is_candidate]
    return np.sort(candidates if len(candidates) > rank else numbers)


@dataclass(frozen=True, slots=True)
class EndValues:
    """The values around the low and the high end of an interval, in ascending order."""

    low: float
    above_low: float
    high: float
    above_high: float
    low_share: float
    high_share: float

    def limits(self) -> tuple[float, float]:
        """The ends."""
        return (
            _between(self.low, self.above_low, self.low_share),
            _between(self.high, self.above_high, self.high_share),
        )

    def negated(self) -> EndValues:
        """The same ends of the numbers times -1."""
        return EndValues(
            -self.above_high,
            -self.high,
            -self.above_low,
            -self.low,
            1 - self.high_share,
            1 - self.low_share,
        )

    def inverted(self) -> EndValues:
        """The same ends of 1 / each number; all are positive."""
        return EndValues(
            1 / self.above_high,
            1 / self.high,
            1 / self.above_low,
            1 / self.low,
            1 - self.high_share,
            1 - self.low_share,
        )


def _between(low: float, high: float, share: float) -> float:
    """From `low`, this share of the way to `high`; exactly one of them at 0 or 1."""
    step = high - low
    return low + step * share if share < 0.5 else high - step * (1 - share)
