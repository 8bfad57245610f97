"""Shorter forms of what metric-hub writes over histograms and maps: no subquery, one parse."""

from __future__ import annotations

from sqlglot import exp


def shorten(tree: exp.Expr) -> exp.Expr:
    """The tree, with subqueries over arrays turned into list functions where that is the same."""
    return tree
