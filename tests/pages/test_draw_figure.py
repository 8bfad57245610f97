"""The larger charts: the same geometry as Vega's, the same numbers as their tables."""

from __future__ import annotations

import math
import re
import subprocess
import sys
import time
import xml.etree.ElementTree as ET
from datetime import date, timedelta
from importlib import resources
from itertools import pairwise

import pytest
import vl_convert
from hypothesis import example, given
from hypothesis import strategies as st

from sonde.pages.draw import figure, paint
from sonde.pages.draw.figure import Figure
from sonde.pages.draw.plot import Band, Line
from sonde.pages.draw.text import shorten, width
from sonde.pages.draw.vega import LIGHT
from sonde.pages.interval import Interval, Tone
from tests.pages import sample

NS = "{http://www.w3.org/2000/svg}"
Points = list[tuple[float, float]]
TITLES = {"title": "searches", "note": "note"}


def parsed(svg: str) -> ET.Element:
    return ET.fromstring(svg.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))


def points(d: str) -> Points:
    numbers = [float(each) for each in re.findall(r"-?\d+(?:\.\d+)?", d)]
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def inner(svg: str) -> tuple[float, float, float]:
    """Left, bottom and width of the area within the axes, from the grid."""
    lines = re.findall(r"M([\d.]+) ([\d.]+)h([\d.]+)", svg)
    return float(lines[0][0]), max(float(line[1]) for line in lines), float(lines[0][2])


def drawn(each: Figure, svg: str) -> list[Points]:
    """The lines and bands of a figure relative to its inner area."""
    left, bottom, _ = inner(svg)
    top = bottom - each.plot.height
    root = parsed(svg)
    found = []
    for path in root.iter(f"{NS}path"):
        d = path.get("d", "")
        if re.fullmatch(r"M[\d. -]+z?", d) and len(points(d)) > 2:
            found.append([(x - left, y - top) for x, y in points(d)])
    return found


def vegas(each: Figure, inner_width: float) -> list[Points]:
    svg = vl_convert.vegalite_to_svg(each.chart(round(inner_width)).to_dict())
    scale = inner_width / round(inner_width)
    shapes = [
        points(path.get("d", ""))
        for group in ET.fromstring(svg).iter(f"{NS}g")
        if re.search("mark-(line|area)", group.get("class", ""))
        for path in group.iter(f"{NS}path")
    ]
    return [[(x * scale, y) for x, y in shape] for shape in shapes if len(shape) > 2]


@pytest.mark.parametrize(
    "each", [*sample.figures(), sample.small()[1]], ids=lambda each: each.title[:20]
)
def test_lines_and_bands_lie_where_vega_draws_them(each: Figure):
    marks = [mark for mark in each.plot.marks if isinstance(mark, Line | Band)]
    ours = drawn(each, each.wide)
    theirs = vegas(each, inner(each.wide)[2])
    assert len(ours) == len(theirs) == len(marks)
    for mine, other in zip(ours, theirs, strict=True):
        if len(other) <= 60:  # of more, some are left out
            assert len(mine) == len(other)
        for x, y in mine:
            assert min(math.hypot(x - a, y - b) for a, b in other) < 0.15


def test_what_is_left_out_of_a_long_line_lies_on_it():
    line: Points = [(n * 0.5, 100 + 60 * math.sin(n / 40)) for n in range(900)]
    few = paint.simplified(line)
    assert len(few) < len(line) / 5
    for x, y in line:
        (x0, y0), (x1, y1) = next((a, b) for a, b in pairwise(few) if a[0] <= x <= b[0])
        off = abs((x1 - x0) * (y - y0) - (y1 - y0) * (x - x0))
        assert off / math.hypot(x1 - x0, y1 - y0) < 0.21


@given(st.lists(st.floats(0, 300), min_size=1, max_size=6))
def test_names_beside_lines_never_touch_and_keep_their_order(heights: list[float]):
    placed = paint.apart(heights, 0.0, 300.0)
    ordered = [place for _, place in sorted(zip(heights, placed, strict=True))]
    assert sorted(placed) == sorted(ordered)
    gaps = [b - a for a, b in zip(sorted(placed), sorted(placed)[1:], strict=False)]
    assert all(gap >= 13.999 for gap in gaps)


limits = st.floats(-1e9, 1e9) | st.sampled_from([math.inf, -math.inf, math.nan, 0.0])
intervals = st.builds(Interval, limits, limits, limits)


def numbers_in(each: Figure) -> list[float]:
    text = re.sub(r"<(title|desc|text)[^>]*>[^<]*</", "</", each.wide + each.narrow)
    assert "nan" not in text
    assert "inf" not in text
    return [float(n) for n in re.findall(r"[ M](-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)", text)]


@given(st.lists(intervals, max_size=5), st.none() | limits, st.booleans())
@example(changes=[], margin=5e-324, small=False)
def test_whatever_the_numbers_a_chart_over_time_stays_on_its_sheet(
    changes: list[Interval], margin: float | None, small: bool
):
    labelled = [(f"week {n}", each) for n, each in enumerate(changes)]
    each = figure.over_time(labelled, **TITLES, tone=Tone.FLAT, margin=margin, small=small)
    assert all(-60 <= value <= 600 for value in numbers_in(each))
    assert len(each.rows) == len(changes)


