"""Frames in a session: however their rows come, sums are the same to the last digit."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from sonde.run import engine
from sonde.run.engine import DuckDB
from sonde.sql.summaries import Frame
from sonde.stats.moments import Moments
from sonde.stats.needs import MomentsOf
from sonde.warehouse.duckdb import Limits, Session

UNITS = 3_000
NEED = MomentsOf(("value",), order=2)


def frame(seed: int | None = None) -> pa.Table:
    """Each unit in two windows; with a seed, its rows in some order."""
    rng = np.random.default_rng(5)
    units = np.repeat(np.arange(UNITS, dtype=np.int32), 2)
    rows = pa.table(
        {
            "__u": units,
            "__n": np.tile(np.array([1, 2], dtype=np.int32), UNITS),
            "branch": np.array(["a", "b"])[units % 2],
            "value": rng.lognormal(0, 3, 2 * UNITS),
        }
    )
    return (
        rows if seed is None else rows.take(np.random.default_rng(seed).permutation(rows.num_rows))
    )


def moments(rows: pa.Table) -> dict[int, dict[str, Moments]]:
    with Session(date(2026, 1, 1), Limits()) as session:
        session.register("given", rows)
        session.execute("CREATE TEMP TABLE frame AS SELECT * FROM given")
        duckdb = DuckDB(session, "__u")
        ((cells, make),) = duckdb.groups(duckdb.treatment("frame"), [1, 2], 1)
        answers = make(Frame("frame"))
        answers.answer({cell: [NEED] for cell in cells})
        return {cell: dict(answers.summaries(cell).moments[NEED]) for cell in cells}


@pytest.mark.parametrize("room", [8_000_000, 10])
def test_sums_do_not_depend_on_how_rows_come(monkeypatch, room):
    monkeypatch.setattr(engine, "_VALUES", room)  # in memory, by queries
    assert moments(frame()) == moments(frame(seed=1)) == moments(frame(seed=2))
