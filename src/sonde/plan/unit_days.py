"""Unit-days that windows are merged from: what is wanted of them, and what decides their contents.

A feed is a source as an experiment reads it. Its unit-days are partitions of their own, one per
experiment, feed and day: partial aggregates of that day's rows of the units enrolled by then. They
are made before the estimates that need them; an estimate whose unit-days are not what they should
be is computed from rows, so that what is stored can never be wrong, only of no use.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

from sonde.errors import ConfigError
from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis, AnalysisUnit, DataSource
from sonde.plan.steps import Estimate, Step, columns_of, dataset, fingerprint
from sonde.sql import TableName, partials, relation
from sonde.sql.enrollments import in_dataset
from sonde.sql.partials import REVISION, Column, Split, State, split, states_of
from sonde.sql.separable import separable
from sonde.table import Table

_TOGETHER = 7  # days of a feed that one task scans


def unit_days_table(experiment: Experiment) -> Table:
    """Partial aggregates of each enrolled unit's day."""
    return Table(f"{dataset(experiment)}/unit_days", ("experiment", "feed", "day"))


def merged_table(experiment: Experiment) -> Table:
    """Each unit's days from its enrollment on, merged. marks: how many days."""
    return Table(f"{dataset(experiment)}/merged", ("experiment", "feed", "anchor"), ("days",))


def covariates_table(experiment: Experiment) -> Table:
    """Each unit's metrics before its enrollment, which adjust its results."""
    return Table(f"{dataset(experiment)}/covariates", ("experiment", "wanted"))


@dataclass(frozen=True)
class Feed:
    """A source as an experiment reads it.

    text: its SQL, in the experiment's dataset. metrics: all of the experiment's that are made of
    its rows and can be taken apart.
    """

    slug: str
    unit: AnalysisUnit
    source: DataSource
    text: str
    metrics: Mapping[str, Split]

    @cached_property
    def key(self) -> str:
        """The same for all experiments that read the same rows by the same unit."""
        source = self.source
        return fingerprint(
            self.text,
            source.unit_column(self.unit),
            source.submission_date_column,
            source.experiments_column.value,
        )

    @cached_property
    def columns(self) -> tuple[Column, ...]:
        """What is kept of a unit's day."""
        return partials.columns_of(self.metrics.values())

    @cached_property
    def states(self) -> tuple[State, ...]:
        """What is kept of a unit's days in a window."""
        return states_of(self.metrics.values())

    @property
    def tables(self) -> tuple[TableName, ...]:
        """What the source reads."""
        return relation(self.text).tables


def feed_of(experiment: Experiment, source: DataSource) -> Feed | None:
    """The source's feed; None when it cannot be read a day at a time, or nothing is made of it."""
    try:
        text = in_dataset(experiment, source.from_expression, source)
        if not separable(text):
            return None
        relation(text)
    except ConfigError:
        return None  # the step that reads it says why
    metrics = _taken_apart(experiment, source)
    if not metrics:
        return None
    return Feed(experiment.slug, experiment.analysis_unit, source, text, metrics)


def _taken_apart(experiment: Experiment, source: DataSource) -> dict[str, Split]:
    declared = [m for metrics in experiment.metrics.values() for m in metrics]
    found: dict[str, Split] = {}
    for metric in (m for wanted in declared for m in columns_of(wanted)):
        if metric.data_source != source or metric.name in found:
            continue
        try:
            made = split(str(metric.select_expression), source.submission_date_column)
        except ConfigError:
            continue
        if isinstance(made, Split):
            found[metric.name] = made
    return found


@dataclass(frozen=True)
class Cohort:
    """The units enrolled on a date: how many, and a digest of their ids and numbers."""

    date: date
    units: int
    digest: str


def day_fingerprint(feed: Feed, day: date, version: str, cohorts: Sequence[Cohort]) -> str:
    """Of a day's partition. version: of the rows of that day. cohorts: of the experiment."""
    return fingerprint(
        REVISION,
        feed.slug,
        feed.key,
        [column.name for column in feed.columns],
        version,
        [[c.date, c.units, c.digest] for c in cohorts if c.date <= day],
    )


def merged_fingerprint(
    feed: Feed, enrollments: str, anchor: AnalysisBasis, days: int, of_days: Sequence[str]
) -> str:
    """Of windows merged. enrollments, of_days: the fingerprints of what they are made from."""
    states = [state.name for state in feed.states]
    return fingerprint(REVISION, feed.key, states, enrollments, anchor.value, days, of_days)


@dataclass(frozen=True)
class Scan:
    """Days of a feed to make unit-days of, for all experiments that read it.

    wanted: each experiment with the days that it needs.
    """

    table: Table
    wanted: tuple[tuple[Experiment, Feed, frozenset[date]], ...]
    days: tuple[date, ...]

    @property
    def feed(self) -> Feed:
        """Any of the experiments' feeds: they differ in what they keep only."""
        return self.wanted[0][1]


def scans(steps: Iterable[Step]) -> list[Scan]:
    """What has to be scanned for the steps that estimate, each day of a feed once."""
    wanted: dict[tuple[Table, str], dict[str, tuple[Experiment, Feed, set[date]]]] = {}
    feeds: dict[tuple[str, str], Feed | None] = {}
    for step in steps:
        action = step.action
        if not isinstance(action, Estimate) or action.due.window.start < 0:
            continue
        table = unit_days_table(action.experiment)
        for source in action.sources:
            if (step.slug, source.name) not in feeds:
                feeds[step.slug, source.name] = feed_of(action.experiment, source)
            feed = feeds[step.slug, source.name]
            if feed is not None:
                of_feed = wanted.setdefault((table, feed.key), {})
                _, _, days = of_feed.setdefault(step.slug, (action.experiment, feed, set()))
                days |= set(days_of(action))
    return [
        Scan(table, every, days[i : i + _TOGETHER])
        for (table, _), of_feed in wanted.items()
        for every, days in [_sorted(of_feed.values())]
        for i in range(0, len(days), _TOGETHER)
    ]


def _sorted(
    readers: Iterable[tuple[Experiment, Feed, set[date]]],
) -> tuple[tuple[tuple[Experiment, Feed, frozenset[date]], ...], tuple[date, ...]]:
    every = tuple((e, f, frozenset(days)) for e, f, days in readers)
    return every, tuple(sorted(frozenset[date]().union(*(days for _, _, days in every))))


def days_of(action: Estimate) -> list[date]:
    """The days whose rows a window reads."""
    first, last = action.due.first_data, action.due.last_data
    return [first + timedelta(days=n) for n in range((last - first).days + 1)]
