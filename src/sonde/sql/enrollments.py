"""Who is enrolled, exposed, and in which segment: queries in BigQuery SQL.

The telemetry's own tables are read under Mozilla's names; `[tables]` in sonde.toml maps them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import assert_never

from sonde.errors import ConfigError
from sonde.experiment import EnrollmentsQueryType, Experiment
from sonde.metric import (
    AnalysisUnit,
    DataSource,
    ExposureSignal,
    Segment,
    SegmentDataSource,
    WindowLimit,
)
from sonde.sql.text import date_literal, indented, string
from sonde.window import Window

EVENTS = "`moz-fx-data-shared-prod.telemetry.events`"
_BACKGROUND_UPDATE = "`moz-fx-data-shared-prod.firefox_desktop_background_update.background_update`"
REVISION = 2  # raise it when the same declaration would enroll other units, or in another order


@dataclass(frozen=True)
class EnrollmentDates:
    """First and last date on which an enrollment counts, and the data's last complete day.

    While enrollment is open, `last` is that day.
    """

    first: date
    last: date

    @property
    def days(self) -> int:
        """Days between the first and the last enrollment date."""
        return (self.last - self.first).days


# In place of exposures that cannot be found.
NO_EXPOSURES = (
    "SELECT analysis_id, branch, CAST(NULL AS DATE) AS exposure_date, 0 AS num_exposure_events\n"
    "FROM raw_enrollments"
)


def enrollments_query(
    experiment: Experiment, dates: EnrollmentDates, exposures: str | None = None
) -> str:
    """One row per (analysis_id, branch).

    exposures: a query in place of the experiment's own.

    Columns: analysis_id, branch, enrollment_date (the earliest), num_enrollment_events, a boolean
    per segment, exposure_date (the earliest; null: not exposed), num_exposure_events.
    Raises ConfigError when the experiment's unit or application does not fit its enrollment type.
    """
    _check_unit(experiment)
    parts = [f"raw_enrollments AS (\n{indented(_raw_enrollments(experiment, dates))}\n)"]
    joins = []
    for number, (source, segments) in enumerate(_by_source(experiment.segments)):
        parts.append(
            f"segments_{number} AS (\n{indented(_segments(experiment, source, segments, dates))}\n)"
        )
        joins.append(f"LEFT JOIN segments_{number} USING (analysis_id, branch)")
    parts.append(f"exposures AS (\n{indented(exposures or _exposures(experiment, dates))}\n)")
    columns = ",\n  ".join(
        [
            "r.analysis_id",
            "r.branch",
            "r.enrollment_date",
            "r.num_enrollment_events",
            *(f"`{segment.name}`" for segment in experiment.segments),
            "x.exposure_date",
            "COALESCE(x.num_exposure_events, 0) AS num_exposure_events",
        ]
    )
    with_clause = ",\n".join(parts)
    joined = "\n".join(joins)
    return (
        f"WITH {with_clause}\nSELECT\n  {columns}\nFROM raw_enrollments AS r\n{joined}\n"
        "LEFT JOIN exposures AS x USING (analysis_id, branch)"
    )


def _check_unit(experiment: Experiment) -> None:
    kind = experiment.enrollments_query_type
    if experiment.enrollment_query is not None:
        other = next(u for u in AnalysisUnit if u is not experiment.analysis_unit)
        if other.value in experiment.enrollment_query:
            raise ConfigError(
                f"{experiment.slug}: enrollment_query reads {other.value}, but the experiment "
                f"is analysed by {experiment.analysis_unit.value}; make the two agree"
            )
        return
    clients_only = {
        EnrollmentsQueryType.GLEAN_EVENT,
        EnrollmentsQueryType.FENIX_FALLBACK,
        EnrollmentsQueryType.CIRRUS,
    }
    if kind in clients_only and experiment.analysis_unit is not AnalysisUnit.CLIENT:
        raise ConfigError(
            f"{experiment.slug}: enrollments of type {kind.value} are known by client_id only, "
            f'not by {experiment.analysis_unit.value}; set analysis_unit = "client_id"'
        )
    needs_app = {EnrollmentsQueryType.GLEAN_EVENT, EnrollmentsQueryType.CIRRUS}
    if kind in needs_app and experiment.dataset is None:
        raise ConfigError(
            f"{experiment.slug}: enrollments of type {kind.value} need the application's id; "
            "the experiment's appId is not set"
        )


def _raw_enrollments(experiment: Experiment, dates: EnrollmentDates) -> str:
    if experiment.enrollment_query is not None:
        return experiment.enrollment_query.rstrip().rstrip(";")
    kind = experiment.enrollments_query_type
    if kind is EnrollmentsQueryType.NORMANDY:
        return _normandy_enrollments(experiment, dates)
    if kind is EnrollmentsQueryType.GLEAN_EVENT:
        return _glean_events(experiment, dates, ("enrollment",), _ENROLLED)
    if kind is EnrollmentsQueryType.FENIX_FALLBACK:
        return _fenix_enrollments(experiment, dates)
    if kind is EnrollmentsQueryType.CIRRUS:
        return _cirrus_events(experiment, dates, ("enrollment",), _ENROLLED)
    if kind is EnrollmentsQueryType.BACKGROUND_UPDATE:
        return _background_enrollments(experiment, dates)
    assert_never(kind)


@dataclass(frozen=True)
class _Counted:
    """Names of the columns that count events: the earliest day and the number."""

    first: str
    number: str


_ENROLLED = _Counted("enrollment_date", "num_enrollment_events")
_EXPOSED = _Counted("exposure_date", "num_exposure_events")


def _sampled(experiment: Experiment, column: str = "sample_id") -> str:
    return "" if experiment.sample_size is None else f"\n  AND {column} < {experiment.sample_size}"


def _between(column: str, dates: EnrollmentDates) -> str:
    return f"{column} BETWEEN {date_literal(dates.first)} AND {date_literal(dates.last)}"


def _normandy_events(
    experiment: Experiment, dates: EnrollmentDates, methods: str, branch_key: str, names: _Counted
) -> str:
    return f"""SELECT
  e.{experiment.analysis_unit.value} AS analysis_id,
  mozfun.map.get_key(e.event_map_values, {string(branch_key)}) AS branch,
  MIN(e.submission_date) AS {names.first},
  COUNT(e.submission_date) AS {names.number}
