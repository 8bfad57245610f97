"""Which experiments a run is about. Pure: the date and what exists are given."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date, timedelta

from sonde.errors import ConfigError, did_you_mean
from sonde.experiment import Experiment, ExperimentRecord

TYPES = frozenset({"pref", "addon", "message", "v6"})
LOOK_BACK_DAYS = 90  # a configuration may move an end date by so much


def candidates(records: Iterable[ExperimentRecord], as_of: date) -> list[ExperimentRecord]:
    """Records worth resolving for a run over all experiments: launched, not long over, no rollout.

    >>> over = ExperimentRecord("a", start_date=date(2020, 1, 1), end_date=date(2020, 2, 1))
    >>> candidates([over], date(2020, 3, 1)) == [over], candidates([over], date(2021, 3, 1))
    (True, [])
    """
    return [
        record
        for record in records
        if record.type in TYPES
        and not record.is_rollout
        and record.start_date is not None
        and (record.end_date is None or record.end_date >= as_of - timedelta(days=LOOK_BACK_DAYS))
    ]


def active(
    experiments: Iterable[Experiment], as_of: date, started: Collection[str] = ()
) -> list[Experiment]:
    """Experiments of a run over all: those not over by `as_of`, and those that are but were being
    analysed: what a missed run left undone is made up for.

    started: slugs with an enrollments table.
    """
    return [
        experiment
        for experiment in experiments
        if experiment.end_date is None
        or experiment.end_date >= as_of
        or (
            experiment.slug in started
            and experiment.end_date >= as_of - timedelta(days=LOOK_BACK_DAYS)
        )
    ]


def named(records: Sequence[ExperimentRecord], slugs: Sequence[str]) -> list[ExperimentRecord]:
    """The records with these slugs, in this order. Raises ConfigError for slugs there are not."""
    known = {record.slug: record for record in records}
    unknown = [slug for slug in slugs if slug not in known]
    if unknown:
        raise ConfigError(
            f'no experiment "{unknown[0]}"' + did_you_mean(unknown[0], known)
            if len(unknown) == 1
            else "no experiments " + ", ".join(f'"{slug}"' for slug in unknown)
        )
    return [known[slug] for slug in dict.fromkeys(slugs)]


def analysis_dates(start: date, end: date | None, today: date) -> list[date]:
    """Every date on which a result of an experiment can become due: to the day after its end.

    >>> len(analysis_dates(date(2020, 1, 1), None, date(2020, 12, 31)))
    366
    >>> str(analysis_dates(date(2020, 1, 1), date(2021, 2, 1), date(2022, 12, 31))[-1])
    '2021-02-02'
    """
    last = today if end is None else min(end + timedelta(days=1), today)
    return [start + timedelta(days=n) for n in range((last - start).days + 1)]


def effective_date(record: ExperimentRecord, as_of: date) -> date:
    """The date as of which an experiment is analysed: a holdback's stands still between reruns.

    >>> from datetime import datetime
    >>> holdback = ExperimentRecord("h", do_rerun=True, do_rerun_timestamp=datetime(2020, 3, 8))
    >>> str(effective_date(holdback, date(2020, 3, 12)))
    '2020-03-07'
    """
    if not record.do_rerun or record.do_rerun_timestamp is None:
        return as_of
    return min(as_of, record.do_rerun_timestamp.date() - timedelta(days=1))
