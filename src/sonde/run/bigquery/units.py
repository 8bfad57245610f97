"""The tables of units in BigQuery: of the enrolled, and of each source's metrics in each window."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import date

from sonde.errors import DataError
from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis, DataSource, Metric
from sonde.plan.plan import schedule
from sonde.plan.steps import (
    Enroll,
    Estimate,
    Step,
    columns_of,
    covariate_metrics,
    covariate_of,
    fingerprint,
)
from sonde.plan.windows import DueWindow
from sonde.run.outcome import Problem
from sonde.sql import in_bigquery as sql
from sonde.sql.dialects import backquoted
from sonde.sql.enrollments import EnrollmentDates
from sonde.stats.statistic import CovariatePeriod
from sonde.table import Partition, Receipt
from sonde.warehouse.bigquery import FINGERPRINT, BigQuery
from sonde.window import Period, Window
from sonde.wire.tables import enrollments_name, metrics_name

INTEGERS = frozenset({"INTEGER", "INT64"})
FLOATS = frozenset({"FLOAT", "FLOAT64", "NUMERIC", "BIGNUMERIC"})
BOOLEANS = frozenset({"BOOLEAN", "BOOL"})


@dataclass(frozen=True)
class UnitTable:
    """A source's metrics of units in one window. columns: with their types."""

    path: str
    columns: dict[str, str]
    problems: tuple[Problem, ...]
    query: str


@dataclass(frozen=True)
class Wanted:
    """What a table of units is to hold."""

    experiment: Experiment
    basis: AnalysisBasis
    due: DueWindow
    source: DataSource

    @property
    def name(self) -> str:
        """Of the table."""
        return self._name(partial=self.due.partial)

    @property
    def partial_name(self) -> str:
        """What it was as long as some units did not have the whole window."""
        return self._name(partial=True)

    def _name(self, *, partial: bool) -> str:
        due, slug = self.due, self.experiment.slug
        return metrics_name(
            slug, self.basis, self.source.name, due.period, due.index, partial=partial
        )

    @property
    def metrics(self) -> list[Metric]:
        """All of the source that the experiment asks for in the period, or adjusts others by."""
        asked = self.experiment.metrics.get(self.due.period, ())
        found = {m.name: m for metric in asked for m in columns_of(metric)}
        if self.basis is AnalysisBasis.ENROLLMENTS:
            found |= covariates(self.experiment).get(self.due.period, {})
        else:
            bases = {m.name for a in asked if self.basis in a.analysis_bases for m in columns_of(a)}
            found = {name: m for name, m in found.items() if name in bases}
        of_source = (m for m in found.values() if m.data_source is not None)
        return [m for m in of_source if m.data_source and m.data_source.name == self.source.name]

    def text(self, metrics: Sequence[Metric], enrollments: str) -> str:
        """The query that fills it."""
        dates = EnrollmentDates(self.due.first_enrollment, self.due.last_enrollment)
        due = sql.Due(self.due.window, dates)
        return sql.unit_metrics(self.experiment, self.basis, due, self.source, metrics, enrollments)


def covariates(experiment: Experiment) -> dict[Period, dict[str, Metric]]:
    """The metrics that adjust any others, by the period before enrollment."""
    found: dict[Period, dict[str, Metric]] = {}
    for metrics in experiment.metrics.values():
        for metric in metrics:
            known = covariate_metrics(experiment, metric)
            for declared in metric.statistics:
                covariate = covariate_of(declared)
                if covariate is not None and (name := covariate.metric or metric.name) in known:
                    period = found.setdefault(Period(covariate.period.value), {})
                    period |= {m.name: m for m in columns_of(known[name])}
    return found


def before(experiment: Experiment, period: CovariatePeriod, as_of: date) -> DueWindow:
    """The window before enrollment that adjusts results, of all units that have enrolled."""
    dates = schedule(experiment)
    days = Period(period.value).length
    assert days is not None
    last, is_partial = min(dates.last_enrollment, as_of), as_of <= dates.last_enrollment
    return DueWindow(Period(period.value), 1, Window(-days, 0), dates.start, last, is_partial)


def standing(
    receipts: Mapping[Partition, Receipt], steps: Iterable[Step], bigquery: BigQuery
) -> dict[Partition, Receipt]:
    """The receipts of steps whose tables of units are still there: what is lost is made again."""
    there: dict[str, dict[str, dict[str, str]]] = {}
    found = dict(receipts)
    for step in steps:
        experiment = step.action.experiment
        dataset = experiment.dataset_id or bigquery.account.dataset
        if dataset not in there:
            there[dataset] = bigquery.labels(dataset)
        receipt = found.get(step.output)
        if receipt is not None and not _stands(step, receipt, there[dataset]):
            del found[step.output]
    return found


