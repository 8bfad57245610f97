"""Benchmarks are run by hand: what they name must be there all the same."""

from __future__ import annotations

import importlib
import time
from datetime import date
from pathlib import Path

import pytest

import benchmarks
from benchmarks import cpu, incremental, publication, runners
from sonde.run.execute import Setting
from sonde.run.local import Local
from sonde.run.runner import Resources
from sonde.run.schedule import each

PARTS = sorted(
    path.stem
    for path in Path(benchmarks.__file__).parent.glob("*.py")
    if not path.stem.startswith("__")
)


@pytest.mark.parametrize("name", PARTS)
def test_what_a_benchmark_names_is_there(name: str) -> None:
    if name == "scorecard_jetstream":
        pytest.importorskip("jetstream", reason="it is in requirements/bench.lock only")
    importlib.import_module(f"benchmarks.{name}")


def test_publication_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    publication.main(2, 5)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert all("s CPU" in line for line in lines)


def burn(seconds: float, setting: Setting) -> float:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass
    return time.process_time()


def test_what_workers_used_is_counted() -> None:
    """Also of those that are gone; they are nobody's children that `getrusage` knows."""
    before = cpu.cpu_seconds()
    setting = Setting("lake", "lake", date(2026, 1, 1))
    assert len(list(each([0.5, 0.5, 0.5], burn, setting, Local(Resources(2))))) == 3
    assert cpu.cpu_seconds() - before > 1.4


@pytest.mark.slow
def test_runners_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever they take: what they store is the same."""
    runners.main(0.002)
    told = capsys.readouterr().out
    assert told.count("tables identical") == 2
    assert "DIFFERENT" not in told


@pytest.mark.slow
def test_days_of_experiments_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    """However long they take: what the ways have in common is the same."""
    incremental.main(["0.004"])
    told = capsys.readouterr().out
    assert told.count("as it should") == 2
    assert "NOT AS IT SHOULD" not in told
