"""An experiment: what the experimentation platform says of it, and what is to be analysed."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta

from sonde.metric import AnalysisUnit, ExposureSignal, Metric, Segment
from sonde.window import Period


@dataclass(frozen=True)
class Branch:
    """An arm. Units are assigned in proportion to `ratio`."""

    slug: str
    ratio: int = 1


class EnrollmentsQueryType(enum.StrEnum):
    """Where enrollment and exposure events are found."""

    NORMANDY = "normandy"
    GLEAN_EVENT = "glean-event"
    FENIX_FALLBACK = "fenix-fallback"
    CIRRUS = "cirrus"
    BACKGROUND_UPDATE = "background-update"


class Status(enum.StrEnum):
    """Whether units are still in the experiment."""

    LIVE = "Live"
    COMPLETE = "Complete"


@dataclass(frozen=True)
class ExperimentRecord:
    """An experiment as the experimentation platform describes it; dates are UTC days.

    randomization_unit: `normandy_id`, `nimbus_id`, `user_id` or `group_id`. proposed_duration:
    days from the start to the planned end.
    """

    slug: str
    branches: tuple[Branch, ...] = ()
    reference_branch: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    enrollment_end_date: date | None = None
    proposed_enrollment: int | None = None
    proposed_duration: int | None = None
    app_name: str | None = "firefox_desktop"
    app_id: str | None = "firefox-desktop"
    type: str = "v6"
    outcomes: tuple[str, ...] = ()
    primary_outcomes: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    randomization_unit: str = "normandy_id"
    bucket_namespace: str | None = None
    bucket_start: int | None = None
    bucket_count: int | None = None
    bucket_total: int = 10_000
    is_enrollment_paused: bool | None = None
    is_rollout: bool = False
    is_high_population: bool = False
    do_rerun: bool = False
    do_rerun_timestamp: datetime | None = None
    name: str | None = None
    description: str | None = None

    def status(self, now: datetime) -> Status:
        """Live until midnight UTC at the start of the end date.

        >>> from datetime import UTC
        >>> ended = ExperimentRecord("a", end_date=date(2020, 3, 1))
        >>> ended.status(datetime(2020, 2, 29, 23, 59, tzinfo=UTC)).value
        'Live'
        >>> ended.status(datetime(2020, 3, 1, 0, 1, tzinfo=UTC)).value
        'Complete'
        """
        if self.end_date is None or self.end_date > now.date():
            return Status.LIVE
        at_midnight = now.hour == now.minute == now.second == now.microsecond == 0
        return Status.LIVE if self.end_date == now.date() and at_midnight else Status.COMPLETE


@dataclass(frozen=True)
class Outcome:
    """A named bundle of metrics that a team cares about."""

    slug: str
    friendly_name: str
    description: str
    metrics: tuple[str, ...]
    default_metrics: tuple[str, ...] = ()
    commit_hash: str | None = None


@dataclass(frozen=True)
class Overrides:
    """What the configuration says in place of the experimentation platform; None: nothing."""

    reference_branch: str | None = None
    start_date: date | None = None
    end_date: date | None = None
    enrollment_period: int | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment, fully resolved: the record, with the configuration applied on top.

    enrollment_period: days; the last date on which an enrollment counts is
    `start_date + enrollment_period`. 0: not known.
    metrics: for each period, the metrics to compute, each with its statistics.
    outcomes: those that the platform names, then those that only the configuration names.
    """

    record: ExperimentRecord
    enrollment_period: int
    analysis_unit: AnalysisUnit
    enrollments_query_type: EnrollmentsQueryType
    metrics: Mapping[Period, tuple[Metric, ...]]
    segments: tuple[Segment, ...] = ()
    exposure_signal: ExposureSignal | None = None
    enrollment_query: str | None = None
    overrides: Overrides = field(default_factory=Overrides)
    outcomes: tuple[Outcome, ...] = ()
    sample_size: int | None = None
    is_private: bool = False
    dataset_id: str | None = None
    skip: bool = False

    @property
    def slug(self) -> str:
        """The identifier, as the platform and the telemetry write it."""
        return self.record.slug

    @property
    def app_name(self) -> str | None:
        """The application."""
        return self.record.app_name

    @property
    def branches(self) -> tuple[Branch, ...]:
        """The arms, as declared."""
        return self.record.branches

    @property
    def start_date(self) -> date | None:
        """First enrollment date."""
        return self.overrides.start_date or self.record.start_date

    @property
    def end_date(self) -> date | None:
        """The date on which units left the experiment."""
        return self.overrides.end_date or self.record.end_date

    @property
    def planned_end(self) -> date | None:
        """The date on which units leave, as planned or as it was."""
        days, start = self.record.proposed_duration, self.start_date
        if self.end_date is not None or start is None or days is None or days < 1:
            return self.end_date  # 0 days are no plan
        return start + timedelta(days=days)

    @property
    def reference_branch(self) -> str | None:
        """The branch that others are compared with on the page."""
        return self.overrides.reference_branch or self.record.reference_branch

    @property
    def last_enrollment_date(self) -> date | None:
        """Last date on which an enrollment counts."""
        if self.start_date is None:
            return None
        return self.start_date + timedelta(days=self.enrollment_period)

    @property
    def dataset(self) -> str | None:
        """The dataset of the application's tables: the app id in lower case, `_` for the rest.

        >>> record = ExperimentRecord("a", app_id="org.mozilla.ios.FirefoxBeta")
        >>> Experiment(record, 7, AnalysisUnit.CLIENT, EnrollmentsQueryType.CIRRUS, {}).dataset
        'org_mozilla_ios_firefoxbeta'
        """
        app_id = self.record.app_id
        if app_id is None:
            return None
        return "".join(c if c.isalnum() else "_" for c in app_id).lower()
