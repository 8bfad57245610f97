"""Estimates of every statistic of some metrics, for all that a frame of units holds."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from sonde.experiment import Experiment
from sonde.metric import StatisticDeclaration
from sonde.run.engine import Answers, Engine, NotAnsweredError
from sonde.run.outcome import Problem
from sonde.sql.pretreatments import Treatment
from sonde.sql.summaries import Frame
from sonde.stats.estimate import Estimate, NotEstimable, Outcome
from sonde.stats.needs import Columns, Need
from sonde.stats.registry import statistic
from sonde.stats.statistic import Covariate, Statistic

ALL = "all"  # the name of the segment that every unit is in


@dataclass(frozen=True)
class Asked:
    """One statistic of one metric: what to compute, and on which columns of the frame.

    warning: what cannot be done as declared.
    """

    metric: str
    statistic: Statistic
    columns: Columns
    warning: str | None = None


@dataclass(frozen=True)
class Row:
    """An outcome with what it is about."""

    cell: int
    segment: str
    metric: str
    statistic: str
    outcome: Outcome

    def plain(self) -> dict[str, Any]:
        """As a row of the statistics table."""
        about = {"metric": self.metric, "statistic": self.statistic, "segment": self.segment}
        match self.outcome:
            case Estimate() as e:
                return about | {
                    "parameter": e.parameter,
                    "branch": e.branch,
                    "comparison": e.comparison,
                    "comparison_to_branch": e.comparison_to_branch,
                    "ci_width": e.ci_width,
                    "point": e.point,
                    "lower": e.lower,
                    "upper": e.upper,
                    "reason": None,
                    "detail": None,
                }
            case NotEstimable() as e:
                return about | {
                    "parameter": e.parameter,
                    "branch": e.branch,
                    "comparison": e.comparison,
                    "comparison_to_branch": e.comparison_to_branch,
                    "ci_width": None,
                    "point": None,
                    "lower": None,
                    "upper": None,
                    "reason": e.reason.value,
                    "detail": e.detail,
                }


class Scorer:
    """Estimates from one frame of an experiment's units."""

    def __init__(self, engine: Engine, experiment: Experiment, seed: str) -> None:
        self._engine = engine
        self._experiment = experiment
        self._seed = seed
        self.problems: list[Problem] = []

    def score(
        self, treatment: Treatment, asked: Sequence[Asked], cells: Sequence[int]
    ) -> Iterator[Row]:
        """Every estimate, by segment, statistic and cell."""
        columns = len({name for each in asked for name in each.columns.names})
        groups = list(self._engine.groups(treatment, cells, columns))
        for segment in (ALL, *(s.name for s in self._experiment.segments)):
            frame = Frame(treatment.relation("" if segment == ALL else f"s:{segment}"))
            for group, make in groups:
                summariser = make(frame if len(groups) == 1 else frame.within(group))
                for each in self._answered(summariser, asked, group, segment):
                    for cell in group:
                        yield from self._estimates(summariser, each, cell, segment)

    def _answered(
        self, answers: Answers, asked: Sequence[Asked], cells: Sequence[int], segment: str
    ) -> Sequence[Asked]:
        """Gather what is asked for; all of it, but for what the engine has no answer to."""
        while True:
            try:
                gather(answers, asked, cells)
            except NotAnsweredError as error:
                lost = [e for e in asked if _needs(e, answers, cells, error.need)]
                self.problems += [
                    Problem.of(error, metric=e.metric, statistic=e.statistic.name, segment=segment)
                    for e in lost
                ]
                asked = [e for e in asked if e not in lost]
            else:
                return asked

    def _estimates(
        self, summariser: Answers, asked: Asked, cell: int, segment: str
    ) -> Iterator[Row]:
        declared = [branch.slug for branch in self._experiment.branches]
        others = [b for b in summariser.branches(cell) if b not in declared]
        branches = declared if asked.statistic.name in _DECLARED_ONLY else declared + others
        rng = np.random.default_rng(
            seed_of(self._seed, cell, segment, asked.metric, asked.statistic.name)
        )
        try:
            outcomes = list(
                asked.statistic.estimates(
                    asked.columns, summariser.summaries(cell), branches, branches, rng
                )
            )
        except Exception as error:  # a statistic, perhaps a third party's, must not lose others
            self.problems.append(
                Problem.of(
                    error,
                    metric=asked.metric,
                    statistic=asked.statistic.name,
                    segment=segment,
                )
            )
            return
        for outcome in outcomes:
            yield Row(cell, segment, asked.metric, asked.statistic.label, outcome)


def _needs(asked: Asked, answers: Answers, cells: Sequence[int], need: Need) -> bool:
    known = map(answers.summaries, cells)
    return any(need in asked.statistic.needs(asked.columns, each) for each in known)


def gather(summariser: Answers, asked: Sequence[Asked], cells: Sequence[int]) -> None:
    """Ask until no statistic needs more: a few need more when they see the data."""
    while True:
        missing: dict[int, list[Need]] = defaultdict(list)
        for cell in cells:
            known = summariser.summaries(cell)
            for each in asked:
                missing[cell] += known.missing(each.statistic.needs(each.columns, known))
        if not any(missing.values()):
            return
        summariser.answer(missing)


# The effect on all units' days of use is said of the branches that the experiment declares.
_DECLARED_ONLY = {"per_client_dau_impact"}


def seed_of(*parts: object) -> int:
    """From what the numbers are about, never from the clock: a rerun gives the same."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def built(declared: StatisticDeclaration) -> Statistic:
    """The statistic as declared. ValueError for what it does not know."""
    return statistic(declared.name, declared.params)


def column_of(metric: str) -> str:
    """The frame's column of a metric."""
    return f"m:{metric}"


def covariate_column(covariate: Covariate, metric: str) -> str:
    """The frame's column of a covariate."""
    return f"c:{covariate.period.value}:{covariate.metric or metric}"