FROM {EVENTS} AS e
WHERE e.event_category = 'normandy'
  AND {methods}
  AND {_between("e.submission_date", dates)}
  AND e.event_string_value = {string(experiment.slug)}"""


def _normandy_enrollments(experiment: Experiment, dates: EnrollmentDates) -> str:
    events = _normandy_events(experiment, dates, "e.event_method = 'enroll'", "branch", _ENROLLED)
    return f"{events}{_sampled(experiment, 'e.sample_id')}\nGROUP BY analysis_id, branch"


def _glean_events(
    experiment: Experiment, dates: EnrollmentDates, events: tuple[str, ...], names: _Counted
) -> str:
    listed = ", ".join(string(name) for name in events)
    sampled = _sampled(experiment, "e.sample_id") if names is _ENROLLED else ""
    dataset = experiment.dataset
    return f"""SELECT
  e.{experiment.analysis_unit.value} AS analysis_id,
  JSON_VALUE(e.event_extra, '$.branch') AS branch,
  MIN(DATE(e.submission_timestamp)) AS {names.first},
  COUNT(e.submission_timestamp) AS {names.number}
FROM `moz-fx-data-shared-prod.{dataset}.events_stream` AS e
WHERE e.{experiment.analysis_unit.value} IS NOT NULL
  AND {_between("DATE(e.submission_timestamp)", dates)}
  AND e.event_category = 'nimbus_events'
  AND e.event_name IN ({listed})
  AND JSON_VALUE(e.event_extra, '$.experiment') = {string(experiment.slug)}{sampled}
