"""The engine's answers are those of `sonde.stats.arrays`, however they are found."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonde.run import profile, tally
from sonde.run.in_memory import InMemory
from sonde.run.summarise import Summariser
from sonde.sql.summaries import Frame
from sonde.stats.arrays import summarise
from sonde.stats.counts import PairCounts, Total, ValueCounts
from sonde.stats.moments import Moments, exponents
from sonde.stats.needs import (
    Clip,
    CountsOf,
    GridMeanOf,
    MomentsOf,
    Need,
    PairCountsOf,
    Scope,
    Summaries,
    TotalOf,
)
from sonde.warehouse.duckdb import Limits, Session

KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "whole": (pa.int64(), st.integers(-5, 40)),
    "small": (pa.int8(), st.integers(0, 3)),
    "yes": (pa.bool_(), st.booleans()),
    "real": (pa.float64(), st.integers(-99, 999).map(lambda i: i / 7) | st.just(math.nan)),
    "real_too": (pa.float64(), st.integers(0, 9).map(lambda i: i / 7)),
}
NAMES = list(KINDS)
CLIPS = [None, *(Clip(q, scope) for q in (0.5, 0.9, 1.0) for scope in Scope)]


@st.composite
def frames(draw: st.DrawFn) -> pa.Table:
    """Rows of some cells and branches; columns with and without nulls."""
    keys = st.tuples(st.integers(1, 3), st.sampled_from(["control", "it's", "b"]))
    groups = draw(st.lists(keys, min_size=1, max_size=60))
    columns: dict[str, pa.Array] = {
        "__n": pa.array([cell for cell, _ in groups], pa.int32()),
        "branch": pa.array([branch for _, branch in groups], pa.string()),
    }
    size = len(groups)
    for name, (kind, values) in KINDS.items():
        either = st.none() | values if draw(st.booleans()) else values
        columns[name] = pa.array(draw(st.lists(either, min_size=size, max_size=size)), kind)
    return pa.table(columns)


@st.composite
def needs(draw: st.DrawFn) -> Need:
    one = draw(st.sampled_from(NAMES))
    other = draw(st.sampled_from([name for name in NAMES if name != one]))
    clip, order = draw(st.sampled_from(CLIPS)), draw(st.sampled_from([2, 4]))
    all_kinds: list[Need] = [
        MomentsOf((one,), clip, order),
        MomentsOf((one, other), clip, order),
        CountsOf(one),
        PairCountsOf((one, other)),
        TotalOf(one),
        GridMeanOf(one, given=other, clip=clip),
    ]
    return draw(st.sampled_from(all_kinds))


@pytest.fixture(params=["short", "long"])
def lengths(request: pytest.FixtureRequest) -> Iterator[str]:
    """Frames of any size are long, or none is: the strategies differ, the answers may not."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "long":
            patch.setattr(profile, "_LONG", 1)
            patch.setattr(profile, "_LEAST_ABOVE", 4)
            patch.setattr(tally, "_FEW", 3)
        yield request.param


