"""The interval of a row: where its shapes lie, what it does with what does not fit."""

from __future__ import annotations

import math
import re
import time
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.pages.draw.row import Axis, Unit, axis_row, row
from sonde.pages.interval import Interval, Tone

NS = "{http://www.w3.org/2000/svg}"
TEN = Axis(-0.1, 0.1, 0.05)  # 320 pixels: 16 a percent, zero at 160
limits = st.integers(-(10**6), 10**6).map(lambda value: value / 1000)
intervals = st.tuples(limits, limits, limits).map(sorted).map(lambda v: Interval(v[1], v[0], v[2]))
anything = st.builds(Interval, st.floats(), st.floats(), st.floats())


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def shapes(svg: str, colour: str) -> list[str]:
    return [each.get("d", "") for each in parsed(svg) if colour in each.attrib.values()]


def draw(change: Interval | None, axis: Axis = TEN, **more: object) -> str:
    return row(change, axis, **{"tone": Tone.GOOD, "title": "searches", **more})


def test_a_bar_runs_from_limit_to_limit_with_caps_and_a_gap_at_the_estimate():
    svg = draw(Interval(0.0375, 0.0125, 0.05))
    assert shapes(svg, "var(--good)") == [
        "M180 18H240v10H180zM179.2 16h1.5v14h-1.5zM239.3 16h1.5v14h-1.5z"
    ]
    assert shapes(svg, "var(--paper)") == ["M220 18v10"]


def test_without_an_interval_the_axis_stays():
    svg = draw(None)
    assert shapes(svg, "var(--zero)") == ["M160 0v46"]
    assert shapes(svg, "var(--grid)") == ["M80 0v46M240 0v46"]
    assert not shapes(svg, "var(--good)")


@pytest.mark.parametrize(
    ("margin", "band"), [(0.05, "M240 0H320V46H240z"), (-0.05, "M80 0H0V46H80z")]
)
def test_what_lies_beyond_a_margin_is_tinted_to_the_end(margin: float, band: str):
    svg = draw(Interval(0.0, -0.01, 0.01), margin=margin)
    assert shapes(svg, "var(--margin)") == [band]
    assert len(shapes(svg, "var(--bad)")) == 1


def test_a_margin_off_the_axis_is_not_drawn_at_its_end():
    assert "--margin" not in draw(Interval(0.0, -0.01, 0.01), margin=0.4)


def test_what_leaves_the_axis_ends_in_an_arrowhead_with_its_point_at_the_end():
    both = shapes(draw(Interval(0.0, -9.0, math.inf)), "var(--good)")[0]
    assert "L0 23l8 7z" in both
    assert "L320 23l-8 7z" in both
    assert "h1.5" not in both  # no cap: a cap is a limit
    gone = draw(Interval(5.0, 4.0, 6.0))
    assert "M312 16L320 23" in shapes(gone, "var(--good)")[0]
    assert "--paper" not in gone  # the estimate is not on the axis


def test_the_gap_never_hides_a_short_bar():
    svg = draw(Interval(0.05, 0.049, 0.051))
    (gap,) = [each for each in parsed(svg) if each.get("stroke") == "var(--paper)"]
    assert float(gap.get("stroke-width", "9")) < 3.2 / 2


def test_truth_reference_and_ghost_are_shapes_of_their_own():
    svg = draw(Interval(0.0, -0.05, 0.05), truth=0.0125, reference=0.025)
    assert shapes(svg, "var(--truth)") == ["M180 25.3l3.6 4.7-3.6 4.7-3.6-4.7z"]
    (dashed,) = [each for each in parsed(svg) if each.get("stroke-dasharray") == "2 3"]
    assert dashed.get("d") == "M200 0v46"
    waiting = draw(None, ghost=0.025)
    assert shapes(waiting, "var(--muted)") == ["M120 23H200", "M120 18v10M200 18v10"]
    assert "--muted" not in draw(Interval(0.0, -0.05, 0.05), ghost=0.025)  # an expectation no more


def test_a_missing_number_draws_no_bar():
    assert "--good" not in draw(Interval(math.nan, 0.0, 0.1))


@given(anything, st.none() | st.floats(), st.sampled_from([190, 320, 420]))
def test_whatever_the_numbers_nothing_is_drawn_outside(
    change: Interval, margin: float | None, width: int
):
    axis = Axis.fitting([change], [] if margin is None else [margin])
    svg = draw(change, axis, margin=margin, width=width)
    for path in (each.get("d", "") for each in parsed(svg)):
        places = [float(x) for x in re.findall(r"[ML](-?[\d.]+) ", path)]
        assert all(-1 <= x <= width + 1 for x in places), path
    assert "nan" not in svg
    assert "inf" not in svg


