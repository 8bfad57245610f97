"""Twenty experiments, a day at a time: windows merged from unit-days beside windows from rows.

    python -m benchmarks.incremental [SCALE]

At scale 1: 20 experiments of 50,000 units each, 10 metrics of a table of 500,000 clients, 28 days,
the first seven of them with enrollments. Three ways of keeping results up to date, each from
scratch and in a process of its own:

- `schedule`: Jetstream's. A window of a day or a week when it is complete, the whole once, at the
  end; from rows.
- `daily`: the same, and the whole every day, from rows.
- `merged`: the same as `daily`, from unit-days.

CPU seconds are of making the windows' frames and the sums that means and their intervals need:
statistics, commits of results and pages are the same for all ways, and are left out. From rows each
experiment costs by itself: two are measured, and their cost times ten is shown. What the ways have
in common is compared.
"""

from __future__ import annotations

import json
import math
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.incremental_world import CLIENTS, DAYS, ENROLLING, EXPERIMENTS, START, write

WAYS = ("schedule", "daily", "merged")
FEWER = 10  # experiments, to tell what a further one costs
ALONE = 2  # experiments, where each costs by itself
TARGETS = {"schedule": 6.0, "daily": 15.0}

Measured = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A row of the table. reached: whether the target is; None: there is none."""

    name: str
    figure: str
    target: str = ""
    reached: bool | None = None

    def __str__(self) -> str:
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[self.reached]
        return f"{self.name:<58}{self.figure:>16}  {self.target:<22} {verdict}".rstrip()


def run(way: str, folder: Path, experiments: int) -> Measured:
    module = [sys.executable, "-m", "benchmarks.incremental_ways", way, str(folder)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [*module, str(experiments)]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    found: Measured = json.loads(done.stdout.splitlines()[-1])
    return found


def lines(found: Mapping[str, Measured], fewer: Measured) -> Iterator[Line | str]:
    times_measured = {"schedule": EXPERIMENTS / ALONE, "daily": EXPERIMENTS / ALONE, "merged": 1}
    by_day = {
        way: {day: cpu * times_measured[way] for day, cpu in found[way]["cpu"].items()}
        for way in WAYS
    }
    cpu = {way: sum(by_day[way].values()) for way in WAYS}
    for way in WAYS:
        days = by_day[way]
        shown = ", ".join(f"{day}: {days[str(day)]:.2f}" for day in (7, 14, 21, 28))
        yield Line(f"{way}, all days to {DAYS}", f"{cpu[way]:.1f} s CPU")
        yield f"    of days {shown}"
    for way, times in TARGETS.items():
        ratio = cpu[way] / cpu["merged"]
        yield Line(f"{way} / merged", f"{ratio:.1f} x", f">= {times:g} times less", ratio >= times)
    days = by_day["merged"]
    usual = [_around(days, day) for day in (14, 28)]
    flat = usual[1] / usual[0]
    yield Line("merged: day 28 / day 14", f"{flat:.2f}", "<= 1.1", flat <= 1.1)
    further = (_steady(days) - _steady(fewer["cpu"])) / (EXPERIMENTS - FEWER) * 1000
    yield Line(
        "merged: a further experiment, a day", f"{further:.1f} ms", "<= 10 ms", further <= 10
    )


def _around(days: Mapping[str, float], day: int) -> float:
    """Of a day and the one before, the smaller: a week's windows are due on the day itself."""
    return min(days[str(day)], days[str(day - 1)])


def _steady(days: Mapping[str, float]) -> float:
    """A usual day, when nobody enrolls and no week ends."""
    seconds = sorted(days[str(day)] for day in range(ENROLLING + 2, DAYS + 1))
    return seconds[len(seconds) // 2]


def compare(found: Mapping[str, Measured]) -> Iterator[str]:
    merged = found["merged"]["sums"]
    for way in ("schedule", "daily"):
        theirs = found[way]["sums"]
        worst = max(
            abs(a - b) / (abs(b) or 1.0)
            for key, values in theirs.items()
            for a, b in zip(merged[key], values, strict=True)
            if not (math.isnan(a) and math.isnan(b))
        )
        verdict = "as it should" if worst <= 1e-9 else "TOO MUCH"
        yield f"{len(theirs):,} frames of {way} and merged: off by {worst:.1e} at most, {verdict}"


def main(arguments: Sequence[str]) -> None:
    scale = float(arguments[0]) if arguments else 1.0
    with tempfile.TemporaryDirectory(prefix="sonde-bench-") as folder:
        clients = int(CLIENTS * scale)
        write(Path(folder), clients)
        print(
            f"{EXPERIMENTS} experiments, {clients:,} clients, {DAYS} days from {START}", flush=True
        )
        found = {way: run(way, Path(folder), ALONE) for way in ("schedule", "daily")}
        found["merged"] = run("merged", Path(folder), EXPERIMENTS)
        fewer = run("merged", Path(folder), FEWER)
        for line in [*lines(found, fewer), *compare(found)]:
            print(line, flush=True)


def cpu_seconds() -> float:
    """Of this process and those it waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


if __name__ == "__main__":
    main(sys.argv[1:])