GROUP BY analysis_id, branch"""


def _fenix_enrollments(experiment: Experiment, dates: EnrollmentDates) -> str:
    dataset = experiment.dataset or "org_mozilla_firefox"
    early = EnrollmentDates(dates.first - timedelta(days=7), dates.last)
    branch = f"mozfun.map.get_key(b.ping_info.experiments, {string(experiment.slug)}).branch"
    return f"""SELECT
  b.client_info.client_id AS analysis_id,
  {branch} AS branch,
  DATE(MIN(b.submission_timestamp)) AS enrollment_date,
  COUNT(b.submission_timestamp) AS num_enrollment_events
FROM `moz-fx-data-shared-prod.{dataset}.baseline` AS b
WHERE b.client_info.client_id IS NOT NULL
  AND {_between("DATE(b.submission_timestamp)", early)}
  AND {branch} IS NOT NULL{_sampled(experiment, "b.sample_id")}
GROUP BY analysis_id, branch
HAVING enrollment_date >= {date_literal(dates.first)}"""


def _cirrus_events(
    experiment: Experiment, dates: EnrollmentDates, events: tuple[str, ...], names: _Counted
) -> str:
    listed = ", ".join(string(name) for name in events)
    table = "enrollment" if names is _ENROLLED else "events"
    unit = "mozfun.map.get_key(e.extra, 'nimbus_user_id')"
    return f"""SELECT
  {unit} AS analysis_id,
  mozfun.map.get_key(e.extra, 'branch') AS branch,
  MIN(DATE(p.submission_timestamp)) AS {names.first},
  COUNT(p.submission_timestamp) AS {names.number}
FROM `moz-fx-data-shared-prod.{experiment.dataset}.{table}` AS p
CROSS JOIN UNNEST(p.events) AS e
WHERE e.category = 'cirrus_events'
  AND e.name IN ({listed})
  AND mozfun.map.get_key(e.extra, 'experiment') = {string(experiment.slug)}
  AND {_between("DATE(p.submission_timestamp)", dates)}
  AND {unit} IS NOT NULL
  AND p.client_info.app_channel = 'production'
GROUP BY analysis_id, branch"""


def _background_enrollments(experiment: Experiment, dates: EnrollmentDates) -> str:
    """Three places tell of the same enrollment; the earliest counts."""
    slug = string(experiment.slug)
    day = _between("DATE(submission_timestamp)", dates)
    sampled = _sampled(experiment)
    events = f"""SELECT
  JSON_VALUE(metrics, '$.uuid.background_update_client_id') AS analysis_id,
  JSON_VALUE(event_extra, '$.branch') AS branch,
  DATE(MIN(submission_timestamp)) AS enrollment_date,
  COUNT(submission_timestamp) AS num_enrollment_events
FROM `moz-fx-data-shared-prod.firefox_desktop_background_update.events_stream`
WHERE {day}
  AND event_category = 'nimbus_events'
  AND event_name = 'enrollment'
  AND JSON_VALUE(event_extra, '$.experiment') = {slug}{sampled}
GROUP BY analysis_id, branch"""
    branch = f"mozfun.map.get_key(ping_info.experiments, {slug}).branch"
    pings = f"""SELECT
  metrics.uuid.background_update_client_id AS analysis_id,
  {branch} AS branch,
  DATE(MIN(submission_timestamp)) AS enrollment_date,
  1 AS num_enrollment_events
FROM {_BACKGROUND_UPDATE}
WHERE {day}{sampled}
GROUP BY analysis_id, branch
HAVING branch IS NOT NULL"""
    name = "mozfun.map.get_key(event_map_values, 'name')"
    toasts = f"""SELECT
  client_id AS analysis_id,
  SPLIT({name}, ':')[SAFE_OFFSET(1)] AS branch,
  MIN(submission_date) AS enrollment_date,
  COUNT(submission_date) AS num_enrollment_events
FROM {EVENTS}
WHERE {_between("submission_date", dates)}
  AND event_category = 'browser.launched_to_handle'
  AND event_method = 'system_notification'
  AND event_object = 'toast'
  AND STARTS_WITH({name}, {string(experiment.slug + ":")}){sampled}
