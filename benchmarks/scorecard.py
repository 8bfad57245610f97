"""A scorecard of ten metrics: CPU seconds and memory beside what reading the columns costs.

    python -m benchmarks.scorecard [ROWS..]

Seeded units with ten metrics and a covariate each, in three branches, are written once to the
folder of temporary files. Every measurement runs in a process of its own, in turn, three times;
figures are medians of the CPU seconds after imports and of the peak memory of whole processes.
Jetstream's statistics are slow and run once. What is computed twice is compared.
"""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scorecard_units import BRANCHES, METRICS, SEED, write

ROUNDS = 3
KINDS = ("linear_model_mean", "bootstrap_mean", "deciles", "empirical_cdf",
         "kernel_density_estimate")  # fmt: skip
# Jetstream's bootstrap resamples the distinct values: of a continuous metric it does not end.
CONTINUOUS = tuple(kind for kind in KINDS if kind != "bootstrap_mean")
# Its density compares every row with every place: at many rows it takes minutes.
SHORT = tuple(kind for kind in KINDS if kind != "kernel_density_estimate")
MANY = 5_000_000
TIMES = 80  # less CPU than Jetstream, of the whole scorecard

Measured = Mapping[str, Any]


@dataclass(frozen=True)
class Line:
    """A row of the table. reached: whether the target is; None: there is none."""

    name: str
    cpu: float
    ratio: str = ""
    peak: float | None = None
    target: str = ""
    reached: bool | None = None

    def __str__(self) -> str:
        peak = "" if self.peak is None else f"{self.peak:.0f} MB"
        verdict = {True: "reached", False: "NOT REACHED", None: ""}[self.reached]
        return (
            f"{self.name:<58}{self.cpu:9.2f} s {self.ratio:>15} {peak:>8}  "
            f"{self.target:<26} {verdict}"
        ).rstrip()


def run(module: str, *arguments: object) -> Measured:
    command = [sys.executable, "-m", f"benchmarks.{module}", *map(str, arguments)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True, text=True)
    result: Measured = json.loads(done.stdout.splitlines()[-1])
    return result


def units(rows: int) -> Path:
    path = Path(tempfile.gettempdir()) / f"sonde-scorecard-{SEED}" / f"{rows}.parquet"
    if not path.exists():
        path.parent.mkdir(exist_ok=True)
        unfinished = path.with_suffix(".part")
        write(unfinished, rows)
        unfinished.rename(path)
    return path


def measure(path: Path, comparable: Mapping[str, Sequence[str]]) -> dict[str, Measured]:
    """Medians of each part. comparable: metrics, each with the statistics to ask of it alone."""
    every, linear = ",".join(METRICS), KINDS[0]
    parts: dict[str, tuple[str, ...]] = {
        "floor": ("floor", str(path)),
        "sums": ("sums", str(path)),
        "linear": ("statistics", str(path), every, linear),
        "all": ("statistics", str(path), every, ",".join(KINDS)),
    }
    for metric, kinds in comparable.items():
        parts[metric] = ("statistics", str(path), metric, ",".join(kinds))
    rounds = [
        {name: run("scorecard_parts", *arguments) for name, arguments in parts.items()}
        for _ in range(ROUNDS)
    ]
    return {
        name: {field: median(each[name][field] for each in rounds) for field in ("cpu", "peak")}
        | {"found": rounds[0][name]["found"], "imports": rounds[0][name]["imports"]}
        for name in parts
    }


def own_lines(rows: int, ours: Mapping[str, Measured]) -> Iterator[Line]:
    floor = ours["floor"]["cpu"]
    yield Line("floor: DuckDB's sum() of the 20 columns", floor, "1.00 x", ours["floor"]["peak"])
    for name, part, times in (
        ("10 adjusted means of 3 branches from power sums", "sums", 2.0),
        ("linear_model_mean, clipped, adjusted, all references", "linear", None),
    ):
        cpu, peak = ours[part]["cpu"], ours[part]["peak"]
        target = "" if times is None else f"<= {times:g} x floor, 300 MB"
        reached = None if times is None else cpu <= times * floor and peak <= 300
        yield Line(name, cpu, f"{cpu / floor:.2f} x", peak, target, reached)
    cpu, peak = ours["all"]["cpu"], ours["all"]["peak"]
    bound = rows == 10_000_000
    yield Line(
        "all: 5 statistics of 10 metrics",
        cpu,
        f"{cpu / floor:.2f} x",
        peak,
        "<= 8 s, 1024 MB" if bound else "",
        cpu <= 8 and peak <= 1024 if bound else None,
    )
    yield Line("imports, not in any figure above", ours["all"]["imports"])


