"""A resolved experiment for a program or a person to read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from sonde.config.document import Origin
from sonde.config.resolve import Resolved
from sonde.experiment import Experiment
from sonde.metric import Metric, Param, StatisticDeclaration
from sonde.window import Period

_EXPERIMENT_KEYS = (
    "enrollments_query_type", "enrollment_query", "sample_size", "dataset_id", "is_private", "skip",
)  # fmt: skip
_RECORD_KEYS = (  # the platform says them when the configuration does not
    "app_name", "start_date", "end_date", "enrollment_period", "reference_branch", "analysis_unit",
)  # fmt: skip
_METRIC_KEYS = (
    "select_expression", "data_source", "depends_on", "analysis_bases", "bigger_is_better",
)  # fmt: skip


def to_json(resolved: Resolved) -> dict[str, Any]:
    """What was resolved, as JSON values: dates are ISO days, other tables are named."""
    experiment = resolved.experiment
    return {
        "slug": experiment.slug,
        "app_name": experiment.app_name,
        "start_date": _day(experiment.start_date),
        "end_date": _day(experiment.end_date),
        "enrollment_period": experiment.enrollment_period,
        "reference_branch": experiment.reference_branch,
        "analysis_unit": experiment.analysis_unit.value,
        "segments": [segment.name for segment in experiment.segments],
        "metrics": {
            period.value: [_metric(metric) for metric in experiment.metrics.get(period, ())]
            for period in Period
        },
    }


def to_text(resolved: Resolved) -> str:
    """What was resolved, each value with the file and line that set it; without the warnings."""
    return "\n".join(map(str, _lines(resolved))) + "\n"


def _metric(metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "data_source": metric.data_source.name if metric.data_source else None,
        "select_expression": metric.select_expression,
        "depends_on": [upstream.name for upstream in metric.depends_on],
        "analysis_bases": [basis.value for basis in metric.analysis_bases],
        "bigger_is_better": metric.bigger_is_better,
        "statistics": [_statistic(statistic) for statistic in metric.statistics],
    }


def _statistic(statistic: StatisticDeclaration) -> dict[str, Any]:
    return {
        "name": statistic.name,
        "params": _plain(statistic.params),
        "pre_treatments": [
            {"name": each.name, "args": _plain(each.args)} for each in statistic.pre_treatments
        ],
    }


def _plain(value: Param) -> Any:
    match value:
        case Mapping():
            return {key: _plain(item) for key, item in value.items()}
        case tuple():
            return [_plain(item) for item in value]
        case _:
            return value


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


@dataclass(frozen=True)
class Shown:
    """A value in force. depth: of its heading, 1 for the experiment's own."""

    depth: int
    name: str
    value: str
    origin: Origin | str

    def __str__(self) -> str:
        return f"{'  ' * self.depth}{self.name}: {self.value}  ({self.origin})"


def settings(resolved: Resolved) -> list[tuple[str, str, str]]:
    """Name, value and origin of every value in force; files by repository and path."""
    found = []
    heading = ""
    for line in _lines(resolved):
        if isinstance(line, Shown):
            name = f"{heading}{line.name}" if line.depth > 1 else line.name
            origin = line.origin
            said = origin.published if isinstance(origin, Origin) else origin
            found.append((name, line.value, said))
        else:
            heading = f"{line.strip().partition(' (')[0]}: "
    return found


def _lines(resolved: Resolved) -> Iterator[Shown | str]:
    experiment = resolved.experiment
    yield experiment.slug
    for key in _RECORD_KEYS:
        yield from _line(resolved, 1, key, getattr(experiment, key), key, "record")
    for key in _EXPERIMENT_KEYS:
        yield from _line(resolved, 1, key, getattr(experiment, key), key)
    if (signal := experiment.exposure_signal) is not None:
        path = "exposure_signal.select_expression"
        yield from _line(resolved, 1, "exposure_signal", signal.select_expression, path)
    yield f"  outcomes: {', '.join(outcome.slug for outcome in experiment.outcomes) or 'none'}"
    yield "segments"
    for segment in experiment.segments:
        path = f"segments.{segment.name}.select_expression"
        yield from _line(resolved, 1, segment.name, segment.select_expression, path)
    yield "metrics"
    for metric, periods in _periods(experiment):
        yield from _metric_lines(resolved, metric, periods)


def _periods(experiment: Experiment) -> list[tuple[Metric, list[Period]]]:
    """The periods of each metric."""
    found: dict[str, tuple[Metric, list[Period]]] = {}
    for period, metrics in experiment.metrics.items():
        for metric in metrics:
            found.setdefault(metric.name, (metric, []))[1].append(period)
    return list(found.values())


def _metric_lines(
    resolved: Resolved, metric: Metric, periods: list[Period]
) -> Iterator[Shown | str]:
    path = f"metrics.{periods[0]}.{metric.name}"
    values = _metric(metric)
    yield f"  {metric.name} ({', '.join(periods)})"
    for key in _METRIC_KEYS:
        written = "aggregation" if f"{path}.aggregation" in resolved.trace else key
        at = f"{path}.{written if key == 'select_expression' else key}"
        yield from _line(resolved, 2, key, values[key], at)
    for statistic in metric.statistics:
        told = [f"{key}={value}" for key, value in _plain(statistic.params).items()]
        told += [f"after {each.name}" for each in statistic.pre_treatments]
        words = f"{statistic.name} {', '.join(told)}".strip()
        at = f"{path}.statistics.{statistic.name}"
        yield from _line(resolved, 2, "statistic", words, at)


def _line(
    resolved: Resolved, depth: int, key: str, value: Any, path: str, otherwise: str = "default"
) -> Iterator[Shown]:
    """A value on one line, with who set it; nothing for no value."""
    if value in (None, []):
        return
    written = ", ".join(value) if isinstance(value, list) else _plain_word(value)
    origin = resolved.origins.get(path, otherwise)
    yield Shown(depth, key, " ".join(written.split()), origin)


def _plain_word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
