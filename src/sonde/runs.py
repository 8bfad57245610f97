"""What the steps of a run cost, kept for the page of runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from sonde.lake import Lake
from sonde.plan.steps import Estimate, dataset
from sonde.run.execute import Done, Report, Skipped
from sonde.table import Table

# peak_memory: bytes that the step's process held at most while its batch was done. bytes_read: the
# step's share of the files that its batch scanned. Null: not known.
RUNS_COLUMNS = pa.schema(
    [
        ("at", pa.timestamp("us", "UTC")),
        ("as_of", pa.string()),
        ("experiment", pa.string()),
        ("step", pa.string()),
        ("state", pa.string()),
        ("rows", pa.int64()),
        ("seconds", pa.float64()),
        ("peak_memory", pa.int64()),
        ("bytes_read", pa.int64()),
    ]
)


_RUNS = "sonde_runs"  # a source may have a table called runs


def runs_table(folder: str) -> Table:
    """What the steps of each run cost, for the experiments of a dataset."""
    return Table(f"{folder}/{_RUNS}", ("run",))


def record_run(
    reports: Sequence[Report], as_of: date, lake: Lake, at: datetime | None = None
) -> None:
    """Keep what the steps of a run cost. Rows of units are not counted: they may be few."""
    now = at or datetime.now(UTC)
    run = now.strftime("%Y%m%dT%H%M%S.%fZ")
    by_folder: dict[str, list[dict[str, Any]]] = {}
    for each in reports:
        row = {
            "at": now,
            "as_of": as_of.isoformat(),
            "experiment": each.step.slug,
            "step": str(each.step),
            "state": type(each).__name__.lower(),
            "rows": _rows_of_results(each),
            "seconds": 0.0 if isinstance(each, Skipped) else each.seconds,
            "peak_memory": None if isinstance(each, Skipped) else each.peak,
            "bytes_read": each.read if isinstance(each, Done) else None,
        }
        by_folder.setdefault(dataset(each.step.action.experiment), []).append(row)
    for folder, rows in by_folder.items():
        table = runs_table(folder)
        made = lake.write(table.partition(run), pa.Table.from_pylist(rows, RUNS_COLUMNS), run)
        lake.commit(table, [made])


def _rows_of_results(report: Report) -> int:
    is_made = isinstance(report, Done) and isinstance(report.step.action, Estimate)
    return report.rows if isinstance(report, Done) and is_made else 0


def runs(lake: Lake) -> list[dict[str, Any]]:
    """Every step of every run that is kept."""
    return [row for table in runs_tables(lake) for row in lake.read(table).to_pylist()]


def runs_tables(lake: Lake) -> list[Table]:
    """Those of every dataset."""
    tables = map(runs_table, sorted(lake.folders()))
    return [table for table in tables if lake.version(table) >= 0]


def newest(rows: Iterable[Mapping[str, Any]], most: int) -> list[dict[str, Any]]:
    """The newest runs, each with what its steps cost together; the newest first."""
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_run.setdefault(row["run"], []).append(row)
    return [_total(run, by_run[run]) for run in sorted(by_run, reverse=True)[:most]]


def _total(run: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    peaks = [peak for row in rows if (peak := row.get("peak_memory")) is not None]
    return {
        "run": run,
        "at": rows[0]["at"],
        "as_of": rows[0]["as_of"],
        "steps": len(rows),
        "not_done": sum(row["state"] != "done" for row in rows),
        "seconds": sum(row["seconds"] for row in rows),
        "rows": sum(row["rows"] for row in rows),
        "bytes_read": sum(row.get("bytes_read") or 0 for row in rows),
        "peak_memory": max(peaks, default=None),
    }


def dearest(
    rows: Iterable[Mapping[str, Any]], chosen: Collection[str], most: int
) -> list[dict[str, Any]]:
    """The steps of the chosen runs that took longest, the longest first."""
    own = [row for row in rows if row["run"] in chosen]
    names = ("run", "experiment", "step", "state", "seconds", "rows", "bytes_read", "peak_memory")
    dear = sorted(own, key=lambda row: (-row["seconds"], row["step"]))[:most]
    return [{name: row.get(name) for name in names} for row in dear]
