"""Whether an experiment's results can be trusted: its checks, made and kept beside its results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sonde.errors import SondeError
from sonde.experiment import Experiment
from sonde.health import Check, Light, State
from sonde.lake import Filled, Lake
from sonde.metric import Metric
from sonde.pages.words import day, plural
from sonde.plan.steps import (
    enrollments_table,
    errors_table,
    fingerprint,
    health_table,
    sources_of,
    statistics_table,
)
from sonde.run.health_before import before_checks
from sonde.run.health_coverage import coverage_checks
from sonde.run.health_errors import failure_checks, implausible_checks
from sonde.run.health_rows import EVERYONE, Row
from sonde.run.health_split import exposure_checks, split_checks
from sonde.run.health_units import Enrolled, read_enrolled
from sonde.sql import relation
from sonde.sql.enrollments import in_dataset
from sonde.table import Receipt
from sonde.warehouse.duckdb import Session
from sonde.warehouse.tables import Tables

REVISION = 1  # raise it when the same results would give other checks
FRESH = 1  # days behind
STALE = 3

HEALTH_COLUMNS = pa.schema(
    [
        ("light", pa.string()),
        ("name", pa.string()),
        ("scope", pa.string()),
        ("state", pa.string()),
        ("figure", pa.string()),
        ("note", pa.string()),
        ("value", pa.float64()),
        ("threshold", pa.float64()),
        ("todo", pa.string()),
        ("detail", pa.string()),  # JSON
    ]
)


def check_health(
    experiment: Experiment,
    as_of: date,
    units: Enrolled | None,
    statistics: Sequence[Row],
    errors: Sequence[Row],
    newest_day: date | None,
    lagging: str = "",
) -> tuple[Check, ...]:
    """All checks, by light; every light has at least one.

    units: who is enrolled, once they have been found. statistics, errors: stored rows. newest_day:
    the last day that all tables which are read have rows of; lagging: the table that ends then.
    """
    return (
        *_of_units(experiment, units),
        *before_checks(experiment, statistics),
        *coverage_checks(experiment, units, statistics),
        freshness(experiment, as_of, newest_day, lagging),
        *failure_checks(experiment, statistics, errors),
        *implausible_checks(experiment, statistics),
    )


def _of_units(experiment: Experiment, units: Enrolled | None) -> Iterator[Check]:
    if units is None:
        note = "Enrollments have not been found yet; checked after the first run that finds them."
        for light, name in ((Light.SPLIT, "sample_ratio"), (Light.EXPOSURE, "exposure")):
            yield Check(light, name, EVERYONE, State.UNCHECKED, "not yet", note)
        return
    yield from split_checks(experiment, units)
    yield from exposure_checks(units)


def freshness(
    experiment: Experiment, as_of: date, newest_day: date | None, lagging: str = ""
) -> Check:
    """Whether the data reach the day they should: the last one, or the experiment's last."""
    if newest_day is None:
        note = "The files of the tables do not say which days they hold."
        return Check(Light.FRESHNESS, "freshness", EVERYONE, State.UNCHECKED, "not known", note)
    expected = _expected(experiment, as_of)
    behind = max(0, (expected - newest_day).days)
    state = State.FINE if behind <= FRESH else State.LOOK
    state = State.STOP if behind > STALE else state
    table = f" in {lagging}" if behind and lagging else ""
    return Check(
        light=Light.FRESHNESS,
        name="freshness",
        scope=EVERYONE,
        state=state,
        figure="on time" if not behind else f"{plural(behind, 'day')} late",
        note=f"Data to {day(newest_day)}{table}, needed to {day(expected)}.",
        value=float(behind),
        threshold=float(STALE),
        todo=""
        if state is State.FINE
        else "What is shown is the last good state. See why the table has no newer days: the "
        "pipeline that fills it, or the schedule of `sonde run`.",
        detail={"newest_day": newest_day.isoformat(), "expected": expected.isoformat()},
    )


def _expected(experiment: Experiment, as_of: date) -> date:
    end = experiment.end_date
    return as_of if end is None else min(as_of, end - timedelta(days=1))


def _newest(experiment: Experiment, sources: Tables) -> tuple[date | None, str]:
    """The table that ends first, of those that metrics read and that say where they end."""
    last: dict[str, date] = {}
    for metric in _metrics(experiment):
        for source in sources_of(metric):
            try:
                text = in_dataset(experiment, source.from_expression, source)
                for name in relation(text).tables:
                    table = sources.get(name)
                    if table is not None and table.last is not None:
                        last[str(name)] = table.last
            except SondeError:
                continue  # the step that reads it fails, and says why
    first = min(last, key=lambda name: (last[name], name), default=None)
    return (None, "") if first is None else (last[first], first)


