"""What a plan would read in BigQuery, and what that costs; nothing is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date

from sonde.errors import ConfigError, DataError
from sonde.metric import AnalysisBasis
from sonde.plan.steps import Enroll, Estimate, Step
from sonde.run.bigquery.frames import adjusting
from sonde.run.bigquery.units import Wanted, before
from sonde.sql import in_bigquery as sql
from sonde.sql.enrollments import enrollments_query
from sonde.warehouse.bigquery import BigQuery
from sonde.wire.tables import enrollments_name


@dataclass(frozen=True)
class Cost:
    """Of filling one table of units. size: in bytes that are read."""

    slug: str
    table: str
    size: int


def costs(steps: Iterable[Step], bigquery: BigQuery, as_of: date) -> Iterator[Cost]:
    """What the steps would read of people's tables, each table that they fill once.

    What they read of the tables of units afterwards is not known before there are any; it is little
    beside that. A table whose query is wrong is left out: its step says why.
    """
    for (slug, name), text in dict(_queries(steps, as_of)).items():
        try:
            yield Cost(slug, name, bigquery.dry_run(text).size)
        except DataError:
            continue


def _queries(steps: Iterable[Step], as_of: date) -> Iterator[tuple[tuple[str, str], str]]:
    for step in steps:
        try:
            match step.action:
                case Enroll() as action:
                    yield (step.slug, enrollments_name(step.slug)), _enrollments(action)
                case Estimate() as action:
                    for wanted in _wanted(action, as_of):
                        stub = sql.no_enrollments(action.experiment.segments)
                        yield (step.slug, wanted.name), wanted.text(wanted.metrics, stub)
        except ConfigError:
            continue


def _enrollments(action: Enroll) -> str:
    query = enrollments_query(action.experiment, action.dates)
    return sql.enrollments(query, action.experiment.segments, ())


def _wanted(action: Estimate, as_of: date) -> Iterator[Wanted]:
    """The tables of units that a step is made of."""
    experiment = action.experiment
    earlier = [before(experiment, period, as_of) for period in adjusting(action)]
    dues = [(action.basis, action.due), *((AnalysisBasis.ENROLLMENTS, due) for due in earlier)]
    for basis, due in dues:
        for source in action.sources:
            wanted = Wanted(experiment, basis, due, source)
            if wanted.metrics:
                yield wanted
