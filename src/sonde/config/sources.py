"""Data sources and segments of an experiment."""

from __future__ import annotations

import re

from sonde.config.document import Setting, Table
from sonde.config.scope import Scope, prose, value
from sonde.config.template import format_fields
from sonde.errors import ConfigError, Place, did_you_mean
from sonde.metric import (
    DataSource,
    ExperimentsColumn,
    ExposureSignal,
    Segment,
    SegmentDataSource,
)

_NAME = re.compile(r"[a-zA-Z0-9_]+")


def data_source(scope: Scope, name: str, place: Place | None) -> DataSource:
    """The rows a metric or an exposure signal reads."""
    if name not in scope.data_sources:
        scope.data_sources[name] = _data_source(scope, name, place)
    return scope.data_sources[name]


def segment(scope: Scope, name: str, place: Place | None) -> Segment:
    """A segment with its rows."""
    table = scope.table("segments", name, place)
    source = _segment_data_source(scope, table["data_source"])
    scope.keep_trace(f"segments.{name}", table)
    return Segment(
        name=name,
        data_source=source,
        select_expression=scope.render(table["select_expression"]),
        friendly_name=prose(table, "friendly_name"),
        description=prose(table, "description"),
    )


def exposure_signal(scope: Scope, table: Table) -> ExposureSignal:
    """The configured signal; its expression is no template."""
    source = table["data_source"]
    scope.keep_trace("exposure_signal", table)
    return ExposureSignal(
        name=value(table, "name"),
        data_source=data_source(scope, source.value, source.place),
        select_expression=value(table, "select_expression"),
        friendly_name=prose(table, "friendly_name") or "",
        description=prose(table, "description") or "",
        window_start=value(table, "window_start"),
        window_end=value(table, "window_end"),
    )


def _data_source(scope: Scope, name: str, place: Place | None) -> DataSource:
    table = scope.table("data_sources", name, place)
    if not _NAME.fullmatch(name):
        raise ConfigError(f'"{name}" cannot name a data source; use letters, digits and _', place)
    if "from_expression" not in table:
        where = next(iter(table.values())).place if table else place
        raise ConfigError(f'data source "{name}" has no "from_expression"', where)
    default_dataset = value(table, "default_dataset") or None
    expression = _from_expression(scope, table["from_expression"])
    _check_fields(expression, default_dataset, table["from_expression"])
    scope.keep_trace(f"data_sources.{name}", table)
    return DataSource(
        name=name,
        from_expression=expression,
        client_id_column=value(table, "client_id_column") or "client_id",
        group_id_column=value(table, "group_id_column") or "profile_group_id",
        submission_date_column=value(table, "submission_date_column") or "submission_date",
        experiments_column=ExperimentsColumn(value(table, "experiments_column_type", "simple")),
        default_dataset=default_dataset,
        analysis_units=value(table, "analysis_units", scope.default_units),
        friendly_name=value(table, "friendly_name"),
        description=value(table, "description"),
    )


def _segment_data_source(scope: Scope, named: Setting) -> SegmentDataSource:
    name = named.value
    table = scope.table("segment_data_sources", name, named.place)
    start, end = value(table, "window_start", 0), value(table, "window_end", 0)
    if start > end:
        message = f"the window ends (day {end}) before it starts (day {start})"
        scope.warnings.append(ConfigError(message, table["from_expression"].place))
    expression = scope.render(table["from_expression"], experiment=scope.view)
    try:  # an experiment has its app id for {dataset}, as a rule
        _check_fields(expression, "any", table["from_expression"])
    except ConfigError as error:  # the public parser leaves this to the query
        scope.warnings.append(error)
    scope.keep_trace(f"segments.data_sources.{name}", table)
    return SegmentDataSource(
        name=name,
        from_expression=expression,
        window_start=start,
        window_end=end,
        client_id_column=value(table, "client_id_column") or "client_id",
        group_id_column=value(table, "group_id_column") or "profile_group_id",
        submission_date_column=value(table, "submission_date_column") or "submission_date",
        default_dataset=value(table, "default_dataset") or None,
    )


def _from_expression(scope: Scope, written: Setting) -> str:
    """Filled in only when it speaks of the experiment: elsewhere `{{` is an escaped brace."""
    if scope.templates.mentions(written.value, "experiment"):
        return scope.render(written, experiment=scope.view)
    return str(written.value)


def _check_fields(expression: str, default_dataset: str | None, written: Setting) -> None:
    try:
        fields = format_fields(expression)
    except ValueError as error:
        raise ConfigError(str(error), written.place) from error
    for field in fields:
        if field != "dataset":
            raise ConfigError(
                f"{{{field}}} is not filled in{did_you_mean(field, ['dataset'])}; for the"
                " experiment write {{experiment...}}, for a brace write it twice",
                written.place,
            )
    if fields and default_dataset is None:
        raise ConfigError(
            '{dataset} needs a "default_dataset" for experiments without an app id', written.place
        )
