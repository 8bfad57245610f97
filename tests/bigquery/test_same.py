"""Both warehouses give the same results from the same rows."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from sonde.project import Project
from sonde.run.execute import Done, Failed
from tests.bigquery import crowd
from tests.bigquery.emulator import Emulator
from tests.run.test_analysis import RUN_DATE, estimates

SEVERAL = (
    "3 units are enrolled in several branches and left out of the results; "
    "find out why units change branch"
)
NUMBERS = ("ci_width", "point", "lower", "upper")
WHAT = ("analysis_basis", "analysis_period", "window_index", "data_source", "metric", "statistic",
        "parameter", "branch", "comparison", "comparison_to_branch", "segment")  # fmt: skip


@pytest.fixture(scope="module")
def both(server: Emulator, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A project of each kind, run."""
    crowd.fill(server)
    here = crowd.write_project(tmp_path_factory.mktemp("duckdb"))
    crowd.write_tables(here)
    there = crowd.write_project(tmp_path_factory.mktemp("bigquery"), more=crowd.warehouse())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        for folder in (here, there):
            project = Project.open(folder)
            reports = list(project.run(project.work(RUN_DATE), 1))
            problems = [p.message for r in reports if isinstance(r, Done) for p in r.problems]
            assert problems == [SEVERAL]
            assert [r.problem for r in reports if isinstance(r, Failed)] == []
    return here, there


def by_what(rows: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
    return {tuple(row[name] for name in WHAT): row for row in rows}


def is_same(ours: object, theirs: object) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
    return ours == theirs


def test_estimates_are_the_same(both: tuple[Path, Path]) -> None:
    here, there = (by_what(estimates(folder)) for folder in both)
    assert here.keys() == there.keys()
    differing = {
        (key, name): (row[name], there[key][name])
        for key, row in here.items()
        for name in (*NUMBERS, "reason", "detail")
        if not is_same(row[name], there[key][name])
    }
    assert differing == {}
    assert len(here) > 700
    statistics = {key[5] for key in here}
    assert statistics >= {"mean", "deciles", "empirical_cdf", "sum", "binomial", "count"}
