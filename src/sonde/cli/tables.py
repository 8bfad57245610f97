"""Rows as text in columns."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows with a header line; nothing for no rows."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


def columns_text(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Columns as wide as they need to be; numbers, which start so, to the right.

    >>> print(columns_text(["metric", "point"], [["searches", "1.5"], ["x", "-12"]]))
    metric    point
    searches    1.5
    x           -12
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    right = [
        len(lines) > 1 and all(_is_number(line[i]) for line in lines[1:])
        for i in range(len(header))
    ]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def _is_number(text: str) -> bool:
    return not text or text[0] in "-+.0123456789−" or text == "inf"


def statistics_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Estimates for people: what, of whom, how much, between what."""
    if not rows:
        return "no results; has `sonde run` been run, and is there such a window?"
    header = ["window", "basis", "segment", "metric", "statistic", "branch", "of what", "point"]
    header += ["between", "and", ""]
    return columns_text(header, [_statistic_cells(row) for row in rows])


def _statistic_cells(row: Mapping[str, Any]) -> list[str]:
    parameter = "" if row["parameter"] is None else f" {row['parameter']:.6g}"
    what = row["comparison"] or ""
    if row["comparison_to_branch"]:
        what = f"{what.replace('_', ' ')} to {row['comparison_to_branch']}"
    completeness = "partial" if row.get("completeness") == "partial" else ""
    return [
        f"{row['analysis_period']} {row['window_index']}",
        row["analysis_basis"],
        row["segment"],
        row["metric"],
        f"{row['statistic']}{parameter}",
        row["branch"],
        what,
        *(number(row[name]) for name in ("point", "lower", "upper")),
        row["detail"] or completeness,
    ]


def number(value: float | None) -> str:
    """Six digits; empty for none.

    >>> [number(value) for value in (None, 0.8, 1234567.0)]
    ['', '0.8', '1.23457e+06']
    """
    return "" if value is None else f"{value:.6g}"


def runs_text(runs: Sequence[Mapping[str, Any]], steps: Sequence[Mapping[str, Any]]) -> str:
    """What runs cost, and the dearest of their steps. Seconds are those of all processes."""
    if not runs:
        return "no run has done anything yet"
    header = ["run at (UTC)", "as of", "steps", "not done", "rows", *_COST]
    lines = [
        [
            f"{row['at']:%Y-%m-%d %H:%M:%S}",
            row["as_of"],
            *(str(row[name]) for name in ("steps", "not_done", "rows")),
            *_cost(row),
        ]
        for row in runs
    ]
    parts = [columns_text(header, lines)]
    if steps:
        at = {row["run"]: f"{row['at']:%Y-%m-%d %H:%M:%S}" for row in runs}
        dear = [[at[row["run"]], *_cost(row), row["state"], row["step"]] for row in steps]
        parts.append(columns_text(["run at (UTC)", *_COST, "", "step"], dear))
    return "\n\n".join(parts)


_COST = ("seconds", "MB read", "peak MB")


def _cost(row: Mapping[str, Any]) -> list[str]:
    read, peak = row["bytes_read"], row["peak_memory"]
    return [
        f"{row['seconds']:.2f}",
        "" if read is None else f"{read / 10**6:.1f}",
        "" if peak is None else f"{peak / 10**6:.0f}",
    ]
