"""Tables of units for a group of steps that read the same sources.

Each source is scanned once: its rows of enrolled units stay in the session, and every window of
every basis and period is aggregated from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date

from sonde.errors import ConfigError, DataError
from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis, DataSource, ExposureSignal, Metric
from sonde.plan.windows import DueWindow
from sonde.run.outcome import Problem
from sonde.sql import expression, relation
from sonde.sql.enrollments import EnrollmentDates, in_dataset, signal_dates
from sonde.sql.partials import Split
from sonde.sql.separable import separable
from sonde.sql.summaries import float_literal
from sonde.sql.text import date_literal, identifier
from sonde.sql.unit_days import metrics_of, nothing_of, row_of_nulls
from sonde.sql.units import (
    ENROLLED,
    WindowRow,
    joined_units,
    no_rows,
    numbered,
    rows_of,
    units,
    windowed_enrollments,
)
from sonde.stats.statistic import CovariatePeriod
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources
from sonde.window import Period, Window

ORDER = "__u"  # the units, numbered as they stand in the file of enrollments
WITH_ROWS = "__rows"  # whether a unit has any row of the sources
HAS_ROWS = {WITH_ROWS: "count(ds.__u) > 0"}  # the column, to be asked of `Frames.units`
_KEYS = frozenset({"__u", "__n", "branch", WITH_ROWS})
_ANY = ("$first_window", "$last_window")
_WORD = re.compile(r'"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*')
_NUMBERS = {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "FLOAT", "UTINYINT",
            "USMALLINT", "UINTEGER", "UBIGINT"}  # fmt: skip
# Numbers that Arrow or numpy cannot hold as such: what BigQuery would call them.
_CASTS = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", "UBIGINT": "BIGINT", "FLOAT": "DOUBLE"}


@dataclass(frozen=True)
class UnitTable:
    """A table of metrics, a row for each unit and window with rows of the source.

    empty: what the columns of all others are, as SQL; of those not named, NULL.
    """

    name: str
    columns: tuple[str, ...]
    empty: Mapping[str, str] = field(default_factory=dict)

    def join(self, alias: str) -> str:
        """To be joined to units and windows `e`."""
        return f"\nLEFT JOIN {self.name} AS {alias} ON {alias}.__u = e.__u AND {alias}.__n = e.__n"

    def value(self, column: str, alias: str) -> str:
        """A column, for every unit and window."""
        name = identifier(column)
        if column not in self.empty:
            return f"{alias}.{name}"
        return f"CASE WHEN {alias}.__u IS NULL THEN {self.empty[column]} ELSE {alias}.{name} END"


class UnknownTypeError(DataError):
    """A metric is not a number."""


class Frames:
    """The session's tables: enrolled units, and each source's rows of them.

    problems: what failed so far. statements: what was computed, to be kept beside the results;
    in them, days and windows are parameters.
    """

    def __init__(self, session: Session, experiment: Experiment) -> None:
        self._session = session
        self._experiment = experiment
        self.problems: list[Problem] = []
        self.statements: list[str] = []
        self._rows_text: dict[str, str] = {}
        self._views: set[str] = set()
        self._empty: dict[str, dict[str, str]] = {}
        self._made = 0

    def enroll(self, file: str) -> None:
        """Make the table of units from the enrollments' file.

        Units in several branches are left out: no branch's effect on them is known.
        """
        read = f"({numbered(file)})\nWHERE NOT in_several_branches"
        # A number for each name: every query after this one groups by it or reads it back.
        self._session.execute(
            f"CREATE TYPE branch_name AS ENUM (SELECT DISTINCT branch FROM {read} ORDER BY 1)"
        )
        self._session.execute(
            f"CREATE TEMP TABLE {ENROLLED} AS\n"
            "SELECT * EXCLUDE (in_several_branches)\n"
            "  REPLACE (CAST(branch AS branch_name) AS branch)\n"
            f"FROM {read}"
        )

    def attach(
        self, sources: Sources, wanted: Iterable[DataSource], days: tuple[date, date]
    ) -> None:
        """Make the physical tables of the sources visible."""
        for source in wanted:
            text = self._expression(source)
            for name in relation(text).tables:
                bounds = days if separable(text) else (None, days[1])
                self._session.attach(sources.find(name), *bounds)

    def load(
        self,
        source: DataSource,
        metrics: Iterable[Metric],
        days: tuple[date, date],
        further: Iterable[str] = (),
    ) -> str:
        """Keep the source's rows of enrolled units within `days`; the name of their table.

        further: columns as SQL, beside those that the metrics name.
        """
        name = self.state(source, metrics, further)
        first, last = map(date_literal, days)
        exact = self._rows_text[name].replace("$first_day", first).replace("$last_day", last)
        self._session.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS\n{exact}")
        return name

    def state(
        self, source: DataSource, metrics: Iterable[Metric], further: Iterable[str] = ()
    ) -> str:
        """The name of the table of the source's rows, which need not be made."""
        name = identifier(f"rows_{source.name}")
        read = relation(self._expression(source))
        columns = [*self._needed(read.sql, metrics), *further]
        unit, slug = source.unit_column(self._experiment.analysis_unit), self._experiment.slug
        text = rows_of(read.sql, source, unit, slug, columns, ("$first_day", "$last_day"))
        self._rows_text[name] = text
        return name

    def _expression(self, source: DataSource) -> str:
        return in_dataset(self._experiment, source.from_expression, source)

    def _needed(self, read: str, metrics: Iterable[Metric]) -> list[str]:
        """The columns whose names occur in what is asked: never too few."""
        words = self._names(metrics)
        found = self._session.columns(f"{read} AS ds")
        return [f"ds.{identifier(column)}" for column in found if column.lower() in words]

    def _names(self, metrics: Iterable[Metric]) -> set[str]:
        return {word for sql in self._translated(metrics).values() for word in _words(sql)}

    def windows(
        self,
        basis: AnalysisBasis,
        due: Sequence[DueWindow],
        metrics: Iterable[Metric],
        signal: str | None = None,
    ) -> str:
        """Make the view of each unit in each of its windows; its name.

        It has the segments, and the columns of the enrollments that the metrics name.
        """
        named = self._names(metrics) | {s.name.lower() for s in self._experiment.segments}
        return self._windows(basis, due, [c for c in self._given() if c.lower() in named], signal)

    def whole_windows(
        self, basis: AnalysisBasis, due: Sequence[DueWindow], signal: str | None = None
    ) -> str:
        """The same, with all columns of the enrollments."""
        return self._windows(basis, due, self._given(), signal)

    def _given(self) -> list[str]:
        """What is known of a unit and its window."""
        known = [*self._session.columns(ENROLLED), "analysis_window_start", "analysis_window_end"]
        return [c for c in known if c not in _KEYS]

    def _windows(
        self,
        basis: AnalysisBasis,
        due: Sequence[DueWindow],
        columns: Sequence[str],
        signal: str | None,
    ) -> str:
        name = self._name("windows")
        text = windowed_enrollments(basis, _rows(due), columns, signal)
        self._session.execute(f"CREATE TEMP VIEW {name} AS\n{text}")
        self._views.add(name)
        return name

    def units(
        self,
        enrollments: str,
        rows: str,
        metrics: Sequence[Metric],
        due: Sequence[DueWindow],
        anchor: AnalysisBasis,
        checks: Mapping[str, str] | None = None,
    ) -> UnitTable:
        """Make the table of metrics of units and windows.

        A metric that fails is left out and reported; the others are kept. checks: further columns,
        as SQL.
        """
        kept = self._translated(metrics) | dict(checks or {})
        is_joined = self._need_enrollments(kept.values())
        query = _Query(enrollments, rows, tuple(_rows(due)), anchor, is_joined)
        try:
            made = self._made_units(query, kept)
        except DataError:
            kept = self._working(query, kept)
            made = self._made_units(query, kept)
        self._tell(query, kept)
        return made

    def _tell(self, query: _Query, metrics: Mapping[str, str]) -> None:
        self.statements += [
            f"CREATE TABLE {query.rows} AS\n{self._rows_text[query.rows]};",
            f"{replace(query, enrollments='windows').text(metrics, _ANY)};",
        ]

    def merged(
        self,
        enrollments: str,
        states: str,
        rows: str,
        source: DataSource,
        metrics: Sequence[tuple[Metric, Split]],
        due: Sequence[DueWindow],
        anchor: AnalysisBasis,
    ) -> UnitTable:
        """The table of metrics of units and windows, from states of unit-days.

        states: name of a table of them. rows: name of the table of rows, as `state` gives it: what
        is told of the metrics is what they mean. Raises DataError when a metric fails.
        """
        splits = {metric.name: made for metric, made in metrics}
        nulls = row_of_nulls(relation(self._expression(source)).sql)
        is_joined = any(made.rest for made in splits.values())
        name = self._name("units")
        joined = enrollments if is_joined else None
        columns = self._fill(name, metrics_of(states, splits, nulls, WITH_ROWS, joined))
        translated = self._translated(metric for metric, _ in metrics) | HAS_ROWS
        is_told_joined = self._need_enrollments(translated.values())
        query = _Query(enrollments, rows, tuple(_rows(due)), anchor, is_told_joined)
        self._tell(query, translated)
        if is_joined:
            return UnitTable(name, columns)
        return self._with_empty(name, columns, nothing_of(splits, nulls, WITH_ROWS))

    def _need_enrollments(self, metrics: Iterable[str]) -> bool:
        """Whether a metric, as SQL, may name a column of the enrollments."""
        known = {c.lower() for c in self._given()} | {"e", "branch", "__n"}
        return not all(known.isdisjoint(_words(sql)) for sql in metrics)

    def _made_units(self, query: _Query, metrics: Mapping[str, str]) -> UnitTable:
        name = self._name("units")
        columns = self._fill(name, query.text(metrics))
        if query.is_joined:
            return UnitTable(name, columns)
        return self._with_empty(name, columns, no_rows(query.rows, metrics))

    def _with_empty(self, name: str, columns: tuple[str, ...], empty_text: str) -> UnitTable:
        """With what stands for units without rows: the same for all windows of some metrics."""
        if empty_text not in self._empty:
            empty = self._name("empty")
            self._fill(empty, empty_text)
            kinds = self._session.columns(empty)
            row = self._session.rows(f"SELECT * EXCLUDE (__u, __n) FROM {empty}")[0]
            self._empty[empty_text] = {
                column: f"CAST({_literal(value)} AS {kinds[column]})"
                for column, value in zip(columns, row, strict=True)
                if value is not None
            }
        return UnitTable(name, columns, self._empty[empty_text])

    def _translated(self, metrics: Iterable[Metric]) -> dict[str, str]:
        """The metrics in DuckDB SQL; one that cannot be translated is left out and reported."""
        found = {}
        for metric in metrics:
            try:
                found[metric.name] = expression(str(metric.select_expression))
            except ConfigError as error:
                self.problems.append(Problem.of(error, metric=metric.name))
        return found

    def _working(self, query: _Query, metrics: Mapping[str, str]) -> dict[str, str]:
        """The metrics that work on their own."""
        kept = {}
        for name, sql in metrics.items():
            try:
                self._made_units(query, {name: sql})
                kept[name] = sql
            except DataError as error:
                self.problems.append(Problem.of(error, metric=name))
        return kept

    def _fill(self, name: str, text: str) -> tuple[str, ...]:
        """Run the query, with each column as a type that statistics know; columns but for keys."""
        described = self._session.rows(f"DESCRIBE {text}")
        casts = []
        for column, kind, *_ in described:
            if column in _KEYS:
                casts.append(identifier(column))
            elif (target := _target(kind)) is not None:
                casts.append(f"CAST({identifier(column)} AS {target}) AS {identifier(column)}")
            elif kind in _NUMBERS:
                casts.append(identifier(column))
            else:
                raise UnknownTypeError(
                    f"the metric {column} is of type {kind}; a statistic needs a number or a "
                    "boolean: aggregate to one in select_expression",
                    text,
                )
        self._session.execute(
            f"CREATE TEMP TABLE {name} AS\nSELECT {', '.join(casts)}\nFROM (\n{text}\n)"
        )
        return tuple(column for column, *_ in described if column not in {"__u", "__n"})

    def signal(self, sources: Sources, signal: ExposureSignal, due: Sequence[DueWindow]) -> str:
        """Exposures by the experiment's signal, evaluated for each window; the table's name."""
        name = self._name("signal")
        read = relation(self._expression(signal.data_source))
        source, unit = signal.data_source, self._experiment.analysis_unit
        day = f"CAST({expression(f'ds.{source.submission_date_column}')} AS DATE)"
        values = []
        for each in due:
            dates = EnrollmentDates(each.first_enrollment, each.last_enrollment)
            first, last = signal_dates(signal, dates, each.window)
            values.append(f"({each.index}, {date_literal(first)}, {date_literal(last)})")
        for table in read.tables:
            self._session.attach(sources.find(table))
        self._session.execute(
            f"""CREATE TEMP TABLE {name} AS
SELECT en.__u, w.__n, min(x.__day) AS exposure_date, count(*) AS num_exposure_events
FROM {ENROLLED} AS en
JOIN (
  SELECT CAST({expression(f"ds.{source.unit_column(unit)}")} AS VARCHAR) AS __unit,
    {day} AS __day
  FROM {read.sql} AS ds
  WHERE ({expression(signal.select_expression)})
) AS x ON x.__unit = en.analysis_id AND x.__day >= en.enrollment_date
JOIN (VALUES {", ".join(values)}) AS w(__n, __first, __last)
  ON x.__day BETWEEN w.__first AND w.__last
GROUP BY en.__u, w.__n"""
        )
        return name

    def covariates(
        self, rows: Mapping[str, str], wanted: Mapping[CovariatePeriod, Sequence[Metric]]
    ) -> str | None:
        """Make the table of each unit's metrics before its enrollment; its name.

        Columns: __u, and `c:<period>:<metric>`.
        """
        columns, joins = ["e.__u"], ""
        for period, metrics in wanted.items():
            due = _before(period)
            enrolled = self.windows(AnalysisBasis.ENROLLMENTS, [due], metrics)
            for source, group in _by_own_source(metrics).items():
                made = self.units(enrolled, rows[source], group, [due], AnalysisBasis.ENROLLMENTS)
                alias = f"t{len(columns)}"
                joins += made.join(alias)
                columns += [
                    f"{made.value(c, alias)} AS {identifier(f'c:{period.value}:{c}')}"
                    for c in made.columns
                ]
        if not joins:
            return None
        name = self._name("covariates")
        self._session.execute(
            f"CREATE TEMP TABLE {name} AS\nSELECT {', '.join(columns)}\n"
            f"FROM (SELECT __u, 1 AS __n FROM {ENROLLED}) AS e{joins}"
        )
        return name

    def frame(
        self, enrollments: str, made: Sequence[UnitTable], covariates: str | None
    ) -> tuple[str, frozenset[str]]:
        """Join units of several sources, segments and covariates; name and columns of the table.

        Columns: __u, __n, branch, `s:<segment>`, `m:<metric>`, `c:<period>:<metric>`; WITH_ROWS
        where the units have it. Its rows are in no order.
        """
        columns = ["e.__u", "e.__n", "e.branch"]
        columns += [
            f"e.{identifier(s.name)} AS {identifier('s:' + s.name)}"
            for s in self._experiment.segments
        ]
        joins = ""
        for i, table in enumerate(made):
            joins += table.join(f"t{i}")
            columns += [
                f"{table.value(c, f't{i}')} AS {identifier('m:' + c)}"
                for c in table.columns
                if c != WITH_ROWS
            ]
        if made and all(WITH_ROWS in table.columns for table in made):
            found = " OR ".join(t.value(WITH_ROWS, f"t{i}") for i, t in enumerate(made))
            columns.append(f"{found} AS {WITH_ROWS}")
        if covariates is not None:
            joins += f"\nJOIN {covariates} AS c ON c.__u = e.__u"
            columns += [
                f"c.{identifier(c)}" for c in self._session.columns(covariates) if c != "__u"
            ]
        name = self._name("frame")
        self._session.execute(
            f"CREATE TEMP TABLE {name} AS\nSELECT {', '.join(columns)}\n"
            f"FROM {enrollments} AS e{joins}"
        )
        return name, frozenset(self._session.columns(name))

    def units_with_rows(self, frame: str) -> list[tuple[int, str, int]]:
        """Window, branch, and the number of units with any row, of a frame with WITH_ROWS."""
        return [
            (index, branch, number)
            for index, branch, number in self._session.rows(
                f"SELECT __n, branch, count(*) FILTER (WHERE {WITH_ROWS})\nFROM {frame}\n"
                "GROUP BY ALL ORDER BY ALL"
            )
        ]

    def drop(self, *tables: str | UnitTable) -> None:
        """Give memory back."""
        for table in tables:
            name = table if isinstance(table, str) else table.name
            kind = "VIEW" if name in self._views else "TABLE"
            self._session.execute(f"DROP {kind} {name}")

    def _name(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made}"