@settings(
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    frame=frames(),
    rounds=st.lists(st.lists(needs(), min_size=1, max_size=6), min_size=1, max_size=2),
    single=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_answers_are_those_of_arrays(
    lengths: str, frame: pa.Table, rounds: list[list[Need]], single: float
) -> None:
    """single: the share of unrepeated values up to which values are grouped; none, some, all."""
    with pytest.MonkeyPatch.context() as patch, session_of(frame) as session:
        patch.setattr(profile, "_SINGLE", single)
        cells = sorted(set(frame["__n"].to_pylist()))
        for summariser in (make(session, Frame("units")) for make in (Summariser, InMemory)):
            for asked in rounds:
                summariser.answer(dict.fromkeys(cells, asked))
            for cell in cells:
                units = rows_of(frame, cell)
                assert summariser.branches(cell) == sorted(units)
                for need in (need for asked in rounds for need in asked):
                    check(need, summariser.summaries(cell), expected(need, units), frame)


@settings(deadline=None, max_examples=30)
@given(frame=frames(), asked=st.lists(needs(), min_size=1, max_size=4))
def test_a_condition_leaves_rows_out(frame: pa.Table, asked: list[Need]) -> None:
    kept = frame.filter(pa.compute.equal(frame["branch"], "control"))
    with session_of(frame) as session:
        some = Frame("units", "branch = 'control'")
        for summariser in (make(session, some) for make in (Summariser, InMemory)):
            for cell in sorted(set(kept["__n"].to_pylist())):
                summariser.answer({cell: asked})
                for need in asked:
                    found = expected(need, rows_of(kept, cell))
                    check(need, summariser.summaries(cell), found)


def test_one_cell_need_not_be_grouped_by() -> None:
    """A long frame as a file has it: one cell, a sample from several places."""
    rng = np.random.default_rng(3)
    size = 150_000
    frame = pa.table(
        {
            "__n": pa.array(np.ones(size), pa.int32()),
            "branch": pa.array(rng.choice(["control", "a", "b"], size)),
            "whole": pa.array(rng.poisson(4, size)),
            "small": pa.array(rng.integers(0, 3, size), pa.int8()),
            "yes": pa.array(rng.random(size) < 0.3),
            "real": pa.array(rng.lognormal(1, 1, size) + 1e6),
            "real_too": pa.array(rng.normal(0, 1, size), mask=rng.random(size) < 0.1),
        }
    )
    asked: list[Need] = []
    for clip in (None, Clip(0.995, Scope.POOLED), Clip(0.995, Scope.PER_BRANCH)):
        for column, covariate in (("whole", "small"), ("real", "real_too"), ("real_too", "real")):
            asked += [MomentsOf((column, covariate), clip), MomentsOf((column,), clip, 4)]
            asked.append(GridMeanOf(covariate, given=column, clip=clip))
    asked += [CountsOf("real"), TotalOf("yes"), PairCountsOf(("whole", "yes"))]
    with session_of(frame) as session:
        summariser = Summariser(session, Frame("units", places=4, cell=1))
        bulky = {CountsOf("real")}
        assert summariser.bulky(asked) == bulky
        summariser.answer({1: asked})
        units = rows_of(frame, 1)
        for need in asked:
            check(need, summariser.summaries(1), expected(need, units))
        summariser.forget(bulky)
        assert CountsOf("real") not in summariser.summaries(1)
        assert asked[0] in summariser.summaries(1)


def test_pairs_are_counted_only_where_that_tells_more() -> None:
    """Moments alone cost less as power sums, which notice NaN as counts do."""
    rng = np.random.default_rng(4)
    size = 120_000
    steps, given = rng.poisson(3, (2, size)) / 4
    frame = pa.table(
        {
            "__n": pa.array(np.ones(size), pa.int32()),
            "branch": pa.array(rng.choice(["control", "a"], size)),
            "steps": pa.array(np.where(rng.random(size) < 0.01, np.nan, steps)),
            "given": pa.array(given),
        }
    )
    moments, grid = MomentsOf(("steps", "given")), GridMeanOf("given", given="steps")
    for asked, is_counted in (([moments], False), ([moments, grid], True)):
        with session_of(frame) as session:
            summariser = Summariser(session, Frame("units", cell=1))
            summariser.answer({1: asked})
            for need in asked:
                check(need, summariser.summaries(1), expected(need, rows_of(frame, 1)))
            assert (PairCountsOf(("steps", "given")) in summariser.summaries(1)) == is_counted
            assert summariser.with_nan == {"steps"}


@pytest.mark.parametrize("step", [1, -1])
def test_a_file_in_the_order_of_a_column(step: int) -> None:
    """The first rows, a sample, say little of where the highest values of each branch are."""
    size = 120_000
    rows = np.arange(size)[::step] / 7
    frame = pa.table(
        {
            "__n": pa.array(np.ones(size), pa.int32()),
            "branch": pa.array(np.where(rows < rows[size // 2], "a", "b")),
            "ordered": pa.array(rows),
        }
    )
    asked: list[Need] = [MomentsOf(("ordered",), Clip(0.995, scope)) for scope in Scope]
    with session_of(frame) as session:
        summariser = Summariser(session, Frame("units"))
        summariser.answer({1: asked})
        for need in asked:
            check(need, summariser.summaries(1), expected(need, rows_of(frame, 1)))


def session_of(frame: pa.Table) -> Session:
    session = Session(date(2026, 1, 1), Limits())
    session.register("frame", frame)
    session.execute("CREATE TEMP TABLE units AS SELECT * FROM frame")
    return session


Columns = Mapping[str, pa.ChunkedArray]


def rows_of(frame: pa.Table, cell: int) -> dict[str, pa.Table]:
    frame = frame.filter(pa.compute.equal(frame["__n"], cell))
    branches = sorted(set(frame["branch"].to_pylist()))
    return {b: frame.filter(pa.compute.equal(frame["branch"], b)) for b in branches}


def expected(need: Need, units: Mapping[str, pa.Table]) -> Summaries:
    """Only rows with a value for each column count; for a threshold, those with one for its own."""
    columns = need.columns if isinstance(need, MomentsOf | PairCountsOf) else (need.column,)
    used = (*columns, need.given) if isinstance(need, GridMeanOf) else columns
    arrays = {b: {c: present(rows, used, c) for c in used} for b, rows in units.items()}
    if not isinstance(need, MomentsOf | GridMeanOf) or need.clip is None:
        return summarise(need, arrays)
    for column in columns:
        for branch, bound in thresholds(need.clip, column, units).items():
            arrays[branch][column] = np.minimum(arrays[branch][column], bound)
    plain = replace(need, clip=None)
    found = summarise(plain, arrays)
    if isinstance(plain, GridMeanOf):
        return Summaries(grid_means={need: found.grid_means[plain]})
    return Summaries(moments={need: found.moments[plain]})


def present(rows: pa.Table, used: tuple[str, ...], column: str) -> Any:
    for name in used:
        rows = rows.filter(pa.compute.is_valid(rows[name]))
    return rows[column].to_numpy()


def thresholds(clip: Clip, column: str, units: Mapping[str, pa.Table]) -> dict[str, float]:
    own = {branch: present(rows, (column,), column) for branch, rows in units.items()}
    if clip.scope is Scope.POOLED:
        own = dict.fromkeys(own, np.concatenate(list(own.values())))
    counts = {branch: ValueCounts.of(values) for branch, values in own.items()}
    return {branch: clip.threshold(each) for branch, each in counts.items() if each.n}


def check(need: Need, found: Summaries, wanted: Summaries, frame: pa.Table | None = None) -> None:
    """frame: all cells, where sums of one may have been taken about the mean of all."""
    assert need in found
    match need:
        case GridMeanOf():
            ours, theirs = found.grid_means[need], wanted.grid_means[need]
            assert ours == pytest.approx(theirs, rel=1e-12, abs=1e-12, nan_ok=True)
        case MomentsOf():
            of, by = found.moments[need], wanted.moments[need]
            for branch in {*of, *by}:
                empty = Moments.empty(len(need.columns), need.order)
                reach = [0.0 if frame is None else largest(frame[c]) for c in need.columns]
                check_moments(of.get(branch, empty), by.get(branch, empty), reach)
        case CountsOf():
            none = ValueCounts.of(np.array([], dtype=np.int64))
            check_branches(found.counts[need], wanted.counts[need], none)
        case PairCountsOf():
            check_branches(found.pair_counts[need], wanted.pair_counts[need], PairCounts.of([], []))
        case TotalOf():
            for branch, total in wanted.totals[need].items():
                ours_of = found.totals[need].get(branch, Total(0, 0, 0.0))
                assert (ours_of.rows, ours_of.nulls) == (total.rows, total.nulls)
                assert ours_of.total == pytest.approx(total.total, rel=1e-12, abs=1e-9)


def check_branches(of: Mapping[str, Any], by: Mapping[str, Any], none: Any) -> None:
    for branch in {*of, *by}:
        assert of.get(branch, none) == by.get(branch, none)


def largest(column: pa.ChunkedArray) -> float:
    values = column.cast(pa.float64()).drop_null().to_numpy()
    return float(np.abs(values[np.isfinite(values)]).max(initial=0.0))


def check_moments(ours: Moments, theirs: Moments, reach: Sequence[float]) -> None:
    """reach: how far from 0 any value lies. The bound of rounding for sums about another point."""
    assert (ours.n, ours.nulls, ours.order) == (theirs.n, theirs.nulls, theirs.order)
    assert ours.means == pytest.approx(theirs.means, rel=1e-11, abs=1e-11)
    columns = range(len(ours.means))
    spreads = [math.sqrt(max(theirs.product_sum(c, c), 0.0) / max(theirs.n, 1)) for c in columns]
    powers = [each for each in exponents(len(ours.means), ours.order) if sum(each) > 1]
    for ours_of, theirs_of, each in zip(ours.central, theirs.central, powers, strict=True):
        scale = theirs.n * math.prod(s**p for s, p in zip(spreads, each, strict=True))
        rounding = 32 * theirs.n * math.prod((2 * r) ** p for r, p in zip(reach, each, strict=True))
        most = 1e-9 * scale + 1e-9 + rounding * np.finfo(float).eps
        assert ours_of == pytest.approx(theirs_of, rel=1e-9, abs=most)
