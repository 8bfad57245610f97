"""Why an experiment cannot be analysed, in words its owner can act on."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import date

from sonde.experiment import Experiment


class Reason(enum.StrEnum):
    """Why there are no results."""

    NO_SLUG = "no slug"
    SKIPPED = "skipped by its configuration"
    HIGH_POPULATION = "high population"
    NO_ENROLLMENT_PERIOD = "no enrollment period"
    NO_START_DATE = "no start date"
    NOT_STARTED = "not started"
    ENDED = "ended"
    ROLLOUT = "rollout"
    NO_BRANCHES = "no branches"
    NO_CONTROL = "no control"
    DATES_OUT_OF_ORDER = "dates out of order"
    ENROLLMENT_TOO_LONG = "enrollment longer than the analysis"
    CONFIGURATION = "configuration"


@dataclass(frozen=True)
class NotAnalysable:
    """An experiment without results. is_fault: somebody has to mend something."""

    slug: str
    reason: Reason
    message: str

    @property
    def is_fault(self) -> bool:
        """Whether the experiment is wrong, rather than left out on purpose or not yet due."""
        return self.reason not in {
            Reason.SKIPPED,
            Reason.ROLLOUT,
            Reason.NOT_STARTED,
            Reason.ENDED,
            Reason.HIGH_POPULATION,
        }

    @property
    def has_page(self) -> bool:
        """Whether somebody would look for its results."""
        return self.is_fault or self.reason is Reason.NOT_STARTED

    def __str__(self) -> str:
        return f"{self.slug} -> {self.message}"


def check(experiment: Experiment, as_of: date) -> NotAnalysable | None:
    """The first reason against analysing `experiment` with data through `as_of`; None: none."""
    found = _reason(experiment, as_of)
    return None if found is None else NotAnalysable(experiment.slug or "?", *found)


def _reason(experiment: Experiment, as_of: date) -> tuple[Reason, str] | None:
    return _left_out(experiment) or _dates(experiment, as_of) or _branches(experiment)


def _left_out(experiment: Experiment) -> tuple[Reason, str] | None:
    record = experiment.record
    if not experiment.slug:
        return Reason.NO_SLUG, "the experiment has no slug; give it one where it is defined"
    if experiment.skip:
        return Reason.SKIPPED, "left out: its configuration says skip = true"
    if record.is_high_population:
        return Reason.HIGH_POPULATION, "left out: marked as high population"
    if record.is_rollout:
        return Reason.ROLLOUT, "left out: a rollout has no control to compare with"
    return None


def _dates(experiment: Experiment, as_of: date) -> tuple[Reason, str] | None:
    start, end, period = experiment.start_date, experiment.end_date, experiment.enrollment_period
    if not period:
        return (
            Reason.NO_ENROLLMENT_PERIOD,
            "no enrollment period: set enrollment_period under [experiment]",
        )
    if period < 0:
        return (
            Reason.DATES_OUT_OF_ORDER,
            f"enrollment ends {-period} days before the start date {start}; correct the dates",
        )
    if start is None:
        return (
            Reason.NO_START_DATE,
            "no start date: launch the experiment, or set start_date under [experiment]",
        )
    if end is not None and end < start:
        return (
            Reason.DATES_OUT_OF_ORDER,
            f"the end date {end} is before the start date {start}; correct one of them",
        )
    if end is not None and (end - start).days < period:
        return (
            Reason.ENROLLMENT_TOO_LONG,
            f"enrollment lasts {period} days, beyond the end date {end}; correct one of them",
        )
    if as_of < start:
        return Reason.NOT_STARTED, f"starts {start}; the data reach {as_of}"
    return None


def _branches(experiment: Experiment) -> tuple[Reason, str] | None:
    slugs = [branch.slug for branch in experiment.branches]
    if not slugs:
        return Reason.NO_BRANCHES, "no branches: declare at least two where it is defined"
    control, listed = experiment.reference_branch, ", ".join(f'"{slug}"' for slug in slugs)
    if control is None and len(slugs) > 1 and "control" not in slugs:
        return (
            Reason.NO_CONTROL,
            f"no branch is the control: set reference_branch to one of {listed}",
        )
    if control is not None and control not in slugs:
        return (
            Reason.NO_CONTROL,
            f'the reference branch "{control}" is none of its branches: {listed}; correct it',
        )
    return None
