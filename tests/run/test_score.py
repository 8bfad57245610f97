"""What a frame's estimates are does not depend on how its rows were summarised."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sonde.run import engine
from sonde.run.engine import DuckDB
from sonde.run.in_memory import InMemory
from sonde.run.score import Asked, Row, Scorer
from sonde.run.summarise import Summariser
from sonde.sql.pretreatments import Treatment
from sonde.sql.summaries import Frame
from sonde.stats.needs import Clip, Columns, MomentsOf, Scope
from sonde.stats.registry import statistic
from sonde.warehouse.duckdb import Limits, Session

NUMBERS = {"point", "lower", "upper"}
EXPERIMENT: Any = SimpleNamespace(
    branches=[SimpleNamespace(slug="control"), SimpleNamespace(slug="a")],
    segments=[SimpleNamespace(name="new")],
)
STATISTICS: Mapping[str, Mapping[str, object]] = {
    "bootstrap_mean": {},
    "deciles": {},
    "empirical_cdf": {},
    "linear_model_mean": {},
    "sum": {},
}


@pytest.fixture(scope="module")
def session():
    rng = np.random.default_rng(5)
    size = 3_000
    with Session(date(2026, 1, 1), Limits()) as session:
        session.register(
            "rows",
            pa.table(
                {
                    "__n": pa.array(rng.integers(1, 5, size), pa.int32()),
                    "branch": pa.array(rng.choice(["control", "a"], size)),
                    "s:new": pa.array(rng.random(size) < 0.4),
                    "clicks": pa.array(rng.poisson(2, size), mask=rng.random(size) < 0.1),
                    "hours": pa.array(rng.lognormal(0, 1, size)),
                    "before": pa.array(rng.lognormal(0, 1, size)),
                }
            ),
        )
        session.execute("CREATE TEMP TABLE frame AS SELECT * FROM rows")
        yield session


def scored(session: Session, cells: list[int]) -> list[Row]:
    asked = [
        Asked(column, statistic(name, params), Columns(column, "before"))
        for column in ("clicks", "hours")
        for name, params in STATISTICS.items()
    ]
    scorer = Scorer(DuckDB(session), EXPERIMENT, "seed")
    rows = list(scorer.score(Treatment("frame"), asked, cells))
    assert scorer.problems == []
    return rows


def by_cell(rows: list[Row]) -> dict[int, list[dict[str, Any]]]:
    return {cell: [r.plain() for r in rows if r.cell == cell] for cell in range(1, 5)}


@pytest.fixture(scope="module")
def together(session):
    found = by_cell(scored(session, [1, 2, 3, 4]))
    assert all(len(rows) > 100 for rows in found.values())
    return found


def test_a_cell_is_the_same_without_the_others(session, together):
    assert by_cell(scored(session, [3]))[3] == together[3]


@pytest.mark.parametrize("room", [2_500, 5_000])
def test_cells_in_several_groups(session, together, room, monkeypatch):
    """As many at a time as there is room for: here, one or two."""
    monkeypatch.setattr(engine, "_VALUES", room)
    assert by_cell(scored(session, [1, 2, 3, 4])) == together


def test_queries_give_the_same(session, together, monkeypatch):
    monkeypatch.setattr(engine, "_VALUES", 0)
    for cell, rows in by_cell(scored(session, [1, 2, 3, 4])).items():
        for ours, theirs in zip(rows, together[cell], strict=True):
            for name, value in ours.items():
                numeric = name in NUMBERS and value is not None
                assert theirs[name] == (pytest.approx(value, rel=1e-9) if numeric else value)


def test_infinities_and_nan_leave_no_moments_but_a_count(session):
    rows = pa.table({"__n": pa.array([1] * 4, pa.int32()), "branch": ["a", "a", "b", "b"]})
    values = pa.array([np.inf, 1.0, np.nan, 2.0])
    session.register("spoilt", rows.append_column("x", values))
    need = MomentsOf(("x",))
    for make in (InMemory, Summariser):
        summariser = make(session, Frame("spoilt"))
        summariser.answer({1: [need]})
        found = summariser.summaries(1).moments[need]
        assert (found["a"].n, found["a"].is_finite) == (2, False)
        assert (found["b"].n, found["b"].nulls, found["b"].means) == (1, 1, (2.0,))


def test_a_threshold_may_be_infinite(session):
    """Most values of a branch are: the quantile is, too, and clips nothing."""
    rows = pa.table({"__n": pa.array([1] * 6, pa.int32()), "branch": ["a"] * 3 + ["b"] * 3})
    values = pa.array([1.0, np.inf, np.inf, 1.0, 2.0, 3.0])
    session.register("endless", rows.append_column("x", values))
    need = MomentsOf(("x",), Clip(0.9, Scope.PER_BRANCH))
    for make in (InMemory, Summariser):
        summariser = make(session, Frame("endless"))
        summariser.answer({1: [need]})
        found = summariser.summaries(1).moments[need]
        assert (found["a"].n, found["a"].is_finite) == (3, False)
        assert found["b"].means == pytest.approx([(1.0 + 2.0 + 2.8) / 3])
