"""Parameters of outcomes, as the text that templates put in."""

from __future__ import annotations

from collections.abc import Mapping

from sonde.config.document import Table
from sonde.errors import ConfigError

_FORMS = (
    'write value = ".." or default = ".."; with distinct_by_branch = true,'
    ' value.<branch> = ".." for each branch'
)


def effective_value(name: str, table: Table) -> str | Mapping[str, str]:
    """A text, or a text for each branch: the value, else the default; by branch, both joined."""
    default = table["default"].value if "default" in table else None
    value = table["value"].value if "value" in table else default
    is_by_branch = "distinct_by_branch" in table and table["distinct_by_branch"].value
    if isinstance(value, dict) and is_by_branch:
        return {**default, **value} if isinstance(default, dict) else value
    if isinstance(value, str) and (isinstance(default, dict) or not is_by_branch):
        return value
    place = next(iter(table.values())).place if table else None
    kind = "distinct by branch" if is_by_branch else "the same for all branches"
    raise ConfigError(f'parameter "{name}" is {kind}, but its value is not: {_FORMS}', place)


def as_sql(value: str | Mapping[str, str]) -> str:
    """The text for a template: as it stands, or a choice by the unit's branch.

    >>> as_sql({"a": "1", "b": "2"})
    'CASE e.branch WHEN "a" THEN "1" WHEN "b" THEN "2" END'
    """
    if isinstance(value, str):
        return value
    cases = " ".join(f'WHEN "{branch}" THEN "{text}"' for branch, text in value.items())
    return f"CASE e.branch {cases} END"
