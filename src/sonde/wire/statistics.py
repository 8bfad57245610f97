"""Results: rows of the statistics table, and the JSON that dashboards read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from math import inf, isfinite
from operator import attrgetter
from typing import Any, Literal, TypeAlias

import msgspec
import pyarrow as pa
from msgspec.structs import force_setattr

from sonde.errors import DataError
from sonde.metric import AnalysisBasis
from sonde.window import Period
from sonde.wire import names

SCHEMA_VERSION = 4

Comparison: TypeAlias = Literal["difference", "relative_uplift"]

STATISTICS_SCHEMA = pa.schema(
    [
        ("metric", pa.string()),
        ("statistic", pa.string()),
        ("parameter", pa.string()),
        ("branch", pa.string()),
        ("comparison", pa.string()),
        ("comparison_to_branch", pa.string()),
        ("ci_width", pa.float64()),
        ("point", pa.float64()),
        ("lower", pa.float64()),
        ("upper", pa.float64()),
        ("segment", pa.string()),
        ("analysis_basis", pa.string()),
        ("window_index", pa.int32()),
        ("analysis_period", pa.string()),
        ("partial", pa.bool_()),
    ]
)


class StatisticRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One number of a result: of a branch, or of a branch compared with another.

    parameter: text as `parameter_text` writes it: a decile, a place on the grid of a curve.
    ci_width: a fraction. point, lower, upper: NaN and infinities become None.
    window_index: from 1 within the period.
    partial: some enrolled units have not yet lived through the window.
    """

    metric: str
    statistic: str
    parameter: str | None = None
    branch: str
    comparison: Comparison | None = None
    comparison_to_branch: str | None = None
    ci_width: float | None = None
    point: float | None = None
    lower: float | None = None
    upper: float | None = None
    segment: str = "all"
    analysis_basis: AnalysisBasis
    window_index: int
    analysis_period: Period
    partial: bool = False

    def __post_init__(self) -> None:
        if self.point is not None and not isfinite(self.point):
            force_setattr(self, "point", None)
        if self.lower is not None and not isfinite(self.lower):
            force_setattr(self, "lower", None)
        if self.upper is not None and not isfinite(self.upper):
            force_setattr(self, "upper", None)

    @property
    def key(self) -> tuple[object, ...]:
        """What names the row among those of its period; readers refuse a file that repeats one."""
        return (*_SERIES(self), self.parameter)


# What names the rows of a period that differ in their parameter only, in the order of the file.
_SERIES = attrgetter("window_index", "analysis_basis", "segment", "metric", "statistic",
                     "comparison", "comparison_to_branch", "branch", "ci_width")  # fmt: skip


class _Published(msgspec.Struct, frozen=True, kw_only=True, gc=False, omit_defaults=True):
    """The row as the file has it, in the order of the statistics table."""

    metric: str
    statistic: str
    parameter: str | float | None = None
    branch: str
    comparison: Comparison | None = None
    comparison_to_branch: str | None = None
    ci_width: float | None = None
    point: float | None = None
    lower: float | None = None
    upper: float | None = None
    segment: str
    analysis_basis: AnalysisBasis
    window_index: str
    partial: bool = False


@lru_cache(65_536)  # curves of a metric share their grid
def parameter_text(value: float | None) -> str | None:
    """The parameter of a row: at most six decimals, never an exponent.

    >>> [parameter_text(value) for value in (10, 0.1234567, -1e-9, float("nan"))]
    ['10', '0.123457', '0', None]
    """
    if value is None or not isfinite(value):
        return None
    text = f"{value:.6f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


_Series: TypeAlias = defaultdict[tuple[Any, ...], dict[str | None, StatisticRow]]


def statistics_files(slug: str, rows: Iterable[StatisticRow]) -> dict[str, bytes]:
    """The results of one experiment, as file name and content for each period.

    Partial windows are left out: those who read these files take every window as final. Of rows
    with one key the last is there: two places on the grid of a curve may agree in six decimals.
    The bytes do not depend on the order of other rows.
    """
    periods: defaultdict[Period, _Series] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if not row.partial:
            periods[row.analysis_period][_SERIES(row)][row.parameter] = row
    return {
        names.statistics_file(slug, period): _encoded(_in_order(periods[period]))
        for period in Period
        if period in periods
    }


