"""The metrics of an experiment, with the statistics asked of each."""

from __future__ import annotations

from dataclasses import dataclass, field

from sonde.config import aggregation
from sonde.config.document import Setting, Table
from sonde.config.keys import AGGREGATION
from sonde.config.scope import Scope, prose, value
from sonde.config.sources import data_source
from sonde.config.statistics import complaints, declarations
from sonde.config.template import fill
from sonde.errors import ConfigError, Place
from sonde.metric import AnalysisBasis, DataSource, Metric, StatisticDeclaration
from sonde.window import Period

_COLUMN_KEYS = ("select_expression", "data_source", *AGGREGATION)
_BOTH_BASES = (AnalysisBasis.ENROLLMENTS, AnalysisBasis.EXPOSURES)
_NO_STATISTIC = (
    'metric "{0}" has no statistics; add one, for example [metrics.{0}.statistics.bootstrap_mean]'
)


@dataclass
class MetricResolver:
    """Resolves each metric once, however many periods and dependants name it."""

    scope: Scope
    _resolved: dict[str, tuple[Metric, Table] | None] = field(default_factory=dict)

    def listed(self, period: Period) -> tuple[Metric, ...]:
        """The metrics of a period: the experiment's own first, each once."""
        names: dict[str, Place] = {}
        for setting in self.scope.spec.periods.get(period, ()):
            names.setdefault(setting.value, setting.place)
        metrics = []
        for name, place in names.items():
            if (found := self._listed(name, place)) is not None:
                metric, table = found
                metrics.append(metric)
                self._keep_trace(f"metrics.{period}.{name}", table)
        return tuple(metrics)

    def defined(self, name: str) -> Metric:
        """A shared definition by itself: it needs no statistics."""
        table = self.scope.shared_table("metrics", name)
        return self._metric(name, table, _first_place(table, None), ())[0]

    def _listed(self, name: str, place: Place) -> tuple[Metric, Table] | None:
        if name not in self._resolved:
            self._resolved[name] = None
            with self.scope.collecting():
                found = self._metric(name, self.scope.table("metrics", name, place), place, ())
                if not found[0].statistics:
                    raise ConfigError(_NO_STATISTIC.format(name), _first_place(found[1], place))
                self._resolved[name] = found
        return self._resolved[name]

    def _metric(
        self, name: str, table: Table, place: Place | None, above: tuple[tuple[str, int], ...]
    ) -> tuple[Metric, Table]:
        """The metric a table declares; `above` are those that depend on it."""
        here = (name, id(table))
        if here in above:
            circle = " -> ".join(each for each, _ in (*above[above.index(here) :], here))
            raise ConfigError(f"depends on itself: {circle}", table["depends_on"].place)
        if value(table, "depends_on"):
            upstream = self._upstream(table["depends_on"], (*above, here))
            return self._with_column(name, table, upstream), table
        if has_column(table):
            return self._with_column(name, table, ()), table
        return self._metric(name, self._over_shared(name, table, place), place, (*above, here))

    def _over_shared(self, name: str, table: Table, place: Place | None) -> Table:
        """A table that says nothing of the column, over the shared definition that does."""
        shared = self.scope.shared.spec.metrics
        if name not in shared or shared[name] is table:
            lacking = " and no ".join(f'"{key}"' for key in _lacking(table))
            hint = self.scope.outcome_hint(name) or ", and there is no definition to take it from"
            message = f'metric "{name}" has no {lacking}{hint}'
            raise ConfigError(message, _first_place(table, place))
        definition = self.scope.shared_table("metrics", name)
        if not has_column(definition) and not value(definition, "depends_on"):
            return definition
        for key in _COLUMN_KEYS & table.keys():
            message = f'"{key}" is ignored: the column of "{name}" comes from its shared definition'
            self.scope.warnings.append(ConfigError(message, table[key].place))
        kept = table.keys() - {*_COLUMN_KEYS, "depends_on"}
        return {**definition, **{key: table[key] for key in table if key in kept}}

    def _upstream(self, names: Setting, above: tuple[tuple[str, int], ...]) -> tuple[Metric, ...]:
        """The metrics depended on: shared ones before the experiment's own."""
        shared = self.scope.shared.spec.metrics
        found = []
        for name in dict.fromkeys(names.value):
            if name in shared:
                table = self.scope.shared_table("metrics", name)
            else:
                table = self.scope.table("metrics", name, names.place)
            found.append(self._metric(name, table, names.place, above)[0])
        return tuple(found)

    def _with_column(self, name: str, table: Table, upstream: tuple[Metric, ...]) -> Metric:
        source, expression = None, None
        if has_column(table):
            named = table["data_source"]
            source = data_source(self.scope, named.value, named.place)
            expression = self._select_expression(table)
        units = value(table, "analysis_units", self.scope.default_units)
        if source is not None:
            _check_units(name, table, units, source)
        return Metric(
            name=name,
            data_source=source,
            select_expression=expression,
            statistics=self._statistics(table),
            depends_on=upstream,
            analysis_bases=value(table, "analysis_bases", _BOTH_BASES),
            analysis_units=units,
            bigger_is_better=value(table, "bigger_is_better", True),
            friendly_name=prose(table, "friendly_name"),
            description=prose(table, "description"),
            type=value(table, "type") or "scalar",
            category=value(table, "category"),
            owner=value(table, "owner", ()),
            deprecated=value(table, "deprecated", False),
            level=value(table, "level"),
        )

    def _select_expression(self, table: Table) -> str:
        """Macros, parameters and format fields filled in."""
        written = table.get("select_expression") or Setting(
            aggregation.select_expression(table),
            table["aggregation"].document,
            table["aggregation"].path,
        )
        names = {"parameters": self.scope.parameters} if "parameters" in written.value else {}
        rendered = self.scope.render(written, **names)
        try:
            return fill(rendered, experiment_slug=self.scope.view.slug)
        except ValueError as error:  # the public parser leaves this to the query
            self.scope.warnings.append(ConfigError(str(error), written.place))
            return rendered

    def _statistics(self, table: Table) -> tuple[StatisticDeclaration, ...]:
        found = []
        for declaration, here in declarations(table["statistics"]) if "statistics" in table else ():
            found.append(declaration)
            self.scope.warnings.extend(complaints(declaration, here, self.scope.catalogue))
        return tuple(found)

    def _keep_trace(self, path: str, table: Table) -> None:
        self.scope.keep_trace(path, table)
        if "statistics" in table:
            for declaration, here in declarations(table["statistics"]):
                at = f"{path}.statistics.{declaration.name}"
                self.scope.trace[at] = here
                for key, param in here.value.items():
                    self.scope.trace[f"{at}.{key}"] = Setting(
                        param, here.document, (*here.path, key)
                    )


def has_column(table: Table) -> bool:
    """Whether a table says how the metric's column is made."""
    return not _lacking(table)


def _lacking(table: Table) -> list[str]:
    """The keys that a metric's column needs and the table lacks."""
    has_expression = "select_expression" in table or "aggregation" in table
    lacking = [] if has_expression else ["select_expression"]
    return lacking if "data_source" in table else [*lacking, "data_source"]


def _first_place(table: Table, otherwise: Place | None) -> Place | None:
    return next((setting.place for setting in table.values()), otherwise)


def _check_units(name: str, table: Table, units: tuple[str, ...], source: DataSource) -> None:
    for unit in units:
        if unit not in source.analysis_units:
            key = "analysis_units" if "analysis_units" in table else "data_source"
            raise ConfigError(
                f'data source "{source.name}" is not declared for {unit}, but metric "{name}" is;'
                f' give the metric analysis_units = ["{source.analysis_units[0]}"],'
                " or the data source both",
                table[key].place,
            )
