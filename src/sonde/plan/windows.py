"""Which windows of an experiment can be computed, and from which days of data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from sonde.window import Period, Window


@dataclass(frozen=True)
class DueWindow:
    """A window that has all its data for the units enrolled in [first, last] enrollment date.

    index: from 1 within the period. partial: further units may still come to have the whole
    window, so the result is not the window's last word.
    """

    period: Period
    index: int
    window: Window
    first_enrollment: date
    last_enrollment: date
    partial: bool = False

    @property
    def first_data(self) -> date:
        """First day of data that any unit needs."""
        return self.first_enrollment + timedelta(days=self.window.start)

    @property
    def last_data(self) -> date:
        """Last day of data that any unit needs."""
        return self.last_enrollment + timedelta(days=self.window.last)

    @property
    def label(self) -> str:
        """`week_1`: as in table names and logs."""
        return f"{self.period.value}_{self.index}"


class NotEnoughDataError(ValueError):
    """The data end before the first window does. The message names the date to wait for."""


def single_window(
    first_enrollment: date, last_full: date, window: Window, enrollment_dates: int | None = None
) -> DueWindow:
    """One window over the data up to `last_full`, the last complete day.

    enrollment_dates: number of dates on which units enroll; None: as many as have the whole window.

    >>> day = date(2019, 1, 1)
    >>> due = single_window(day, date(2019, 1, 14), Window(7, 8))
    >>> str(due.last_enrollment), str(due.first_data)
    ('2019-01-07', '2019-01-08')
    """
    if enrollment_dates is None:
        last = last_full - timedelta(days=window.last)
        if last < first_enrollment:
            raise NotEnoughDataError(
                f"not enough data: wait until {first_enrollment + timedelta(days=window.last)}"
            )
    else:
        last = first_enrollment + timedelta(days=enrollment_dates - 1)
        if last + timedelta(days=window.last) > last_full:
            raise NotEnoughDataError(
                f"not enough data: wait until {last + timedelta(days=window.last)}"
            )
    return DueWindow(Period.OVERALL, 1, window, first_enrollment, last)


def window_series(
    period: Period, first_enrollment: date, last_full: date, enrollment_dates: int
) -> tuple[DueWindow, ...]:
    """Every complete window of a period with windows of equal length, from day 0.

    >>> [d.window for d in window_series(Period.WEEK, date(2019, 1, 1), date(2019, 1, 14), 8)]
    [Window(start=0, stop=7)]
    """
    days = period.length
    if days is None or period.is_preenrollment:
        raise ValueError(f"{period.value} is not a series of windows")
    last = first_enrollment + timedelta(days=enrollment_dates - 1)
    count = ((last_full - last).days + 1) // days
    if count < 1:
        raise NotEnoughDataError(f"insufficient data: wait until {last + timedelta(days=days - 1)}")
    return tuple(
        DueWindow(period, n, Window((n - 1) * days, n * days), first_enrollment, last)
        for n in range(1, count + 1)
    )


@dataclass(frozen=True)
class Schedule:
    """The dates that decide what is due. last_enrollment: the last date on which one counts.

    end: the day on which units left; None: they have not.
    """

    start: date
    last_enrollment: date
    end: date | None = None


def due_windows(
    schedule: Schedule, as_of: date, periods: Iterable[Period]
) -> tuple[DueWindow, ...]:
    """All windows with data by `as_of`, the last complete day: complete ones, and at most one
    partial one a period, for those units that already have the whole of it.

    A series ends with the experiment. `overall` is complete once the experiment has ended; until
    then it is partial and grows by a day each day. Pre-enrollment windows are complete the day
    after the last enrollment date.

    >>> schedule = Schedule(date(2019, 12, 1), date(2019, 12, 8), date(2020, 3, 1))
    >>> [d.label for d in due_windows(schedule, date(2019, 12, 14), Period) if not d.partial]
    ['day_1', 'day_2', 'day_3', 'day_4', 'day_5', 'day_6', 'day_7', 'week_1', \
'preenrollment_week_1', 'preenrollment_days28_1']
    """
    wanted = set(periods)
    return tuple(
        due
        for period in Period
        if period in wanted and as_of >= schedule.start
        for due in _due(schedule, as_of, period)
    )


def _due(schedule: Schedule, as_of: date, period: Period) -> Iterator[DueWindow]:
    if period is Period.OVERALL:
        yield from _overall(schedule, as_of)
    elif period.is_preenrollment:
        yield from _preenrollment(schedule, as_of, period)
    else:
        yield from _series(schedule, as_of, period)


def _series(schedule: Schedule, as_of: date, period: Period) -> Iterator[DueWindow]:
    days = period.length
    assert days is not None
    until = as_of if schedule.end is None else min(as_of, schedule.end)
    complete = max(0, ((until - schedule.last_enrollment).days + 1) // days)
    for n in range(1, complete + 1):
        window = Window((n - 1) * days, n * days)
        yield DueWindow(period, n, window, schedule.start, schedule.last_enrollment)
    window = Window(complete * days, (complete + 1) * days)
    completes = schedule.last_enrollment + timedelta(days=window.last)
    if schedule.end is not None and completes > schedule.end:
        return
    last = as_of - timedelta(days=window.last)
    if schedule.start <= last < schedule.last_enrollment:
        yield DueWindow(period, complete + 1, window, schedule.start, last, partial=True)


def _overall(schedule: Schedule, as_of: date) -> Iterator[DueWindow]:
    ended = schedule.end is not None and as_of >= schedule.end
    # The end date itself does not count: units leave during it.
    last_day = schedule.end - timedelta(days=1) if ended and schedule.end is not None else as_of
    days = (last_day - schedule.last_enrollment).days + 1
    if days >= 1:
        window = Window(0, days)
        yield DueWindow(
            Period.OVERALL, 1, window, schedule.start, schedule.last_enrollment, not ended
        )


def _preenrollment(schedule: Schedule, as_of: date, period: Period) -> Iterator[DueWindow]:
    days = period.length
    assert days is not None
    partial = as_of <= schedule.last_enrollment
    last = min(as_of, schedule.last_enrollment)
    yield DueWindow(period, 1, Window(-days, 0), schedule.start, last, partial)
