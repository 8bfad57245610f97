"""Numbers in words: what is said is what is meant, whatever the number."""

from __future__ import annotations

import re
from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from sonde.pages import words
from sonde.pages.interval import Interval
from sonde.pages.words import MINUS, NBSP

finite = st.floats(-1e300, 1e300)
usual = st.floats(-1000, 1000)


def parsed(text: str) -> float:
    return float(text.replace(NBSP, "").replace(MINUS, "-").replace("%", "").replace("+", ""))


@given(usual, st.integers(0, 3))
def test_a_percentage_is_rounded_and_nothing_else(fraction: float, digits: int):
    assert abs(parsed(words.percent(fraction, digits)) - 100 * fraction) <= 0.51 * 10**-digits


@given(finite)
def test_a_percentage_is_short(fraction: float):
    text = words.percent(fraction)
    assert len(text) < 20
    assert "inf" not in text
    assert (MINUS in text) == (fraction < 0 and re.search("[1-9]", text) is not None)


@given(finite)
def test_a_number_keeps_its_size_and_sign(value: float):
    text = words.number(value)
    assert len(text) < 25
    assert abs(parsed(text) - value) <= 0.006 * abs(value)


@given(st.tuples(usual, usual, usual).map(sorted))
def test_an_interval_that_excludes_zero_never_reads_as_if_it_held_it(three: list[float]):
    """A limit that is not 0 is not printed as 0, unless it is nearer to it than 0.005 %."""
    change = Interval(three[1], three[0], three[2])
    low, high = words.span(change).split(" to ")
    for limit, text in ((change.lower, low), (change.upper, high)):
        if abs(limit) > 0.00005:
            assert parsed(text) != 0
            assert (parsed(text) > 0) == (limit > 0)


@given(st.integers(-(10**12), 10**12))
def test_counts_are_exact(number: int):
    assert parsed(words.count(number)) == number


@given(st.dates(date(1999, 1, 1), date(2099, 1, 1)))
def test_days_are_read_back(when: date):
    text = words.day(when, year=True).replace(NBSP, " ").split(" ")
    assert (int(text[0]), int(text[2])) == (when.day, when.year)


@given(st.lists(st.text(min_size=1), min_size=1, max_size=4))
def test_every_name_is_listed(names: list[str]):
    assert all(name in words.listed(names) for name in names)
