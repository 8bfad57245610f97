"""Distribution functions and densities of branches, on a grid."""

from __future__ import annotations

import abc
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sonde.stats.counts import Floats, ValueCounts
from sonde.stats.deciles import no_values
from sonde.stats.estimate import Failure, Interval, Outcome, Reason, outcome
from sonde.stats.needs import Columns, CountsOf, Need, Summaries
from sonde.stats.statistic import Covariate, check_at_least, parse_params

# In bandwidths: the normal density beyond this is below 1e-16 of its peak.
_REACH = 8.6
# Bins per bandwidth. Within a bin, the kernel is a parabola about the mean of the bin's values, to
# less than (1 / 128)^3 * 1.38 / 6 = 1.1e-7 of its peak.
_BINS = 64


def linear_grid(counts: ValueCounts, size: int) -> Floats:
    """Evenly spaced places from the least to the greatest value; one, if these are equal."""
    return np.unique(np.linspace(*_ends(counts), size))


def geometric_grid(counts: ValueCounts, size: int) -> Floats | None:
    """Places in even proportion, with 0 itself before them if it occurs.

    From the least positive value to the greatest. None, where there are values below 0, or no
    others than 0.
    """
    low, high = _ends(counts)
    if low < 0 or high <= 0:
        return None
    start = float(counts.values[1]) if low == 0 else low
    grid = np.unique(np.geomspace(start, high, size))
    return np.concatenate([[0.0], grid]) if low == 0 else grid


def _ends(counts: ValueCounts) -> tuple[float, float]:
    return float(counts.values[0]), float(counts.values[-1])


def distribution(counts: ValueCounts, grid: Floats) -> Floats:
    """The share of rows at or below each place of the grid."""
    upto = np.searchsorted(counts.values, grid, side="right")
    shares: Floats = np.where(upto > 0, counts.last_ranks[upto - 1] + 1, 0) / counts.n
    return shares


def density(counts: ValueCounts, grid: Floats, bandwidth: float) -> Floats:
    """The mean of normal densities about the rows, at each place of the grid.

    Within 1e-6 of the peak of what adding up every row gives.
    """
    centres, weights, spreads = _binned(_near(counts, grid, _REACH * bandwidth), bandwidth)
    starts = np.searchsorted(centres, grid - _REACH * bandwidth)
    stops = np.searchsorted(centres, grid + _REACH * bandwidth)
    heights = np.empty(len(grid))
    for place, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
        near = slice(start, stop)
        squares = ((grid[place] - centres[near]) / bandwidth) ** 2
        kernel = np.exp(-squares / 2) * (1 + spreads[near] * (squares - 1) / 2)
        heights[place] = kernel @ weights[near]
    scaled: Floats = heights / (counts.n * bandwidth * math.sqrt(2 * math.pi))
    return scaled


def _near(counts: ValueCounts, grid: Floats, reach: float) -> ValueCounts:
    """The values within reach of any place of an ascending grid."""
    starts = np.searchsorted(counts.values, grid - reach)
    stops = np.searchsorted(counts.values, grid + reach)
    starts[1:] = np.maximum(starts[1:], stops[:-1])
    if (stops - starts).sum() == len(counts.values):
        return counts
    near = [slice(*ends) for ends in zip(starts.tolist(), stops.tolist(), strict=True)]
    return ValueCounts(
        np.concatenate([counts.values[each] for each in near]),
        np.concatenate([counts.counts[each] for each in near]),
    )


def _binned(counts: ValueCounts, bandwidth: float) -> tuple[Floats, Floats, Floats]:
    """Centres, numbers of rows, and variances in squared bandwidths, of bins or single values."""
    values, weights = counts.values.astype(np.float64), counts.counts.astype(np.float64)
    low, high = _ends(counts) if len(values) else (0.0, 0.0)
    if len(values) <= min(4_096, 2 * _BINS * (high - low) / bandwidth):
        return values, weights, np.zeros(len(values))
    bins = ((values - low) * (_BINS / bandwidth)).astype(np.int64)
    starts = np.flatnonzero(np.diff(bins, prepend=-1))
    sizes = np.add.reduceat(weights, starts)
    lengths = np.diff(np.append(starts, len(values)))
    firsts = np.repeat(values[starts], lengths)
    offsets = np.add.reduceat(weights * (values - firsts), starts) / sizes
    squares = (values - firsts - np.repeat(offsets, lengths)) ** 2
    spreads = np.add.reduceat(weights * squares, starts) / sizes / bandwidth**2
    return values[starts] + offsets, sizes, spreads


