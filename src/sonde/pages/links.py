"""Where everything on the site is: relative paths that work from any server, and from disk."""

from __future__ import annotations

import posixpath
from functools import lru_cache

from sonde.pages.results import Cell
from sonde.table import folder_name


def experiment(slug: str) -> str:
    """The page of an experiment."""
    return f"experiments/{folder_name(slug)}.html"


def chosen(slug: str, cell: Cell, reference: str) -> str:
    """The page of an experiment for one choice."""
    window = f"{cell.window.period}_{cell.window.number}"
    parts = (cell.basis, window, cell.segment, reference)
    return f"experiments/{folder_name(slug)}/{'.'.join(map(_part, parts))}.html"


def _part(name: str) -> str:
    return folder_name(name).replace(".", "%2E")


def table(slug: str) -> str:
    """The estimates of an experiment as CSV."""
    return f"experiments/{folder_name(slug)}.csv"


def report(slug: str) -> str:
    """The one-file report."""
    return f"experiments/{folder_name(slug)}.report.html"


def metric(name: str) -> str:
    """The page of a metric."""
    return f"metrics/{folder_name(name)}.html"


def api(slug: str, what: str = "") -> str:
    """An answer of the API about an experiment."""
    folder = folder_name(slug)
    return f"api/experiments/{folder}{'/' + what if what else ''}.json"


def jetstream(name: str) -> str:
    """A file that Jetstream's readers know, by the path that they know."""
    return f"jetstream/{name}"


def quoted(path: str) -> str:
    """A path as a browser asks for it: `%` in a file's name is not an escape.

    >>> quoted("experiments/%3Cb%3E-1.html")
    'experiments/%253Cb%253E-1.html'
    """
    return path.replace("%", "%25")


@lru_cache(maxsize=65_536)
def relative(path: str, page: str) -> str:
    """A link from one page to another.

    >>> relative("index.html", "experiments/a/b.html"), relative("metrics/x.html", "index.html")
    ('../../index.html', 'metrics/x.html')
    """
    return quoted(posixpath.relpath(path, posixpath.dirname(page) or "."))


def root(page: str) -> str:
    """From a page to the site's root.

    >>> root("index.html"), root("experiments/a.html")
    ('', '../')
    """
    return "../" * page.count("/")
