"""Executes every item of a metric-hub tree on synthetic tables, one query per source."""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import duckdb
import pyarrow as pa

from sonde.sql import UnsupportedSql, expression, query, relation
from sonde.sql.calls import gather_names
from sonde.sql.infer import Use, infer
from sonde.sql.rules import to_duckdb
from sonde.sql.schemas import Scalar, Struct, Type, create_table, duck_type, map_of
from sonde.sql.syntax import parse_expression
from sonde.sql.tables import TableName, relation_name, spell_out_unnest
from sonde.sql.translate import emit
from tests.sql.synthetic import UNITS, Filler, Vocabulary
from tests.sql.tree import Item, SourceSpec

ROWS = 150
WINDOW = 13
BRANCH = Struct((("branch", Scalar.STRING),))
EXPERIMENTS = {
    "simple": ("ds.experiments", map_of(Scalar.STRING)),
    "native": ("ds.experiments", map_of(BRANCH)),
    "glean": ("ds.ping_info.experiments", map_of(BRANCH)),
    "events_stream": ("ds.event_extra", Scalar.JSON),
}
CARRIES = {
    "simple": "mozfun.map.get_key(ds.experiments, 'some-slug') IS NOT NULL",
    "native": "mozfun.map.get_key(ds.experiments, 'some-slug').branch IS NOT NULL",
    "glean": "mozfun.map.get_key(ds.ping_info.experiments, 'some-slug').branch IS NOT NULL",
    "events_stream": "JSON_VALUE(ds.event_extra, '$.branch') IS NOT NULL",
    "none": "TRUE",
}


@dataclass(frozen=True)
class Outcome:
    """What became of an item. problem: None if it was executed. distinct: values over units."""

    item: Item
    problem: str | None = None
    distinct: int = 0


def sweep(duck: duckdb.DuckDBPyConnection, items: Iterable[Item]) -> Iterator[Outcome]:
    listed = list(items)
    for item in listed:
        if item.kind == "enrollment":
            yield _enrollment(duck, item)
        elif item.source is None:
            yield Outcome(item, "its data source is defined nowhere")
    for source, of_source in by_source(listed).items():
        yield from _source(duck, source, of_source)


def compare_forms(duck: duckdb.DuckDBPyConnection, items: Iterable[Item]) -> tuple[int, list[Item]]:
    """How many items have a shorter form, and those whose literal form gives other values."""
    compared, different = 0, []
    for source, of_source in by_source(items).items():
        longer = {item: literal(item.text) for item in of_source if item.kind == "metric"}
        changed = [i for i, text in longer.items() if text != expression(i.text)]
        if changed and prepared(duck, source, [item.text for item in changed]) is None:
            for item in changed:
                sql = f"{metrics_query(source, [item])}\nORDER BY e.analysis_id, e.branch"
                other = sql.replace(expression(item.text), longer[item])
                compared += 1
                if duck.execute(sql).fetchall() != duck.execute(other).fetchall():
                    different.append(item)
    return compared, different


def literal(text: str) -> str:
    """The translation without the shorter forms."""
    return emit(to_duckdb(gather_names(spell_out_unnest(parse_expression(text)))))


def fill_for(duck: duckdb.DuckDBPyConnection, text: str) -> None:
    """Makes and fills the tables that a whole query reads."""
    ids = {"client_id", "analysis_id"}
    _fill(duck, infer([], [text]), Vocabulary.of([f"({text})"]), ids, set())


def by_source(items: Iterable[Item]) -> dict[SourceSpec, list[Item]]:
    by_source: dict[SourceSpec, list[Item]] = defaultdict(list)
    for item in items:
        if item.source is not None:
            by_source[item.source].append(item)
    return by_source


def _enrollment(duck: duckdb.DuckDBPyConnection, item: Item) -> Outcome:
    try:
        translated = query(item.text)
        fill_for(duck, item.text)
        rows = duck.execute(translated.sql).fetchall()
    except (duckdb.Error, UnsupportedSql) as error:
        return Outcome(item, short(error))
    return Outcome(item, None, len(set(map(str, rows))))


def _source(duck, source: SourceSpec, items: list[Item]) -> Iterator[Outcome]:
    problem = prepared(duck, source, [item.text for item in items])
    if problem is not None:
        yield from (Outcome(item, f"source: {problem}") for item in items)
        return
    yield from _batched(duck, source, items)


def prepared(duck, source: SourceSpec, texts: list[str]) -> str | None:
    """Makes and fills the tables that a source and its metrics read."""
    texts = list(dict.fromkeys(texts))
    try:
        use = _use(source, tuple(texts))
        words = Vocabulary.of([f"* FROM {source.relation}", *texts])
        ids = {column.split(".")[-1].lower() for column in (source.client_id_column, "client_id")}
        _fill(duck, infer([use]), words, ids, {source.date_column.lower()})
        _enroll(duck, words)
        relation(source.relation)
    except (duckdb.Error, UnsupportedSql) as error:
        return short(error)
    return None