@given(st.lists(intervals, max_size=4))
@example(levels=[Interval(0.0, 0.0, 5e-324)])
def test_whatever_the_numbers_levels_and_quantiles_stay_on_their_sheets(levels: list[Interval]):
    labelled = [(f"week {n}", each) for n, each in enumerate(levels)]
    both = {"control": labelled, "treatment": labelled[::-1]}
    quantiles = [(n / 10, each) for n, each in enumerate(levels, start=1)]
    for each in (
        figure.branches_over_time(both, control="control", **TITLES, label="searches"),
        figure.quantile_differences(quantiles, **TITLES, label="searches"),
    ):
        assert all(-120 <= value <= 700 for value in numbers_in(each))


@pytest.mark.parametrize(
    "each",
    [
        figure.ecdf({}, control="c", **TITLES, label="x"),
        figure.ecdf({"c": [(0.0, 1.0)]}, control="c", **TITLES, label="x"),
        figure.density({"c": []}, control="c", **TITLES, label="x"),
        figure.per_day([], [], **TITLES),
        figure.per_day([date(2026, 1, 1)], [0], **TITLES),
        figure.split_over_time([], [], [], [], design=0.5, **TITLES),
        figure.split_over_time([date(2026, 1, 1)], [0.4], [0.2], [0.8], design=0.5, **TITLES),
        figure.over_time([], **TITLES, tone=Tone.FLAT),
    ],
)
def test_nothing_or_hardly_anything_is_still_a_figure(each: Figure):
    parsed(each.wide)
    assert all(-120 <= value <= 700 for value in numbers_in(each))


def test_the_table_says_what_the_chart_shows():
    each = sample.figures()[0]
    space = "\N{NO-BREAK SPACE}"
    assert each.header == ("window", "estimate", "lower", "upper")
    assert [row[0] for row in each.rows] == ["week 1", "week 2", "week 3", "week 4"]
    first = figure.over_time([("week 1", Interval(0.037, 0.0003, 0.056))], **TITLES, tone=Tone.GOOD)
    assert first.rows == (("week 1", *(f"{v}{space}%" for v in ("+3.70", "+0.03", "+5.60"))),)


def test_a_table_of_a_long_time_is_short_and_ends_with_the_last_day():
    days = [date(2026, 1, 1) + timedelta(n) for n in range(200)]
    each = figure.per_day(days, list(range(200)), **TITLES)
    assert len(each.rows) <= 40
    assert each.rows[-1][1] == "199"


def test_a_heavy_tail_does_not_take_the_room():
    tail = [(0.0, 0.5), (10.0, 0.99), (1000.0, 1.0)]
    each = figure.ecdf({"control": tail}, control="control", **TITLES, label="searches")
    assert each.plot.x.high == 10.0
    assert "99th percentile" in each.plot.x.title
    even = figure.ecdf(
        {"control": [(0.0, 0.0), (10.0, 1.0)]}, control="control", **TITLES, label="x"
    )
    assert even.plot.x.title == "x"


def test_names_are_text_and_short_in_the_chart():
    each = figure.branches_over_time(
        {sample.HOSTILE: sample.weeks(), "control": sample.weeks()},
        control="control",
        title=sample.HOSTILE,
        note="",
        label=sample.HOSTILE,
    )
    for svg in (each.wide, each.narrow):
        root = parsed(svg)
        assert {element.tag.removeprefix(NS) for element in root.iter()} <= {
            "svg", "title", "desc", "path", "g", "text", "circle"
        }  # fmt: skip
        assert all(len(text.text or "") < 90 for text in root.iter(f"{NS}text"))
        title = root.find(f"{NS}title")
        assert title is not None
        assert sample.HOSTILE.strip() in (title.text or "")  # whole, for whoever hovers


@given(st.text(max_size=60), st.floats(10, 200))
def test_shortened_text_fits(text: str, room: float):
    kept = shorten(text, room, 11)
    assert kept == text or width(kept, 11) <= room


def test_the_same_numbers_are_the_same_bytes():
    first, second = sample.figures(), sample.figures()
    assert [(a.wide, a.narrow, a.rows) for a in first] == [
        (b.wide, b.narrow, b.rows) for b in second
    ]


def test_charts_are_small_and_their_text_is_never_scaled():
    for each in sample.figures():
        assert len(each.wide) < 3600
        for svg, pixels in ((each.wide, figure.WIDE), (each.narrow, figure.NARROW)):
            root = parsed(svg)
            assert root.get("width") == str(pixels)
            assert root.get("viewBox") == f"0 0 {pixels} {root.get('height')}"
            sizes = {e.get("font-size") for e in root.iter() if e.get("font-size")}
            assert sizes <= {"11", "11.5"}


def test_thousands_of_figures_are_drawn_in_seconds():
    deciles = [(n / 10, sample.around(0.01 * n, 0.02)) for n in range(1, 10)]
    start = time.process_time()
    for _ in range(40):
        figure.over_time(sample.weeks(), **TITLES, tone=Tone.GOOD)
        figure.quantile_differences(deciles, **TITLES, label="searches")
    assert time.process_time() - start < 80 * 0.012  # measured: 0.001 a figure, both widths


def test_colours_are_the_stylesheets():
    css = resources.files("sonde.pages").joinpath("assets/sonde.css").read_text(encoding="utf-8")
    light = dict(re.findall(r"--([a-z0-9-]+): ([^;]+);", css.split("@media")[0]))
    assert {name: light[name] for name in LIGHT} == LIGHT
    used = {
        name for each in sample.figures() for name in re.findall(r"var\(--([a-z-]+)\)", each.wide)
    }
    assert used <= set(light)


def test_drawing_does_not_import_altair():
    code = (
        "import sys; import sonde.pages.draw.figure; "
        "print({'altair', 'vl_convert', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
