"""Small cells: what is shown gives away no segment of few units, nor the rest of one."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import date, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from sonde.health import Check, Light, State
from sonde.pages.checks import Limits, shown_checks
from sonde.pages.suppress import hidden_segments

FEW = 20
Cells = Mapping[frozenset[str], int]  # units of a branch, by the segments that they are in


def counted(cells: Mapping[str, Cells], names: list[str]) -> dict[str, dict[str, int]]:
    """Units of everyone and of each segment, by branch."""
    units = {"all": {branch: sum(of.values()) for branch, of in cells.items()}}
    for name in names:
        units[name] = {
            branch: sum(n for kind, n in of.items() if name in kind) for branch, of in cells.items()
        }
    return units


def derived(cells: Cells, names: list[str], shown: list[str]) -> dict[str, int]:
    """The small groups that somebody finds who knows how segments lie, and reads what is shown.

    By linear programming: the least and the most units that each group can have.
    """
    kinds = list(cells)
    rows = [[1.0] * len(kinds), *([float(s in kind) for kind in kinds] for s in shown)]
    totals = [sum(n * v for n, v in zip(cells.values(), row, strict=True)) for row in rows]
    found = {}
    for name, inside in itertools.product(names, (True, False)):
        group = np.array([float((name in kind) == inside) for kind in kinds])
        low, high = (
            linprog(sign * group, A_eq=rows, b_eq=totals, method="highs").fun * sign
            for sign in (1, -1)
        )
        if high - low < 0.5 and 0.5 < low < FEW - 0.5:
            found[f"{'' if inside else 'not '}{name}"] = round(low)
    return found


def hidden_in(cells: Mapping[str, Cells], names: list[str]) -> set[str]:
    kinds = {branch: list(of) for branch, of in cells.items()}
    return hidden_segments(counted(cells, names), FEW, lambda: kinds)


def kind(*names: str) -> frozenset[str]:
    return frozenset(names)


LAYOUTS: dict[str, Cells] = {
    "a partition": {kind("a"): 5, kind("b"): 300, kind("c"): 400, kind("d"): 50},
    "a partition, two small": {kind("a"): 5, kind("b"): 6, kind("c"): 400, kind("d"): 50},
    "nested": {kind("a", "b"): 8, kind("b"): 500, kind("c"): 400, kind(): 30},
    "nested, and the rest of it": {kind("a", "b"): 8, kind("c", "b"): 500, kind(): 300},
    "nested beside a smaller one": {
        kind("a", "b"): 8,
        kind("c", "b"): 500,
        kind("d"): 30,
        kind(): 300,
    },
    "overlapping": {kind("a", "b"): 300, kind("a"): 300, kind("b", "c"): 7, kind("b"): 40},
    "an overlap that has a name": {
        kind("a", "b", "c"): 9,
        kind("a"): 300,
        kind("b"): 400,
    },
    "all but a few": {kind("a"): 990, kind(): 10},
    "what two leave over": {kind("a"): 500, kind("b"): 490, kind("c"): 10},
    "not both": {kind("a", "b"): 600, kind("a", "c"): 9, kind("b", "c"): 8},
}


@pytest.mark.parametrize("cells", LAYOUTS.values(), ids=LAYOUTS.keys())
def test_nothing_small_can_be_found_out(cells: Cells):
    names = sorted({name for each in cells for name in each})
    shown = [name for name in names if name not in hidden_in({"x": cells}, names)]
    assert derived(cells, names, names), "the layout has nothing to hide"
    assert derived(cells, names, shown) == {}


def layouts(names: str, most: int) -> st.SearchStrategy[Cells]:
    kinds = st.frozensets(st.sampled_from(names))
    sizes = st.sampled_from([0, 3, 12, 19, 20, 40, 400])
    return st.dictionaries(kinds, sizes, min_size=1, max_size=most)


@settings(max_examples=100)
@given(layouts("abcde", 9))
def test_whatever_the_layout(cells: Cells):
    names = sorted("abcde")
    if 0 < sum(cells.values()) < FEW:
        return
    shown = [name for name in names if name not in hidden_in({"x": cells}, names)]
    assert derived(cells, names, shown) == {}


def test_every_layout_of_three_segments():
    """Each set of combinations there can be, each in turn the small one; by ranks, exactly."""
    every = [frozenset(c) for n in range(4) for c in itertools.combinations("abc", n)]
    looked = 0
    for there in itertools.product((False, True), repeat=len(every)):
        kinds = [k for k, is_there in zip(every, there, strict=True) if is_there]
        for small in kinds:
            cells = {k: 7 if k == small else 100 + 37 * n for n, k in enumerate(kinds)}
            if len(cells) < 2:
                continue
            units = counted({"x": cells}, list("abc"))
            hidden = hidden_in({"x": cells}, list("abc"))
            rows = [[1] * len(kinds)]
            rows += [[int(s in k) for k in kinds] for s in "abc" if s not in hidden]
            rank = np.linalg.matrix_rank(rows)
            for name in "abc":
                inside = units[name]["x"]
                if 0 < inside < FEW or 0 < units["all"]["x"] - inside < FEW:
                    row = [int(name in k) for k in kinds]
                    assert np.linalg.matrix_rank([*rows, row]) > rank, (cells, hidden)
                    looked += 1
    assert looked == 360


@given(layouts("abc", 6), layouts("abc", 6))
def test_each_branch_is_guarded(one: Cells, other: Cells):
    kinds = {*one, *other}
    cells = {b: {k: of.get(k, 0) for k in kinds} for b, of in {"x": one, "y": other}.items()}
    if any(0 < sum(of.values()) < FEW for of in cells.values()):
        return
    hidden = hidden_in(cells, list("abc"))
    for of in cells.values():
        assert derived(of, list("abc"), [s for s in "abc" if s not in hidden]) == {}


def test_without_knowing_the_layout_one_small_segment_hides_all():
    units = counted({"x": LAYOUTS["a partition"]}, list("abcd"))
    assert hidden_segments(units, FEW) == set("abcd")
    assert hidden_segments(units, FEW, lambda: {"y": []}) == set("abcd")


def test_nothing_is_hidden_without_need():
    large = {kind("a"): 300, kind("b"): 20, kind("c"): 400}
    assert hidden_in({"x": large}, list("abc")) == set()
    apart = {kind("a"): 5, kind("b"): 300, kind("c"): 400, kind(): 100}
    assert hidden_in({"x": apart}, list("abc")) == {"a"}
    none = {kind("a"): 0, kind("b"): 300, kind(): 400}
    assert hidden_in({"x": none}, list("ab")) == set()


@pytest.mark.parametrize(("units", "is_shown"), [(19, False), (20, True), (0, True)])
def test_everyone_is_a_group_too(units: int, is_shown: bool):
    found = hidden_segments({"all": {"x": 500, "y": units}, "a": {"x": 250, "y": units}}, FEW)
    assert ("all" not in found) is is_shown


# -- the checks -------------------------------------------------------------------------------

START = date(2026, 10, 1)
ROOMY = {"minimum": FEW, "is_hidden": lambda *_: False, "is_shown": lambda *_: True}


def limits(kinds=None, **changed) -> Limits:
    return Limits(kinds=lambda: kinds, **{**ROOMY, **changed})


def ratio(scope: str, counts: list[list[int]], state: State = State.FINE) -> Check:
    """As the health step stores it, with what a chart needs."""
    so_far = np.cumsum(counts, axis=0)
    with np.errstate(invalid="ignore"):
        shares = so_far / so_far.sum(axis=1, keepdims=True)
    return Check(
        Light.SPLIT,
        "sample_ratio",
        scope,
        state,
        "50.0 : 50.0",
        f"{so_far[-1].sum()} units.",
        0.5,
        0.001,
        "",
        {
            "branches": ["x", "y"],
            "design": [0.5, 0.5],
            "days": [(START + timedelta(n)).isoformat() for n in range(len(counts))],
            "counts": counts,
            "shares": shares.tolist(),
            "lower": [[0.1, 0.1]] * len(counts),
            "upper": [[0.9, 0.9]] * len(counts),
            "p": [0.5] * len(counts),
            "units": int(so_far[-1].sum()),
            "words": scope.rpartition(" ")[2].capitalize(),
            "since": START.isoformat(),
            "adjusted_p": 0.5,
            "one_look_p": 0.5,
            "band_confidence": 0.999,
            "first_below_look": None,
            "first_below_stop": START.isoformat() if state is State.STOP else None,
        },
    )


EVERYONE = ratio("all", [[3, 4], [30, 31], [500, 510]])
COVERAGE = Check(
    Light.COVERAGE, "coverage", "all", State.FINE, "97.0 %", "Of enrolled units 97.0 % in x.",
    detail={
        "branches": ["x", "y"],
        "steps": [
            {"name": "enrolled", "counts": [533, 545]},
            {"name": "exposed", "counts": [7, 300]},
            {"name": "has data", "counts": [520, 540], "of": [533, 545]},
            {"name": "window complete", "counts": [11, 12], "period": "week", "window": 4},
        ],
        "sources": {"main": [520, 540], "crashes": [4, 30]},
    },
)  # fmt: skip


def one(checks: list[Check], of: Limits | None = None) -> Check:
    given_ = of or limits()
    (found,) = [c for c in shown_checks([EVERYONE, *checks], given_) if c.scope != "all"]
    return found


class TestChecks:
    def test_a_small_segment_tells_no_number(self):
        found = one([ratio("segment linux", [[4, 5], [1, 2]], State.STOP)])
        assert found.state is State.STOP
        assert found.detail == {}
        assert found.value is None
        assert found.figure == "hidden"
        assert found.note == "Linux: fewer than 20 units, or next to such a group."

    def test_the_rest_of_a_segment_tells_as_much(self):
        inside = ratio("segment windows", [[260, 260], [270, 280]])
        outside = ratio("not in segment windows", [[3, 5]], State.LOOK)
        found = shown_checks([EVERYONE, inside, outside], limits())
        assert [check.detail for check in found[1:]] == [{}, {}]

    def test_a_segment_that_would_give_a_small_one_away(self):
        kinds = {b: [kind("linux"), kind("mac"), kind("windows")] for b in "xy"}
        checks = [
            ratio("segment linux", [[4, 5]]),
            ratio("segment mac", [[100, 100]]),
            ratio("segment windows", [[429, 440]]),
        ]
        found = shown_checks([EVERYONE, *checks], limits(kinds))
        assert [bool(check.detail) for check in found] == [True, False, False, True]

    def test_a_segment_too_small_to_be_checked_tells_no_count(self):
        note = "7 units so far: too few to tell any split from another."
        small = Check(
            Light.SPLIT, "sample_ratio", "segment linux", State.UNCHECKED, "not yet", note
        )
        found = one([small])
        assert found.note == "segment linux: fewer than 20 units, or next to such a group."
        assert found.figure == "not yet"

    def test_a_large_segment_keeps_its_chart_but_not_its_days(self):
        found = one([ratio("segment windows", [[3, 3], [30, 30], [250, 250]], State.STOP)])
        assert "counts" not in found.detail
        assert "p" not in found.detail
        second = (START + timedelta(1)).isoformat()
        assert found.detail["days"][0] == second
        assert found.detail["first_below_stop"] == second
        assert len(found.detail["shares"]) == len(found.detail["lower"]) == 2

    def test_the_first_days_of_everyone_are_told_together(self):
        (found,) = shown_checks([EVERYONE], limits())
        assert found.detail["counts"] == [[33, 35], [500, 510]]
        assert len(found.detail["days"]) == 2

    def test_stages_of_few_units(self):
        found = shown_checks([EVERYONE, COVERAGE], limits())[1]
        counts = {step["name"]: step["counts"] for step in found.detail["steps"]}
        assert counts == {
            "enrolled": [533, 545],
            "exposed": None,
            "has data": [520, 540],
            "window complete": None,
        }
        assert found.detail["sources"] == {"main": [520, 540]}
        assert found.figure == "97.0 %"

    def test_shares_of_few_units(self):
        exposure = Check(
            Light.EXPOSURE, "exposure", "all", State.LOOK, "1.3 %", "1.3 % in x.", 0.1, 0.001, "",
            {"branches": ["x", "y"], "enrolled": [533, 545], "exposed": [7, 6], "shares": [0, 0]},
        )  # fmt: skip
        found = shown_checks([EVERYONE, exposure], limits())[1]
        assert (found.state, found.figure, found.detail) == (State.LOOK, "hidden", {})

    def test_a_window_of_few_units(self):
        left = Check(
            Light.COVERAGE, "unenrollment", "all", State.FINE, "9.0 %", "9.0 % in x.", 0.1, 0.001,
            detail={"period": "overall", "window": 1, "shares": {"x": 0.09}},
        )  # fmt: skip
        assert shown_checks([EVERYONE, left], limits())[1] == left
        hidden = limits(is_hidden=lambda period, number: (period, number) == ("overall", 1))
        assert shown_checks([EVERYONE, left], hidden)[1].figure == "hidden"

    def test_an_effect_in_few_units(self):
        odd = Check(
            Light.ERRORS, "implausible_effect", "clicks", State.LOOK, "+90 %", "by +90 % in y",
            0.9, 0.5, "", {"branch": "y", "point": 0.9},
        )  # fmt: skip
        assert one([odd]) == odd
        assert one([odd], limits(is_shown=lambda *_: False)).figure == "hidden"

    @pytest.mark.parametrize("split", [EVERYONE, None], ids=["counted", "not counted"])
    def test_a_small_branch_of_everyone_tells_nothing(self, split):
        few = ratio("all", [[500, 12]], State.STOP)
        unknown = Check(
            Light.SPLIT, "sample_ratio", "all", State.UNCHECKED, "not yet", "7 units so far."
        )
        fresh = Check(
            Light.FRESHNESS, "freshness", "all", State.FINE, "on time", "Data to 3 Oct.", 0.0, 3.0
        )
        none = Check(Light.EXPOSURE, "exposure", "all", State.UNCHECKED, "not yet", "None yet.")
        segment = ratio("segment windows", [[250, 30]])
        checks = [few if split else unknown, segment, fresh, none]
        found = shown_checks(checks, limits())
        assert found[0].state is checks[0].state
        assert found[0].note == "A branch has fewer than 20 units: the numbers are not shown."
        assert [check.detail for check in found] == [{}] * 4
        assert found[1].figure == "hidden"
        assert found[2:] == (fresh, none)
