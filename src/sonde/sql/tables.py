"""The physical tables of a query, and the names they get in DuckDB."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlglot import exp

from sonde.sql.syntax import Refusal

_PLAIN = re.compile(r"[A-Za-z0-9_$-]+")


@dataclass(frozen=True, order=True)
class TableName:
    """A table as BigQuery names it: `project.dataset.table`, the first two optional."""

    project: str | None
    dataset: str | None
    table: str

    def __str__(self) -> str:
        return ".".join(part for part in (self.project, self.dataset, self.table) if part)

    @classmethod
    def parse(cls, text: str) -> TableName:
        """The name in dotted text.

        >>> TableName.parse("p.d.t")
        TableName(project='p', dataset='d', table='t')
        """
        parts = text.strip("`").split(".")
        if not 1 <= len(parts) <= 3 or not all(_PLAIN.fullmatch(part) for part in parts):
            raise ValueError(f'"{text}" is not a table name; expected project.dataset.table')
        return cls(*[None] * (3 - len(parts)), *parts)  # type: ignore[arg-type]


def relation_name(name: TableName) -> str:
    """The one name a table has in DuckDB: dataset and table; the project is not part of it.

    >>> relation_name(TableName("moz-fx-data-shared-prod", "telemetry", "main"))
    'telemetry.main'
    """
    return f"{name.dataset}.{name.table}" if name.dataset else name.table


def table_name(node: exp.Table) -> TableName | None:
    """The physical table a node reads; None when it names a common table expression."""
    if not node.text("db") and "." not in node.name and is_common_table(node):
        return None
    if isinstance(node.this, exp.Dot):
        raise Refusal(node, "a table has at most three names: project, dataset, table")
    if not isinstance(node.this, exp.Identifier):
        raise Refusal(node, "table functions are not supported; write a query")
    parts = [name for part in node.parts for name in part.name.split(".")]
    if len(parts) > 3:
        raise Refusal(node, "a table has at most three names: project, dataset, table")
    if not all(_PLAIN.fullmatch(part) for part in parts):
        raise Refusal(node, f'"{".".join(parts)}" is not one table; name each table of a wildcard')
    return TableName(*[None] * (3 - len(parts)), *parts)  # type: ignore[arg-type]


def is_common_table(node: exp.Table) -> bool:
    """Whether the name is defined by a WITH clause in scope."""
    child: exp.Expr = node
    parent = node.parent
    while parent is not None:
        within = child if isinstance(child, exp.CTE) else None
        with_ = (
            parent if within else None if isinstance(child, exp.With) else parent.args.get("with_")
        )
        if isinstance(with_, exp.With) and _defines(with_, node.name.lower(), within):
            return True
        child, parent = parent, parent.parent
    return False


def _defines(with_: exp.With, name: str, inside: exp.CTE | None) -> bool:
    for cte in with_.expressions:
        if cte is inside and not with_.recursive:
            return False  # a query sees the common tables before it
        if cte.alias.lower() == name:
            return True
    return False


def spell_out_unnest(tree: exp.Expr) -> exp.Expr:
    """The tree with `FROM t, t.items` written as `FROM t, UNNEST(t.items)`."""
    for select in tree.find_all(exp.Select):
        seen: set[str] = set()
        for source in [select.args.get("from_"), *(select.args.get("joins") or ())]:
            if source is None:
                continue
            node = source.this
            path = node.parts if isinstance(node, exp.Table) else []
            if len(path) > 1 and path[0].name.lower() in seen:
                node.replace(_array_of(node))
            seen.add(alias_of(source.this))
    return tree


def _array_of(node: exp.Table) -> exp.Unnest:
    alias = node.alias or node.name
    column = exp.column(*reversed([exp.to_identifier(part.name) for part in node.parts]))
    return exp.Unnest(
        expressions=[column], alias=exp.TableAlias(columns=[exp.to_identifier(alias)])
    )


def alias_of(node: exp.Expr) -> str:
    """The name, in lower case, under which the rest of a query sees a source in FROM."""
    alias = node.args.get("alias")
    if isinstance(node, exp.Unnest) and alias is not None and alias.columns:
        return str(alias.columns[0].name).lower()
    return node.alias_or_name.lower()


def physical_tables(tree: exp.Expr) -> tuple[TableName, ...]:
    """All tables a BigQuery tree reads, sorted, each once."""
    found = (table_name(node) for node in tree.find_all(exp.Table))
    return tuple(sorted({n for n in found if n is not None}, key=str))


def flat(node: exp.Table) -> exp.Table:
    """The table under its one name in DuckDB, with the alias BigQuery would give it."""
    name = table_name(node)
    alias = node.args.get("alias") or exp.TableAlias(
        this=exp.to_identifier(node.name.rsplit(".")[-1])
    )
    this = exp.to_identifier(node.name if name is None else relation_name(name), quoted=True)
    kept = {key: node.args[key] for key in ("joins", "pivots") if node.args.get(key)}
    return exp.Table(this=this, alias=alias, **kept)
