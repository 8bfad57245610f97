"""Every metric of a tree, computed from rows at once, and from unit-days of two batches.

python -m tests.sql.incremental PATH_OF_THE_TREE writes docs/incremental-coverage.md.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa

from sonde.metric import AnalysisBasis, DataSource, ExperimentsColumn
from sonde.sql import UnsupportedSql, expression, relation
from sonde.sql.partials import NotSplit, Split, columns_of, split, states_of
from sonde.sql.separable import separable
from sonde.sql.text import date_literal, identifier
from sonde.sql.unit_days import (
    merged,
    metrics_of,
    row_of_nulls,
    storable,
    unit_days,
    windows_of,
)
from sonde.sql.units import (
    ENROLLED,
    WindowRow,
    joined_units,
    rows_of,
    windowed_enrollments,
)
from tests.sql.session import session
from tests.sql.sweep import by_source, of_row, prepared
from tests.sql.synthetic import DAYS, SLUG, UNITS
from tests.sql.tree import Item, SourceSpec, items

PAGE = Path(__file__).parents[2] / "docs" / "incremental-coverage.md"
WEEKS = 2
ENROLLMENT_COLUMNS = ("analysis_id", "enrollment_date", "num_enrollment_events")
# Two experiments, of the same units: each has unit-days of its own.
MEMBERS = f"""SELECT 1 AS __x, '{SLUG}' AS slug, __u, analysis_id AS unit, enrollment_date
FROM {ENROLLED}
UNION ALL SELECT 2, 'other-slug', __u, analysis_id, enrollment_date + 1 FROM {ENROLLED}"""
WINDOW_COLUMNS = ("analysis_window_start", "analysis_window_end")


@dataclass(frozen=True)
class Comparison:
    """A metric both ways. reason: why it is not split. different: units whose values differ."""

    item: Item
    reason: str | None = None
    different: int = 0
    distinct: int = 0


def compare(duck: duckdb.DuckDBPyConnection, items: Iterable[Item]) -> Iterator[Comparison]:
    """The metrics and segments that can be computed from rows, compared."""
    wanted = [item for item in items if item.kind in {"metric", "segment"}]
    for source, of_source in by_source(wanted).items():
        if prepared(duck, source, [item.text for item in of_source]) is None and _arrive(
            duck, source
        ):
            yield from _compared(duck, source, of_source)


def enroll(duck, start: date) -> None:
    """The table of enrolled units: over eight days, the last ones without any row."""
    rows = [
        {
            "__u": i,
            "analysis_id": unit if i < 28 else f"absent-{i}",
            "branch": ("control", "treatment")[i % 2],
            "enrollment_date": start + timedelta(days=i % 8),
            "exposure_date": None if i % 5 == 0 else start + timedelta(days=i % 8 + i % 3),
            "num_enrollment_events": 1 + i % 2,
        }
        for i, unit in enumerate(UNITS)
    ]
    duck.register("enrolling", pa.Table.from_pylist(rows))
    duck.execute(f"CREATE OR REPLACE TABLE {ENROLLED} AS SELECT * FROM enrolling")


def window_rows(length: int, number: int) -> list[WindowRow]:
    return [WindowRow(i + 1, i * length, (i + 1) * length, date(2100, 1, 1)) for i in range(number)]


def make_enrollments(duck, name: str, basis: AnalysisBasis, windows: list[WindowRow]) -> None:
    text = windowed_enrollments(basis, windows, [*ENROLLMENT_COLUMNS, *WINDOW_COLUMNS])
    duck.execute(f"CREATE OR REPLACE TABLE {name} AS {text}")


def _arrive(duck, source: SourceSpec) -> bool:
    """The source's rows, made once: a third of them is late."""
    unit, day = (expression(of_row(c)) for c in (source.client_id_column, source.date_column))
    try:
        duck.execute(
            f"CREATE OR REPLACE TABLE arrived AS SELECT ds.*, CAST({unit} AS VARCHAR) AS __unit, "
            f"CAST({day} AS DATE) AS __day, hash(row_number() OVER ()) % 3 = 0 AS __late "
            f"FROM {relation(source.relation).sql} AS ds"
        )
        ((start,),) = duck.execute("SELECT min(enrollment_date) FROM enrollments").fetchall()
    except (duckdb.Error, UnsupportedSql):
        return False
    enroll(duck, start)
    for name, windows in (("whole", window_rows(7 * WEEKS, 1)), ("weekly", window_rows(7, WEEKS))):
        make_enrollments(duck, name, AnalysisBasis.ENROLLMENTS, windows)
    return True


