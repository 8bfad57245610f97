"""Which windows are due: the numbers of the experiment analysis that sonde succeeds."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.plan.windows import (
    DueWindow,
    NotEnoughDataError,
    Schedule,
    due_windows,
    single_window,
    window_series,
)
from sonde.window import Period, Window

FIRST = date(2019, 1, 1)


def january(day: int) -> date:
    return date(2019, 1, day)


@pytest.mark.parametrize(
    ("last_full", "window", "dates", "last_enrollment", "first_data", "last_data"),
    [
        (january(14), Window(0, 14), None, january(1), january(1), january(14)),
        (january(14), Window(0, 7), 8, january(8), january(1), january(14)),
        (january(14), Window(0, 2), 8, january(8), january(1), january(9)),
        (january(14), Window(0, 1), None, january(14), january(1), january(14)),
        (january(14), Window(7, 8), None, january(7), january(8), january(14)),
    ],
)
def test_single_window(
    last_full: date,
    window: Window,
    dates: int | None,
    last_enrollment: date,
    first_data: date,
    last_data: date,
) -> None:
    due = single_window(FIRST, last_full, window, dates)
    assert due.last_enrollment == last_enrollment
    assert (due.first_data, due.last_data) == (first_data, last_data)


@pytest.mark.parametrize(
    ("first", "last_full", "window", "dates", "wait_until"),
    [
        (FIRST, january(14), Window(0, 14), 8, "2019-01-21"),
        (FIRST, january(14), Window(0, 15), None, "2019-01-15"),
        (FIRST, january(14), Window(0, 8), 8, "2019-01-15"),
        (date(2020, 3, 3), date(2020, 3, 23), Window(0, 21), 8, "2020-03-30"),
    ],
)
def test_a_window_without_data_names_the_date_to_wait_for(
    first: date, last_full: date, window: Window, dates: int | None, wait_until: str
) -> None:
    with pytest.raises(NotEnoughDataError, match=wait_until):
        single_window(first, last_full, window, dates)


@pytest.mark.parametrize(
    ("period", "last_full", "windows", "last_data"),
    [
        (Period.DAY, january(14), [Window(n, n + 1) for n in range(7)], january(14)),
        (Period.WEEK, january(14), [Window(0, 7)], january(14)),
        (Period.WEEK, january(15), [Window(0, 7)], january(14)),
        (Period.DAYS28, date(2019, 2, 15), [Window(0, 28)], date(2019, 2, 4)),
        (
            Period.WEEK,
            date(2019, 3, 1),
            [Window(7 * n, 7 * n + 7) for n in range(7)],
            date(2019, 2, 25),
        ),
    ],
)
def test_series(period: Period, last_full: date, windows: list[Window], last_data: date) -> None:
    series = window_series(period, FIRST, last_full, 8)
    assert [due.window for due in series] == windows
    assert [due.index for due in series] == list(range(1, len(windows) + 1))
    assert series[-1].last_data == last_data
    assert series[0].first_data == FIRST


def test_a_series_without_a_whole_window() -> None:
    with pytest.raises(NotEnoughDataError, match="insufficient data"):
        window_series(Period.WEEK, FIRST, january(13), 8)


@pytest.mark.parametrize("limits", [(-1, 2), (5, 5), (5, 4)])
def test_windows_that_cannot_be(limits: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=r"crosses|empty"):
        Window(*limits)


def test_windows_that_can_be() -> None:
    assert (Window(-2, 0).last, Window(5, 6).last) == (-1, 5)


# An experiment from 2019-12-01, with enrollment to 2019-12-07, that ends 2020-03-01.
START = date(2019, 12, 1)
EXPERIMENT = Schedule(START, START + timedelta(days=7), date(2020, 3, 1))
RUNNING = Schedule(START, START + timedelta(days=7), None)


def complete(schedule: Schedule, as_of: date) -> dict[Period, list[DueWindow]]:
    found: dict[Period, list[DueWindow]] = {}
    for due in due_windows(schedule, as_of, Period):
        if not due.partial:
            found.setdefault(due.period, []).append(due)
    return found


@pytest.mark.parametrize(
    ("days", "periods"),
    [
        (0, set()),
        (2, set()),
        (7, {Period.DAY}),
        (8, {Period.DAY, Period.PREENROLLMENT_WEEK, Period.PREENROLLMENT_DAYS28}),
        (
            13,
            {Period.DAY, Period.WEEK, Period.PREENROLLMENT_WEEK, Period.PREENROLLMENT_DAYS28},
        ),
        (34, set(Period) - {Period.OVERALL}),
    ],
)
def test_the_first_windows(days: int, periods: set[Period]) -> None:
    newest = complete(EXPERIMENT, START + timedelta(days=days))
    assert set(newest) - {Period.WEEK} == periods - {Period.WEEK}
    assert (Period.WEEK in newest) == (days >= 13)


def test_overall_is_complete_when_the_experiment_has_ended() -> None:
    assert Period.OVERALL not in complete(EXPERIMENT, date(2020, 2, 29))
    (overall,) = complete(EXPERIMENT, date(2020, 3, 1))[Period.OVERALL]
    assert overall.window == Window(0, 84)
    assert overall.last_data == date(2020, 2, 29), "the end date itself does not count"
    assert complete(EXPERIMENT, date(2020, 3, 9))[Period.OVERALL] == [overall]


def test_overall_of_a_running_experiment_is_partial_and_grows_every_day() -> None:
    for day in (date(2020, 3, 1), date(2020, 3, 2)):
        (due,) = due_windows(RUNNING, day, [Period.OVERALL])
        assert due.partial
        assert due.last_data == day
        assert due.window.days == (day - EXPERIMENT.last_enrollment).days + 1


def test_window_lengths() -> None:
    found = complete(EXPERIMENT, date(2020, 3, 1))
    lengths = {period: due[0].window.days for period, due in found.items()}
    assert lengths == {
        Period.DAY: 1,
        Period.WEEK: 7,
        Period.DAYS28: 28,
        Period.OVERALL: 84,
        Period.PREENROLLMENT_WEEK: 7,
        Period.PREENROLLMENT_DAYS28: 28,
    }


def test_missed_days_leave_no_hole() -> None:
    """A run after a pause has every window that daily runs would have given."""
    daily: set[DueWindow] = set()
    for day in range(60):
        daily |= {
            d for dues in complete(EXPERIMENT, START + timedelta(days=day)).values() for d in dues
        }
    at_once = {
        d for dues in complete(EXPERIMENT, START + timedelta(days=59)).values() for d in dues
    }
    assert at_once == daily


def test_while_enrollment_is_open_results_are_partial() -> None:
    due = due_windows(EXPERIMENT, START + timedelta(days=3), Period)
    assert [(d.label, d.last_enrollment) for d in due] == [
        ("day_1", START + timedelta(days=3)),
        ("preenrollment_week_1", START + timedelta(days=3)),
        ("preenrollment_days28_1", START + timedelta(days=3)),
    ]
    assert all(d.partial for d in due)


schedules = st.builds(
    lambda period, length: Schedule(
        START, START + timedelta(days=period), length and START + timedelta(days=period + length)
    ),
    st.integers(1, 20),
    st.one_of(st.none(), st.integers(1, 80)),
)


@given(schedules, st.integers(-3, 120))
def test_no_window_needs_data_that_are_not_there(schedule: Schedule, days: int) -> None:
    as_of = START + timedelta(days=days)
    for due in due_windows(schedule, as_of, Period):
        assert due.last_data <= as_of
        assert schedule.start <= due.last_enrollment <= schedule.last_enrollment
        if schedule.end is not None:
            assert due.last_data <= max(schedule.end, schedule.last_enrollment)


@given(schedules, st.integers(0, 119))
def test_a_complete_window_stays_as_it_is(schedule: Schedule, days: int) -> None:
    today = {d for dues in complete(schedule, START + timedelta(days=days)).values() for d in dues}
    later = {
        d for dues in complete(schedule, START + timedelta(days=days + 1)).values() for d in dues
    }
    assert today <= later


@given(schedules, st.integers(0, 120))
def test_at_most_one_partial_window_a_period(schedule: Schedule, days: int) -> None:
    due = due_windows(schedule, START + timedelta(days=days), Period)
    partial = [d.period for d in due if d.partial]
    assert len(partial) == len(set(partial))