GROUP BY analysis_id, branch"""
    united = "\nUNION ALL\n".join((events, pings, toasts))
    return (
        f"SELECT analysis_id, branch, enrollment_date, num_enrollment_events\n"
        f"FROM (\n{indented(united)}\n)\nWHERE analysis_id IS NOT NULL\n"
        "QUALIFY ROW_NUMBER() OVER (PARTITION BY analysis_id ORDER BY enrollment_date, branch) = 1"
    )


def _by_source(
    segments: tuple[Segment, ...],
) -> list[tuple[SegmentDataSource, list[Segment]]]:
    grouped: dict[SegmentDataSource, list[Segment]] = {}
    for segment in segments:
        grouped.setdefault(segment.data_source, []).append(segment)
    return list(grouped.items())


def _segments(
    experiment: Experiment,
    source: SegmentDataSource,
    segments: list[Segment],
    dates: EnrollmentDates,
) -> str:
    day = f"ds.{source.submission_date_column}"
    first = date_literal(dates.first + timedelta(days=source.window_start))
    last = date_literal(dates.last + timedelta(days=source.window_end))
    columns = ",\n  ".join(f"{s.select_expression} AS `{s.name}`" for s in segments)
    relation = in_dataset(experiment, source.from_expression, source)
    return f"""SELECT
  e.analysis_id,
  e.branch,
  {columns}
FROM raw_enrollments AS e
LEFT JOIN {relation} AS ds
  ON ds.{source.unit_column(experiment.analysis_unit)} = e.analysis_id
  AND {day} BETWEEN {first} AND {last}
  AND {day} BETWEEN DATE_ADD(e.enrollment_date, INTERVAL {source.window_start} DAY)
    AND DATE_ADD(e.enrollment_date, INTERVAL {source.window_end} DAY)
GROUP BY e.analysis_id, e.branch"""


def _exposures(experiment: Experiment, dates: EnrollmentDates) -> str:
    if experiment.exposure_signal is not None:
        return signal_exposures(
            experiment, experiment.exposure_signal, dates, Window(0, 1), "raw_enrollments"
        )
    return f"""SELECT
  e.analysis_id,
  e.branch,
  MIN(x.exposure_date) AS exposure_date,
  COUNT(x.exposure_date) AS num_exposure_events
FROM raw_enrollments AS e
LEFT JOIN (
{indented(_exposure_events(experiment, dates))}
) AS x
  ON x.analysis_id = e.analysis_id
  AND x.branch = e.branch
  AND x.exposure_date >= e.enrollment_date
GROUP BY e.analysis_id, e.branch"""


def _exposure_events(experiment: Experiment, dates: EnrollmentDates) -> str:
    """One row per exposure event: analysis_id, branch, exposure_date."""
    kind = experiment.enrollments_query_type
    day, slug = "DATE(e.submission_timestamp)", string(experiment.slug)
    unit = experiment.analysis_unit.value
    if kind in {EnrollmentsQueryType.NORMANDY, EnrollmentsQueryType.BACKGROUND_UPDATE}:
        return f"""SELECT
  e.{unit} AS analysis_id,
  mozfun.map.get_key(e.event_map_values, 'branchSlug') AS branch,
  e.submission_date AS exposure_date
FROM {EVENTS} AS e
WHERE e.event_category = 'normandy'
  AND (e.event_method = 'exposure' OR e.event_method = 'expose')
  AND {_between("e.submission_date", dates)}
  AND e.event_string_value = {slug}"""
    if kind in {EnrollmentsQueryType.GLEAN_EVENT, EnrollmentsQueryType.FENIX_FALLBACK}:
        dataset = experiment.dataset or "org_mozilla_firefox"
        return f"""SELECT
  e.{unit} AS analysis_id,
  JSON_VALUE(e.event_extra, '$.branch') AS branch,
  {day} AS exposure_date
