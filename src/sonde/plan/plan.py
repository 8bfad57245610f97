"""Declarations, what exists, and a date -> the steps that are to be done. No clock, no files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TypeAlias

from sonde.errors import ConfigError
from sonde.experiment import EnrollmentsQueryType, Experiment
from sonde.metric import AnalysisBasis, DataSource, Metric
from sonde.plan.checks import NotAnalysable, check
from sonde.plan.steps import (
    POPULATION,
    Enroll,
    Estimate,
    Revisions,
    Step,
    covariate_metrics,
    enrollments_table,
    estimate_partition,
    fingerprint,
    in_force,
    metric_identity,
    source_identity,
    sources_of,
)
from sonde.plan.windows import DueWindow, Schedule, due_windows
from sonde.sql import TableName, query, relation
from sonde.sql.enrollments import (
    EnrollmentDates,
    enrollments_query,
    in_dataset,
    signal_dates,
)
from sonde.sql.separable import separable
from sonde.table import Partition, Receipt
from sonde.window import Period

# The version of the rows of some tables within [first, last] days; None: from the beginning.
Versions: TypeAlias = Callable[[Iterable[TableName], date | None, date | None], str]

LATE_DATA_DAYS = 7  # for so long after its end, an experiment's results follow late rows


@dataclass(frozen=True)
class Plan:
    """All steps that the declarations ask for as of a date, and who gets none, and why."""

    as_of: date
    steps: tuple[Step, ...]
    skipped: tuple[NotAnalysable, ...] = ()

    def stale(self, receipts: Mapping[Partition, Receipt]) -> tuple[Step, ...]:
        """The steps not yet done. A result from later data is not replaced by an earlier one."""
        return tuple(step for step in self.steps if self._is_stale(step, receipts))

    def _is_stale(self, step: Step, receipts: Mapping[Partition, Receipt]) -> bool:
        receipt = receipts.get(step.output)
        if receipt is None:
            return True
        if receipt.fingerprint in (step.fingerprint, step.kept):
            return False
        if not step.marks or not receipt.marks:
            return True
        (completeness, through), (had, had_through) = step.marks, receipt.marks
        if had == "complete" and completeness == "partial":
            return False
        if had == completeness == "partial" and had_through > through:
            return False
        end = step.action.experiment.end_date
        settled = end is not None and end + timedelta(days=LATE_DATA_DAYS) < self.as_of
        return not (settled and had == "complete")

    def obsolete(self, receipts: Mapping[Partition, Receipt]) -> tuple[Partition, ...]:
        """Partitions of planned experiments that no declaration asks for any more."""
        slugs = {step.slug for step in self.steps}
        tables = {step.output.table for step in self.steps}
        asked = {_series(step.output) for step in self.steps}
        return tuple(
            partition
            for partition in receipts
            if partition.key
            and partition.key[0] in slugs
            and partition.table in tables
            and _series(partition) not in asked
        )


def _series(partition: Partition) -> tuple[str, ...]:
    """All windows of a period belong together: an earlier date plans fewer, none obsolete."""
    keys = zip(partition.table.keys, partition.key, strict=True)
    return (partition.table.path, *(v for k, v in keys if k != "window_index"))


def plan(
    experiments: Sequence[Experiment],
    as_of: date,
    versions: Versions,
    kept: Revisions | None = None,
) -> Plan:
    """Every step of every experiment that can be analysed as of `as_of`, in a fixed order.

    as_of: the last day whose data are complete. kept: results by these revisions are not stale.
    """
    now = in_force()
    then = now if kept is None else now | dict(kept)
    steps: list[Step] = []
    skipped: list[NotAnalysable] = []
    for experiment in experiments:
        reason = check(experiment, as_of)
        if reason is not None:
            skipped.append(reason)
            continue
        made = list(_steps(experiment, as_of, versions, now))
        if then != now:
            old = _steps(experiment, as_of, versions, then)
            made = [replace(s, kept=o.fingerprint) for s, o in zip(made, old, strict=True)]
        steps.extend(made)
    return Plan(as_of, tuple(steps), tuple(skipped))


def schedule(experiment: Experiment) -> Schedule:
    """The experiment's dates. It has passed `check`: they are known."""
    start, last = experiment.start_date, experiment.last_enrollment_date
    assert start is not None
    assert last is not None
    return Schedule(start, last, experiment.end_date)


def _steps(
    experiment: Experiment, as_of: date, versions: Versions, revisions: Revisions
) -> Iterator[Step]:
    enroll = _enroll(experiment, as_of, versions, revisions["enrollments"])
    yield enroll
    reading = _Reading(experiment, versions)
    groups = {
        (period, basis): _groups(experiment, period, basis, revisions)
        for period in Period
        for basis in AnalysisBasis
    }
    for due in due_windows(schedule(experiment), as_of, _periods(experiment)):
        for basis in AnalysisBasis:
            for group in groups[due.period, basis]:
                action = Estimate(experiment, basis, due, group.sources, group.metrics)
                yield _estimate(enroll, action, group, reading, revisions["windows"])


@dataclass(frozen=True)
class _Group:
    """Metrics that are estimated together. declared: the fingerprint of all that is said of them.

    is_adjusted: whether rows from before enrollment are read, too.
    """

    sources: tuple[DataSource, ...]
    metrics: tuple[Metric, ...]
    declared: str
    is_adjusted: bool


