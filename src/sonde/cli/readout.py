"""A read-out in words and columns."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from sonde.analyze import Readout, Result
from sonde.cli.tables import columns_text

_MOST_PARAMETERS = 20  # more places than these are a curve
_WIDTH = 96
_VALUES = {
    "bootstrap_mean": "mean",
    "deciles": "value",
    "linear_model_mean": "mean",
    "linear_model_mean_no_clip": "mean",
    "population_ratio": "ratio",
}
_NONE = "no number"

Row = Mapping[str, Any]
Show = Callable[[float], str]


def readout_text(readout: Readout) -> str:
    """Units of each branch; then each metric's values, and how they compare with the control."""
    total = sum(readout.units.values())
    units = ", ".join(f"{branch} {count:,}" for branch, count in readout.units.items())
    lines = [f"{total:,} units: {units}"]
    if readout.without_branch:
        rows = "1 row" if readout.without_branch == 1 else f"{readout.without_branch:,} rows"
        lines.append(f"{rows} without a branch left out")
    for result in readout.results:
        adjusted = "" if result.covariate is None else f", adjusted by {result.covariate}"
        lines += ["", f"{result.metric} ({result.label}{adjusted})"]
        lines += [f"  {line}" for line in _lines(result, readout)]
    return "\n".join(lines)


def _lines(result: Result, readout: Readout) -> Iterator[str]:
    parameters = list(dict.fromkeys(row["parameter"] for row in result.rows))
    if len(parameters) > _MOST_PARAMETERS:
        yield f"a curve of {len(result.rows):,} points; --format csv prints them"
        return
    own = [row for row in result.rows if row["comparison"] is None]
    if own:
        yield from _values(result, own).splitlines()
    compared = [row for row in result.rows if row["comparison"] is not None]
    if compared:
        yield f"compared with {readout.control}"
        yield from _comparisons(result, compared).splitlines()
    yield from _reasons(result.rows)


def _values(result: Result, rows: Sequence[Row]) -> str:
    if result.statistic == "binomial":
        header, show = "share", _percent(_widths(rows), "")
    else:
        header, show = _VALUES.get(result.statistic, "value"), _number(_widths(rows), "")
    width = next((row["ci_width"] for row in rows if row["ci_width"] is not None), None)
    interval = "" if width is None else f"{100 * width:g} % interval"
    return _table(
        ["units", header, interval],
        rows,
        lambda row: [f"{result.units[row['branch']]:,}", *_value(row, show)],
    )


def _value(row: Row, show: Show) -> list[str]:
    if row["point"] is None:
        return [_NONE, ""]
    if row["lower"] is None:
        return [show(row["point"]), ""]
    return [show(row["point"]), f"{show(row['lower'])} to {show(row['upper'])}"]


def _comparisons(result: Result, rows: Sequence[Row]) -> str:
    by_kind = {
        kind: {_key(row): row for row in rows if row["comparison"] == kind}
        for kind in ("difference", "relative_uplift")
    }
    differences = list(by_kind["difference"].values())
    is_share = result.statistic == "binomial"
    absolute = (_points if is_share else _number)(_widths(differences), "+")
    relative = _percent(_widths(by_kind["relative_uplift"].values()), "+")

    def cells(row: Row) -> list[str]:
        uplift = by_kind["relative_uplift"].get(_key(row))
        return [_between(row, absolute), "" if uplift is None else _between(uplift, relative)]

    unit = ", in points of 100" if is_share else ""
    return _table([f"difference{unit}", "relative difference"], differences, cells)


def _between(row: Row, show: Show) -> str:
    if row["point"] is None:
        return _NONE
    if row["lower"] is None:
        return show(row["point"])
    return f"{show(row['point'])}, between {show(row['lower'])} and {show(row['upper'])}"


def _key(row: Row) -> tuple[str, float | None]:
    return row["branch"], row["parameter"]


def _table(header: list[str], rows: Sequence[Row], cells: Callable[[Row], list[str]]) -> str:
    """One line per row, with the branch and, if there are any, the parameter in front."""
    has_parameter = any(row["parameter"] is not None for row in rows)
    names = ["branch", "at"] if has_parameter else ["branch"]
    lines = []
    for row in rows:
        place = [f"{row['parameter']:g}"] if has_parameter else []
        lines.append([row["branch"], *place, *cells(row)])
    return columns_text([*names, *header], lines)


def _reasons(rows: Iterable[Row]) -> Iterator[str]:
    """Why numbers are missing, each reason once."""
    branches: dict[str, dict[str, None]] = {}
    for row in rows:
        if row["detail"] is not None:
            branches.setdefault(row["detail"], {})[row["branch"]] = None
    for detail, of in branches.items():
        yield from textwrap.wrap(
            f"{_NONE} for {', '.join(of)}: {detail}", _WIDTH, subsequent_indent="  "
        )


def _widths(rows: Iterable[Row]) -> list[float]:
    return [row["upper"] - row["lower"] for row in rows if row["lower"] is not None]


def _number(widths: Iterable[float], sign: str) -> Show:
    """As many digits as the narrowest interval deserves: two of half its width."""
    narrowest = min((width for width in widths if width > 0), default=0.0)
    decimals = None if narrowest == 0 else max(0, 1 - math.floor(math.log10(narrowest / 2)))

    def show(value: float) -> str:
        if value == 0:
            return "0"
        if decimals is None or decimals > 8:
            return f"{value:{sign},.6g}"
        return f"{round(value, decimals) + 0.0:{sign},.{decimals}f}"

    return show


def _percent(widths: Iterable[float], sign: str) -> Show:
    show = _number([100 * width for width in widths], sign)
    return lambda value: f"{show(100 * value)} %"


def _points(widths: Iterable[float], sign: str) -> Show:
    """A difference of shares, in hundredths."""
    show = _number([100 * width for width in widths], sign)
    return lambda value: show(100 * value)