FROM `moz-fx-data-shared-prod.{dataset}.events_stream` AS e
WHERE e.event_category = 'nimbus_events'
  AND (e.event_name = 'expose' OR e.event_name = 'exposure')
  AND {_between(day, dates)}
  AND JSON_VALUE(e.event_extra, '$.experiment') = {slug}"""
    return f"""SELECT
  mozfun.map.get_key(e.extra, 'nimbus_user_id') AS analysis_id,
  mozfun.map.get_key(e.extra, 'branch') AS branch,
  DATE(p.submission_timestamp) AS exposure_date
FROM `moz-fx-data-shared-prod.{experiment.dataset}.events` AS p
CROSS JOIN UNNEST(p.events) AS e
WHERE e.category = 'cirrus_events'
  AND e.name IN ('expose', 'exposure')
  AND mozfun.map.get_key(e.extra, 'experiment') = {slug}
  AND {_between("DATE(p.submission_timestamp)", dates)}"""


def limit_days(
    limit: int | WindowLimit | None, dates: EnrollmentDates, window: Window
) -> int | None:
    """A limit of an exposure signal as days after the first enrollment date.

    >>> dates = EnrollmentDates(date(2019, 1, 5), date(2019, 1, 6))
    >>> [limit_days(limit, dates, Window(2, 5)) for limit in (None, 11, *WindowLimit)]
    [None, 11, 0, 1, 3, 5]
    """
    if limit is None or not isinstance(limit, WindowLimit):
        return limit
    match limit:
        case WindowLimit.ENROLLMENT_START:
            return 0
        case WindowLimit.ENROLLMENT_END:
            return dates.days
        case WindowLimit.ANALYSIS_WINDOW_START:
            return window.start + dates.days
        case WindowLimit.ANALYSIS_WINDOW_END:
            return window.last + dates.days
        case _:
            assert_never(limit)


def signal_dates(
    signal: ExposureSignal, dates: EnrollmentDates, window: Window
) -> tuple[date, date]:
    """First and last day on which a row of the signal's source counts as an exposure."""
    start = limit_days(signal.window_start, dates, window) or 0
    end = limit_days(signal.window_end, dates, window) or 0
    base = dates.first if end else dates.last
    return dates.first + timedelta(days=start), base + timedelta(days=end)


def signal_exposures(
    experiment: Experiment,
    signal: ExposureSignal,
    dates: EnrollmentDates,
    window: Window,
    enrollments: str,
) -> str:
    """Exposures by the experiment's own signal: analysis_id, branch, exposure_date, number.

    The signal knows a unit, not its branch.
    """
    source = signal.data_source
    first, last = signal_dates(signal, dates, window)
    day = f"ds.{source.submission_date_column}"
    relation = in_dataset(experiment, source.from_expression, source)
    return f"""SELECT
  e.analysis_id,
  e.branch,
  MIN(x.exposure_date) AS exposure_date,
  COUNT(x.exposure_date) AS num_exposure_events
FROM {enrollments} AS e
LEFT JOIN (
  SELECT
    ds.{source.unit_column(experiment.analysis_unit)} AS analysis_id,
    {day} AS exposure_date
  FROM {relation} AS ds
  WHERE {day} BETWEEN {date_literal(first)} AND {date_literal(last)}
    AND ({signal.select_expression})
) AS x
  ON x.analysis_id = e.analysis_id
  AND x.exposure_date >= e.enrollment_date
GROUP BY e.analysis_id, e.branch"""


def in_dataset(
    experiment: Experiment, from_expression: str, source: DataSource | SegmentDataSource
) -> str:
    """The source's expression with `{dataset}` filled in: the application's, else the default.

    Raises ConfigError when neither is known.
    """
    try:
        dataset = experiment.dataset or source.default_dataset
        if dataset is None and "{dataset}" in from_expression:
            raise ConfigError(
                f"data source {source.name} is a {{dataset}} of the application, but the "
                "experiment has no appId; set default_dataset on the data source"
            )
        return from_expression.format(dataset=dataset)
    except (KeyError, IndexError, ValueError) as error:
        raise ConfigError(
            f"data source {source.name}: {{..}} in from_expression may only be {{dataset}}; "
            f"double a literal brace ({error})"
        ) from error
