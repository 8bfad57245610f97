"""The pieces of SQL in a configuration, templates filled in, each with its place."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sonde.config.document import Setting
from sonde.config.metrics import MetricResolver
from sonde.config.resolve import Resolved
from sonde.config.scope import Scope
from sonde.config.sources import data_source, segment
from sonde.config.spec import Spec
from sonde.config.template import fill
from sonde.metric import DataSource, Segment, SegmentDataSource

Kind: TypeAlias = Literal["expression", "relation", "query"]
CheckSql: TypeAlias = Callable[[str, Kind], str | None]
"""What is wrong with an aggregate or condition, a table or subquery, a whole statement."""

_ANY_DATASET = "any_dataset"


@dataclass(frozen=True)
class Fragment:
    """A piece of SQL."""

    text: str
    kind: Kind
    setting: Setting


def fragments_of_experiment(resolved: Resolved) -> Iterator[Fragment]:
    """Every piece of SQL of an experiment."""
    experiment, trace = resolved.experiment, resolved.trace
    if experiment.enrollment_query is not None:
        yield Fragment(experiment.enrollment_query, "query", trace["enrollment_query"])
    if (signal := experiment.exposure_signal) is not None:
        setting = trace["exposure_signal.select_expression"]
        yield Fragment(signal.select_expression, "expression", setting)
        yield from _of_source(signal.data_source, trace)
    for each in experiment.segments:
        yield from _of_segment(each, trace)
    for period, metrics in experiment.metrics.items():
        for metric in metrics:
            path = f"metrics.{period}.{metric.name}"
            if metric.select_expression is not None and metric.data_source is not None:
                setting = trace.get(f"{path}.select_expression") or trace[f"{path}.aggregation"]
                yield Fragment(metric.select_expression, "expression", setting)
                yield from _of_source(metric.data_source, trace)


def fragments_of_scope(scope: Scope, spec: Spec) -> Iterator[Fragment]:
    """Every piece of SQL of shared definitions; errors on the way are left in the scope."""
    resolver = MetricResolver(scope)
    for name, table in spec.metrics.items():
        with scope.collecting():
            metric = resolver.defined(name)
            setting = table.get("select_expression") or table.get("aggregation")
            if metric.select_expression is not None and setting is not None:
                yield Fragment(metric.select_expression, "expression", setting)
    for name in spec.data_sources:
        with scope.collecting():
            yield from _of_source(data_source(scope, name, None), scope.trace)
    for name in spec.segments:
        with scope.collecting():
            yield from _of_segment(segment(scope, name, None), scope.trace)


def _of_source(source: DataSource, trace: Mapping[str, Setting]) -> Iterator[Fragment]:
    setting = trace[f"data_sources.{source.name}.from_expression"]
    yield Fragment(_with_dataset(source), "relation", setting)


def _of_segment(each: Segment, trace: Mapping[str, Setting]) -> Iterator[Fragment]:
    setting = trace[f"segments.{each.name}.select_expression"]
    yield Fragment(each.select_expression, "expression", setting)
    setting = trace[f"segments.data_sources.{each.data_source.name}.from_expression"]
    yield Fragment(_with_dataset(each.data_source), "relation", setting)


def _with_dataset(source: DataSource | SegmentDataSource) -> str:
    try:
        return fill(source.from_expression, dataset=source.default_dataset or _ANY_DATASET)
    except ValueError:  # said where the source is looked up
        return source.from_expression