@given(st.lists(intervals, min_size=1, max_size=6))
def test_a_fitted_axis_is_symmetric_has_zero_and_a_tick_on_each_side(changes: list[Interval]):
    axis = Axis.fitting(changes)
    assert axis.low == -axis.high
    assert 0 < axis.distance <= axis.high


@given(intervals)
def test_one_interval_fits_whole(change: Interval):
    for axis in (Axis.fitting([change]), Axis.spanning([change])):
        assert axis.holds(change.lower)
        assert axis.holds(change.upper)
        assert axis.holds(0)


def test_a_giant_does_not_flatten_the_rest():
    rest = [Interval(0.01 * n, 0.01 * n - 0.02, 0.01 * n + 0.02) for n in range(5)]
    assert Axis.fitting([*rest, Interval(3.0, -40.0, 46.0)]) == Axis.fitting(rest)
    assert Axis.fitting(rest, margins=[9.0]) == Axis.fitting(rest)
    assert Axis.fitting(rest, margins=[-0.1]).low <= -0.1


@pytest.mark.parametrize(
    "changes",
    [
        [Interval(0.092, 0.06, 0.126), Interval(0.098, 0.056, 0.143), Interval(0.0, -0.009, 0.007),
         Interval(0.012, -0.006, 0.03)],
        [Interval(0.043, 0.025, 0.06), Interval(0.004, -0.004, 0.012)],
    ],
    ids=["two that rose beside two that did not", "one of each"],
)  # fmt: skip
def test_who_moved_is_on_the_axis_beside_those_that_did_not(changes: list[Interval]):
    axis = Axis.fitting(changes, [0.02])
    assert all(axis.holds(each.lower) and axis.holds(each.upper) for each in changes)


@given(st.lists(intervals, min_size=1, max_size=9), st.lists(limits, max_size=3))
def test_half_of_the_bars_or_more_are_long_enough_to_read(
    changes: list[Interval], margins: list[float]
):
    axis = Axis.fitting(changes, margins)
    reaches = [max(abs(each.lower), abs(each.upper)) for each in changes]
    moved = [each for each in reaches if each > 0]
    readable = [each for each in moved if each / axis.high * 160 > 11]  # pixels from zero
    assert 2 * len(readable) >= len(moved)


def test_an_axis_without_anything_to_show_is_still_one():
    assert Axis.fitting([]) == Axis.fitting([Interval(0.0, 0.0, 0.0)])
    assert Axis.fitting([]).high == pytest.approx(0.06)
    assert Axis.fitting([], [0.02]).holds(0.02)


def labels(svg: str) -> list[str]:
    return [each.text or "" for each in parsed(svg).iter(f"{NS}text")]


def test_labels_are_thinned_where_there_is_no_room():
    axis = Axis(-0.08, 0.08, 0.02)
    space = "\N{NO-BREAK SPACE}"
    wide = labels(axis_row(axis, 420))
    assert wide == [
        f"{v}{space}%" if v != "0" else v for v in ("−6", "−4", "−2", "0", "+2", "+4", "+6")
    ]
    assert labels(axis_row(axis, 190)) == [f"−4{space}%", "0", f"+4{space}%"]
    tens = Axis(-0.175, 0.175, 0.05)  # in the report the same labels stand in 220 pixels
    assert labels(axis_row(tens, 320)) == [f"−10{space}%", "0", f"+10{space}%"]


@pytest.mark.parametrize(
    ("unit", "label"), [(Unit.PERCENT, "+5 %"), (Unit.POINTS, "+5 pts"), (Unit.PLAIN, "+0.05")]
)
def test_units(unit: Unit, label: str):
    svg = axis_row(Axis(-0.1, 0.1, 0.05, unit), 320)
    assert label.replace(" ", "\N{NO-BREAK SPACE}") in labels(svg)


@pytest.mark.parametrize(
    "name",
    [
        "<script>alert(1)</script>",
        "\"quoted\" & 'so'",
        "\u202eevil\u202d",
        "\u05d0\u05d1\u05d2",
        "x" * 200,
        "a\x00b\x1b",
    ],
)
def test_a_title_is_text_whatever_it_says(name: str):
    root = parsed(draw(Interval(0.0, -0.05, 0.05), title=name))
    title = root.find(f"{NS}title")
    assert title is not None
    kept = (title.text or "").strip("\u2068\u2069")
    assert kept == name.replace("\x00", " ").replace("\x1b", "").strip()
    assert not list(title)


def test_thousands_of_rows_are_drawn_in_about_a_second():
    changes = [Interval(0.001 * n, 0.001 * n - 0.01, 0.001 * n + 0.01) for n in range(80)]
    axis = Axis.fitting(changes, [0.02])
    start = time.process_time()
    for _ in range(10):
        for change in changes:
            row(change, axis, tone=Tone.FLAT, margin=0.02, title="Searches per client-day")
    assert time.process_time() - start < 0.5  # a tenth of 8,000; measured 0.04
