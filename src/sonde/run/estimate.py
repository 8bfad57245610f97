"""Do a group of estimation steps of one experiment that read the same sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, cast

from sonde.errors import DataError, SondeError
from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.metric import AnalysisBasis, DataSource, Metric, StatisticDeclaration
from sonde.plan.steps import (
    HAS_DATA,
    Estimate,
    Step,
    columns_of,
    covariate_metrics,
    covariate_of,
    sources_of,
)
from sonde.plan.windows import DueWindow
from sonde.run.frames import HAS_ROWS, WITH_ROWS, Frames, UnitTable
from sonde.run.merged import Merged
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
from sonde.stats.statistic import Covariate, CovariatePeriod, Statistic
from sonde.table import Partition, Receipt
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
    return _Estimation(steps, session, sources).run(enrollments, lake, windows)


class _Estimation:
    def __init__(self, steps: Sequence[Step], session: Session, sources: Sources) -> None:
        # By what they fill: a step holds mappings, and cannot be a key itself.
        self.actions = {step.output: _action(step) for step in steps}
        first = self.actions[steps[0].output]
        self.experiment: Experiment = first.experiment
        self.sources = first.sources
        self.session = session
        self.tables = sources
        self.frames = Frames(session, self.experiment)
        self.done = {step.output: Estimated(step) for step in steps}
        self.loaded: dict[str, str] = {}
        self.kept: Merged | None = None

    def run(self, enrollments: Receipt, lake: Lake, windows: WindowsFrom) -> list[Estimated]:
        self.frames.enroll(str(lake.file(enrollments)))
        self._attach()
        if windows is WindowsFrom.UNIT_DAYS:
            made = Merged(self.session, self.experiment, lake, self.tables, enrollments)
            self.kept = made
        covariates = self._covariates()
        groups: dict[tuple[AnalysisBasis, Period], list[Partition]] = defaultdict(list)
        for output, action in self.actions.items():
            groups[action.basis, action.due.period].append(output)
        for (basis, period), outputs in groups.items():
            self._group(basis, period, outputs, covariates)
        return list(self.done.values())

    def _metrics(self, actions: Iterable[Estimate]) -> list[Metric]:
        """The metrics with columns that the actions need, each once."""
        found = {m.name: m for a in actions for wanted in a.metrics for m in columns_of(wanted)}
        return list(found.values())

    def _wanted_covariates(self) -> dict[CovariatePeriod, dict[str, Metric]]:
        wanted: dict[CovariatePeriod, dict[str, Metric]] = defaultdict(dict)
        for action in self.actions.values():
            for metric in action.metrics:
                by_name = covariate_metrics(self.experiment, metric)
                for declared in metric.statistics:
                    covariate = _adjustment(declared, action.due.period)
                    name = metric.name if covariate is None else covariate.metric or metric.name
                    if covariate is not None and name in by_name:
                        wanted[covariate.period][name] = by_name[name]
        return wanted

    def _days(self) -> tuple[date, date]:
        """First and last day of data that any of the steps needs."""
        dues = [action.due for action in self.actions.values()]
        first, last = min(d.first_data for d in dues), max(d.last_data for d in dues)
        for period in self._wanted_covariates():
            days = Period(period.value).length or 0
            first = min(first, min(d.first_enrollment for d in dues) - timedelta(days=days))
            last = max(last, max(d.last_enrollment for d in dues) - timedelta(days=1))
        return first, last

    def _attach(self) -> None:
        """Make tables visible, then close the session to all others."""
        if self.sources:
            days = self._days()
            self.frames.attach(self.tables, self.sources, days)
            signal = self.experiment.exposure_signal
            if signal is not None:
                self.frames.attach(self.tables, [signal.data_source], (date.min, days[1]))
            self.session.lock()

    def _own(self, source: DataSource) -> list[Metric]:
        """The metrics that read the source, for themselves or to adjust others."""
        metrics = {m.name: m for m in self._metrics(self.actions.values())}
        for by_name in self._wanted_covariates().values():
            metrics |= {m.name: m for wanted in by_name.values() for m in columns_of(wanted)}
        return [m for m in metrics.values() if source in sources_of(m)]

    def _rows(self, source: DataSource) -> str:
        """The table of the source's rows, made when first asked for."""
        if source.name not in self.loaded:
            # Anew: an exposure signal may have made other days of the same table visible.
            self.frames.attach(self.tables, [source], self._days())
            with self._said_elsewhere():
                rows = self.frames.load(source, self._own(source), self._days())
            self.loaded[source.name] = rows
        return self.loaded[source.name]

    @contextmanager
    def _said_elsewhere(self) -> Iterator[None]:
        """What cannot be translated is said again where it is wanted."""
        known = list(self.frames.problems)
        yield
        self.frames.problems = known

    def _covariates(self) -> str | None:
        wanted = {period: list(m.values()) for period, m in self._wanted_covariates().items()}
        if not wanted:
            return None
        rows = {s.name: self._rows(s) for s in self.sources}
        made = self.frames.covariates(rows, wanted)
        self._report_all()
        return made

    def _report_all(self) -> None:
        """A covariate that fails concerns every step that would have used it."""
        for problem in self._taken():
            warning = replace(
                problem,
                level="WARNING",
                message=f"no covariate, so results are not adjusted: {problem.message}",
            )
            for estimated in self.done.values():
                estimated.problems.append(warning)

    def _taken(self) -> list[Problem]:
        problems, self.frames.problems = self.frames.problems, []
        return problems

    def _group(
        self,
        basis: AnalysisBasis,
        period: Period,
        outputs: Sequence[Partition],
        covariates: str | None,
    ) -> None:
        """All windows of one period and basis at once."""
        actions = [self.actions[output] for output in outputs]
        due = [action.due for action in actions]
        signal = None
        if basis is AnalysisBasis.EXPOSURES and self.experiment.exposure_signal is not None:
            signal = self.frames.signal(self.tables, self.experiment.exposure_signal, due)
        enrolled = self.frames.windows(basis, due, self._metrics(actions), signal)
        anchor = basis if signal is None else AnalysisBasis.ENROLLMENTS
        made: list[UnitTable] = []
        for source in self.sources:
            own = [
                m
                for m in self._metrics(actions)
                if m.data_source and m.data_source.name == source.name
            ]
            if own:
                made += self._units(source, own, enrolled, due, anchor)
        frame, columns = self.frames.frame(enrolled, made, covariates)
        failed = self._taken()
        statements, self.frames.statements = self.frames.statements, []
        by_index = {self.actions[output].due.index: output for output in outputs}
        for output in outputs:
            self.done[output].problems += failed
            self.done[output].query = "\n".join(dict.fromkeys(statements))
        self._score(basis, period, frame, columns, by_index)
        self._count_data(frame, columns, by_index)
        self.frames.drop(frame, enrolled, *made)

    def _units(
        self,
        source: DataSource,
        metrics: Sequence[Metric],
        enrolled: str,
        due: Sequence[DueWindow],
        anchor: AnalysisBasis,
    ) -> list[UnitTable]:
        """Tables of one row per unit and window: from unit-days what can be, the rest from rows."""
        made, rest = self._from_unit_days(source, metrics, enrolled, due, anchor)
        if rest:
            rows = self._rows(source)
            made.append(self.frames.units(enrolled, rows, rest, due, anchor, HAS_ROWS))
        return made

    def _from_unit_days(
        self,
        source: DataSource,
        metrics: Sequence[Metric],
        enrolled: str,
        due: Sequence[DueWindow],
        anchor: AnalysisBasis,
    ) -> tuple[list[UnitTable], list[Metric]]:
        """The table of the metrics that are merged from unit-days, and those that are not."""
        kept = self.kept
        feed = None if kept is None else kept.feed(source)
        if kept is None or feed is None or not kept.has(feed, due, anchor):
            return [], list(metrics)
        apart = [(m, feed.metrics[m.name]) for m in metrics if m.name in feed.metrics]
        if not apart:
            return [], list(metrics)
        with self._said_elsewhere():
            rows = self.frames.state(source, self._own(source))
        try:
            states = kept.states(feed, due, anchor)
            made = self.frames.merged(enrolled, states, rows, source, apart, due, anchor)
        except DataError:
            return [], list(metrics)  # from rows it is said which of them fails, and why
        kept.forget(states)
        return [made], [m for m in metrics if m.name not in feed.metrics]

    def _score(
        self,
        basis: AnalysisBasis,
        period: Period,
        frame: str,
        columns: frozenset[str],
        by_index: Mapping[int, Partition],
    ) -> None:
        seed = f"{self.experiment.slug}/{basis.value}/{period.value}"
        scorer = Scorer(self.session, self.experiment, seed)
        treatment = Treatment(frame)
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

    def _count_data(
        self, frame: str, columns: frozenset[str], by_index: Mapping[int, Partition]
    ) -> None:
        """How many units of each branch have any row, to tell those from units with zeros."""
        if WITH_ROWS not in columns:
            return
        for index, branch, number in self.frames.units_with_rows(frame):
            counted = Counted(branch, None, None, None, None, float(number), None, None)
            row = Row(index, ALL, HAS_DATA, "count", counted)
            self.done[by_index[index]].rows.append(row)

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
        covariate = _adjustment(declared, period)
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


def _adjustment(declared: StatisticDeclaration, period: Period) -> Covariate | None:
    """What adjusts a statistic's results of a period, if anything does."""
    covariate = covariate_of(declared)
    return covariate if covariate is not None and covariate.adjusts(period.value) else None


def _ratio_parts(made: Statistic) -> dict[str, str]:
    """The metrics that a ratio divides, by the name of its parameter; empty for no ratio."""
    parts = {name: getattr(made, name, None) for name in ("numerator", "denominator")}
    return {name: part for name, part in parts.items() if isinstance(part, str)}


def _action(step: Step) -> Estimate:
    assert isinstance(step.action, Estimate)
    return step.action
