"""What templates can ask of `experiment`."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta

from sonde.experiment import Branch, EnrollmentsQueryType, ExperimentRecord, Overrides, Status
from sonde.metric import AnalysisUnit


class RandomizationUnit(enum.StrEnum):
    """What the platform draws branches for."""

    NORMANDY = "normandy_id"
    NIMBUS = "nimbus_id"
    USER_ID = "user_id"
    GROUP_ID = "group_id"


def enrollment_days(record: ExperimentRecord, overrides: Overrides) -> int:
    """Days of enrollment: as configured, else as it was, else as proposed; 0: not known."""
    start = overrides.start_date or record.start_date
    if overrides.enrollment_period is not None:
        return overrides.enrollment_period
    if record.enrollment_end_date is not None and start is not None:
        return (record.enrollment_end_date - start).days + 1
    return record.proposed_enrollment or 0


class ExperimentView:
    """The experiment under the names that metric-hub's templates use, configuration applied.

    Dates are midnights UTC; the `_str` forms are days. now: when to say whether it is live.
    """

    def __init__(self, record: ExperimentRecord, overrides: Overrides, now: datetime) -> None:
        self._record = record
        self._overrides = overrides
        self._now = now
        self.experimenter_slug: str | None = None
        self.normandy_slug = record.slug
        self.slug = record.slug
        self.type = record.type
        self.app_name = record.app_name
        self.app_id = record.app_id
        self.branches: Sequence[Branch] = record.branches
        self.outcomes = list(record.outcomes)
        self.bucket_start = record.bucket_start
        self.bucket_count = record.bucket_count
        self.is_enrollment_paused = record.is_enrollment_paused
        self.is_high_population = record.is_high_population
        self.is_rollout = record.is_rollout
        self.do_rerun = record.do_rerun
        self.do_rerun_timestamp = record.do_rerun_timestamp
        self.reference_branch = overrides.reference_branch or record.reference_branch
        self.proposed_enrollment = overrides.enrollment_period or record.proposed_enrollment or 0
        self.enrollment_period = enrollment_days(record, overrides)
        self.skip = False
        self.is_private = False
        self.dataset_id: str | None = None
        self.sample_size: int | None = None
        self.enrollment_query: str | None = None
        self.analysis_unit = AnalysisUnit.CLIENT
        self.enrollments_query_type: EnrollmentsQueryType | None = None

    @property
    def start_date(self) -> datetime | None:
        """First enrollment date."""
        return _midnight(self._overrides.start_date or self._record.start_date)

    @property
    def end_date(self) -> datetime | None:
        """The date on which units left."""
        return _midnight(self._overrides.end_date or self._record.end_date)

    @property
    def enrollment_end_date(self) -> datetime | None:
        """The date on which enrollment ended, as the platform says."""
        return _midnight(self._record.enrollment_end_date)

    @property
    def randomization_unit(self) -> RandomizationUnit:
        """What branches were drawn for."""
        return RandomizationUnit(self._record.randomization_unit)

    @property
    def status(self) -> Status:
        """Complete as soon as the configuration gives an end."""
        return Status.COMPLETE if self._overrides.end_date else self._record.status(self._now)

    @property
    def start_date_str(self) -> str:
        """First enrollment date; without one, a ValueError."""
        return _day(self.start_date, "start").isoformat()

    @property
    def end_date_str(self) -> str:
        """The date on which units left; without one, a ValueError."""
        return _day(self.end_date, "end").isoformat()

    @property
    def last_enrollment_date_str(self) -> str:
        """Last date on which an enrollment counts; without a start, a ValueError."""
        last = _day(self.start_date, "start") + timedelta(days=self.enrollment_period)
        return last.isoformat()


class BeforeEnrollmentQuery:
    """What the enrollment query itself can ask: all but the enrollment query."""

    def __init__(self, view: ExperimentView) -> None:
        self._view = view

    def __getattr__(self, name: str) -> object:
        return getattr(self._view, name)

    def __dir__(self) -> Iterable[str]:
        return dir(self._view)

    @property
    def enrollment_query(self) -> str:
        """A query that contains itself."""
        raise ValueError("an enrollment query cannot contain itself")


def _midnight(day: date | None) -> datetime | None:
    return None if day is None else datetime.combine(day, time(), UTC)


def _day(moment: datetime | None, which: str) -> date:
    if moment is None:
        raise ValueError(f"the experiment has no {which} date")
    return moment.date()
