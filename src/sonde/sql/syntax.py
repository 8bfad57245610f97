"""BigQuery SQL text -> syntax tree, and the error that names what is wrong with the text."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ParseError, TokenError

from sonde.errors import ConfigError, Place

DIALECT = "bigquery"


@dataclass(frozen=True)
class Position:
    """A character of a snippet: line and column, both from 1."""

    line: int
    column: int

    def __str__(self) -> str:
        return f"line {self.line}, column {self.column}"


class UnsupportedSql(ConfigError):
    """The SQL is wrong, or its meaning in DuckDB is not known to be BigQuery's.

    position: in the snippet, not in the file; `place` says which file and key it came from.
    """

    def __init__(
        self, message: str, position: Position | None = None, place: Place | None = None
    ) -> None:
        self.reason = message
        self.position = position
        super().__init__(f"{position}: {message}" if position else message, place)

    def at(self, place: Place) -> UnsupportedSql:
        """The same error, once it is known where the snippet stands."""
        return UnsupportedSql(self.reason, self.position, place)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.reason, self.position, self.place)


class Refusal(Exception):
    """A node that cannot be translated; the snippet's text makes a position of it."""

    def __init__(self, node: exp.Expr, message: str) -> None:
        self.node = node
        self.message = message
        super().__init__(message)


def located(refusal: Refusal, text: str) -> UnsupportedSql:
    """The refusal, with the position of its node in `text`."""
    return UnsupportedSql(refusal.message, position_of(refusal.node, text))


def position_of(node: exp.Expr, text: str) -> Position | None:
    """Where the node's text begins, as far as its parts know."""
    starts = [n.meta["start"] for n in node.walk() if "start" in n.meta]
    return _position(min(starts), text) if starts else None


def parse_expression(text: str) -> exp.Expr:
    """The tree of an expression. Raises UnsupportedSql when it is not one.

    >>> parse_expression("SUM(x").sql()
    Traceback (most recent call last):
    ...
    sonde.sql.syntax.UnsupportedSql: line 1, column 5: expecting ) near "x"
    """
    tree = _parse(text)
    statement = isinstance(tree, exp.Query | exp.Block | exp.Command | exp.DDL | exp.DML)
    if isinstance(tree, exp.Alias) or tree.is_star:
        raise UnsupportedSql("expected one expression, without an alias", Position(1, 1))
    if statement and not isinstance(tree, exp.Subquery):
        raise UnsupportedSql("expected one expression, not a statement", Position(1, 1))
    return tree


def parse_query(text: str) -> exp.Query:
    """The tree of a SELECT statement. Raises UnsupportedSql when it is not one."""
    tree = _parse(text)
    if not isinstance(tree, exp.Query):
        raise UnsupportedSql("expected one SELECT statement", Position(1, 1))
    return tree


def parse_relation(text: str) -> exp.Expr:
    """The tree of a table name or a parenthesised query: a Table or a Subquery, without alias."""
    prefix = "SELECT * FROM\n"
    tree = _parse(text, prefix)
    factor = tree.args["from_"].this if isinstance(tree, exp.Select) else None
    lone = factor is not None and set(_present(tree)) == {"expressions", "from_"}
    if not lone or not isinstance(factor, exp.Table | exp.Subquery) or _present(factor, "joins"):
        raise UnsupportedSql("expected a table name or one query in parentheses", Position(1, 1))
    if factor.alias:
        raise UnsupportedSql(
            f'a data source takes its alias from sonde; leave out "{factor.alias}"', None
        )
    factor.pop()
    return factor


def _present(tree: exp.Expr, *keys: str) -> list[str]:
    return [key for key, value in tree.args.items() if value and (not keys or key in keys)]


def _parse(text: str, prefix: str = "") -> exp.Expr:
    before = prefix.count("\n")
    try:
        tree = sqlglot.parse_one(prefix + text, dialect=DIALECT)
    except ParseError as error:
        raise _syntax_error(error, before) from None
    except TokenError:
        raise UnsupportedSql("a string, name or comment is not closed") from None
    except (AttributeError, TypeError, ValueError) as error:  # the parser tripped over it
        raise UnsupportedSql("cannot be read") from error
    for node in tree.walk() if prefix else ():
        if "start" in node.meta:
            node.meta["start"] -= len(prefix)
    return tree


def _syntax_error(error: ParseError, lines_before: int) -> UnsupportedSql:
    first = error.errors[0] if error.errors else {}
    highlight = first.get("highlight") or ""
    description = first.get("description") or "not a valid expression"
    if description.startswith(("Invalid expression", "Required keyword")):
        description = "cannot be read"
    near = highlight or (first.get("start_context") or "")[-20:]
    message = f'{description[0].lower()}{description[1:]} near "{near}"'
    if near.lstrip().startswith("{"):
        message += "; a template is left unfilled"
    line, column = first.get("line"), first.get("col")
    if line is None or column is None:
        return UnsupportedSql(message)
    begin = max(column - max(len(highlight), 1) + 1, 1)
    return UnsupportedSql(message, Position(line - lines_before, begin))


def _position(start: int, text: str) -> Position:
    before = text[:start]
    return Position(before.count("\n") + 1, start - (before.rfind("\n") + 1) + 1)
