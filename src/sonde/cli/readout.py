"""A read-out in words and columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sonde.analyze import Readout
from sonde.cli.tables import columns_text

_CURVES = {"empirical_cdf", "kernel_density_estimate"}


def readout_text(readout: Readout) -> str:
    """Units of each branch, then each metric: its value, and how it compares with the control."""
    units = ", ".join(f"{count:,} in {branch}" for branch, count in readout.units.items())
    lines = [f"units: {units}"]
    by_metric: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in readout.rows:
        by_metric.setdefault((row["metric"], row["statistic"]), []).append(row)
    for (metric, statistic), rows in by_metric.items():
        lines += ["", f"{metric} ({statistic})"]
        if statistic in _CURVES:
            lines.append(f"  a curve of {len(rows)} points; use --format csv")
            continue
        table = columns_text(
            ["branch", "", "between", f"to {readout.control}, relative", "difference"],
            list(_table(rows, readout)),
        )
        lines += [f"  {line}" for line in table.splitlines()]
    return "\n".join(lines)


def _table(rows: list[dict[str, Any]], readout: Readout) -> Iterator[list[str]]:
    parameters = dict.fromkeys(row["parameter"] for row in rows)
    for parameter in parameters:
        mine = [row for row in rows if row["parameter"] == parameter]
        for branch in readout.units:
            own = _one(mine, branch, None)
            name = branch if parameter is None else f"{branch}, {parameter:g}"
            yield [name, *_own(own), *_compared(mine, branch, readout.control)]


def _own(row: Mapping[str, Any] | None) -> list[str]:
    if row is None or row["point"] is None:
        return ["", "" if row is None else str(row["detail"])]
    limits = "" if row["lower"] is None else f"{_short(row['lower'])} and {_short(row['upper'])}"
    return [_short(row["point"]), limits]


def _compared(rows: list[dict[str, Any]], branch: str, control: str) -> list[str]:
    if branch == control:
        return ["", ""]
    texts = []
    for comparison, show in (("relative_uplift", _percent), ("difference", _short)):
        row = _one(rows, branch, comparison)
        if row is None:
            texts.append("")
        elif row["point"] is None:
            texts.append(str(row["detail"]))
        else:
            texts.append(f"between {show(row['lower'])} and {show(row['upper'])}")
    return texts


def _one(
    rows: list[dict[str, Any]], branch: str, comparison: str | None
) -> Mapping[str, Any] | None:
    return next((r for r in rows if r["branch"] == branch and r["comparison"] == comparison), None)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}".replace("-", "−")


def _percent(fraction: float | None) -> str:
    return "" if fraction is None else f"{100 * fraction:+.2f} %".replace("-", "−")