@dataclass(frozen=True)
class _Query:
    """Where metrics are computed from, and for which units and windows."""

    enrollments: str
    rows: str
    windows: tuple[WindowRow, ...]
    anchor: AnalysisBasis
    is_joined: bool

    def text(self, metrics: Mapping[str, str], bounds: tuple[str, str] | None = None) -> str:
        """The query; bounds: of the indices of windows, as SQL."""
        if self.is_joined:
            return joined_units(self.enrollments, self.rows, metrics, self.windows, self.anchor)
        if bounds is None:
            indices = [w.index for w in self.windows]
            bounds = (str(min(indices)), str(max(indices)))
        return units(self.rows, metrics, self.windows, self.anchor, bounds)


def _rows(due: Iterable[DueWindow]) -> list[WindowRow]:
    return [WindowRow(d.index, d.window.start, d.window.stop, d.last_enrollment) for d in due]


def _before(period: CovariatePeriod) -> DueWindow:
    days = Period(period.value).length
    assert days is not None
    return DueWindow(Period(period.value), 1, Window(-days, 0), date.min, date.max)


def _by_own_source(metrics: Iterable[Metric]) -> dict[str, list[Metric]]:
    grouped: dict[str, list[Metric]] = {}
    for metric in metrics:
        assert metric.data_source is not None
        grouped.setdefault(metric.data_source.name, []).append(metric)
    return grouped


def _target(kind: str) -> str | None:
    return "DOUBLE" if kind.startswith("DECIMAL") else _CASTS.get(kind)


def _literal(value: object) -> str:
    return float_literal(value) if isinstance(value, float) else str(value).upper()


def _words(sql: str) -> set[str]:
    return {word.strip('"').lower() for word in _WORD.findall(sql)}
