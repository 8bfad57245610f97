"""A metric in three stages: partial aggregates of each unit's day, merged over days, then the rest.

rows of a day --columns--> unit-days --states--> unit x window --final--> the metric's value

Columns are of the source's rows alone (`ds`), so all experiments and metrics share them: a column
is named by what it computes. States merge columns over days, with what the aggregate asks of the
enrollment (`e`) decided there. The rest of the expression is computed from the merged states.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from sqlglot import exp
from sqlglot.errors import UnsupportedError

from sonde.sql.calls import gather_names
from sonde.sql.duck import wrapped
from sonde.sql.gates import (
    ENROLLMENT,
    Argument,
    Choice,
    Day,
    Entangled,
    conditional,
    factored,
    is_constant,
    mentions_unit,
    unit_columns,
)
from sonde.sql.histograms import Made
from sonde.sql.jsons import ROOT_ALIASES, dotted
from sonde.sql.monoids import COUNT_IF, Merge, Part, monoid
from sonde.sql.rules import to_duckdb
from sonde.sql.syntax import Refusal, UnsupportedSql, located, parse_expression
from sonde.sql.text import identifier
from sonde.sql.translate import emit, expression, prepared

REVISION = 1  # of what a column's name stands for
_MERGED = "sonde_merged_"
_AGGREGATES = (exp.AggFunc, exp.IgnoreNulls, exp.RespectNulls, exp.Window)
_CLOCKS = (exp.CurrentDate, exp.CurrentTimestamp, exp.CurrentDatetime, exp.CurrentTime)


@dataclass(frozen=True)
class Column:
    """A partial aggregate of the rows of one unit's day.

    sql: a DuckDB aggregate over `ds`. merge: of several batches of the same unit's day.
    """

    name: str
    sql: str
    merge: Merge


@dataclass(frozen=True)
class State:
    """What is kept of a unit's days in a window.

    sql: a DuckDB aggregate over unit-days `p`, of any number of rows per day, and the enrolled
    unit `e`. merge: of states of disjoint days.
    """

    name: str
    sql: str
    merge: Merge


@dataclass(frozen=True)
class Split:
    """A metric taken apart.

    final: its value, DuckDB SQL over merged states `s` and the enrollment row `e`, for a unit with
    rows. empty: the value for a unit without: the metric's own aggregate, over one row `ds` of
    NULLs. asked: columns of `e` that states mention. rest: columns of `e` that final or empty
    mentions.
    """

    columns: tuple[Column, ...]
    states: tuple[State, ...]
    final: str
    empty: str
    asked: frozenset[str]
    rest: frozenset[str]


@dataclass(frozen=True)
class NotSplit:
    """A metric that is computed from the rows of its window at once."""

    reason: str


@functools.lru_cache(maxsize=1 << 14)
def split(text: str, day: str | None = "submission_date") -> Split | NotSplit:
    """The metric whose BigQuery aggregate expression over `ds` and `e` is `text`.

    day: the expression over `ds` for a row's day, of type DATE; None when its type is another.
    Raises UnsupportedSql when the expression cannot be translated at all.

    >>> made = split("SUM(x) / COUNT(DISTINCT submission_date)")
    >>> [column.sql for column in made.columns]
    ['SUM("ds"."x")']
    >>> [state.merge.value for state in made.states]
    ['sum', 'count']
    """
    expression(text)  # what cannot be computed directly is no metric
    try:
        named = None if day is None else _readable(day)
        return _Splitter(Day(named)).split(_readable(text), text)
    except Entangled as reason:
        return NotSplit(str(reason))
    except Refusal as refusal:
        raise located(refusal, text) from None
    except UnsupportedError as error:
        raise UnsupportedSql(str(error)) from None


def _readable(text: str) -> exp.Expr:
    return prepared(_qualified(gather_names(parse_expression(text))))


def _qualified(tree: exp.Expr) -> exp.Expr:
    """The tree with `ds.` or `e.` before every column that is not a subquery's."""
    holder = exp.Paren(this=tree)
    for node in _outside_queries(holder, lambda node: dotted(node) is not None):
        names = [name.copy() for name in dotted(node) or ()]
        first = names[0].name.lower()
        if len(names) > 1 and first in ROOT_ALIASES:
            names[0] = exp.to_identifier(first)
        else:
            names.insert(0, exp.to_identifier("e" if first in ENROLLMENT else "ds"))
        made: exp.Expr = exp.column(*reversed(names[:4]))
        for name in names[4:]:
            made = exp.Dot(this=made, expression=name)
        made.meta.update(node.meta)
        node.replace(made)
    found: exp.Expr = holder.this.pop()
    return found


def _outside_queries(tree: exp.Expr, holds: Callable[[exp.Expr], bool]) -> list[exp.Expr]:
    """The outermost nodes that hold, in order; subqueries are not looked into."""
    stop = (exp.Query, exp.Subquery)
    walked = tree.walk(bfs=False, prune=lambda node: isinstance(node, stop) or holds(node))
    return [node for node in walked if not isinstance(node, stop) and holds(node)]


