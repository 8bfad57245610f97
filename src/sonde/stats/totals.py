"""Sums and counts of branches."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Self

import numpy as np

from sonde.stats.counts import Total
from sonde.stats.estimate import Failure, Interval, Measured, Outcome, Reason, individual_rows
from sonde.stats.needs import Columns, Need, Summaries, TotalOf
from sonde.stats.statistic import Covariate, parse_params


@dataclass(frozen=True)
class Sum:
    """The sum of each branch's values, nulls aside. No limits, no comparisons."""

    name: ClassVar[str] = "sum"
    revision: ClassVar[int] = 1
    label: ClassVar[str] = "sum"
    covariate: ClassVar[Covariate | None] = None

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """From parameters as written: there are none."""
        return parse_params(cls, params)

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:  # noqa: ARG002
        """The total."""
        return (TotalOf(columns.value),)

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],  # noqa: ARG002  no comparisons
        rng: np.random.Generator,  # noqa: ARG002  no chance
    ) -> Iterator[Outcome]:
        """One number per branch."""
        totals = summaries.totals[TotalOf(columns.value)]
        empty = Total(0, 0, 0.0)
        yield from individual_rows(branches, lambda b: self._of(totals.get(b, empty)), None)

    def _of(self, total: Total) -> Measured:
        if total.rows == 0:
            return Failure(Reason.NO_UNITS, "the branch has no units")
        return Interval(total.total)


@dataclass(frozen=True)
class Count(Sum):
    """The number of each branch's units, those with a null too; 0 of a branch without units."""

    name: ClassVar[str] = "count"
    label: ClassVar[str] = "count"

    def _of(self, total: Total) -> Measured:
        return Interval(float(total.rows))
