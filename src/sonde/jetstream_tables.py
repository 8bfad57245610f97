"""The tables and views in BigQuery that Jetstream's readers know, made of what is stored."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from sonde.experiment import Experiment
from sonde.jetstream import statistic_rows
from sonde.lake import Lake
from sonde.metric import AnalysisBasis
from sonde.plan.steps import Estimate, Step, fingerprint
from sonde.run.bigquery.units import Wanted
from sonde.sql.in_bigquery import metrics_view, union_view, unit_columns
from sonde.stored import Part, Receipts, estimates_of
from sonde.warehouse.bigquery import FINGERPRINT, BigQuery
from sonde.window import Period
from sonde.wire.names import normalized
from sonde.wire.statistics import SCHEMA_VERSION, StatisticRow
from sonde.wire.tables import (
    metrics_view_name,
    statistics_name,
    statistics_view_name,
)

COLUMNS = {
    "metric": "STRING",
    "statistic": "STRING",
    "parameter": "NUMERIC",
    "branch": "STRING",
    "comparison": "STRING",
    "comparison_to_branch": "STRING",
    "ci_width": "FLOAT64",
    "point": "FLOAT64",
    "lower": "FLOAT64",
    "upper": "FLOAT64",
    "segment": "STRING",
    "analysis_basis": "STRING",
}


def publish_tables(
    experiment: Experiment, steps: Iterable[Step], lake: Lake, bigquery: BigQuery
) -> None:
    """Make what differs from what is stored, and drop what is not asked for any more.

    steps: of the plan. A second time, nothing is left to do.
    """
    dataset = experiment.dataset_id or bigquery.account.dataset
    there = bigquery.labels(dataset)
    actions = [
        step.action
        for step in steps
        if step.slug == experiment.slug and isinstance(step.action, Estimate)
    ]
    publication = _Publication(experiment, dataset, bigquery, there)
    publication.statistics(estimates_of(experiment, lake, Receipts(lake)).parts)
    publication.metrics(actions)


class _Publication:
    """there: the tables of the dataset, with their labels."""

    def __init__(
        self,
        experiment: Experiment,
        dataset: str,
        bigquery: BigQuery,
        there: dict[str, dict[str, str]],
    ) -> None:
        self._experiment = experiment
        self._slug = experiment.slug
        self._dataset = dataset
        self._bigquery = bigquery
        self._there = there

    def statistics(self, parts: Sequence[Part]) -> None:
        """A table for each whole window, a view for each period."""
        windows: dict[tuple[Period, int], list[Part]] = defaultdict(list)
        for part in parts:
            if not part.is_partial:
                windows[Period(part.window.period), part.window.number].append(part)
        for (period, index), of_window in sorted(windows.items()):
            self._load(statistics_name(self._slug, period, index), of_window)
        self._drop_but(statistics_name(self._slug, *window) for window in windows)
        for period in {period for period, _ in windows}:
            tables = {
                index: statistics_name(self._slug, each, index)
                for each, index in sorted(windows)
                if each is period
            }
            text = union_view({i: self._path(name) for i, name in tables.items()}, COLUMNS)
            self._view(statistics_view_name(self._slug, period), text, tables.values())

    def _load(self, name: str, parts: Sequence[Part]) -> None:
        made_from = fingerprint(SCHEMA_VERSION, [part.receipt.fingerprint for part in parts])
        if not self._is_made(name, made_from):
            labels = {FINGERPRINT: made_from, "schema_version": str(SCHEMA_VERSION)}
            rows = [_plain(row) for row in statistic_rows(parts)]
            self._bigquery.load(self._dataset, name, COLUMNS, rows, self._slug, labels)
            self._there[name] = labels

    def _drop_but(self, wanted: Iterable[str]) -> None:
        """A window that is asked for no more leaves no table."""
        periods = "|".join(Period)
        ours = re.compile(rf"statistics_{normalized(self._slug)}_({periods})_\d+")
        for name in {name for name in self._there if ours.fullmatch(name)} - set(wanted):
            self._drop(name)

    def metrics(self, actions: Sequence[Estimate]) -> None:
        """A view for each basis and period: every unit once in a window, with all its metrics."""
        found: dict[tuple[AnalysisBasis, Period], dict[str, dict[int, str]]] = {}
        for action in actions:
            for source in action.sources:
                wanted = Wanted(self._experiment, action.basis, action.due, source)
                if not wanted.metrics:
                    continue
                if action.due.partial:
                    continue
                self._drop(wanted.partial_name)
                if wanted.name in self._there:
                    of_source = found.setdefault((action.basis, action.due.period), {})
                    of_source.setdefault(source.name, {})[action.due.index] = wanted.name
        for (basis, period), sources in found.items():
            name = metrics_view_name(self._slug, basis, period)
            names = [table for tables in sources.values() for table in tables.values()]
            if not self._is_made(name, self._of_tables(names)):
                self._view(name, self._metrics_view(sources), names)

    def _metrics_view(self, sources: Mapping[str, Mapping[int, str]]) -> str:
        segments = [segment.name for segment in self._experiment.segments]
        shared = unit_columns(segments)
        parts = []
        for _, tables in sorted(sources.items()):
            known = [list(self._bigquery.columns(self._dataset, t)) for t in tables.values()]
            own = [c for c in known[0] if c not in shared and all(c in each for each in known)]
            parts.append(({i: self._path(t) for i, t in tables.items()}, own))
        return metrics_view(segments, parts)

    def _view(self, name: str, text: str, tables: Iterable[str]) -> None:
        """Made anew when a table has changed: readers look at the time of its last change."""
        made_from = self._of_tables(tables)
        if not self._is_made(name, made_from):
            self._bigquery.replace_view(self._dataset, name, text, {FINGERPRINT: made_from})

    def _of_tables(self, names: Iterable[str]) -> str:
        return fingerprint([[n, self._there.get(n, {}).get(FINGERPRINT)] for n in sorted(names)])

    def _is_made(self, name: str, made_from: str) -> bool:
        return self._there.get(name, {}).get(FINGERPRINT) == made_from

    def _drop(self, name: str) -> None:
        if self._there.pop(name, None) is not None:
            self._bigquery.drop(self._dataset, name)

    def _path(self, name: str) -> str:
        return self._bigquery.table(name, self._dataset)


def _plain(row: StatisticRow) -> dict[str, object]:
    values = {name: getattr(row, name) for name in COLUMNS}
    return {name: value for name, value in values.items() if value is not None}
