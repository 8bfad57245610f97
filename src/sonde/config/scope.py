"""Where the names of one experiment are looked up, and what comes up on the way."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from textwrap import dedent
from typing import Any, Literal, TypeAlias, assert_never

from sonde.config.document import Finding, Setting, Table
from sonde.config.lines import Path
from sonde.config.spec import Declared, Named, Spec
from sonde.config.statistics import Catalogue
from sonde.config.template import Templates
from sonde.config.view import ExperimentView
from sonde.errors import ConfigError, ConfigErrors, Place, did_you_mean
from sonde.metric import AnalysisUnit, DataSource

Kind: TypeAlias = Literal["metrics", "data_sources", "segments", "segment_data_sources"]


@dataclass
class Scope:
    """The merged declarations of one experiment over the shared definitions of its application.

    outcomes_with: the outcomes that would define a metric, for the error message.
    trace: for each resolved value, by dotted path, the setting it came from.
    """

    spec: Spec
    shared: Declared
    templates: Templates
    view: ExperimentView
    catalogue: Catalogue
    outcomes_with: Callable[[str], Iterable[str]]
    parameters: Mapping[str, str] = field(default_factory=dict)
    data_sources: dict[str, DataSource] = field(default_factory=dict)
    trace: dict[str, Setting] = field(default_factory=dict)
    errors: list[ConfigError] = field(default_factory=list)
    warnings: list[ConfigError] = field(default_factory=list)

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Note an error and go on, so that all are reported at once."""
        try:
            yield
        except ConfigErrors as error:
            self.errors.extend(error.errors)
        except ConfigError as error:
            self.errors.append(error)

    def table(self, kind: Kind, name: str, place: Place | None) -> Table:
        """A named declaration: the experiment's, else the shared one."""
        own, shared = _named(self.spec, kind), _named(self.shared.spec, kind)
        if name in own:
            return own[name]
        if name in shared:
            return self.shared_table(kind, name)
        elsewhere = self.outcome_hint(name) if kind == "metrics" else None
        hint = elsewhere or did_you_mean(name, {*own, *shared})
        raise ConfigError(f'no {_TITLES[kind]} "{name}"{hint}', place)

    def shared_table(self, kind: Kind, name: str) -> Table:
        """A shared declaration; what was refused in it is an error only now."""
        if findings := self._refused.get((*_SECTIONS[kind], name)):
            raise ConfigErrors([finding.error for finding in findings])
        return _named(self.shared.spec, kind)[name]

    def keep_trace(self, path: str, table: Table) -> None:
        """Remember where each value of a table came from."""
        for key, setting in table.items():
            self.trace[f"{path}.{key}"] = setting

    def render(self, setting: Setting, **names: Any) -> str:
        """A template filled in; a mistake in it is an error at its place."""
        try:
            return self.templates.render(setting.value, **names)
        except ValueError as error:
            raise ConfigError(str(error), setting.place) from error

    @property
    def default_units(self) -> tuple[AnalysisUnit, ...]:
        """The units that a metric or data source serves when it does not say."""
        if self.view.app_name == "firefox_desktop":
            return (AnalysisUnit.CLIENT, AnalysisUnit.PROFILE_GROUP)
        return (AnalysisUnit.CLIENT,)

    @cached_property
    def _refused(self) -> Mapping[Path, list[Finding]]:
        found: dict[Path, list[Finding]] = {}
        for finding in self.shared.refused:
            for length in (2, 3):
                found.setdefault(finding.path[:length], []).append(finding)
        return found

    def outcome_hint(self, metric: str) -> str | None:
        """The end of a message about a metric that an outcome would define."""
        outcomes = sorted(self.outcomes_with(metric))
        if not outcomes:
            return None
        quoted = " or ".join(f'"{outcome}"' for outcome in outcomes)
        return f"; it belongs to outcome {quoted}, which this experiment does not have"


_TITLES: Mapping[Kind, str] = {
    "metrics": "metric",
    "data_sources": "data source",
    "segments": "segment",
    "segment_data_sources": "data source for segments",
}
_SECTIONS: Mapping[Kind, Path] = {
    "metrics": ("metrics",),
    "data_sources": ("data_sources",),
    "segments": ("segments",),
    "segment_data_sources": ("segments", "data_sources"),
}


def _named(spec: Spec, kind: Kind) -> Named:
    match kind:
        case "metrics":
            return spec.metrics
        case "data_sources":
            return spec.data_sources
        case "segments":
            return spec.segments
        case "segment_data_sources":
            return spec.segment_data_sources
        case unreachable:
            assert_never(unreachable)


def value(table: Table, key: str, default: Any = None) -> Any:
    """The value of a key, or what stands in for it."""
    return table[key].value if key in table else default


def prose(table: Table, key: str) -> str | None:
    """Text for people, without common indentation."""
    written = value(table, key)
    return dedent(written) if written else written
