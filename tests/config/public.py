"""The public parser, asked the same questions, with its answers in one plain form."""

from __future__ import annotations

import contextlib
import copy
import datetime as dt
import re
from pathlib import Path
from typing import Any

import pytz
from metric_config_parser.analysis import AnalysisSpec
from metric_config_parser.config import ConfigCollection, LocalConfigCollection
from metric_config_parser.experiment import Branch, BucketConfig
from metric_config_parser.experiment import Experiment as PublicExperiment

from sonde.config import Resolved
from sonde.experiment import ExperimentRecord
from sonde.metric import DataSource, ExperimentsColumn, Metric, SegmentDataSource

_BLANK = re.compile(r"\s+")


class PublicParser:
    """A metric-hub tree, loaded once; the parser changes what it resolves, so it gets copies."""

    def __init__(self, tree: Path) -> None:
        collection = LocalConfigCollection.from_local_path(str(tree))
        if (tree / "jetstream").is_dir():
            collection.merge(LocalConfigCollection.from_local_path(str(tree / "jetstream")))
        self._own = {
            config.slug: config.spec
            for config in collection.configs
            if isinstance(config.spec, AnalysisSpec)
        }
        self.slugs = sorted(self._own)
        collection.configs = []
        self.collection = collection

    def resolve(self, record: ExperimentRecord) -> dict[str, Any]:
        """Its answer in plain form; an exception where it refuses."""
        return self.resolve_in(self.collection_of(record.app_name), record)

    def resolve_in(self, collection: ConfigCollection, record: ExperimentRecord) -> dict[str, Any]:
        """Its answer from a collection that may have answered before."""
        experiment = _experiment(record)
        spec = AnalysisSpec.default_for_experiment(experiment, collection)
        if record.slug in self._own:
            spec.merge(self.own(record.slug))
        return _plain_public(spec.resolve(experiment, collection), record.slug)

    def own(self, slug: str) -> AnalysisSpec:
        """What an experiment's own file says, to be spoilt."""
        return copy.deepcopy(self._own[slug])

    def collection_of(self, app: str | None) -> ConfigCollection:
        """What concerns one application, to be spoilt."""
        everything = self.collection
        return ConfigCollection(
            outcomes=copy.deepcopy([o for o in everything.outcomes if o.platform == app]),
            defaults=copy.deepcopy([d for d in everything.defaults if d.slug in (app, "v6")]),
            definitions=copy.deepcopy([d for d in everything.definitions if d.platform == app]),
            functions=everything.functions,
        )


def dummy_record(slug: str, app_name: str, outcomes: tuple[str, ...] = ()) -> ExperimentRecord:
    """An experiment of which nothing is known but its name and application."""
    return ExperimentRecord(
        slug,
        reference_branch="control",
        start_date=dt.date(2026, 1, 5),
        end_date=dt.date(2026, 3, 2),
        proposed_enrollment=14,
        app_name=app_name,
        app_id="an-app",
        outcomes=outcomes,
    )


def plain(resolved: Resolved) -> dict[str, Any]:
    """Sonde's answer in the same form."""
    experiment = resolved.experiment
    signal = experiment.exposure_signal
    return {
        "enrollment_period": experiment.enrollment_period,
        "enrollment_query": _words(experiment.enrollment_query),
        "reference_branch": experiment.reference_branch,
        "dates": (experiment.start_date, experiment.end_date),
        "analysis_unit": experiment.analysis_unit.value,
        "sample_size": experiment.sample_size,
        "skip": experiment.skip,
        "private": (experiment.is_private, experiment.dataset_id),
        "segments": [
            {
                "name": segment.name,
                "select": _words(segment.select_expression),
                "texts": (segment.friendly_name, _words(segment.description)),
                "source": _segment_source(segment.data_source),
            }
            for segment in experiment.segments
        ],
        "exposure_signal": signal
        and {
            "name": signal.name,
            "select": _words(signal.select_expression),
            "texts": (signal.friendly_name, _words(signal.description)),
            "source": _source(signal.data_source),
            "window": (_word(signal.window_start), _word(signal.window_end)),
        },
        "metrics": {
            period.value: {
                (metric.name, statistic.name): {
                    **_metric(metric),
                    "params": _thawed(statistic.params),
                    "pre_treatments": [(p.name, _thawed(p.args)) for p in statistic.pre_treatments],
                }
                for metric in metrics
                for statistic in metric.statistics
            }
            for period, metrics in experiment.metrics.items()
        },
    }


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "select": _words(metric.select_expression),
        "source": metric.data_source and _source(metric.data_source),
        "bases": sorted(basis.value for basis in metric.analysis_bases),
        "units": sorted(unit.value for unit in metric.analysis_units),
        "depends_on": sorted(upstream.name for upstream in metric.depends_on),
        "better": metric.bigger_is_better,
        "texts": (metric.friendly_name, _words(metric.description)),
        "meta": (metric.type, metric.category, list(metric.owner), metric.deprecated, metric.level),
    }


