"""What a name in a query stands for, when the tables' columns are not known beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlglot import exp

from sonde.sql.jsons import dotted
from sonde.sql.schemas import Scalar
from sonde.sql.unify import Unknown

_MAP_FIELDS = frozenset({"key", "value"})
_EVENT_FIELDS = frozenset({"timestamp", "category", "name", "extra"})


@dataclass
class Row:
    """The columns of a source.

    is_open: a physical table, which has any column that is asked of it.
    behind: rows that `SELECT *` lets through, each with the names it does not.
    element: the struct whose fields are the columns, for `SELECT item.*`.
    """

    columns: dict[str, Unknown] = field(default_factory=dict)
    is_open: bool = False
    behind: list[tuple[Row, frozenset[str]]] = field(default_factory=list)
    element: Unknown | None = None

    def known(self, name: str) -> Unknown | None:
        """The column, if it is there without having to be invented."""
        if (found := self.columns.get(name.lower())) is not None:
            return found
        if self.element is not None and name.lower() in self.element.field_names():
            return self.element.field(name)
        for row, hidden in self.behind:
            if name.lower() not in hidden and (found := row.known(name)) is not None:
                return found
        return None

    def invented(self, name: str) -> Unknown | None:
        """The column, made up where an open table could have it."""
        if (found := self.known(name)) is not None:
            return found
        if self.is_open:
            return self.columns.setdefault(name.lower(), Unknown(name))
        if self.element is not None:
            return self.element.field(name)
        for row, hidden in self.behind:
            if name.lower() not in hidden and (found := row.invented(name)) is not None:
                return found
        return None

    def first(self) -> Unknown:
        """The type of a one-column query."""
        return next(iter(self.columns.values()), Unknown())


@dataclass
class Source:
    """A source in FROM: rows, or the elements of an array."""

    alias: str
    row: Row | None = None
    element: Unknown | None = None
    array: str = ""  # the last name of the unnested array
    offset: str = ""  # the name of WITH OFFSET


@dataclass
class Scope:
    """The sources of one SELECT, within the scopes around it."""

    sources: list[Source] = field(default_factory=list)
    outer: Scope | None = None
    selected: dict[str, Unknown] = field(default_factory=dict)  # aliases, for GROUP BY and below
    common: dict[str, Row] = field(default_factory=dict)  # WITH

    def common_row(self, name: str) -> Row | None:
        """The rows of a common table expression in sight."""
        if (found := self.common.get(name.lower())) is not None:
            return found
        return self.outer.common_row(name) if self.outer is not None else None

    def has_source(self, alias: str) -> bool:
        """Whether the name is a source's, here or around."""
        names = {source.alias.lower() for source in self.sources}
        return alias.lower() in names or (self.outer is not None and self.outer.has_source(alias))

    def path(self, names: list[str]) -> Unknown:
        """The type of `a.b.c`."""
        node, rest = self._source(names)
        if node is None:
            node, rest = self._column(names[0]), names[1:]
        for name in rest:
            node = node.field(name)
        return node

    def _source(self, names: list[str]) -> tuple[Unknown | None, list[str]]:
        scope: Scope | None = self
        while scope is not None:
            for source in scope.sources:
                if source.alias.lower() != names[0].lower():
                    continue
                if source.element is not None:
                    return source.element, names[1:]
                if len(names) > 1 and source.row is not None:
                    return source.row.invented(names[1]) or Unknown(names[1]), names[2:]
            scope = scope.outer
        return None, names

    def _column(self, name: str) -> Unknown:
        scopes = []
        scope: Scope | None = self
        while scope is not None:
            scopes.append(scope)
            scope = scope.outer
        for look in (_selected, _of_element, _known, _invented):
            for scope in scopes:
                if (found := look(scope, name)) is not None:
                    return found
        return Unknown(name)


def _selected(scope: Scope, name: str) -> Unknown | None:
    return scope.selected.get(name.lower())


def _of_element(scope: Scope, name: str) -> Unknown | None:
    for source in scope.sources:
        if source.element is None:
            continue
        if source.offset and name.lower() == source.offset.lower():
            return Unknown(name).must_be(Scalar.INT64)
        if len(scope.sources) == 1 and not source.alias:
            return source.element.field(name)
        likely = _EVENT_FIELDS if source.array.lower().endswith("events") else _MAP_FIELDS
        if name.lower() in likely or name.lower() in source.element.field_names():
            return source.element.field(name)
    return None


def _known(scope: Scope, name: str) -> Unknown | None:
    found = (s.row.known(name) for s in scope.sources if s.row is not None)
    return next((column for column in found if column is not None), None)


def _invented(scope: Scope, name: str) -> Unknown | None:
    found = (s.row.invented(name) for s in scope.sources if s.row is not None)
    return next((column for column in found if column is not None), None)


def last_name(node: exp.Expr) -> str:
    """The last name of a path, or nothing."""
    names = dotted(node)
    return names[-1].name if names else ""
