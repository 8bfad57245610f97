"""Frames of units in BigQuery: for each step one, a table made of tables of units."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date

from sonde.errors import ConfigError
from sonde.metric import AnalysisBasis, DataSource, Metric
from sonde.plan.steps import Estimate, Step, columns_of, covariate_metrics, fingerprint
from sonde.run.bigquery.units import (
    BOOLEANS,
    FLOATS,
    INTEGERS,
    Units,
    UnitTable,
    Wanted,
    before,
)
from sonde.run.framed import Framed, adjustment
from sonde.run.frames import WITH_ROWS
from sonde.run.outcome import Problem
from sonde.sql import bigquery_summaries, relation
from sonde.sql import in_bigquery as sql
from sonde.sql.dialects import backquoted, frame_column
from sonde.sql.enrollments import EnrollmentDates, in_dataset
from sonde.sql.separable import separable
from sonde.stats.statistic import CovariatePeriod
from sonde.table import Receipt
from sonde.warehouse.bigquery import BigQuery
from sonde.warehouse.remote import RemoteTables
from sonde.window import Period


class Framing:
    """Makes the frames. problems: of covariates, which concern every step that would use them."""

    def __init__(
        self,
        steps: Sequence[Step],
        bigquery: BigQuery,
        tables: RemoteTables,
        enrollments: Receipt,
        as_of: date,
    ) -> None:
        self._steps = steps
        self._bigquery = bigquery
        self._tables = tables
        self._enrollments = enrollments
        self._as_of = as_of
        self._experiment = steps[0].action.experiment
        self._units = Units(bigquery, self._experiment)
        self._made: dict[str, UnitTable] = {}
        self.problems: list[Problem] = []

    def frames(self) -> Iterator[Framed]:
        """A frame for each step, in order; its table is dropped before the next."""
        for step in self._steps:
            assert isinstance(step.action, Estimate)
            name = f"sonde_frame_{uuid.uuid4().hex}"
            try:
                yield self._frame(step, step.action, name)
            finally:
                self._bigquery.drop(self._units.dataset, name)

    def units_with_rows(self, frame: str) -> list[tuple[int, str, int]]:
        """Window, branch, and the number of units with any row, of a frame with WITH_ROWS."""
        rows = self._bigquery.rows(bigquery_summaries.units_with(frame, WITH_ROWS))
        return [(index, branch, number) for index, branch, number in sorted(rows)]

    def _frame(self, step: Step, action: Estimate, name: str) -> Framed:
        frame = _Frame(action)
        own = {m.name: m for metric in action.metrics for m in columns_of(metric)}
        problems: list[Problem] = []
        queries: list[str] = []
        for source in action.sources:
            table = self._table(action.basis, action, source)
            mine = [m for m in own.values() if m.data_source and m.data_source.name == source.name]
            if mine:
                queries.append(f"{table.query};")
                frame.add(table, source, mine)
                problems += [p for p in table.problems if p.metric in own]
        for period, metrics in adjusting(action).items():
            self._adjust(frame, action, period, metrics)
        text, columns = frame.text(self._units.enrollments)
        path = self._bigquery.table(name, self._units.dataset)
        self._bigquery.execute(sql.temporary(path, text))
        by_index = {action.due.index: step.output}
        query = "\n".join(queries)
        return Framed(
            path, columns, action.basis, action.due.period, by_index, tuple(problems), query
        )

    def _adjust(
        self, frame: _Frame, action: Estimate, period: CovariatePeriod, metrics: Sequence[Metric]
    ) -> None:
        due = before(self._experiment, period, self._as_of)
        earlier = replace(action, due=due)
        for source in action.sources:
            mine = [m for m in metrics if m.data_source and m.data_source.name == source.name]
            if mine:
                table = self._table(AnalysisBasis.ENROLLMENTS, earlier, source)
                frame.adjust(table, period, mine)
                named = {m.name for m in mine}
                known = {(p.metric, p.message) for p in self.problems}
                self.problems += [
                    p
                    for p in table.problems
                    if p.metric in named and (p.metric, p.message) not in known
                ]

    def _table(self, basis: AnalysisBasis, action: Estimate, source: DataSource) -> UnitTable:
        wanted = Wanted(self._experiment, basis, action.due, source)
        if wanted.name not in self._made:
            made_from = fingerprint(self._enrollments.fingerprint, self._version(wanted))
            self._made[wanted.name] = self._units.metrics(wanted, made_from)
        return self._made[wanted.name]

    def _version(self, wanted: Wanted) -> list[str]:
        """Of the rows of the days that a table of units is made of."""
        source, due = wanted.source, wanted.due
        try:
            text = in_dataset(self._experiment, source.from_expression, source)
            names, first = relation(text).tables, due.first_data if separable(text) else None
        except ConfigError:
            return []  # what sonde cannot read BigQuery perhaps can
        found = (self._tables.get(name) for name in names)
        return [table.version(first, due.last_data) for table in found if table is not None]


class _Frame:
    """The columns of a frame, and the tables that they come from."""

    def __init__(self, action: Estimate) -> None:
        self._action = action
        self._columns: dict[str, str] = {}
        self._tables: list[str] = []
        self._joins: list[str] = []
        self._rows: list[str] = []

    def add(self, table: UnitTable, source: DataSource, metrics: Sequence[Metric]) -> None:
        """A source's metrics."""
        alias = f"t{len(self._tables)}"
        self._tables.append(f"{table.path} AS {alias}")
        self._take(table, alias, "m:", metrics)
        self._rows.append(f"{alias}.{backquoted(sql.has_rows(source))}")

    def adjust(self, table: UnitTable, period: CovariatePeriod, metrics: Sequence[Metric]) -> None:
        """Metrics from before enrollment."""
        alias = f"c{len(self._joins)}"
        self._joins.append(
            f"\nLEFT JOIN {table.path} AS {alias}\n  ON {alias}.analysis_id = e.analysis_id AND "
            f"{alias}.branch = e.branch"
        )
        self._take(table, alias, f"c:{period.value}:", metrics)

    def _take(self, table: UnitTable, alias: str, prefix: str, metrics: Sequence[Metric]) -> None:
        for metric in metrics:
            value = f"{alias}.{backquoted(metric.name)}"
            match _target(table.columns.get(metric.name, "")):
                case None:
                    pass
                case "":
                    self._columns[prefix + metric.name] = value
                case target:
                    self._columns[prefix + metric.name] = f"CAST({value} AS {target})"

    def text(self, enrollments: str) -> tuple[str, frozenset[str]]:
        """The query, of units in one branch only; and its columns."""
        action = self._action
        dates = EnrollmentDates(action.due.first_enrollment, action.due.last_enrollment)
        due = sql.Due(action.due.window, dates)
        of_units = sql.windowed(action.experiment, action.basis, due, enrollments)
        columns = {
            "__n": str(action.due.index),
            "branch": "e.branch",
            **{f"s:{s.name}": f"e.{backquoted(s.name)}" for s in action.experiment.segments},
            **self._columns,
        }
        if self._rows:
            columns[WITH_ROWS] = " OR ".join(self._rows)
        selected = ",\n  ".join(f"{text} AS {frame_column(name)}" for name, text in columns.items())
        joined = "".join(
            f"\nJOIN {table} ON t{i}.analysis_id = e.analysis_id AND t{i}.branch = e.branch"
            for i, table in enumerate(self._tables)
        )
        is_exposed = action.basis is AnalysisBasis.EXPOSURES
        exposed = " AND e.exposure_date IS NOT NULL" if is_exposed else ""
        text = (
            f"SELECT\n  {selected}\nFROM (\n{of_units}\n) AS e{joined}{''.join(self._joins)}\n"
            f"WHERE NOT e.in_several_branches{exposed}"
        )
        return text, frozenset(columns)


def _target(kind: str) -> str | None:
    """What a column is cast to, to be a number; empty: it is one; None: it cannot be."""
    if kind in INTEGERS or kind in {"FLOAT", "FLOAT64"}:
        return ""
    if kind in BOOLEANS:
        return "INT64"
    return "FLOAT64" if kind in FLOATS else None


def adjusting(action: Estimate) -> Mapping[CovariatePeriod, list[Metric]]:
    """The metrics that adjust the step's results, by the period they are of."""
    found: dict[CovariatePeriod, dict[str, Metric]] = {}
    for metric in action.metrics:
        known = covariate_metrics(action.experiment, metric)
        for declared in metric.statistics:
            covariate = adjustment(declared, Period(action.due.period))
            name = metric.name if covariate is None else covariate.metric or metric.name
            if covariate is not None and name in known:
                found.setdefault(covariate.period, {})[name] = known[name]
    return {period: list(metrics.values()) for period, metrics in found.items()}