def _stands(step: Step, receipt: Receipt, there: Mapping[str, Mapping[str, str]]) -> bool:
    match step.action:
        case Enroll(experiment=experiment):
            labels = there.get(enrollments_name(experiment.slug), {})
            return labels.get(FINGERPRINT) == receipt.fingerprint
        case Estimate(experiment=experiment, basis=basis, due=due, sources=sources):
            wanted = (Wanted(experiment, basis, due, source) for source in sources)
            return all(FINGERPRINT in there.get(w.name, {}) for w in wanted if w.metrics)


class Units:
    """Makes tables of units, or finds those that are there already."""

    def __init__(self, bigquery: BigQuery, experiment: Experiment) -> None:
        self._bigquery = bigquery
        self._experiment = experiment
        self.dataset = experiment.dataset_id or bigquery.account.dataset
        self._labels: dict[str, dict[str, str]] | None = None

    @property
    def enrollments(self) -> str:
        """The table of the enrolled, as SQL."""
        return self._bigquery.table(enrollments_name(self._experiment.slug), self.dataset)

    def is_made(self, name: str, made_from: str) -> bool:
        """Whether a table is there, of the same."""
        if self._labels is None:
            self._labels = self._bigquery.labels(self.dataset)
        return self._labels.get(name, {}).get(FINGERPRINT) == made_from

    def make(self, name: str, text: str, made_from: str) -> None:
        """Fill a table."""
        labels = {FINGERPRINT: made_from}
        self._bigquery.replace(self.dataset, name, text, self._experiment.slug, labels)

    def metrics(self, wanted: Wanted, made_from: str) -> UnitTable:
        """The table of a source's metrics. made_from: the fingerprint of what it is made of.

        A metric that fails is left out and reported; the others are kept.
        """
        metrics = wanted.metrics
        text = wanted.text(metrics, self.enrollments)
        path = self._bigquery.table(wanted.name, self.dataset)
        digest = fingerprint(sql.REVISION, text, made_from)
        if self.is_made(wanted.name, digest):
            columns = self._bigquery.columns(self.dataset, wanted.name)
            return UnitTable(path, columns, tuple(_not_numbers(metrics, columns, text)), text)
        problems: list[Problem] = []
        try:
            self._fill(wanted.name, text, digest)
        except DataError as error:
            metrics, text = self._fill_partly(wanted, digest, error, problems)
        columns = self._bigquery.columns(self.dataset, wanted.name)
        problems += _not_numbers(metrics, columns, text)
        return UnitTable(path, columns, tuple(problems), text)

    def _fill_partly(
        self, wanted: Wanted, digest: str, error: DataError, problems: list[Problem]
    ) -> tuple[list[Metric], str]:
        """With the metrics that work on their own, told without reading where that is enough: a
        value that fails is met only by reading. The metrics, and the query.
        """
        metrics = wanted.metrics
        for tried in (self._bigquery.dry_run, self._bigquery.execute):
            kept = self._passing(tried, wanted, metrics, problems)
            if not kept:
                break
            if len(kept) < len(metrics):
                metrics, text = kept, wanted.text(kept, self.enrollments)
                with suppress(DataError):
                    self._fill(wanted.name, text, fingerprint("without some", digest))
                    return metrics, text
        raise error  # the source is at fault

    def _fill(self, name: str, text: str, made_from: str) -> None:
        self.check(name, text)
        self.make(name, text, made_from)

    def check(self, name: str, text: str) -> None:
        """Raise CostLimitError when filling a table costs more than is allowed."""
        if self._bigquery.account.max_bytes is not None:
            self._bigquery.account.check(self._bigquery.dry_run(text).size, name)

    def _passing(
        self,
        tried: Callable[[str], object],
        wanted: Wanted,
        metrics: Iterable[Metric],
        problems: list[Problem],
    ) -> list[Metric]:
        kept = []
        for metric in metrics:
            text = wanted.text([metric], self.enrollments)
            try:
                tried(f"SELECT COUNT({backquoted(metric.name)})\nFROM (\n{text}\n)")
                kept.append(metric)
            except DataError as found:
                problems.append(Problem.of(found, metric=metric.name))
        return kept


def _not_numbers(
    metrics: Iterable[Metric], columns: dict[str, str], text: str
) -> Iterable[Problem]:
    for metric in metrics:
        kind = columns.get(metric.name)
        if kind is not None and kind not in INTEGERS | FLOATS | BOOLEANS:
            error = DataError(
                f"the metric {metric.name} is of type {kind}; a statistic needs a number or a "
                "boolean: aggregate to one in select_expression",
                text,
            )
            yield replace(Problem.of(error), metric=metric.name)