def check_sums(path: Path, ours: Measured) -> str:
    """Differences and limits against a direct solution of the same least squares."""
    direct = run("scorecard_parts", "direct", path)["found"]
    worst = max(
        abs(mine - other) / (numbers[2] - numbers[1])
        for name, numbers in direct.items()
        for mine, other in zip(ours["found"][name], numbers, strict=True)
    )
    what = f"power sums: {len(direct)} differences, as by QR of the rows, of intervals"
    return f"{what}: {_verdict(worst, 1e-9)}"


def _verdict(worst: float, most: float) -> str:
    return f"off by {worst:.1e} at most, {'as it should' if worst <= most else 'TOO MUCH'}"


def jetstream_lines(
    path: Path, ours: Mapping[str, Measured], comparable: Mapping[str, Sequence[str]]
) -> Iterator[Line | str]:
    if importlib.util.find_spec("jetstream") is None:
        yield "Jetstream: skipped, its package is not installed (requirements/bench.lock)"
        return
    theirs: dict[str, Measured] = {}
    for metric, kinds in comparable.items():
        theirs[metric] = run("scorecard_jetstream", path, metric, ",".join(kinds))
        cpu, mine = theirs[metric]["cpu"], ours[metric]["cpu"]
        name = f"{metric}: {len(kinds)} statistics"
        yield Line(f"{name}, Jetstream", cpu, "", theirs[metric]["peak"])
        yield Line(f"{name}, sonde", mine, _times(mine, cpu), ours[metric]["peak"])
        times = (f"{kind} {each:.1f}" for kind, each in theirs[metric]["by_kind"].items())
        yield f"    Jetstream's seconds: {', '.join(times)}"
    if len(theirs) == 2:
        cpu = 8 * theirs["searches"]["cpu"] + 2 * theirs["session_len"]["cpu"]
        yield Line("all, Jetstream: 8 x searches + 2 x session_len, scaled", cpu)
        mine, peak = ours["all"]["cpu"], ours["all"]["peak"]
        target, reached = f">= {TIMES} times less", cpu >= TIMES * mine
        yield Line("all, sonde", mine, _times(mine, cpu), peak, target, reached)
    for metric, result in theirs.items():
        yield from compare(ours["all"]["found"], result, metric)


def _times(mine: float, theirs: float) -> str:
    return f"{theirs / mine:.0f} times less"


def compare(ours: Mapping[str, Any], theirs: Measured, metric: str) -> Iterator[str]:
    """By statistic, how far apart we are, in widths of intervals or shares of the peak."""
    worst: dict[tuple[str, float], float] = {}
    missing = 0
    peaks: dict[str, float] = {}
    for name, (point, *_) in theirs["found"].items():
        kind = name.split(" | ")[1]
        peaks[kind] = max(peaks.get(kind, 0.0), abs(point or 0.0))
    for name, numbers in theirs["found"].items():
        if name not in ours:
            missing += 1
            continue
        _, kind, _, versus, _ = name.split(" | ")
        for field, (mine, other) in enumerate(zip(ours[name], numbers, strict=True)):
            if other is None or mine is None:
                missing += other is not mine
                continue
            scale = peaks[kind] if numbers[1] is None else (numbers[2] - numbers[1]) or 1.0
            place = _label(kind, versus, field, theirs["first"]), _most(kind, versus, field)
            if place[0]:
                worst[place] = max(worst.get(place, 0.0), abs(mine - other) / scale)
    if missing:
        yield f"{metric}: {missing} numbers that only one of the two has, NOT AS IT SHOULD"
    for (label, most), distance in worst.items():
        yield f"{metric}: {label}: {_verdict(distance, most)}"


def _label(kind: str, versus: str, field: int, first: str) -> str:
    """What is compared; empty for what Jetstream computes from a frame clipped before."""
    if kind != "linear_model_mean":
        return f"{kind}, of the peak" if kind in KINDS[3:] else f"{kind}, of intervals (a lottery)"
    if not versus.endswith(f" to {first}"):
        return ""
    if versus.startswith("relative") and field > 0:
        return f"{kind}, limits of relative uplifts (a numeric derivative), of intervals"
    return f"{kind}, of intervals"


def _most(kind: str, versus: str, field: int) -> float:
    if kind == "linear_model_mean":
        return 1e-4 if versus.startswith("relative") and field > 0 else 1e-9
    return 1e-6 if kind in KINDS[3:] else 0.1


def main(sizes: Sequence[int]) -> None:
    for rows in sizes:
        path = units(rows)
        comparable = (
            {"searches": KINDS, "session_len": CONTINUOUS} if rows < MANY else {"searches": SHORT}
        )
        print(f"\n{rows:,} units, {len(METRICS)} metrics, {len(BRANCHES)} branches", flush=True)
        ours = measure(path, comparable)
        for line in own_lines(rows, ours):
            print(line, flush=True)
        for found in jetstream_lines(path, ours, comparable):
            print(found, flush=True)
        print(check_sums(path, ours["sums"]), flush=True)


if __name__ == "__main__":
    main([int(float(each)) for each in sys.argv[1:]] or [1_000_000, 10_000_000])