def _compared(duck, source: SourceSpec, items: list[Item]) -> Iterator[Comparison]:
    both_ways = BothWays(duck, ExperimentsColumn(source.experiments))
    texts = {f"m{i}": item.text for i, item in enumerate(items)}
    direct = both_ways.direct(texts)
    parted = {name: split(texts[name], source.date_column) for name in direct}
    splits = {name: made for name, made in parted.items() if isinstance(made, Split)}
    merged_ = both_ways.merged(splits) if splits else {}
    for name, made in parted.items():
        item = items[int(name[1:])]
        if isinstance(made, NotSplit):
            yield Comparison(item, made.reason)
            continue
        pairs = list(zip(direct[name], merged_[name], strict=True))
        different = sum(not alike(a, b) for a, b in pairs)
        yield Comparison(item, None, different, len({str(a) for a, _ in pairs}))


class BothWays:
    """Metrics over the table `arrived`: of weeks, then of both weeks as one."""

    def __init__(self, duck, experiments: ExperimentsColumn) -> None:
        self.duck = duck
        self.source = DataSource(
            "arrived", "arrived", "__unit", submission_date_column="__day",
            experiments_column=experiments,
        )  # fmt: skip
        ((first, last),) = duck.execute(
            f"SELECT min(enrollment_date), max(enrollment_date) FROM {ENROLLED}"
        ).fetchall()
        self.days = (
            date_literal(first - timedelta(days=DAYS)),
            date_literal(last + timedelta(days=DAYS)),
        )

    def direct(self, texts: Mapping[str, str]) -> dict[str, list[object]]:
        """Values by metric; those that cannot be computed are left out."""
        columns = [f"ds.{identifier(c)}" for c in self._names("arrived")]
        rows = rows_of("arrived", self.source, "__unit", SLUG, columns, self.days)
        self.duck.execute(f"CREATE OR REPLACE TABLE rows_arrived AS {rows}")
        try:
            return self._directly(texts)
        except (duckdb.Error, UnsupportedSql):
            found: dict[str, list[object]] = {}
            for name, text in texts.items():
                try:
                    found |= self._directly({name: text})
                except (duckdb.Error, UnsupportedSql):
                    continue
            return found

    def _directly(self, texts: Mapping[str, str]) -> dict[str, list[object]]:
        metrics = {name: expression(text) for name, text in texts.items()}
        weekly = joined_units(
            "weekly", "rows_arrived", metrics, window_rows(7, WEEKS), AnalysisBasis.ENROLLMENTS
        )
        whole = joined_units(
            "whole", "rows_arrived", metrics, window_rows(7 * WEEKS, 1), AnalysisBasis.ENROLLMENTS
        )
        return self._values([weekly, whole], list(metrics))

    def merged(self, splits: Mapping[str, Split]) -> dict[str, list[object]]:
        """The same from unit-days: in two batches, merged to weeks, the weeks merged."""
        columns, states = columns_of(splits.values()), states_of(splits.values())
        self.duck.execute(f"CREATE OR REPLACE TABLE members AS {MEMBERS}")
        for name, late in (("early", "NOT __late"), ("late", "__late")):
            batch = f"(SELECT * FROM arrived WHERE {late})"
            days = unit_days(batch, self.source, "__unit", columns, self.days, "members")
            self._store(name, f"SELECT * FROM ({days}) WHERE __x = 1")
        self._store("days", merged(["early", "late"], columns, ["__u", "__day"]))
        windows = window_rows(7, WEEKS)
        self._store("weeks", windows_of("days", states, windows, AnalysisBasis.ENROLLMENTS))
        self._store("together", merged(["weeks"], states, ["__u"]))
        self.duck.execute("CREATE OR REPLACE TABLE overall AS SELECT *, 1 AS __n FROM together")
        nulls = row_of_nulls("arrived")
        return self._values(
            [
                metrics_of("weeks", splits, nulls, "__rows", "weekly"),
                metrics_of("overall", splits, nulls, "__rows", "whole"),
            ],
            list(splits),
        )

    def _store(self, name: str, query: str) -> None:
        described = [(n, k) for n, k, *_ in self.duck.execute(f"DESCRIBE {query}").fetchall()]
        self.duck.execute(f"CREATE OR REPLACE TABLE {name} AS {storable(query, described)}")

    def _names(self, table: str) -> list[str]:
        return [name for name, *_ in self.duck.execute(f"DESCRIBE {table}").fetchall()]

    def _values(self, queries: list[str], names: list[str]) -> dict[str, list[object]]:
        selected = ", ".join(["__u", "__n", *(identifier(name) for name in names)])
        rows = [
            row
            for query in queries
            for row in self.duck.execute(
                f"SELECT {selected} FROM ({query}) ORDER BY ALL"
            ).fetchall()
        ]
        return {name: [row[i + 2] for row in rows] for i, name in enumerate(names)}


