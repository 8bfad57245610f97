"""Tables of units for a group of steps that read the same sources.

Each source is scanned once: its rows of enrolled units stay in the session, and every window of
every basis and period is aggregated from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
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
from sonde.sql.text import date_literal, identifier
from sonde.sql.unit_days import metrics_of, row_of_nulls
from sonde.sql.units import (
    ENROLLED,
    WindowRow,
    numbered,
    rows_of,
    units,
    windowed_enrollments,
)
from sonde.stats.statistic import CovariatePeriod
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources
from sonde.window import Period, Window

WITH_ROWS = "__rows"  # whether a unit has any row of the sources
HAS_ROWS = {WITH_ROWS: "count(ds.__u) > 0"}  # the column, to be asked of `Frames.units`
_KEYS = frozenset({"__u", "__n", "branch", WITH_ROWS})
_WORD = re.compile(r'"(?:[^"]|"")*"|[A-Za-z_][A-Za-z0-9_]*')
_NUMBERS = {"BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "DOUBLE", "FLOAT", "UTINYINT",
            "USMALLINT", "UINTEGER", "UBIGINT"}  # fmt: skip
# Numbers that Arrow or numpy cannot hold as such: what BigQuery would call them.
_CASTS = {"HUGEINT": "BIGINT", "UHUGEINT": "BIGINT", "UBIGINT": "BIGINT", "FLOAT": "DOUBLE"}


class UnknownTypeError(DataError):
    """A metric is not a number."""


class Frames:
    """The session's tables: enrolled units, and each source's rows of them.

    problems: what failed so far. statements: what was computed, to be kept beside the results;
    in them, days and the table of windows are parameters.
    """

    def __init__(self, session: Session, experiment: Experiment) -> None:
        self._session = session
        self._experiment = experiment
        self.problems: list[Problem] = []
        self.statements: list[str] = []
        self._rows_text: dict[str, str] = {}
        self._views: set[str] = set()
        self._made = 0

    def enroll(self, file: str) -> None:
        """Make the table of units from the enrollments' file.

        Units in several branches are left out: no branch's effect on them is known.
        """
        self._session.execute(
            f"CREATE TEMP TABLE {ENROLLED} AS\n"
            f"SELECT * EXCLUDE (in_several_branches)\nFROM ({numbered(file)})\n"
            "WHERE NOT in_several_branches"
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
        name, text = self.state(source, metrics, further)
        first, last = map(date_literal, days)
        exact = text.replace("$first_day", first).replace("$last_day", last)
        self._session.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS\n{exact}")
        return name

    def state(
        self, source: DataSource, metrics: Iterable[Metric], further: Iterable[str] = ()
    ) -> tuple[str, str]:
        """The name of the table of the source's rows, and the SQL that makes it."""
        name = identifier(f"rows_{source.name}")
        read = relation(self._expression(source))
        columns = [*self._needed(read.sql, metrics), *further]
        unit, slug = source.unit_column(self._experiment.analysis_unit), self._experiment.slug
        text = rows_of(read.sql, source, unit, slug, columns, ("$first_day", "$last_day"))
        self._rows_text[name] = text
        return name, text

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
        """Make the table of each unit in each of its windows; its name.

        It has the columns of the enrollments that the metrics name.
        """
        names = self._names(metrics)
        known = [*self._session.columns(ENROLLED), "analysis_window_start", "analysis_window_end"]
        columns = [c for c in known if c.lower() in names and c not in _KEYS]
        return self._windows(basis, due, columns, signal)

    def whole_windows(
        self, basis: AnalysisBasis, due: Sequence[DueWindow], signal: str | None = None
    ) -> str:
        """The same, with all columns of the enrollments."""
        known = [*self._session.columns(ENROLLED), "analysis_window_start", "analysis_window_end"]
        return self._windows(basis, due, [c for c in known if c not in _KEYS], signal)

    def _windows(
        self,
        basis: AnalysisBasis,
        due: Sequence[DueWindow],
        columns: Sequence[str],
        signal: str | None,
    ) -> str:
        rows = [WindowRow(d.index, d.window.start, d.window.stop, d.last_enrollment) for d in due]
        name = self._name("windows")
        text = windowed_enrollments(basis, rows, columns, signal)
        self._session.execute(f"CREATE TEMP TABLE {name} AS\n{text}")
        return name

    def units(
        self,
        enrollments: str,
        rows: str,
        metrics: Sequence[Metric],
        due: Sequence[DueWindow],
        anchor: AnalysisBasis,
        checks: Mapping[str, str] | None = None,
    ) -> str:
        """Make the table of one row per unit and window, a column per metric; its name.

        A metric that fails is left out and reported; the others are kept. checks: further columns,
        as SQL.
        """
        windows = [
            WindowRow(d.index, d.window.start, d.window.stop, d.last_enrollment) for d in due
        ]
        name = self._name("units")
        kept = self._translated(metrics) | dict(checks or {})
        try:
            self._fill(name, units(enrollments, rows, kept, windows, anchor))
        except DataError:
            kept = self._working(kept, enrollments, rows, windows, anchor)
            self._fill(name, units(enrollments, rows, kept, windows, anchor))
        self._tell(rows, kept, windows, anchor)
        return name

    def _tell(
        self,
        rows: str,
        metrics: Mapping[str, str],
        windows: Sequence[WindowRow],
        anchor: AnalysisBasis,
    ) -> None:
        self.statements += [
            f"CREATE TABLE {rows} AS\n{self._rows_text[rows]};",
            f"{units('windows', rows, metrics, windows, anchor)};",
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
    ) -> str:
        """The same table as `units` makes, from states of unit-days; its name.

        states: name of a table of them. rows: name of the table of rows, which need not be there:
        what is told of the metrics is what they mean. Raises DataError when a metric fails.
        """
        windows = [
            WindowRow(d.index, d.window.start, d.window.stop, d.last_enrollment) for d in due
        ]
        name = self._name("units")
        splits = {metric.name: made for metric, made in metrics}
        nulls = row_of_nulls(relation(self._expression(source)).sql)
        self._fill(name, metrics_of(enrollments, states, splits, nulls, WITH_ROWS))
        translated = self._translated(metric for metric, _ in metrics)
        self._tell(rows, translated | HAS_ROWS, windows, anchor)
        return name

    def _translated(self, metrics: Iterable[Metric]) -> dict[str, str]:
        """The metrics in DuckDB SQL; one that cannot be translated is left out and reported."""
        found = {}
        for metric in metrics:
            try:
                found[metric.name] = expression(str(metric.select_expression))
            except ConfigError as error:
                self.problems.append(Problem.of(error, metric=metric.name))
        return found

    def _working(
        self,
        metrics: Mapping[str, str],
        enrollments: str,
        rows: str,
        windows: Sequence[WindowRow],
        anchor: AnalysisBasis,
    ) -> dict[str, str]:
        """The metrics that work on their own."""
        kept = {}
        for name, sql in metrics.items():
            text = units(enrollments, rows, {name: sql}, windows, anchor)
            try:
                self._fill(self._name("trial"), text)
                kept[name] = sql
            except DataError as error:
                self.problems.append(Problem.of(error, metric=name))
        return kept

    def _fill(self, name: str, text: str) -> None:
        """Run the query, with each column as a type that statistics know.

        In the order of units, however they came: sums of doubles depend on it.
        """
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
            f"CREATE OR REPLACE TEMP TABLE {name} AS\nSELECT {', '.join(casts)}\nFROM (\n{text}\n)"
            "\nORDER BY __n, __u"
        )

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
        tables = []
        for period, metrics in wanted.items():
            due = _before(period)
            enrolled = self.windows(AnalysisBasis.ENROLLMENTS, [due], metrics)
            for source, group in _by_own_source(metrics).items():
                made = self.units(enrolled, rows[source], group, [due], AnalysisBasis.ENROLLMENTS)
                tables.append((period, made))
        if not tables:
            return None
        name = self._name("covariates")
        columns, joins = ["en.__u"], ""
        for i, (period, made) in enumerate(tables):
            joins += f"\nJOIN {made} AS t{i} ON t{i}.__u = en.__u"
            columns += [
                f"t{i}.{identifier(c)} AS {identifier(f'c:{period.value}:{c}')}"
                for c in self._session.columns(made)
                if c not in _KEYS
            ]
        self._session.execute(
            f"CREATE TEMP TABLE {name} AS\nSELECT {', '.join(columns)}\n"
            f"FROM {ENROLLED} AS en{joins}"
        )
        return name

    def frame(
        self, enrollments: str, made: Sequence[str], covariates: str | None
    ) -> tuple[str, frozenset[str]]:
        """Join units of several sources, segments and covariates; name and columns of the table.

        Columns: __n, branch, `s:<segment>`, `m:<metric>`, `c:<period>:<metric>`; WITH_ROWS where
        the units have it.
        """
        base, *others = made or [enrollments]
        columns = ["t.__n", "t.branch", *self._metric_columns("t", base)]
        aliases = ["t", *(f"t{i}" for i in range(len(others)))]
        if made and all(WITH_ROWS in self._session.columns(table) for table in made):
            columns.append(f"{' OR '.join(f'{a}.{WITH_ROWS}' for a in aliases)} AS {WITH_ROWS}")
        joins = ""
        if self._experiment.segments:
            joins += f"\nJOIN {ENROLLED} AS en ON en.__u = t.__u"
            columns += [
                f"en.{identifier(s.name)} AS {identifier('s:' + s.name)}"
                for s in self._experiment.segments
            ]
        for i, table in enumerate(others):
            joins += f"\nJOIN {table} AS t{i} ON t{i}.__u = t.__u AND t{i}.__n = t.__n"
            columns += self._metric_columns(f"t{i}", table)
        if covariates is not None:
            joins += f"\nJOIN {covariates} AS c ON c.__u = t.__u"
            columns += [
                f"c.{identifier(c)}" for c in self._session.columns(covariates) if c != "__u"
            ]
        name = self._name("frame")
        # A view when there is nothing to join: the units are stored once already.
        kind = "TABLE" if joins else "VIEW"
        self._views |= set() if joins else {name}
        self._session.execute(
            f"CREATE TEMP {kind} {name} AS\nSELECT {', '.join(columns)}\nFROM {base} AS t{joins}"
            + ("\nORDER BY t.__n, t.__u" if joins else "")
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

    def _metric_columns(self, alias: str, table: str) -> list[str]:
        return [
            f"{alias}.{identifier(c)} AS {identifier('m:' + c)}"
            for c in self._session.columns(table)
            if c not in _KEYS
        ]

    def drop(self, *names: str) -> None:
        """Give memory back."""
        for name in names:
            kind = "VIEW" if name in self._views else "TABLE"
            self._session.execute(f"DROP {kind} {name}")

    def _name(self, kind: str) -> str:
        self._made += 1
        return f"{kind}_{self._made}"


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


def _words(sql: str) -> set[str]:
    return {word.strip('"').lower() for word in _WORD.findall(sql)}
