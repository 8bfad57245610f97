"""Time as an experiment sees it: days since enrollment, and the periods results are given for."""

from __future__ import annotations

import enum
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Window:
    """Days [start, stop) since a unit's own enrollment; day 0 is the enrollment date.

    A window lies before enrollment or after it, never across.

    >>> Window(0, 7).days
    7
    """

    start: int
    stop: int

    def __post_init__(self) -> None:
        if self.stop <= self.start:
            raise ValueError(f"window [{self.start}, {self.stop}) is empty")
        if self.start < 0 < self.stop:
            raise ValueError(f"window [{self.start}, {self.stop}) crosses the enrollment date")

    @property
    def days(self) -> int:
        """Length in days."""
        return self.stop - self.start

    @property
    def last(self) -> int:
        """The last day in the window (Jetstream's `analysis_window_end`)."""
        return self.stop - 1


class WindowsFrom(enum.StrEnum):
    """What windows are computed from: the rows of all their days, or each day's, merged."""

    ROWS = "direct"
    UNIT_DAYS = "incremental"


class Period(enum.StrEnum):
    """A kind of window that results are given for; the value is its name in tables."""

    DAY = "day"
    WEEK = "week"
    DAYS28 = "days28"
    OVERALL = "overall"
    PREENROLLMENT_WEEK = "preenrollment_week"
    PREENROLLMENT_DAYS28 = "preenrollment_days28"

    @property
    def config_key(self) -> str:
        """The name of the metric list under `[metrics]` in a configuration file.

        >>> Period.DAYS28.config_key
        '28_day'
        """
        return "28_day" if self is Period.DAYS28 else self.suffix

    @property
    def suffix(self) -> str:
        """The name in view and file names.

        >>> [Period.DAY.suffix, Period.PREENROLLMENT_WEEK.suffix]
        ['daily', 'preenrollment_weekly']
        """
        return _SUFFIXES.get(self, self.value)

    @property
    def length(self) -> int | None:
        """Days in each window; None for `overall`, whose length is the experiment's."""
        return _LENGTHS[self]

    @property
    def is_preenrollment(self) -> bool:
        """Whether the windows lie before enrollment."""
        return self in {Period.PREENROLLMENT_WEEK, Period.PREENROLLMENT_DAYS28}


_SUFFIXES = {
    Period.DAY: "daily",
    Period.WEEK: "weekly",
    Period.PREENROLLMENT_WEEK: "preenrollment_weekly",
}
_LENGTHS = {
    Period.DAY: 1,
    Period.WEEK: 7,
    Period.DAYS28: 28,
    Period.OVERALL: None,
    Period.PREENROLLMENT_WEEK: 7,
    Period.PREENROLLMENT_DAYS28: 28,
}