def _source(source: DataSource) -> dict[str, Any]:
    column = source.experiments_column
    return {
        "name": source.name,
        "from": _words(source.from_expression),
        "client": source.client_id_column,
        "group": source.group_id_column,
        "date": source.submission_date_column,
        "experiments": None if column is ExperimentsColumn.NONE else column.value,
        "dataset": source.default_dataset,
        "units": sorted(unit.value for unit in source.analysis_units),
        "texts": (source.friendly_name, _words(source.description)),
    }


def _segment_source(source: SegmentDataSource) -> dict[str, Any]:
    return {
        "name": source.name,
        "from": _words(source.from_expression),
        "window": (source.window_start, source.window_end),
        "client": source.client_id_column,
        "group": source.group_id_column,
        "date": source.submission_date_column,
    }


def _experiment(record: ExperimentRecord) -> PublicExperiment:
    return PublicExperiment(
        experimenter_slug=None,
        normandy_slug=record.slug,
        type=record.type,
        status="Live",
        branches=[Branch(slug=branch.slug, ratio=branch.ratio) for branch in record.branches],
        start_date=_midnight(record.start_date),
        end_date=_midnight(record.end_date),
        enrollment_end_date=_midnight(record.enrollment_end_date),
        proposed_enrollment=record.proposed_enrollment,
        reference_branch=record.reference_branch,
        is_high_population=record.is_high_population,
        app_name=record.app_name or "",
        app_id=record.app_id,
        outcomes=list(record.outcomes),
        segments=list(record.segments),
        bucket_config=BucketConfig(
            randomization_unit=record.randomization_unit,
            namespace="namespace",
            start=record.bucket_start or 0,
            count=record.bucket_count or 0,
        ),
    )


def _plain_public(answer: Any, slug: str) -> dict[str, Any]:
    experiment = answer.experiment
    signal = experiment.exposure_signal
    return {
        "enrollment_period": experiment.enrollment_period,
        "enrollment_query": _words(experiment.enrollment_query),
        "reference_branch": experiment.reference_branch,
        "dates": tuple(
            moment and moment.date() for moment in (experiment.start_date, experiment.end_date)
        ),
        "analysis_unit": experiment.analysis_unit.value,
        "sample_size": experiment.sample_size,
        "skip": experiment.skip,
        "private": (experiment.is_private, experiment.dataset_id),
        "segments": [
            {
                "name": segment.name,
                "select": _words(segment.select_expression),
                "texts": (segment.friendly_name, _words(segment.description)),
                "source": {
                    "name": segment.data_source.name,
                    "from": _words(segment.data_source.from_expression),
                    "window": (segment.data_source.window_start, segment.data_source.window_end),
                    "client": segment.data_source.client_id_column,
                    "group": segment.data_source.group_id_column,
                    "date": segment.data_source.submission_date_column,
                },
            }
            for segment in experiment.segments
        ],
        "exposure_signal": signal
        and {
            "name": signal.name,
            "select": _words(signal.select_expression),
            "texts": (signal.friendly_name, _words(signal.description)),
            "source": _public_source(signal.data_source),
            "window": (_word(signal.window_start), _word(signal.window_end)),
        },
        "metrics": {
            period.value: {
                (summary.metric.name, summary.statistic.name): {
                    **_public_metric(summary.metric, slug),
                    "params": summary.statistic.params,
                    "pre_treatments": [(p.name, dict(p.args)) for p in summary.pre_treatments],
                }
                for summary in summaries
            }
            for period, summaries in answer.metrics.items()
        },
    }


def _public_metric(metric: Any, slug: str) -> dict[str, Any]:
    select = metric.select_expression
    if select is not None:  # the library that makes the query of it does this last step
        with contextlib.suppress(KeyError, IndexError, ValueError):
            select = select.format(experiment_slug=slug)
    return {
        "select": _words(select),
        "source": metric.data_source and _public_source(metric.data_source),
        "bases": sorted(basis.value for basis in metric.analysis_bases),
        "units": sorted(unit.value for unit in metric.analysis_units),
        "depends_on": sorted({summary.metric.name for summary in metric.depends_on or []}),
        "better": metric.bigger_is_better,
        "texts": (metric.friendly_name, _words(metric.description)),
        "meta": (
            metric.type,
            metric.category,
            list(metric.owner or []),
            metric.deprecated,
            metric.level and metric.level.value,
        ),
    }


def _public_source(source: Any) -> dict[str, Any]:
    return {
        "name": source.name,
        "from": _words(source.from_expression),
        "client": source.client_id_column,
        "group": source.group_id_column,
        "date": source.submission_date_column,
        "experiments": source.experiments_column_type,
        "dataset": source.default_dataset,
        "units": sorted(unit.value for unit in source.analysis_units),
        "texts": (source.friendly_name, _words(source.description)),
    }


def _words(text: str | None) -> str | None:
    """Text without regard to blanks: the public parser's TOML library drops some at line ends."""
    return None if text is None else _BLANK.sub(" ", text).strip()


def _word(limit: Any) -> Any:
    return getattr(limit, "value", limit)


def _thawed(value: Any) -> Any:
    match value:
        case tuple():
            return [_thawed(item) for item in value]
        case dict():
            return {key: _thawed(item) for key, item in value.items()}
        case _:
            return value


def _midnight(day: dt.date | None) -> dt.datetime | None:
    return None if day is None else dt.datetime.combine(day, dt.time(), pytz.utc)