class _Splitter:
    """Collects the columns and states of one metric."""

    def __init__(self, day: Day) -> None:
        self._day = day
        self._columns: dict[str, Column] = {}
        self._states: dict[str, State] = {}
        self._asked: frozenset[str] = frozenset()

    def split(self, tree: exp.Expr, text: str) -> Split:
        holder = exp.Paren(this=tree)
        values: dict[str, exp.Expr] = {}
        aggregates = _outside_queries(holder, lambda node: isinstance(node, _AGGREGATES))
        if not aggregates:
            raise Entangled("it has no aggregate")
        for aggregate in aggregates:
            if isinstance(aggregate, exp.Window):
                raise Entangled("it has a window function")
            name = f"{_MERGED}{len(values)}"
            values[name] = self._merged(aggregate)
            aggregate.replace(Made(this=name, expressions=[]))
        _only_of_unit(holder.this)
        return Split(
            tuple(self._columns.values()),
            tuple(self._states.values()),
            _filled(to_duckdb(holder.this.copy()), values),
            expression(text),
            self._asked,
            unit_columns(_readable(text)),
        )

    def _merged(self, aggregate: exp.Expr) -> exp.Expr:
        """The aggregate's value, in DuckDB's syntax, over states."""
        try:
            if aggregate.find(*_CLOCKS) is not None:
                raise Entangled("it depends on the day of the run")
            whole = monoid(aggregate, self._day)
            argument = factored(whole.argument, self._day, truth=whole.truth)
            states = [self._state(part, argument) for part in whole.parts]
        except Entangled as reason:
            raise Entangled(f"{aggregate.sql('bigquery')}: {reason}") from None
        return whole.finish(*(exp.column(s, "s", quoted=True) for s in states))

    def _state(self, part: Part, argument: Argument) -> str:
        of_day = self._of_day(part, argument)
        sql = part.merge.over(of_day)
        merge = part.merge
        if part.counts_days:
            each = "p.__day" if of_day == "TRUE" else f"CASE WHEN {of_day} THEN p.__day END"
            sql, merge = f"count(DISTINCT {each})", Merge.COUNT
        name = _name(merge, sql)
        self._states[name] = State(name, sql, merge)
        return name

    def _of_day(self, part: Part, argument: Argument) -> str:
        """The partial of a unit's day, in SQL over `p` and `e`."""
        if isinstance(argument, Choice):
            return self._chosen(part, argument)
        if part.of_copies is not None and is_constant(argument, self._day):
            return part.of_copies(self._constant(argument), "p.rows")
        if mentions_unit(argument):
            return self._conditional(part, argument)
        sql = emit(part.of_rows(argument))
        name = _name(part.merge, sql)
        self._columns[name] = Column(name, sql, part.merge)
        return f"p.{identifier(name)}"

    def _chosen(self, part: Part, choice: Choice) -> str:
        gate = self._constant(choice.gate)
        holds, fails = self._of_day(part, choice.holds), self._of_day(part, choice.fails)
        if choice.unknown is None:
            return f"CASE WHEN {gate} THEN {holds} ELSE {fails} END"
        unknown = self._of_day(part, choice.unknown)
        return f"CASE WHEN {gate} THEN {holds} WHEN NOT ({gate}) THEN {fails} ELSE {unknown} END"

    def _conditional(self, part: Part, argument: exp.Expr) -> str:
        found = conditional(argument, self._day)
        if found is None or part.of_copies is None:
            raise Entangled("it compares rows with the enrollment")
        condition, value = found
        n = self._of_day(COUNT_IF, condition)
        copies = part.of_copies(self._constant(value), n)
        if part.merge is Merge.COUNT:
            return copies
        return f"CASE WHEN {n} > 0 THEN {copies} END"

    def _constant(self, value: exp.Expr) -> str:
        """SQL over `p` and `e` of what is the same for all rows of a unit's day."""
        self._asked |= unit_columns(value)
        holder = exp.Paren(this=value.copy())
        for node in self._day.named_in(holder):
            node.replace(exp.column("__day", "p"))
        return emit(to_duckdb(holder.this.pop()))


def _only_of_unit(tree: exp.Expr) -> None:
    for column in _outside_queries(tree, lambda node: isinstance(node, exp.Column)):
        if not unit_columns(column) and not _is_parameter(column):
            raise Entangled(f"{column.sql('bigquery')} stands outside an aggregate")
    for query in tree.find_all(exp.Query):
        if query.find(Made) is None and query.find(exp.Column) is not None:
            raise Entangled("a subquery stands outside an aggregate")


def _is_parameter(column: exp.Expr) -> bool:
    """Whether the column is a lambda's parameter: an element of what is merged."""
    name = column.sql().partition(".")[0]
    outer = column.find_ancestor(exp.Lambda)
    while outer is not None:
        if name in {parameter.sql() for parameter in outer.expressions}:
            return True
        outer = outer.find_ancestor(exp.Lambda)
    return False


def _filled(tree: exp.Expr, values: dict[str, exp.Expr]) -> str:
    holder = exp.Paren(this=tree)
    for call in list(holder.find_all(exp.Anonymous)):
        if (value := values.get(str(call.name))) is not None:
            call.replace(wrapped(value))
    return emit(holder.this)


def _name(merge: Merge, sql: str) -> str:
    digest = hashlib.sha256(f"{REVISION} {merge} {sql}".encode()).hexdigest()
    return f"{merge}_{digest[:16]}"


def columns_of(splits: Iterable[Split]) -> tuple[Column, ...]:
    """All columns of several metrics, each once, by name."""
    found = {column.name: column for made in splits for column in made.columns}
    return tuple(found[name] for name in sorted(found))


def states_of(splits: Iterable[Split]) -> tuple[State, ...]:
    """All states of several metrics, each once, by name."""
    found = {state.name: state for made in splits for state in made.states}
    return tuple(found[name] for name in sorted(found))