def _metrics(experiment: Experiment) -> list[Metric]:
    found = {m.name: m for metrics in experiment.metrics.values() for m in metrics}
    return [found[name] for name in sorted(found)]


def health_fingerprint(
    experiment: Experiment,
    as_of: date,
    receipts: Iterable[Receipt],
    newest_day: date | None,
) -> str:
    """Of all that decides the checks. receipts: of enrollments, statistics and errors, any others
    and other experiments' are passed over."""
    slug = experiment.slug
    own = enrollments_table(experiment)
    shared = {statistics_table(experiment).path, errors_table(experiment).path}
    made_from = sorted(
        [each.partition.table.path, *each.partition.key, each.fingerprint]
        for each in receipts
        if each.partition.table == own
        or (each.partition.table.path in shared and each.partition.key[0] == slug)
    )
    expected = _expected(experiment, as_of)
    return fingerprint(
        "health",
        REVISION,
        made_from,
        _declared(experiment),
        expected,
        None if newest_day is None else min(newest_day, expected),
    )


def _declared(experiment: Experiment) -> list[object]:
    return [
        [[branch.slug, branch.ratio] for branch in experiment.branches],
        experiment.reference_branch,
        [[segment.name, segment.friendly_name] for segment in experiment.segments],
        {p.value: sorted(m.name for m in metrics) for p, metrics in experiment.metrics.items()},
        experiment.end_date,
    ]


def checked(
    experiment: Experiment,
    as_of: date,
    lake: Lake,
    sources: Tables,
    receipts: Sequence[Receipt],
    session: Session,
    statistics: Callable[[], Sequence[Row]],
    errors: Sequence[Row],
) -> tuple[tuple[Check, ...], Filled | None]:
    """The checks, and where they were made anew their partition, staged.

    receipts: what exists of the experiment in its tables of enrollments, statistics, errors and
    health. session: can read the lake's files. statistics: as of `looked_at`, asked for where
    checks are made. errors: rows of the errors table.
    """
    newest, lagging = _newest(experiment, sources)
    by_partition = {each.partition: each for each in receipts}
    wanted = health_fingerprint(experiment, as_of, receipts, newest)
    had = by_partition.get(health_table(experiment).partition(experiment.slug))
    if had is not None and had.fingerprint == wanted:
        return tuple(_check(row) for row in pq.read_table(lake.file(had)).to_pylist()), None
    enrolled = by_partition.get(enrollments_table(experiment).partition())
    checks = check_health(
        experiment,
        as_of,
        None if enrolled is None else read_enrolled(experiment, session, lake.file(enrolled)),
        statistics(),
        errors,
        newest,
        lagging,
    )
    return checks, staged(lake, experiment, checks, wanted)


def staged(lake: Lake, experiment: Experiment, checks: Sequence[Check], digest: str) -> Filled:
    """The checks as a partition, not yet visible. digest: of what they were made from."""
    rows = pa.Table.from_pylist([_plain(check) for check in checks], HEALTH_COLUMNS)
    return lake.write(health_table(experiment).partition(experiment.slug), rows, digest)


def stored(lake: Lake, experiment: Experiment) -> tuple[Check, ...]:
    """The checks kept of the experiment, in the order of lights; none before they are made."""
    rows = lake.read(health_table(experiment), {"experiment": experiment.slug}).to_pylist()
    return tuple(_check(row) for row in rows)


def _plain(check: Check) -> dict[str, object]:
    return {
        "light": check.light.value,
        "name": check.name,
        "scope": check.scope,
        "state": check.state.value,
        "figure": check.figure,
        "note": check.note,
        "value": check.value,
        "threshold": check.threshold,
        "todo": check.todo,
        "detail": json.dumps(check.detail, separators=(",", ":"), allow_nan=False),
    }


def _check(row: Mapping[str, Any]) -> Check:
    return Check(
        light=Light(row["light"]),
        name=row["name"],
        scope=row["scope"],
        state=State(row["state"]),
        figure=row["figure"],
        note=row["note"],
        value=row["value"],
        threshold=row["threshold"],
        todo=row["todo"],
        detail=json.loads(row["detail"]),
    )
