"""What newer declarations, or a newer program, would change about an experiment's numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from sonde.experiment import Experiment
from sonde.metric import ExposureSignal, Metric, Segment, SegmentDataSource
from sonde.plan.steps import (
    Revisions,
    in_force,
    source_identity,
    statistic_identity,
)


def changes(kept: Experiment, newest: Experiment) -> tuple[str, ...]:
    """What would give other numbers, in words; names for people do not count.

    >>> from dataclasses import replace
    >>> from sonde.experiment import EnrollmentsQueryType, ExperimentRecord
    >>> from sonde.metric import AnalysisUnit
    >>> record = ExperimentRecord("a")
    >>> kept = Experiment(record, 7, AnalysisUnit.CLIENT, EnrollmentsQueryType.CIRRUS, {})
    >>> changes(kept, replace(kept, sample_size=10))
    ('sample_size',)
    """
    then, now = dict(_parts(kept)), dict(_parts(newest))
    return tuple(
        _said(name, then, now)
        for name in dict.fromkeys((*then, *now))
        if then.get(name) != now.get(name)
    )


def revised(experiment: Experiment, kept: Revisions) -> tuple[str, ...]:
    """Of what computes an experiment, that which has another revision now, in words."""
    used = {s.name for m in _metrics(experiment).values() for s in m.statistics}
    titles = {"enrollments": "enrollments", "windows": "windows"}
    titles |= {name: f'statistic "{name}"' for name in sorted(used)}
    now = in_force()
    return tuple(
        f"{title} (revision {kept[name]}, now {now[name]})"
        for name, title in titles.items()
        if name in kept and name in now and kept[name] != now[name]
    )


def _said(name: str, then: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    if name not in then:
        return f"{name} is new"
    return name if name in now else f"{name} is gone"


def _parts(experiment: Experiment) -> Iterator[tuple[str, Any]]:
    """All that can change a number, by what people call it."""
    for key in ("analysis_unit", "enrollments_query_type", "enrollment_query", "sample_size"):
        yield key, getattr(experiment, key)
    said = experiment.overrides
    yield "dates", (experiment.enrollment_period, said.start_date, said.end_date)
    yield "reference_branch", said.reference_branch
    signal = experiment.exposure_signal
    if signal is not None:
        yield "exposure_signal", _signal(signal)
    yield from _each("metric", _metrics(experiment), lambda metric: _metric(metric, experiment))
    sources = {
        m.data_source.name: m.data_source for m in _metrics(experiment).values() if m.data_source
    }
    if signal is not None:
        sources[signal.data_source.name] = signal.data_source
    yield from _each("data source", sources, lambda s: (source_identity(s), s.analysis_units))
    yield from _each("segment", {s.name: s for s in experiment.segments}, _segment)
    read = {s.data_source.name: s.data_source for s in experiment.segments}
    yield from _each("data source of segments", read, _segment_source)


def _each(
    kind: str, named: Mapping[str, Any], identity: Callable[[Any], Any]
) -> Iterator[tuple[str, Any]]:
    yield from ((f'{kind} "{name}"', identity(each)) for name, each in named.items())


def _metrics(experiment: Experiment) -> dict[str, Metric]:
    """Every metric, and those that it depends on."""
    found: dict[str, Metric] = {}

    def add(metric: Metric) -> None:
        found[metric.name] = metric
        for upstream in metric.depends_on:
            add(upstream)

    for metrics in experiment.metrics.values():
        for metric in metrics:
            add(metric)
    return found


def _metric(metric: Metric, experiment: Experiment) -> tuple[Any, ...]:
    """Of the metric alone: sources and what it depends on are named."""
    now = in_force()
    by_period = {period: {m.name: m for m in all_} for period, all_ in experiment.metrics.items()}
    asked = {
        period: [statistic_identity(s, now) for s in metrics[metric.name].statistics]
        for period, metrics in by_period.items()
        if metric.name in metrics
    }
    return (
        metric.select_expression,
        metric.data_source.name if metric.data_source else None,
        [upstream.name for upstream in metric.depends_on],
        metric.analysis_bases,
        metric.analysis_units,
        asked,
    )


def _signal(signal: ExposureSignal) -> tuple[Any, ...]:
    return (
        signal.data_source.name,
        signal.select_expression,
        signal.window_start,
        signal.window_end,
    )


def _segment(segment: Segment) -> tuple[str, str]:
    return segment.data_source.name, segment.select_expression


def _segment_source(source: SegmentDataSource) -> tuple[Any, ...]:
    return (
        source.from_expression,
        source.window_start,
        source.window_end,
        source.client_id_column,
        source.group_id_column,
        source.submission_date_column,
        source.default_dataset,
    )
