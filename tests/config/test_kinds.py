"""Kinds of value: what is taken, what is taken with a complaint, what is refused."""

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.config import kinds
from sonde.experiment import EnrollmentsQueryType
from sonde.metric import AnalysisBasis, WindowLimit


@pytest.mark.parametrize(
    ("kind", "written", "value"),
    [
        (kinds.text, "a", "a"),
        (kinds.flag, False, False),
        (kinds.whole(), -28, -28),
        (kinds.number, 0.005, 0.005),
        (kinds.day, "2021-07-01", datetime.date(2021, 7, 1)),
        (kinds.day, datetime.date(2021, 7, 1), datetime.date(2021, 7, 1)),
        (kinds.names, ["a", "b"], ("a", "b")),
        (kinds.names, [], ()),
        (kinds.name_or_names, "a", ("a",)),
        (kinds.choice(EnrollmentsQueryType), "glean-event", EnrollmentsQueryType.GLEAN_EVENT),
        (kinds.choices(AnalysisBasis), ["exposures"], (AnalysisBasis.EXPOSURES,)),
        (kinds.word("simple", "none"), "None", "none"),
        (kinds.window_limit, 7, 7),
        (kinds.window_limit, "enrollment_end", WindowLimit.ENROLLMENT_END),
        (kinds.text_or_table, {"a": "1"}, {"a": "1"}),
    ],
)
def test_taken(kind, written, value):
    assert kind(written) == kinds.Taken(value)


@pytest.mark.parametrize(
    ("kind", "written", "value", "complaint"),
    [
        (kinds.whole(1, 100), 3.0, 3, "expected a whole number; write 3"),
        (kinds.whole(), "7", 7, "expected a whole number; write 7 without quotes"),
        (kinds.window_limit, "-7", -7, "expected a whole number; write -7 without quotes"),
        (kinds.text, 12, "12", 'expected text; write "12"'),
        (kinds.name, " ", None, "is empty; leave the key out"),
        (kinds.day, "", None, "is empty; leave the key out"),
        (kinds.choices(AnalysisBasis), [], None, "is empty; leave the key out"),
        (kinds.text_or_table, {"a": 1}, {"a": "1"}, 'a: expected text; write "1"'),
    ],
)
def test_taken_with_a_complaint(kind, written, value, complaint):
    assert kind(written) == kinds.Taken(value, complaint)


@pytest.mark.parametrize(
    ("kind", "written", "message"),
    [
        (kinds.flag, "false", 'expected true or false, not the text "false"'),
        (kinds.flag, 1, "expected true or false, not the number 1"),
        (kinds.whole(), 3.7, "expected a whole number, not the number 3.7"),
        (kinds.whole(), True, "expected a whole number, not true"),
        (kinds.whole(1, 100), 0, "expected 1 to 100, not 0"),
        (kinds.whole(0), -1, "expected 0 or more, not -1"),
        (kinds.text, ["a"], "expected text in quotes, not a list"),
        (kinds.text, True, "expected text in quotes, not true"),
        (kinds.names, "a", 'expected a list of names, not the text "a"'),
        (kinds.names, [1], "expected a list of names, not a list"),
        (kinds.day, "01.07.2021", '"01.07.2021" is not a date; write YYYY-MM-DD'),
        (kinds.day, "2021-02-30", '"2021-02-30" is not a date; write YYYY-MM-DD'),
        (kinds.day, datetime.datetime(2021, 7, 1), "expected a date, not a time"),  # noqa: DTZ001
        (kinds.day, 20210701, "expected a date, not the number 20210701"),
        (
            kinds.choice(EnrollmentsQueryType),
            "glean_event",
            'unknown word "glean_event"; did you mean "glean-event"?',
        ),
        (kinds.choices(AnalysisBasis), ["exposure"], 'did you mean "exposures"?'),
        (kinds.word("simple", "none"), "nativ", 'unknown word "nativ"; expected one of'),
        (kinds.window_limit, "invalid", 'unknown word "invalid"; expected one of'),
        (kinds.number, "1", 'expected a number, not the text "1"'),
        (kinds.table, [], "expected a table, not a list"),
        (kinds.table_of_tables, {"mean": 1}, '"mean" is the number 1; expected a table'),
        (kinds.text_or_table, {"a": []}, "expected text in quotes, not a list"),
    ],
)
def test_refused(kind, written, message):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        kind(written)
    assert message in str(refusal.value)


@given(st.integers(-(10**6), 10**6))
def test_the_ways_to_write_a_whole_number_mean_the_same(number):
    assert kinds.whole()(number).value == kinds.whole()(float(number)).value == number
    assert kinds.whole()(str(number)).value == number


@given(st.floats().filter(lambda number: not number.is_integer()))
def test_a_fraction_is_no_whole_number(number):
    with pytest.raises(ValueError, match="expected a whole number"):
        kinds.whole()(number)
