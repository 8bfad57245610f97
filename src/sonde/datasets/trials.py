"""The demo's experiments as the generator sees them: record and lesson, on a calendar of days."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from datetime import date, timedelta
from importlib import resources

from sonde.config.experiments import parse_record
from sonde.datasets.lessons import LESSONS, Arm, Lesson
from sonde.experiment import ExperimentRecord
from sonde.window import Window

FIRST_DAY = date(2026, 9, 25)
DAYS = 56
LAST_DAY = FIRST_DAY + timedelta(days=DAYS - 1)


def day_number(day: date) -> int:
    """Days since the first day of the telemetry.

    >>> day_number(LAST_DAY)
    55
    """
    return (day - FIRST_DAY).days


@dataclass(frozen=True)
class Trial:
    """One experiment of the demo. Days are numbers since the first day of the telemetry.

    number: its place among the trials, and in the names of the columns about it.
    enrolling: days on which units enroll. counted: days after `start` up to which an enrollment
    counts. stop: the day on which units leave; after the last day when it still runs.
    """

    number: int
    record: ExperimentRecord
    lesson: Lesson
    start: int
    enrolling: int
    counted: int
    stop: int

    @property
    def slug(self) -> str:
        """The experiment's slug."""
        return self.record.slug

    @property
    def branches(self) -> tuple[str, ...]:
        """The slugs of the branches, the control first."""
        return tuple(branch.slug for branch in self.record.branches)

    @property
    def last_enrollment(self) -> int:
        """The last day on which an enrollment counts."""
        return self.start + self.counted

    @property
    def weeks(self) -> int:
        """Whole weeks since enrollment that every unit has behind it when the telemetry ends."""
        known = min(self.stop, DAYS) - self.last_enrollment
        return known // 7

    def windows(self) -> tuple[Window, ...]:
        """Each week, and from enrollment to the end of each later week."""
        weekly = [Window(7 * week, 7 * week + 7) for week in range(self.weeks)]
        to_date = [Window(0, 7 * week + 7) for week in range(1, self.weeks)]
        return (*weekly, *to_date)


@functools.cache
def trials() -> tuple[Trial, ...]:
    """The demo's experiments, in the order of the lessons."""
    text = resources.files("sonde.datasets").joinpath("demo", "experiments.json").read_text("utf-8")
    records = {record.slug: record for record in map(parse_record, json.loads(text))}
    return tuple(
        _trial(number, records[lesson.slug], lesson) for number, lesson in enumerate(LESSONS)
    )


def trial(slug: str) -> Trial:
    """The experiment with the slug."""
    return next(candidate for candidate in trials() if candidate.slug == slug)


def number_of(arm: Arm) -> tuple[int, int]:
    """An arm as the number of its experiment and the number of its branch."""
    found = trial(arm.experiment)
    return found.number, found.branches.index(arm.branch)


def _trial(number: int, record: ExperimentRecord, lesson: Lesson) -> Trial:
    if record.start_date is None:
        raise ValueError(f"{record.slug} has no start date")
    start = day_number(record.start_date)
    if record.enrollment_end_date is None:
        enrolling = record.proposed_enrollment or 0
    else:
        enrolling = day_number(record.enrollment_end_date) - start + 1
    stop = DAYS if record.end_date is None else day_number(record.end_date)
    counted = lesson.enrollment_period or enrolling
    return Trial(number, record, lesson, start, enrolling, counted, stop)
