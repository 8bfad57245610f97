"""Metrics declared once as an aggregation and once as SQL: whether both say the same."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sonde.config import aggregation
from sonde.config.document import Setting, Table
from sonde.config.scope import Scope, value
from sonde.config.spec import Spec
from sonde.errors import ConfigError, did_you_mean

_BLANK = re.compile(r"\s+")
_INSIDE = re.compile(r"(?<=\() | (?=\))")


def nimbus_errors(spec: Spec, scope: Scope) -> Iterator[ConfigError]:
    """What is wrong with aggregations, seen beside the shared definitions of the application."""
    shared = scope.shared.spec
    for name, table in spec.metrics.items():
        source = table["data_source"]
        if source.value not in shared.data_sources:
            hint = did_you_mean(source.value, shared.data_sources)
            yield ConfigError(f'no data source "{source.value}" is defined{hint}', source.place)
        elif name in shared.metrics and has_sql(shared.metrics[name]):
            yield from _difference(name, table, shared.metrics[name], scope)


def has_sql(definition: Table) -> bool:
    """Whether a shared definition says how its column is made."""
    return "select_expression" in definition or "aggregation" in definition


def _difference(name: str, table: Table, shared: Table, scope: Scope) -> Iterator[ConfigError]:
    source, other = table["data_source"], value(shared, "data_source")
    if source.value != other:
        message = f'"{name}" reads "{source.value}" here and "{other}" in its shared definition'
        yield ConfigError(message, source.place)
    ours, theirs = _sql(table, scope), _sql(shared, scope)
    if ours != theirs:
        message = f'the shared definition of "{name}" says {theirs}, this says {ours}'
        yield ConfigError(message, table["aggregation"].place)


def _sql(table: Table, scope: Scope) -> str:
    """The column without regard to layout."""
    written = table.get("select_expression")
    if written is None:
        made = table["aggregation"]
        written = Setting(aggregation.select_expression(table), made.document, made.path)
    return _INSIDE.sub("", _BLANK.sub(" ", scope.render(written)).strip())
