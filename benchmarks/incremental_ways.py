"""One way of `benchmarks.incremental`, in a process of its own.

    python -m benchmarks.incremental_ways WAY FOLDER EXPERIMENTS

prints a line of JSON: CPU seconds of each day, the sums of every frame.
"""

from __future__ import annotations

import gc
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path

from benchmarks.incremental import cpu_seconds
from benchmarks.incremental_world import DAYS, ENROLLING, METRICS, START, enroll, experiments
from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.plan.plan import plan
from sonde.plan.steps import Estimate, Step
from sonde.plan.unit_days import scans
from sonde.run.execute import Setting, batches
from sonde.run.framed import Framing
from sonde.run.unit_days import missing, scan
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources
from sonde.window import Period, WindowsFrom

Sums = dict[str, list[float]]


def due(way: str, declared: Experiment, as_of: date) -> list[Step]:
    """What the way computes as of a day."""
    steps = plan([declared], as_of, lambda *_: "").steps
    return [s for s in steps if isinstance(s.action, Estimate) and _is_due(way, s.action, as_of)]


def _is_due(way: str, action: Estimate, as_of: date) -> bool:
    if not action.sources:
        return False
    if action.due.period is Period.OVERALL:
        return way != "schedule" or as_of == START + timedelta(days=DAYS - 1)
    return not action.due.partial and action.due.last_data == as_of


def make(batch: Sequence[Step], setting: Setting, lake: Lake, sources: Sources) -> Iterator[Sums]:
    """The frames of some steps of one experiment, and their sums by branch."""
    with Session(setting.as_of, Limits("700MB"), [lake.root, sources.root]) as session:
        receipt = lake.receipt(batch[0].inputs[0])
        assert receipt is not None
        framing = Framing(batch, session, sources)
        for made in framing.frames_of(receipt, lake, setting.windows):
            sums = ", ".join(
                f"sum({value}), sum({value} * {value})"
                for value in (f'CAST("m:{name}" AS DOUBLE)' for name in METRICS)
            )
            rows = session.rows(
                f"SELECT branch, count(*), {sums} FROM {made.name} GROUP BY 1 ORDER BY 1"
            )
            yield {f"{batch[0].slug} {made.period} {row[0]}": list(row[1:]) for row in rows}


def day(way: str, declared: Sequence[Experiment], setting: Setting, lake: Lake) -> Sums:
    sources = Sources(Path(setting.sources))
    steps = [step for each in declared for step in due(way, each, setting.as_of)]
    if way == "merged":
        for task in missing(scans(steps), setting):
            scan(task, setting)
    found: Sums = {}
    for batch in batches(steps):
        for sums in make(batch.steps, setting, lake, sources):
            found |= sums
    return found


def main(way: str, folder: Path, count: int) -> None:
    declared = experiments(count)
    cpu: dict[int, float] = {}
    sums: Sums = {}
    with tempfile.TemporaryDirectory(dir=folder) as results:
        lake = Lake.open(results)
        for number, each in enumerate(declared):
            enroll(folder, lake, each, number)
        windows = WindowsFrom.UNIT_DAYS if way == "merged" else WindowsFrom.ROWS
        for n in range(ENROLLING, DAYS + 1):
            as_of = START + timedelta(days=n - 1)
            setting = Setting(results, str(folder), as_of, windows=windows, memory="700MB")
            gc.collect()
            before = cpu_seconds()
            found = day(way, declared, setting, lake)
            cpu[n] = cpu_seconds() - before
            sums |= {f"{n} {key}": values for key, values in found.items()}
    print(json.dumps({"cpu": cpu, "sums": sums}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
