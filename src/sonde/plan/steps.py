"""Steps: what fills which partition, and a fingerprint of all that decides its contents."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any, TypeAlias

from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis, DataSource, Metric, Param, StatisticDeclaration
from sonde.plan.windows import DueWindow
from sonde.sql.enrollments import REVISION as ENROLLMENTS_REVISION
from sonde.sql.enrollments import EnrollmentDates
from sonde.stats.registry import STATISTICS, statistic
from sonde.stats.statistic import Covariate
from sonde.table import Partition, Table, folder_name

DATASET = "sonde"  # where results go unless an experiment names its own
POPULATION = "population"  # the step that counts units; it reads enrollments only
HAS_DATA = "has_data"  # the metric that counts units with rows of a step's sources
REVISION = 3  # raise it when the same inputs would give other estimates


# Of what computes, by name, as `in_force` has them.
Revisions: TypeAlias = Mapping[str, int]


def in_force() -> dict[str, int]:
    """The revisions of all that computes here."""
    own = {"enrollments": ENROLLMENTS_REVISION, "windows": REVISION}
    return own | {name: getattr(each, "revision", 0) for name, each in STATISTICS.items()}


@dataclass(frozen=True)
class Enroll:
    """Find the enrolled and exposed units and their segments."""

    experiment: Experiment
    dates: EnrollmentDates


@dataclass(frozen=True)
class Estimate:
    """Estimate every statistic of the metrics that one set of sources gives, in one window.

    sources: by name; empty for the step that only counts units.
    """

    experiment: Experiment
    basis: AnalysisBasis
    due: DueWindow
    sources: tuple[DataSource, ...]
    metrics: tuple[Metric, ...]


Action: TypeAlias = Enroll | Estimate


@dataclass(frozen=True)
class Step:
    """Fill `output` from `inputs`; done when a receipt has this fingerprint.

    kept: the fingerprint that the same has by the revisions that an experiment keeps; done as well
    when a receipt has that.
    """

    output: Partition
    action: Action
    fingerprint: str
    inputs: tuple[Partition, ...] = ()
    marks: tuple[str, ...] = field(default=())
    kept: str = ""

    @property
    def slug(self) -> str:
        """The experiment the step belongs to."""
        return self.action.experiment.slug

    def __str__(self) -> str:
        match self.action:
            case Enroll(dates=dates):
                return f"{self.slug}: enrollments {dates.first} to {dates.last}"
            case Estimate(basis=basis, due=due):
                return f"{self.slug}: {due.label}, {basis.value}, {self.output.key[-1]}"


def dataset(experiment: Experiment) -> str:
    """The lake folder of the experiment's results."""
    return dataset_folder(experiment.dataset_id)


def dataset_folder(dataset_id: str | None) -> str:
    """The lake folder of results; None: where they go unless an experiment names its own."""
    return folder_name(dataset_id or DATASET)


def enrollments_table(experiment: Experiment) -> Table:
    """One row per (analysis_id, branch); see `sonde.sql.enrollments`."""
    return Table(f"{dataset(experiment)}/enrollments/{folder_name(experiment.slug)}")


def statistics_table(experiment: Experiment) -> Table:
    """Estimates of all experiments of a dataset.

    marks: `complete`, or `partial` while further units may come to have the whole window; the
    last day of data the result is from.
    """
    return Table(
        f"{dataset(experiment)}/statistics",
        ("experiment", "analysis_basis", "analysis_period", "window_index", "data_source"),
        ("completeness", "data_through"),
    )


def queries_table(experiment: Experiment) -> Table:
    """The SQL behind estimates, by `query_id`."""
    return Table(f"{dataset(experiment)}/queries", ("experiment", "query_id"))


def errors_table(experiment: Experiment) -> Table:
    """What failed in each step's latest try."""
    return Table(f"{dataset(experiment)}/errors", ("experiment", "step"))


def health_table(experiment: Experiment) -> Table:
    """What was checked of each experiment of a dataset; see `sonde.health`."""
    return Table(f"{dataset(experiment)}/health", ("experiment",))


def estimate_partition(
    experiment: Experiment, basis: AnalysisBasis, due: DueWindow, source: str
) -> Partition:
    """Where the estimates of one basis, window and set of sources go."""
    return statistics_table(experiment).partition(
        experiment.slug, basis.value, due.period.value, str(due.index), source
    )


def fingerprint(*parts: object) -> str:
    """A digest of plain values; equal values, equal digest, on every machine.

    >>> fingerprint("a", {"x": 1, "y": date(2020, 1, 1)}) == fingerprint(
    ...     "a", {"y": date(2020, 1, 1), "x": 1}
    ... )
    True
    """
    text = json.dumps(parts, sort_keys=True, default=_plain, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def _plain(value: object) -> object:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"{type(value).__name__} has no canonical form")


def sources_of(metric: Metric) -> tuple[DataSource, ...]:
    """The sources whose rows a metric is made of, each once, in order of name."""
    return tuple(
        source
        for _, source in sorted(
            {m.data_source.name: m.data_source for m in columns_of(metric) if m.data_source}.items()
        )
    )


def columns_of(metric: Metric) -> tuple[Metric, ...]:
    """The metrics with a column of their own that this one's statistics read."""
    found = {m.name: m for upstream in metric.depends_on for m in columns_of(upstream)}
    if metric.data_source is not None and metric.select_expression is not None:
        found[metric.name] = metric
    return tuple(found.values())


def covariate_metrics(experiment: Experiment, metric: Metric) -> dict[str, Metric]:
    """The metrics that adjust this one's statistics, by name; itself where none is named.

    One that the experiment does not measure, or that has no column of its own, is not there.
    """
    known = {m.name: m for metrics in experiment.metrics.values() for m in metrics}
    known[metric.name] = metric
    wanted = [c.metric or metric.name for d in metric.statistics if (c := covariate_of(d))]
    return {n: known[n] for n in wanted if n in known and known[n].select_expression is not None}


def covariate_of(declared: StatisticDeclaration) -> Covariate | None:
    """What adjusts a statistic; None also for one that cannot be built: its step says why."""
    if declared.params.get("covariate_adjustment") is None:
        return None
    try:
        return statistic(declared.name, declared.params).covariate
    except ValueError:
        return None


def metric_identity(metric: Metric, revisions: Revisions) -> dict[str, Any]:
    """All of a metric that can change a number; names for people are left out."""
    return {
        "name": metric.name,
        "source": None if metric.data_source is None else source_identity(metric.data_source),
        "select": metric.select_expression,
        "depends_on": [metric_identity(upstream, revisions) for upstream in metric.depends_on],
        "statistics": [statistic_identity(s, revisions) for s in metric.statistics],
    }


def source_identity(source: DataSource) -> dict[str, Any]:
    """All of a data source that can change a number."""
    return {
        "from": source.from_expression,
        "client": source.client_id_column,
        "group": source.group_id_column,
        "date": source.submission_date_column,
        "experiments": source.experiments_column.value,
        "default_dataset": source.default_dataset,
    }


def statistic_identity(statistic: StatisticDeclaration, revisions: Revisions) -> dict[str, Param]:
    """All of a statistic that can change a number."""
    return {
        "name": statistic.name,
        "revision": revisions.get(statistic.name, 0),
        "params": dict(statistic.params),
        "pre_treatments": tuple(
            {"name": p.name, "args": dict(p.args)} for p in statistic.pre_treatments
        ),
    }
