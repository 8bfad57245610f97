"""Frames of units for a group of steps of one experiment that read the same sources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta

from sonde.errors import DataError
from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.metric import AnalysisBasis, DataSource, Metric, StatisticDeclaration
from sonde.plan.plan import schedule
from sonde.plan.steps import (
    Estimate,
    Step,
    columns_of,
    covariate_metrics,
    covariate_of,
    sources_of,
)
from sonde.plan.unit_days import covariates_identity
from sonde.plan.windows import DueWindow
from sonde.run.frames import HAS_ROWS, Frames, UnitTable
from sonde.run.merged import Merged
from sonde.run.outcome import Problem
from sonde.stats.statistic import Covariate, CovariatePeriod
from sonde.table import Partition, Receipt
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources
from sonde.window import Period, WindowsFrom


@dataclass(frozen=True)
class Framed:
    """A table of the units of all windows of one period and basis.

    by_index: what each window's results fill. problems: what failed in making it. query: the SQL
    that its metrics come from.
    """

    name: str
    columns: frozenset[str]
    basis: AnalysisBasis
    period: Period
    by_index: Mapping[int, Partition]
    problems: tuple[Problem, ...]
    query: str


class Framing:
    """Makes the frames. problems: of covariates, which concern every step that would use them."""

    def __init__(self, steps: Sequence[Step], session: Session, sources: Sources) -> None:
        # By what they fill: a step holds mappings, and cannot be a key itself.
        self.actions = {step.output: _action(step) for step in steps}
        first = self.actions[steps[0].output]
        self.experiment: Experiment = first.experiment
        self.sources = first.sources
        self.frames = Frames(session, self.experiment)
        self.problems: list[Problem] = []
        self._session = session
        self._tables = sources
        self._loaded: dict[str, str] = {}
        self._kept: Merged | None = None

    def frames_of(self, enrollments: Receipt, lake: Lake, windows: WindowsFrom) -> Iterator[Framed]:
        """Each frame in turn, which is dropped before the next."""
        self.frames.enroll(str(lake.file(enrollments)))
        self._attach(windows)
        if windows is WindowsFrom.UNIT_DAYS:
            self._kept = Merged(self._session, self.experiment, lake, self._tables, enrollments)
        covariates = self._covariates()
        groups: dict[tuple[AnalysisBasis, Period], list[Partition]] = defaultdict(list)
        for output, action in self.actions.items():
            groups[action.basis, action.due.period].append(output)
        for (basis, period), outputs in groups.items():
            yield from self._frame(basis, period, outputs, covariates)

    def units_with_rows(self, frame: str) -> list[tuple[int, str, int]]:
        """Window, branch, and the number of units with any row, of a frame with WITH_ROWS."""
        return self.frames.units_with_rows(frame)

    def _frame(
        self,
        basis: AnalysisBasis,
        period: Period,
        outputs: Sequence[Partition],
        covariates: str | None,
    ) -> Iterator[Framed]:
        actions = [self.actions[output] for output in outputs]
        due = [action.due for action in actions]
        signal = None
        if basis is AnalysisBasis.EXPOSURES and self.experiment.exposure_signal is not None:
            signal = self.frames.signal(self._tables, self.experiment.exposure_signal, due)
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
        query = "\n".join(dict.fromkeys(statements))
        yield Framed(frame, columns, basis, period, by_index, tuple(failed), query)
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
        kept = self._kept
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
                    covariate = adjustment(declared, action.due.period)
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

    def _attach(self, windows: WindowsFrom) -> None:
        """Make tables visible, then close the session to all others.

        Of what is merged only the columns are asked for: one day's files tell them.
        """
        if self.sources:
            days = self._days()
            one = (days[1], days[1]) if windows is WindowsFrom.UNIT_DAYS else days
            self.frames.attach(self._tables, self.sources, one)
            signal = self.experiment.exposure_signal
            if signal is not None:
                self.frames.attach(self._tables, [signal.data_source], (date.min, days[1]))
            self._session.lock()

    def _own(self, source: DataSource) -> list[Metric]:
        """The metrics that read the source, for themselves or to adjust others."""
        metrics = {m.name: m for m in self._metrics(self.actions.values())}
        for by_name in self._wanted_covariates().values():
            metrics |= {m.name: m for wanted in by_name.values() for m in columns_of(wanted)}
        return [m for m in metrics.values() if source in sources_of(m)]

    def _rows(self, source: DataSource) -> str:
        """The table of the source's rows, made when first asked for."""
        if source.name not in self._loaded:
            # Anew: so far perhaps other days of the same tables are visible.
            self.frames.attach(self._tables, [source], self._days())
            with self._said_elsewhere():
                rows = self.frames.load(source, self._own(source), self._days())
            self._loaded[source.name] = rows
        return self._loaded[source.name]

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
        if self._kept is None:
            return self._made_covariates(wanted, self._rows)
        what = covariates_identity(wanted, self.experiment.analysis_unit)
        days = self._days_before()
        made_of = self._kept.made_of_rows(self.sources, days)
        if made_of is not None and (kept := self._kept.covariates(what, made_of)):
            return kept
        made = self._made_covariates(wanted, lambda source: self._rows_before(source, days))
        if made_of is not None and made is not None and not self.problems:
            self._kept.keep_covariates(what, made_of, made)
        return made

    def _made_covariates(
        self,
        wanted: Mapping[CovariatePeriod, Sequence[Metric]],
        rows_of: Callable[[DataSource], str],
    ) -> str | None:
        named = {m.data_source.name for ms in wanted.values() for m in ms if m.data_source}
        rows = {s.name: rows_of(s) for s in self.sources if s.name in named}
        made = self.frames.covariates(rows, wanted)
        self.problems = self._taken()
        return made

    def _days_before(self) -> tuple[date, date]:
        """The days that covariates are made of, whatever window they adjust."""
        dates = schedule(self.experiment)
        last = min(dates.last_enrollment, max(a.due.last_data for a in self.actions.values()))
        days = max(Period(p.value).length or 0 for p in self._wanted_covariates())
        return dates.start - timedelta(days=days), last - timedelta(days=1)

    def _rows_before(self, source: DataSource, days: tuple[date, date]) -> str:
        """The table of the source's rows of those days, which is no other day's."""
        if source.name in self._loaded:
            return self._loaded[source.name]
        self.frames.attach(self._tables, [source], days)
        with self._said_elsewhere():
            return self.frames.load(source, self._own(source), days)

    def _taken(self) -> list[Problem]:
        problems, self.frames.problems = self.frames.problems, []
        return problems


def adjustment(declared: StatisticDeclaration, period: Period) -> Covariate | None:
    """What adjusts a statistic's results of a period, if anything does."""
    covariate = covariate_of(declared)
    return covariate if covariate is not None and covariate.adjusts(period.value) else None


def _action(step: Step) -> Estimate:
    assert isinstance(step.action, Estimate)
    return step.action
