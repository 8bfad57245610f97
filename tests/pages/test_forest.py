"""Rows of key metrics: what a reader gets of a number that is far out."""

from __future__ import annotations

import re
from dataclasses import replace

from sonde.pages.forest import Choice, ForestRow, Forests
from sonde.pages.results import Results, Window
from tests.pages.test_hostile import material, rows
from tests.pages.test_verdict import plain

BRANCHES = ("controlx", "treatmentx")


def key_rows(point: float, lower: float, upper: float) -> list[ForestRow]:
    """A primary metric with a relative change, and a guardrail of -1 % to +20 %."""
    found = []
    for row in rows("x", BRANCHES, [Window("overall", 1)]):
        is_it = row[4] == "ax" and row[7] == "relative_uplift"
        found.append((*row[:10], point, lower, upper, *row[13:]) if is_it else row)
    shown = replace(material("x"), results=Results.of(found, {}))
    return Forests(shown, Choice(shown.cell, BRANCHES[0])).key_metrics().rows


def ends(row: ForestRow) -> tuple[float, float]:
    """Where its bar begins and ends, in pixels of 320."""
    (bar,) = re.findall(r'<path d="M([\d.]+) [\d.]+H([\d.]+)v10', row.drawing)
    return float(bar[0]), float(bar[1])


def test_a_giant_is_an_arrowhead_with_its_numbers_and_the_other_row_stays_as_it_was():
    giant, other = key_rows(30.0, 29.0, 31.0)
    assert "L320 23l-8 7z" in giant.drawing
    assert plain(giant.value) == "+2 900.0 % to +3 100.0 %"
    assert plain(giant.small) == "+3 000.0 %"
    low, high = ends(other)
    assert high - low > 100
    assert "l-8 7z" not in other.drawing


def test_an_interval_that_says_nothing_leaves_on_both_sides():
    giant, other = key_rows(0.5, -40.0, 45.0)
    assert {"L0 23l8 7z", "L320 23l-8 7z"} <= set(re.findall(r"L\d+ 23l-?8 7z", giant.drawing))
    assert plain(giant.value) == "−4 000.0 % to +4 500.0 %"
    assert ends(other)[1] - ends(other)[0] > 100


def test_what_is_a_few_times_as_far_out_is_drawn_whole():
    far, other = key_rows(1.0, 0.8, 1.2)
    assert "l-8 7z" not in far.drawing
    assert ends(other)[1] - ends(other)[0] > 20
