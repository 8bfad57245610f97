"""A table of intervals as HTML, written as it is: a site has hundreds of thousands of rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from markupsafe import Markup, escape

from sonde.pages.forest import Forest, ForestRow, Group
from sonde.pages.marks import mark


def forest_table(forest: Forest, kind: str, caption: str, value_title: str) -> Markup:
    """The table. kind: `key`, `all`, with the levels that are compared, or `seg`."""
    has_levels = kind == "all"
    rows = "".join(text for group in forest.groups for text in _group(group, has_levels))
    return Markup(f"{_head(forest.axis, kind, caption, value_title)}{rows}\n</tbody></table>")  # noqa: S704 - all texts are escaped


def _head(axis: str, kind: str, caption: str, value_title: str) -> str:
    levels = _column("Reference → branch") if kind == "all" else ""
    return (
        f'<table class="forest {kind}" role="table">'
        f'<caption class="vh">{_text(caption)}</caption>\n'
        f'<thead role="rowgroup"><tr role="row">{_METRIC}{levels}'
        f'<th scope="col" role="columnheader" class="draw">{axis}</th>'
        f"{_column(_text(value_title))}{_column('Reads as')}</tr></thead>\n"
        '<tbody role="rowgroup">'
    )


def _column(heading: str) -> str:
    return f'<th scope="col" role="columnheader">{heading}</th>'


_METRIC = _column('<span class="vh">Metric</span>')


def _group(group: Group, has_levels: bool) -> Iterator[str]:
    if group.title:
        note = f" <span>{_text(group.note)}</span>" if group.note else ""
        yield (
            '<tr role="row" class="grp"><th role="rowheader" scope="rowgroup" '
            f'colspan="{5 if has_levels else 4}">{_text(group.title)}{note}</th></tr>'
        )
    for row in group.rows:
        yield _row(row, has_levels)


def _row(row: ForestRow, has_levels: bool) -> str:
    levels = f'<td role="cell" class="cc">{_text(row.levels)}</td>' if has_levels else ""
    return (
        f'\n<tr role="row" data-metric="{_text(row.key)}"><th role="rowheader" scope="row" '
        f'class="name"><bdi>{_text(row.name)}</bdi><small>{_text(row.note)}</small></th>{levels}'
        f"{_hidden(row) if row.is_hidden else _interval(row)}</tr>"
    )


def _hidden(row: ForestRow) -> str:
    return (
        '<td role="cell" class="draw"><span class="hatch" role="img" aria-label="Hidden"></span>'
        '</td><td role="cell" class="val"><span class="muted">hidden</span></td>'
        f'<td role="cell" class="st"><small>{_text(row.reads)}</small></td>'
    )


def _interval(row: ForestRow) -> str:
    value = _text(row.value)
    if row.is_missing:
        shown = f'<span class="muted">{value}</span>'
    else:
        shown = f"<b>{value}</b><small>{_text(row.small)}</small>"
    return (
        f'<td role="cell" class="draw">{row.drawing}</td><td role="cell" class="val">{shown}</td>'
        f'<td role="cell" class="st"><span class="w">{mark(row.mark, 13)!s}{_text(row.reads)}'
        f"</span><small>{_text(row.reads_note)}</small></td>"
    )


@lru_cache(maxsize=4096)
def _text(text: str) -> str:
    """Escaped. A plain string: what is made of many is put together faster than markup."""
    return str.__str__(escape(text))
