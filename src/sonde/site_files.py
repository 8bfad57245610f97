"""Files of the site as they are kept: compressed, with an ETag."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv

from sonde.lake import Filled, Lake
from sonde.pages.site import Made
from sonde.release import release
from sonde.site import SITE_COLUMNS
from sonde.table import Partition

_LEVEL = 3  # of gzip: level 5 takes twice the time for a tenth less


def as_csv(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> bytes:
    """Rows as CSV, a header line first; no cell is a formula."""
    columns = [pa.array(each) for each in zip(*rows, strict=True)] or [pa.array([])] * len(names)
    table = pa.table(dict(zip(names, map(_inert, columns), strict=True)))
    out = pa.BufferOutputStream()
    pa_csv.write_csv(table, out)
    written: bytes = out.getvalue().to_pybytes()
    return written


def _inert(column: pa.Array) -> pa.Array:
    """Names that a spreadsheet would take for formulas begin with an apostrophe.

    Who names metrics and branches is not always who opens the file. JSON has the names as they are.
    """
    if not pa.types.is_string(column.type):
        return column
    is_formula = pc.match_substring_regex(column, r"^[=+\-@\t\r]")
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)


def staged(made: Sequence[Made], partition: Partition, made_from: str, lake: Lake) -> Filled:
    """Files as a partition of the site, not yet visible. made_from: a digest of what they show."""
    rows = [
        {
            "path": each.path,
            "media_type": each.media_type,
            "body": gzip.compress(each.content, _LEVEL, mtime=0),
            "etag": hashlib.sha256(each.content).hexdigest()[:20],
        }
        for each in made
    ]
    return lake.write(partition, pa.Table.from_pylist(rows, SITE_COLUMNS), made_from)


@cache
def drawn_by() -> str:
    """A digest of all that makes files: whoever changes a template need not raise a number."""
    digest = hashlib.sha256(release().encode())
    makers = [files("sonde") / "jetstream.py"]
    for each in (*makers, *_within(files("sonde.wire")), *_within(files("sonde.pages"))):
        digest.update(each.name.encode())
        digest.update(each.read_bytes())
    return digest.hexdigest()


def _within(folder: Traversable) -> Iterator[Traversable]:
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir() and not each.name.startswith("__"):
            yield from _within(each)
        elif each.name.endswith((".py", ".html", ".css")):
            yield each


def stylesheet() -> str:
    """The look of every page."""
    return (files("sonde.pages") / "assets" / "sonde.css").read_text()


def assets() -> Iterable[Made]:
    """The stylesheet, as a file of the site."""
    folder = files("sonde.pages") / "assets"
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.name.endswith(".css"):
            yield Made(f"assets/{each.name}", "text/css; charset=utf-8", each.read_bytes())
