"""Do a group of estimation steps of one experiment that read the same sources."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, cast

from sonde.errors import SondeError
from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.metric import Metric, StatisticDeclaration
from sonde.plan.steps import HAS_DATA, Estimate, Step, columns_of
from sonde.run.engine import DuckDB, Engine
from sonde.run.framed import Framed, Framing, adjustment
from sonde.run.frames import ORDER, WITH_ROWS
from sonde.run.outcome import Problem
from sonde.run.score import (
    ALL,
    Asked,
    Row,
    Scorer,
    built,
    column_of,
    covariate_column,
)
from sonde.sql.pretreatments import Treatment
from sonde.stats.estimate import Estimate as Counted
from sonde.stats.needs import Columns
from sonde.stats.registry import statistic
from sonde.stats.statistic import Statistic
from sonde.table import Receipt
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources
from sonde.window import Period, WindowsFrom

IDENTITY = "identity"  # the metric that counts units


@dataclass
class Estimated:
    """Rows and problems of one step. query: the SQL that its unit metrics come from."""

    step: Step
    query: str = ""
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def estimate(
    steps: Sequence[Step],
    session: Session,
    sources: Sources,
    enrollments: Receipt,
    lake: Lake,
    windows: WindowsFrom = WindowsFrom.ROWS,
) -> list[Estimated]:
    """Estimates of steps that share experiment and sources, in the order of `steps`."""
    framing = Framing(steps, session, sources)
    frames = framing.frames_of(enrollments, lake, windows)
    return estimated(steps, framing, frames, DuckDB(session, ORDER))


class Frames(Protocol):
    """What makes the frames. problems: of covariates, which concern every step."""

    problems: list[Problem]

    def units_with_rows(self, frame: str) -> list[tuple[int, str, int]]:
        """Window, branch, and the number of units with any row, of a frame with WITH_ROWS."""


def estimated(
    steps: Sequence[Step], framing: Frames, frames: Iterable[Framed], engine: Engine
) -> list[Estimated]:
    """Estimates from frames, wherever they are; in the order of `steps`."""
    return _Estimation(steps, framing, engine).run(frames)


class _Estimation:
    def __init__(self, steps: Sequence[Step], framing: Frames, engine: Engine) -> None:
        self.framing = framing
        self.engine = engine
        self.done = {step.output: Estimated(step) for step in steps}
        self.actions = {s.output: s.action for s in steps if isinstance(s.action, Estimate)}
        self.experiment: Experiment = steps[0].action.experiment

    def run(self, frames: Iterable[Framed]) -> list[Estimated]:
        for framed in frames:
            for output in framed.by_index.values():
                self.done[output].problems += framed.problems
                self.done[output].query = framed.query
            self._score(framed)
            self._count_data(framed)
        self._report_all()
        return list(self.done.values())

    def _report_all(self) -> None:
        """A covariate that fails concerns every step that would have used it."""
        for problem in self.framing.problems:
            warning = replace(
                problem,
                level="WARNING",
                message=f"no covariate, so results are not adjusted: {problem.message}",
            )
            for estimated in self.done.values():
                estimated.problems.append(warning)

    def _score(self, framed: Framed) -> None:
        basis, period, columns = framed.basis, framed.period, framed.columns
        by_index = framed.by_index
        seed = f"{self.experiment.slug}/{basis.value}/{period.value}"
        scorer = Scorer(self.engine, self.experiment, seed)
        treatment = self.engine.treatment(framed.name)
        asked: list[Asked] = []
        problems: list[Problem] = []
        # Windows of one series differ in nothing but their days: the same metrics are asked of all.
        first = self.actions[next(iter(by_index.values()))]
        if not first.sources:
            asked.append(Asked(IDENTITY, statistic("count", {}), Columns("__n")))
        for metric in first.metrics:
            missing = [m.name for m in columns_of(metric) if column_of(m.name) not in columns]
            if missing:
                continue
            for declared in metric.statistics:
                try:
                    asked.append(self._asked(metric, declared, period, columns, treatment))
                except (ValueError, SondeError) as error:
                    problems.append(Problem.of(error, metric=metric.name, statistic=declared.name))
        problems += [
            Problem(each.warning, "WARNING", metric=each.metric, statistic=each.statistic.name)
            for each in asked
            if each.warning
        ]
        for row in scorer.score(treatment, asked, sorted(by_index)):
            self.done[by_index[row.cell]].rows.append(row)
        for output in by_index.values():
            self.done[output].problems += [*problems, *scorer.problems]

    def _count_data(self, framed: Framed) -> None:
        """How many units of each branch have any row, to tell those from units with zeros."""
        if WITH_ROWS not in framed.columns:
            return
        for index, branch, number in self.framing.units_with_rows(framed.name):
            counted = Counted(branch, None, None, None, None, float(number), None, None)
            row = Row(index, ALL, HAS_DATA, "count", counted)
            self.done[framed.by_index[index]].rows.append(row)

    def _asked(
        self,
        metric: Metric,
        declared: StatisticDeclaration,
        period: Period,
        columns: frozenset[str],
        treatment: Treatment,
    ) -> Asked:
        made = built(declared)
        days = self._window_days(period)
        names = {
            m.name: treatment.column(column_of(m.name), declared.pre_treatments, days)
            for m in columns_of(metric)
        }
        if parts := _ratio_parts(made):
            for part in parts.values():
                if part not in names:
                    raise ValueError(
                        f"{metric.name} does not depend on {part}; add it to depends_on"
                    )
            columns_of_parts = {field: names[part] for field, part in parts.items()}
            made = replace(cast("Any", made), **columns_of_parts)
            return Asked(metric.name, made, Columns(columns_of_parts["numerator"]))
        if metric.name not in names:
            raise ValueError(
                f"{metric.name} has no column of its own; {declared.name} needs one: use "
                "population_ratio, or give it a select_expression"
            )
        covariate = adjustment(declared, period)
        column = None if covariate is None else covariate_column(covariate, metric.name)
        if column is None or column in columns:
            return Asked(metric.name, made, Columns(names[metric.name], column))
        warning = (
            f"not adjusted: {column.rsplit(':', 1)[-1]} is not one of the experiment's metrics, "
            "has no column of its own, or failed"
        )
        return Asked(metric.name, made, Columns(names[metric.name]), warning)

    def _window_days(self, period: Period) -> int:
        return next(a.due.window.days for a in self.actions.values() if a.due.period is period)


def _ratio_parts(made: Statistic) -> dict[str, str]:
    """The metrics that a ratio divides, by the name of its parameter; empty for no ratio."""
    parts = {name: getattr(made, name, None) for name in ("numerator", "denominator")}
    return {name: part for name, part in parts.items() if isinstance(part, str)}
