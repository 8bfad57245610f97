"""The demo's analysis by one process, by two, and by a Dask cluster of two workers.

    python -m benchmarks.runners [SCALE]

Each way begins with telemetry only and is a process of its own, as `sonde run` is. Seconds are of
doing the steps; planning before and publishing after are shown beside them. The cluster stands
before the run begins, without anything of sonde imported. What the ways stored is compared.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
from distributed import Client

from benchmarks.cpu import cpu_seconds
from sonde.cli.demonstration import Demonstration
from sonde.datasets import SEED, write_project
from sonde.lake import Lake
from sonde.run.execute import Done

TARGET = 1.7
WAYS = {"1": "one process", "2": "two processes", "dask": "Dask, two workers"}
OF_ITS_TIME = ("sonde/sonde_runs", "sonde/site", "sonde/pins")  # say when, and how long it took
HOST = "127.0.0.1"
_PATIENCE = 60.0  # seconds for a cluster to stand

Figures = Mapping[str, float]


def run(way: str, folder: Path, scale: float) -> Figures:
    """Do everything in one way, from this process."""
    workers = None if way == "dask" else int(way)
    demo = Demonstration(folder, None, scale)
    demo.make(lambda _: None)  # it is there
    before, figures = cpu_seconds(), {}

    def timed(what: str, call: Callable[[], Any]) -> Any:
        started = time.perf_counter()
        result = call()
        figures[what] = time.perf_counter() - started
        return result

    work = timed("plan", demo.work)
    reports = timed("analyse", lambda: list(demo.run(work, workers)))
    assert reports
    assert all(isinstance(each, Done) for each in reports)
    figures["cpu"] = cpu_seconds() - before
    timed("publish", lambda: demo.publish(work, workers))
    assert demo.exit_code == 0
    return figures


def measured(way: str, folder: Path, scale: float) -> Figures:
    """The same, in a process of its own; with the CPU seconds of the cluster, if it has one."""
    words = [sys.executable, "-m", "benchmarks.runners", way, str(folder), str(scale)]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    if way != "dask":
        return _answer(words, environment)
    with cluster(folder) as (address, process):
        before = cpu_seconds(process)
        environment |= {"SONDE_RUN_RUNNER": "dask", "SONDE_RUN_SCHEDULER": address}
        figures = _answer(words, environment)
        return {**figures, "cpu": figures["cpu"] + cpu_seconds(process) - before}


def _answer(words: list[str], environment: Mapping[str, str]) -> Figures:
    done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    figures: Figures = json.loads(done.stdout.splitlines()[-1])
    return figures


@contextmanager
def cluster(folder: Path) -> Iterator[tuple[str, int]]:
    """A scheduler with two workers of one thread: its address, the process above the workers."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        port = free.getsockname()[1]
    address = f"tcp://{HOST}:{port}"
    scheduler = _dask("scheduler", "--host", HOST, "--port", str(port), "--no-dashboard")
    size = ("--nworkers", "2", "--nthreads", "1", "--memory-limit", "4GB")
    place = ("--host", HOST, "--no-dashboard", "--local-directory", str(folder / "workers"))
    workers = _dask("worker", address, *place, *size)
    try:
        _wait_for(address)
        yield address, workers.pid
    finally:
        for process in (workers, scheduler):
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _dask(*words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *words],
        env=os.environ | {"OPENBLAS_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _wait_for(address: str) -> None:
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            with Client(address, timeout="2s", set_as_default=False) as client:
                client.wait_for_workers(2, timeout=_PATIENCE)
                return
        except OSError:
            if time.monotonic() > until:
                raise


def stored(folder: Path) -> dict[str, pa.Table]:
    """The tables that were filled, in an order that does not depend on who was first."""
    lake = Lake.open(folder / "lake")
    tables = [table for table in lake.tables("sonde") if table.path not in OF_ITS_TIME]
    assert tables
    return {table.path: _sorted(lake.read(table)) for table in tables}


def _sorted(table: pa.Table) -> pa.Table:
    if not table.num_rows:
        return table
    kept = table.select([name for name in table.column_names if name != "timestamp"])
    return kept.sort_by([(name, "ascending") for name in kept.column_names])


def main(scale: float = 1.0) -> None:
    with tempfile.TemporaryDirectory(prefix="sonde-bench-") as name:
        folder = Path(name)
        write_project(folder / "demo", SEED, scale, lambda _: None)
        print(f"{'':<20}{'plan':>8}{'analyse':>10}{'publish':>10}{'CPU of run':>12}")
        figures: dict[str, Figures] = {}
        tables: dict[str, dict[str, pa.Table]] = {}
        for way, called in WAYS.items():
            shutil.copytree(folder / "demo", folder / way, copy_function=os.link)
            figures[way] = f = measured(way, folder / way, scale)
            tables[way] = stored(folder / way)
            row = f"{f['plan']:6.1f} s{f['analyse']:8.1f} s{f['publish']:8.1f} s{f['cpu']:10.1f} s"
            print(f"{called:<20}{row}", flush=True)
        print()
        for way in ("2", "dask"):
            sooner = figures["1"]["analyse"] / figures[way]["analyse"]
            reached = "reached" if sooner >= TARGET else "NOT REACHED"
            same = all(tables[way][each].equals(tables["1"][each]) for each in tables["1"])
            print(
                f"{WAYS[way]:<20} {sooner:.2f} times as soon as one process, target {TARGET:g}: "
                f"{reached}; tables {'identical' if same else 'DIFFERENT'}"
            )


if __name__ == "__main__":
    match sys.argv[1:]:
        case [way, folder, scale]:
            print(json.dumps(run(way, Path(folder), float(scale))))
        case words:
            main(*map(float, words))
