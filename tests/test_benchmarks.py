"""Benchmarks are run by hand: what they name must be there all the same."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

import benchmarks
from benchmarks import publication

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
