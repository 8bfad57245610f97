"""What the steps of a run cost, kept for the page of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa

from sonde.lake import Lake
from sonde.plan.steps import (
    Estimate,
    dataset,
)
from sonde.run.execute import Done, Report, Skipped
from sonde.table import Table

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
    logs = sorted(lake.root.glob(f"*/{_RUNS}/_delta_log"))
    return [runs_table(log.parent.parent.name) for log in logs]