def alike(a: object, b: object) -> bool:
    """Equal; floats that are sums to nine digits."""
    match a, b:
        case float(), float():
            return math.isclose(a, b, rel_tol=1e-9) or (math.isnan(a) and math.isnan(b))
        case list(), list():
            return len(a) == len(b) and all(map(alike, a, b))
        case dict(), dict():
            return a.keys() == b.keys() and all(alike(a[key], b[key]) for key in a)
        case _:
            return type(a) is type(b) and a == b


def page(comparisons: Iterable[Comparison]) -> str:
    """The text of docs/incremental-coverage.md."""
    all_of = list(comparisons)
    split_ = [c for c in all_of if c.reason is None]
    equal = [c for c in split_ if not c.different]
    lines = [
        "# What of metric-hub is computed from unit-days",
        "",
        "Generated by `python -m tests.sql.incremental`. Every metric and segment that executes is",
        "computed twice, on tables made up as for `metric-hub-coverage.md`: from the rows of its",
        "window at once, and from partial aggregates of each unit's day. For the second, a third",
        "of the rows come late, in a batch of their own; days are merged to weeks, weeks to two.",
        "Sums of doubles agree to nine digits, all else exactly.",
        "",
        f"**{len(equal):,} of {len(all_of):,} are equal, {len(split_) - len(equal)} differ;",
        f"{len(all_of) - len(split_)} cannot be taken apart and are computed from rows.**",
        "",
        "| | execute | taken apart | equal | differ between units | read a day at a time |",
        "|---|--:|--:|--:|--:|--:|",
    ]
    for kind in ("metric", "segment"):
        of_kind = [c for c in all_of if c.item.kind == kind]
        apart = [c for c in of_kind if c.reason is None]
        numbers = (
            len(of_kind),
            len(apart),
            sum(not c.different for c in apart),
            sum(c.distinct > 1 for c in apart),
            sum(c.item.source is not None and separable(c.item.source.relation) for c in apart),
        )
        lines.append(f"| {kind}s | " + " | ".join(f"{n:,}" for n in numbers) + " |")
    lines += [
        "",
        "A source that cannot be read a day at a time looks at other days as well: what",
    ]
    lines += ["reads it is computed from rows. So is what cannot be taken apart:", ""]
    lines += ["| file | item | why |", "|---|---|---|"]
    lines += [f"| `{c.item.file}` | `{c.item.name}` | {c.reason} |" for c in all_of if c.reason]
    return "\n".join(lines) + "\n"


def main() -> None:
    with session() as duck:
        PAGE.write_text(page(compare(duck, items(Path(sys.argv[1])))))


if __name__ == "__main__":
    main()