def _in_order(series: _Series) -> Iterator[StatisticRow]:
    """Few series have many rows: to order both by themselves is cheaper than all rows at once."""
    for key in sorted(series, key=_nothing_first):
        places = series[key]
        if len(places) == 1:
            yield from places.values()
        else:
            yield from (places[place] for place in sorted(places, key=_number))


def _nothing_first(key: tuple[Any, ...]) -> tuple[Any, ...]:
    *named, comparison, to, branch, width = key
    return (*named, comparison or "", to or "", branch, width or 0.0)


def _number(parameter: str | None) -> float:
    return -inf if parameter is None else float(parameter)


def statistics_json(rows: Sequence[StatisticRow]) -> bytes:
    """Rows of one period as a JSON array, in the order given.

    A field without a value is absent. Raises DataError when two rows have the same key.
    """
    if len({row.key for row in rows}) < len(rows):
        raise _duplicate(rows)
    return _encoded(rows)


def _encoded(rows: Iterable[StatisticRow]) -> bytes:
    return msgspec.json.encode([_published(row) for row in rows])


def read_statistics(content: bytes, period: Period) -> list[StatisticRow]:
    """The rows of a statistics file, ours or another program's. Raises DataError."""
    try:
        rows = _DECODER.decode(content)
        return [
            StatisticRow(
                parameter=_parameter_of(row.parameter),
                window_index=int(row.window_index),
                analysis_period=period,
                **{name: getattr(row, name) for name in _SHARED},
            )
            for row in rows
        ]
    except ValueError as error:  # msgspec's errors are ValueErrors and name the place
        raise DataError(f"this is not a file of statistics: {error}") from error


def statistics_table(rows: Sequence[StatisticRow]) -> pa.Table:
    """Rows as a table of `STATISTICS_SCHEMA`."""
    columns = [[getattr(row, name) for row in rows] for name in STATISTICS_SCHEMA.names]
    return pa.table(
        [
            pa.array(column, field.type)
            for column, field in zip(columns, STATISTICS_SCHEMA, strict=True)
        ],
        schema=STATISTICS_SCHEMA,
    )


def statistic_rows(table: pa.Table) -> list[StatisticRow]:
    """The rows of a table that has the columns of `STATISTICS_SCHEMA`, in any order, and others.

    Columns that name a partition may be text.
    """
    columns = table.select(STATISTICS_SCHEMA.names).cast(STATISTICS_SCHEMA)
    return msgspec.convert(columns.to_pylist(), list[StatisticRow])


_DECODER = msgspec.json.Decoder(list[_Published])
_SHARED = [
    name for name in _Published.__struct_fields__ if name not in {"parameter", "window_index"}
]


def _published(row: StatisticRow) -> _Published:
    return _Published(
        metric=row.metric,
        statistic=row.statistic,
        parameter=row.parameter,
        branch=row.branch,
        comparison=row.comparison,
        comparison_to_branch=row.comparison_to_branch,
        ci_width=row.ci_width,
        point=row.point,
        lower=row.lower,
        upper=row.upper,
        segment=row.segment,
        analysis_basis=row.analysis_basis,
        window_index=str(row.window_index),
        partial=row.partial,
    )


def _parameter_of(value: str | float | None) -> str | None:
    return parameter_text(None if value is None else float(value))


def _duplicate(rows: Sequence[StatisticRow]) -> DataError:
    seen = set()
    for row in rows:
        if row.key in seen:
            break
        seen.add(row.key)
    at = f" at {row.parameter} (six decimals are kept)" if row.parameter else ""
    return DataError(
        f'two results for metric "{row.metric}", statistic "{row.statistic}"{at}, '
        f'branch "{row.branch}", {row.comparison or "absolute"}, segment "{row.segment}", '
        f"{row.analysis_basis}, window {row.window_index}; readers accept one"
    )