@dataclass(frozen=True)
class _Curve(abc.ABC):
    """A number at each place of each branch's own grid; `parameter` is the place."""

    revision: ClassVar[int] = 1
    covariate: ClassVar[Covariate | None] = None

    log_space: bool = False
    grid_size: int = 256

    def __post_init__(self) -> None:
        check_at_least("grid_size", self.grid_size, 2)

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """From parameters as written."""
        return parse_params(cls, params)

    @abc.abstractmethod
    def heights(self, counts: ValueCounts, grid: Floats) -> Floats:
        """The curve at the places of the grid."""

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:  # noqa: ARG002
        """All values."""
        return (CountsOf(columns.value),)

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],  # noqa: ARG002  no comparisons
        rng: np.random.Generator,  # noqa: ARG002  no chance
    ) -> Iterator[Outcome]:
        """One number per branch and place."""
        counts = summaries.counts[CountsOf(columns.value)]
        for branch in branches:
            yield from self._curve(branch, counts.get(branch))

    def _curve(self, branch: str, counts: ValueCounts | None) -> Iterator[Outcome]:
        problem = no_values(branch, counts)
        if problem is None and counts is not None and not counts.is_finite:
            problem = Failure(Reason.NOT_FINITE, f'branch "{branch}" has infinite values')
        if problem is not None or counts is None:
            yield outcome(problem or Failure(Reason.NO_UNITS, "no units"), branch)
            return
        grid = geometric_grid(counts, self.grid_size) if self.log_space else None
        if self.log_space and grid is None:
            detail = f'values of "{branch}" are negative or all 0: the grid is linear'
            yield outcome(Failure(Reason.NO_LOG_SCALE, detail), branch)
        if grid is None:
            grid = linear_grid(counts, self.grid_size)
        heights = self.heights(counts, grid).tolist()
        for place, height in zip(grid.tolist(), heights, strict=True):
            yield outcome(Interval(height), branch, parameter=place)


@dataclass(frozen=True)
class EmpiricalCdf(_Curve):
    """The share of a branch's units at or below each of `grid_size` places between its extremes.

    log_space: places in even proportion, with 0 itself if it occurs. Where that is impossible,
    evenly spaced as without it, after a not-estimable that says so. No limits, no comparisons.
    """

    name: ClassVar[str] = "empirical_cdf"
    label: ClassVar[str] = "empirical_cdf"

    def heights(self, counts: ValueCounts, grid: Floats) -> Floats:
        """The distribution function."""
        return distribution(counts, grid)


@dataclass(frozen=True)
class KernelDensityEstimate(_Curve):
    """The density of a branch's values by a normal kernel, at places as of `empirical_cdf`.

    The bandwidth is n ** -0.2 in the units of the metric, whatever its spread, as scikit-learn's
    "scott" has it and Jetstream takes it: scale a metric so that its spread is about 1.
    """

    name: ClassVar[str] = "kernel_density_estimate"
    label: ClassVar[str] = "kernel_density_estimate"

    bandwidth: str = "scott"
    adjust: float = 1.0
    kernel: str = "gaussian"

    def __post_init__(self) -> None:
        super().__post_init__()
        for parameter, value, only in (
            ("bandwidth", self.bandwidth, "scott"),
            ("adjust", self.adjust, 1.0),
            ("kernel", self.kernel, "gaussian"),
        ):
            if value != only:
                raise ValueError(f"{parameter} can only be {only!r}, not {value!r}")

    def heights(self, counts: ValueCounts, grid: Floats) -> Floats:
        """The density."""
        return density(counts, grid, counts.n**-0.2)
