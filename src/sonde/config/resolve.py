"""From merged declarations to an experiment whose every name is looked up. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property

from sonde.config.document import Origin, Setting, Table
from sonde.config.merge import merge, merge_outcome
from sonde.config.metrics import MetricResolver
from sonde.config.parameters import as_sql, effective_value
from sonde.config.platforms import Platform
from sonde.config.scope import Scope, value
from sonde.config.sources import exposure_signal, segment
from sonde.config.spec import Declared, Spec
from sonde.config.statistics import Catalogue
from sonde.config.template import Templates
from sonde.config.view import (
    BeforeEnrollmentQuery,
    ExperimentView,
    RandomizationUnit,
    enrollment_days,
)
from sonde.errors import ConfigError, ConfigErrors, did_you_mean
from sonde.experiment import (
    EnrollmentsQueryType,
    Experiment,
    ExperimentRecord,
    Outcome,
    Overrides,
)
from sonde.metric import AnalysisUnit, ExposureSignal, Segment
from sonde.window import Period


@dataclass(frozen=True)
class Resolved:
    """An experiment with the configuration applied, and where each of its values was set.

    trace: the setting behind each value, by dotted path.
    warnings: what is wrong but changes nothing that was meant, as an unknown key.
    """

    experiment: Experiment
    trace: Mapping[str, Setting] = field(default_factory=dict, repr=False)
    warnings: tuple[ConfigError, ...] = ()

    @cached_property
    def origins(self) -> Mapping[str, Origin]:
        """Who set each value, by dotted path: `metrics.week.active_hours.select_expression`."""
        return {path: setting.origin() for path, setting in self.trace.items()}


@dataclass(frozen=True)
class Attached:
    """An outcome of an experiment: its declarations, and the commit that last changed them."""

    slug: str
    declared: Declared
    commit_hash: str | None = None


@dataclass(frozen=True)
class Surroundings:
    """What an experiment's own configuration is resolved against.

    outcomes_with: the outcomes that define a metric of a given name.
    """

    shared: Declared
    templates: Templates
    platforms: Mapping[str, Platform]
    catalogue: Catalogue
    outcomes_with: Callable[[str], Iterable[str]]
    now: datetime


def resolve_experiment(
    record: ExperimentRecord,
    layers: Sequence[Declared],
    outcomes: Sequence[Attached],
    around: Surroundings,
) -> Resolved:
    """Merge and look up everything. All mistakes are raised together, as ConfigErrors.

    layers: from the lowest up: platform defaults, defaults for the type, the experiment's own.
    outcomes: below all of them, the first highest.
    """
    contributions = [*layers, *(outcome.declared for outcome in outcomes)]
    _raise_all(finding.error for declared in contributions for finding in declared.refused)
    scope = experiment_scope(record, layers, outcomes, around)
    scope.warnings.extend(f.error for declared in contributions for f in declared.tolerated)
    experiment = _experiment(record, scope, outcomes, around.platforms)
    _raise_all(scope.errors)
    return Resolved(experiment, scope.trace, tuple(_once(scope.warnings)))


def experiment_scope(
    record: ExperimentRecord,
    layers: Sequence[Declared],
    outcomes: Sequence[Attached],
    around: Surroundings,
) -> Scope:
    """Everything merged, and nothing looked up yet."""
    spec = merged(layers)
    for outcome in outcomes:
        spec = merge_outcome(spec, outcome.declared.spec)
    return Scope(
        spec=spec,
        shared=around.shared,
        templates=around.templates,
        view=ExperimentView(record, overrides(spec.experiment), around.now),
        catalogue=around.catalogue,
        outcomes_with=around.outcomes_with,
    )


def merged(layers: Iterable[Declared]) -> Spec:
    """Layers from the lowest up, as one."""
    spec = Spec()
    for declared in layers:
        spec = merge(spec, declared.spec)
    return spec


def overrides(experiment: Table) -> Overrides:
    """What the configuration says in place of the platform."""
    return Overrides(
        reference_branch=value(experiment, "reference_branch"),
        start_date=value(experiment, "start_date"),
        end_date=value(experiment, "end_date"),
        enrollment_period=value(experiment, "enrollment_period"),
    )


def _experiment(
    record: ExperimentRecord,
    scope: Scope,
    outcomes: Sequence[Attached],
    platforms: Mapping[str, Platform],
) -> Experiment:
    table = scope.spec.experiment
    _fill_view(scope, record)
    _fill_parameters(scope)
    scope.view.enrollment_query = _enrollment_query(scope)
    resolver = MetricResolver(scope)
    for key, setting in table.items():
        scope.trace[key] = setting
    said = overrides(table)
    return Experiment(
        record=record,
        enrollment_period=enrollment_days(record, said),
        analysis_unit=_analysis_unit(record, scope),
        enrollments_query_type=_query_type(record, scope, platforms),
        metrics={period: resolver.listed(period) for period in Period},
        segments=_segments(record, scope),
        exposure_signal=_exposure_signal(scope),
        enrollment_query=scope.view.enrollment_query,
        overrides=said,
        outcomes=tuple(_outcome(outcome) for outcome in outcomes),
        sample_size=value(table, "sample_size"),
        is_private=value(table, "is_private", False),
        dataset_id=value(table, "dataset_id"),
        skip=value(table, "skip", False),
    )


def _fill_view(scope: Scope, record: ExperimentRecord) -> None:
    table, view = scope.spec.experiment, scope.view
    view.skip = value(table, "skip", False)
    view.is_private = value(table, "is_private", False)
    view.dataset_id = value(table, "dataset_id")
    view.sample_size = value(table, "sample_size")
    view.enrollments_query_type = value(table, "enrollments_query_type")
    view.analysis_unit = _analysis_unit(record, scope)


def _fill_parameters(scope: Scope) -> None:
    found = {}
    for name, table in scope.spec.parameters.items():
        with scope.collecting():
            found[name] = as_sql(effective_value(name, table))
    scope.parameters = found


def _analysis_unit(record: ExperimentRecord, scope: Scope) -> AnalysisUnit:
    unit = record.randomization_unit
    known = list(RandomizationUnit)
    if unit not in known:
        message = f'unknown randomization unit "{unit}"{did_you_mean(unit, known)}'
        scope.errors.append(ConfigError(message))
    by_group = unit == RandomizationUnit.GROUP_ID
    drawn = AnalysisUnit.PROFILE_GROUP if by_group else AnalysisUnit.CLIENT
    configured = value(scope.spec.experiment, "analysis_unit")
    return drawn if configured is None else AnalysisUnit(configured)


def _query_type(
    record: ExperimentRecord, scope: Scope, platforms: Mapping[str, Platform]
) -> EnrollmentsQueryType:
    configured = value(scope.spec.experiment, "enrollments_query_type")
    if configured is not None:
        return EnrollmentsQueryType(configured)
    app = record.app_name or ""
    if app not in platforms:
        message = f'"{record.slug}" is for no known application: "{app}"'
        scope.errors.append(ConfigError(message + did_you_mean(app, platforms)))
        return EnrollmentsQueryType.GLEAN_EVENT
    return platforms[app].enrollments_query_type


def _segments(record: ExperimentRecord, scope: Scope) -> tuple[Segment, ...]:
    configured = scope.spec.experiment.get("segments")
    place = configured.place if configured else None
    found = []
    for name in dict.fromkeys((*(configured.value if configured else ()), *record.segments)):
        with scope.collecting():
            found.append(segment(scope, name, place))
    return tuple(found)


def _exposure_signal(scope: Scope) -> ExposureSignal | None:
    if scope.spec.exposure_signal:
        with scope.collecting():
            return exposure_signal(scope, scope.spec.exposure_signal)
    return None


def _enrollment_query(scope: Scope) -> str | None:
    written = scope.spec.experiment.get("enrollment_query")
    if written is not None:
        with scope.collecting():
            return scope.render(written, experiment=BeforeEnrollmentQuery(scope.view))
    return None


def _outcome(outcome: Attached) -> Outcome:
    spec = outcome.declared.spec
    return Outcome(
        slug=outcome.slug,
        friendly_name=value(spec.header, "friendly_name", ""),
        description=value(spec.header, "description", ""),
        metrics=tuple(spec.metrics),
        default_metrics=value(spec.header, "default_metrics", ()),
        commit_hash=outcome.commit_hash,
    )


def _once(errors: Iterable[ConfigError]) -> list[ConfigError]:
    return list({str(error): error for error in errors}.values())


def _raise_all(errors: Iterable[ConfigError]) -> None:
    found = _once(errors)
    if found:
        raise ConfigErrors(
            sorted(found, key=lambda e: (e.place.file, e.place.line or 0) if e.place else ("", 0))
        )