def _groups(
    experiment: Experiment, period: Period, basis: AnalysisBasis, revisions: Revisions
) -> list[_Group]:
    """The groups of a period and basis, the one that only counts units first."""
    metrics = [m for m in experiment.metrics.get(period, ()) if basis in m.analysis_bases]
    if not metrics:
        return []
    grouped = {(): [], **by_sources(experiment, metrics)}
    return [
        _Group(
            sources,
            tuple(group),
            fingerprint(
                [metric_identity(m, revisions) for m in group],
                [source_identity(s) for s in sources],
            ),
            any(covariate_metrics(experiment, metric) for metric in group),
        )
        for sources, group in grouped.items()
    ]


@dataclass(frozen=True)
class _Read:
    """What a source reads: physical tables, and whether a day of it needs that day's rows only."""

    tables: tuple[TableName, ...]
    is_separable: bool


class _Reading:
    """Versions of the rows that an experiment's sources read; each source is parsed once."""

    def __init__(self, experiment: Experiment, versions: Versions) -> None:
        self._experiment = experiment
        self._versions = versions
        self._reads: dict[DataSource, _Read | None] = {}

    def version(self, source: DataSource, first: date, last: date) -> str:
        """The version of the rows of the days [first, last]."""
        if source not in self._reads:
            self._reads[source] = self._read(source)
        read = self._reads[source]
        if read is None:
            return "cannot be read"
        return self._versions(read.tables, first if read.is_separable else None, last)

    def _read(self, source: DataSource) -> _Read | None:
        """None when the SQL is wrong: the step that needs it fails and says why."""
        try:
            text = in_dataset(self._experiment, source.from_expression, source)
            return _Read(relation(text).tables, separable(text))
        except ConfigError:
            return None


def _periods(experiment: Experiment) -> list[Period]:
    return [period for period in Period if experiment.metrics.get(period)]


def by_sources(
    experiment: Experiment, metrics: Iterable[Metric]
) -> dict[tuple[DataSource, ...], list[Metric]]:
    """Metrics grouped by the sources whose rows they need, for themselves and their covariates."""
    grouped: dict[tuple[DataSource, ...], list[Metric]] = {}
    for metric in metrics:
        needed = {s.name: s for s in sources_of(metric)}
        for covariate in covariate_metrics(experiment, metric).values():
            needed |= {s.name: s for s in sources_of(covariate)}
        grouped.setdefault(tuple(needed[name] for name in sorted(needed)), []).append(metric)
    return grouped


def _enroll(experiment: Experiment, as_of: date, versions: Versions, revision: int) -> Step:
    dates = schedule(experiment)
    enrollment = EnrollmentDates(dates.start, min(dates.last_enrollment, as_of))
    text = enrollments_query(experiment, enrollment)
    first, last = _enrollment_data(experiment, enrollment, as_of)
    try:
        version = versions(query(text).tables, first, last)
    except ConfigError:
        version = "cannot be read"  # the step says why, and does without the part at fault
    print_ = fingerprint("enroll", revision, text, version)
    output = enrollments_table(experiment).partition()
    return Step(output, Enroll(experiment, enrollment), print_)


def _enrollment_data(
    experiment: Experiment, dates: EnrollmentDates, as_of: date
) -> tuple[date, date]:
    """The days whose rows the enrollment query reads."""
    starts = [0, *(s.data_source.window_start for s in experiment.segments)]
    ends = [0, *(s.data_source.window_end for s in experiment.segments)]
    if experiment.enrollments_query_type is EnrollmentsQueryType.FENIX_FALLBACK:
        starts.append(-7)
    return (
        dates.first + timedelta(days=min(starts)),
        min(as_of, dates.last + timedelta(days=max(ends))),
    )


def _estimate(
    enroll: Step, action: Estimate, group: _Group, reading: _Reading, revision: int
) -> Step:
    experiment, due = action.experiment, action.due
    source = "+".join(s.name for s in action.sources) or POPULATION
    parts = {
        "revision": revision,
        "enrollments": enroll.fingerprint,
        "basis": action.basis.value,
        "window": [due.window.start, due.window.stop],
        "last_enrollment": due.last_enrollment,
        "branches": [b.slug for b in experiment.branches],
        "reference": experiment.reference_branch,
        "declared": group.declared,
        "rows": [v for s in action.sources for v in _rows_versions(due, s, group, reading)],
        "exposures": _signal_version(action, reading),
    }
    return Step(
        estimate_partition(experiment, action.basis, due, source),
        action,
        fingerprint(parts),
        (enroll.output,),
        ("partial" if due.partial else "complete", due.last_data.isoformat()),
    )


def _rows_versions(
    due: DueWindow, source: DataSource, group: _Group, reading: _Reading
) -> Iterator[str]:
    """Versions of the days that the window reads, and of those its covariates read."""
    yield reading.version(source, due.first_data, due.last_data)
    if group.is_adjusted:
        before = due.first_enrollment - timedelta(days=28)
        yield reading.version(source, before, due.last_enrollment - timedelta(days=1))


def _signal_version(action: Estimate, reading: _Reading) -> str | None:
    signal, due = action.experiment.exposure_signal, action.due
    if signal is None or action.basis is AnalysisBasis.ENROLLMENTS:
        return None
    dates = EnrollmentDates(due.first_enrollment, due.last_enrollment)
    first, last = signal_dates(signal, dates, due.window)
    return fingerprint(
        source_identity(signal.data_source),
        signal.select_expression,
        [first, last],
        reading.version(signal.data_source, first, last),
    )
