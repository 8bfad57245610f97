"""Forty experiments: everything from scratch, and then a day later.

    python -m benchmarks.forty [SCALE]

At scale 1: 40 experiments of 20,000 units each, 10 metrics of a table of 400,000 clients and 6.7
million client-days, 28 days, the first seven of them with enrollments; windows of days, weeks and
the whole. What `sonde run` does after enrollments, on two processes: estimates with their
intervals, committed. Both ways of making windows are measured.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

from benchmarks.cpu import cpu_seconds
from benchmarks.incremental_world import DAYS, START, enroll, experiments, write
from sonde.experiment import Experiment
from sonde.lake import Lake
from sonde.plan.plan import plan
from sonde.plan.steps import Estimate
from sonde.run.execute import Done, Setting
from sonde.run.local import Local
from sonde.run.runner import Resources
from sonde.run.schedule import run
from sonde.window import WindowsFrom

EXPERIMENTS, CLIENTS = 40, 400_000
WORKERS, MEMORY = 2, "2GB"
TARGETS = {"from scratch": 60.0, "a day later": 10.0}
MOST = 1000  # MB that a worker may hold


def update(declared: Sequence[Experiment], setting: Setting) -> tuple[int, float]:
    """Do what is not done as of a day: the number of steps, and the highest peak in MB."""
    lake = Lake.open(setting.lake)
    whole = plan(declared, setting.as_of, lambda *_: "")
    tables = {step.output.table for step in whole.steps}
    receipts = {r.partition: r for table in tables for r in lake.receipts(table).values()}
    steps = [s for s in whole.stale(receipts) if isinstance(s.action, Estimate)]
    reports = list(run(steps, setting, Local(Resources(WORKERS, MEMORY))))
    assert len(reports) == len(steps)
    assert all(isinstance(each, Done) and not each.problems for each in reports)
    return len(steps), max(each.peak or 0 for each in reports if isinstance(each, Done)) / 1e6


def measured(what: str, declared: Sequence[Experiment], setting: Setting) -> None:
    before, started = cpu_seconds(), time.perf_counter()
    steps, peak = update(declared, setting)
    wall, cpu = time.perf_counter() - started, cpu_seconds() - before
    reached = wall <= TARGETS[what] and peak <= MOST
    print(
        f"{setting.windows:<12}{what:<14}{steps:6} steps {wall:7.1f} s {cpu:7.1f} s CPU "
        f"{peak:6.0f} MB   <= {TARGETS[what]:g} s, {MOST} MB: "
        f"{'reached' if reached else 'NOT REACHED'}",
        flush=True,
    )


def main(scale: float = 1.0) -> None:
    clients = int(CLIENTS * scale)
    print(f"{EXPERIMENTS} experiments, {clients:,} clients, {DAYS} days")
    last = START + timedelta(days=DAYS - 1)
    with tempfile.TemporaryDirectory(prefix="sonde-bench-") as folder:
        write(Path(folder), clients, EXPERIMENTS)
        declared = experiments(EXPERIMENTS)
        for windows in WindowsFrom:
            results = Path(folder) / f"lake-{windows}"
            lake = Lake.open(results)
            for number, each in enumerate(declared):
                enroll(Path(folder), lake, each, number)

            def setting(as_of: date, lake: Path = results, by: WindowsFrom = windows) -> Setting:
                return Setting(str(lake), folder, as_of, memory=MEMORY, windows=by)

            measured("from scratch", declared, setting(last - timedelta(days=1)))
            measured("a day later", declared, setting(last))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