def _use(source: SourceSpec, texts: tuple[str, ...]) -> Use:
    typed: dict[str, Type] = {
        of_row(source.client_id_column): Scalar.STRING,
        of_row(source.date_column): Scalar.DATE,
    }
    if source.experiments in EXPERIMENTS:
        text, kind = EXPERIMENTS[source.experiments]
        typed[text] = kind
    return Use(source.relation, texts, typed)


def of_row(column: str) -> str:
    """The column of `ds`; monitoring also allows expressions."""
    return f"ds.{column}" if re.fullmatch(r"[\w.]+", column) and column != "NULL" else column


def _batched(duck, source: SourceSpec, items: list[Item]) -> Iterator[Outcome]:
    """All metrics in one query; if that fails, one by one to find the culprits."""
    of_rows = {"exposure", "dimension"}
    aggregates = [item for item in items if item.kind not in of_rows]
    conditions = [item for item in items if item.kind in of_rows]
    for group, sql_of in ((aggregates, metrics_query), (conditions, rows_query)):
        if not group:
            continue
        try:
            columns = _columns(duck, sql_of(source, group))
            yield from (Outcome(i, None, n) for i, n in zip(group, columns, strict=True))
        except (duckdb.Error, UnsupportedSql):
            for item in group:
                yield _alone(duck, item, lambda item=item, sql_of=sql_of: sql_of(source, [item]))


def _alone(duck, item: Item, sql: Callable[[], str]) -> Outcome:
    try:
        return Outcome(item, None, _columns(duck, sql())[0])
    except (duckdb.Error, UnsupportedSql) as error:
        return Outcome(item, short(error))


def _columns(duck, sql: str) -> list[int]:
    """Distinct values of each metric's column."""
    rows = duck.execute(sql).fetchall()
    width = len(duck.description)
    return [len({str(row[i]) for row in rows}) for i in range(width)]


def metrics_query(source: SourceSpec, items: list[Item]) -> str:
    """The per-unit query: enrolled units, the source's rows in the window, one group per unit."""
    day = f"CAST({expression(of_row(source.date_column))} AS DATE)"
    selected = ",\n  ".join(f"{expression(item.text)} AS m{i}" for i, item in enumerate(items))
    return f"""
SELECT {selected}
FROM enrollments AS e
LEFT JOIN {relation(source.relation).sql} AS ds
  ON {expression(of_row(source.client_id_column))} = e.analysis_id
  AND {day} BETWEEN e.enrollment_date AND e.enrollment_date + {WINDOW}
  AND ({day} <> e.enrollment_date OR {expression(CARRIES[source.experiments])})
GROUP BY e.analysis_id, e.branch, e.enrollment_date, e.num_enrollment_events,
  e.analysis_window_start, e.analysis_window_end"""


def rows_query(source: SourceSpec, items: list[Item]) -> str:
    """Exposure signals and dimensions are of rows, not aggregates."""
    selected = ",\n  ".join(f"{expression(item.text)} AS m{i}" for i, item in enumerate(items))
    return f"SELECT {selected} FROM {relation(source.relation).sql} AS ds"


def _enroll(duck, words: Vocabulary) -> None:
    rows = [
        {
            "analysis_id": unit,
            "branch": ("control", "treatment")[i % 2],
            "enrollment_date": words.start + timedelta(days=i % 8),
            "num_enrollment_events": 1 + i % 2,
            "analysis_window_start": 0,
            "analysis_window_end": WINDOW,
        }
        for i, unit in enumerate(UNITS)
    ]
    duck.register("enrolling", pa.Table.from_pylist(rows))
    duck.execute("CREATE OR REPLACE TABLE enrollments AS SELECT * FROM enrolling")


def _fill(duck, tables: dict[TableName, dict[str, Type]], words, ids, dates) -> None:
    for name, inferred in tables.items():
        quoted = f'"{relation_name(name)}"'
        duck.execute(f"DROP TABLE IF EXISTS {quoted}")
        columns = inferred or {"unused": Scalar.INT64}
        duck.execute(create_table(name, columns))
        filler = Filler(words, zlib.crc32(str(name).encode()))
        rows = [filler.row(columns, ids, dates) for _ in range(ROWS)]
        _insert(duck, quoted, columns, rows)


def _insert(duck, table: str, columns: dict[str, Type], rows) -> None:
    names = list(columns)
    duck.register("filled", pa.table({n: pa.array([row[n] for row in rows]) for n in names}))
    casts = ", ".join(f'CAST("{name}" AS {duck_type(columns[name])})' for name in names)
    duck.execute(f"INSERT INTO {table} SELECT {casts} FROM filled")


def short(error: Exception) -> str:
    return str(error).splitlines()[0][:160]
