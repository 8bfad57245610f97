"""What newer declarations, or a newer program, would change about an experiment's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from sonde.experiment import Experiment
from sonde.metric import DataSource, ExposureSignal, Metric, Segment, SegmentDataSource
from sonde.plan.steps import (
    Revisions,
    in_force,
    source_identity,
    statistic_identity,
)
from sonde.window import Period


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
    used = {s.name for _, metric in _metrics(experiment) for s in metric.statistics}
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
    metrics = list(_metrics(experiment))
    sources = [m.data_source for _, m in metrics if m.data_source]
    sources += [signal.data_source] if signal is not None else []
    segments = experiment.segments
    yield from _each("metric", ((m.name, (period, _metric(m))) for period, m in metrics))
    yield from _each("data source", ((s.name, _source(s)) for s in sources))
    yield from _each("segment", ((s.name, _segment(s)) for s in segments))
    read = [s.data_source for s in segments]
    yield from _each("data source of segments", ((s.name, _segment_source(s)) for s in read))


def _each(kind: str, named: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, list[Any]]]:
    """All that there is under each name; most often it is one thing, told several times."""
    found: dict[str, list[Any]] = {}
    for name, identity in named:
        known = found.setdefault(f'{kind} "{name}"', [])
        if identity not in known:
            known.append(identity)
    yield from found.items()


def _metrics(experiment: Experiment) -> Iterator[tuple[Period | None, Metric]]:
    """Every metric of a period, and those that it depends on, of none."""
    for period in Period:
        for metric in experiment.metrics.get(period, ()):
            yield period, metric
            yield from ((None, upstream) for upstream in _upstream(metric))


def _upstream(metric: Metric) -> Iterator[Metric]:
    for each in metric.depends_on:
        yield each
        yield from _upstream(each)


def _metric(metric: Metric) -> tuple[Any, ...]:
    """Of the metric alone: sources and what it depends on are named."""
    now = in_force()
    return (
        metric.select_expression,
        metric.data_source.name if metric.data_source else None,
        [upstream.name for upstream in metric.depends_on],
        metric.analysis_bases,
        metric.analysis_units,
        [statistic_identity(s, now) for s in metric.statistics],
    )


def _source(source: DataSource) -> tuple[Any, ...]:
    return source_identity(source), source.analysis_units


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
