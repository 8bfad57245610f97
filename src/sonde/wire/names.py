"""Names of the published files, as dashboards look for them, and of the pages they link to."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from sonde.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from sonde.window import Period

METRIC_HUB = "https://github.com/mozilla/metric-hub/blob/main/jetstream"

_NOT_IN_NAMES = re.compile(r"[^a-zA-Z0-9_]")


def normalized(slug: str) -> str:
    """The slug as tables and files write it.

    >>> normalized("a-b.c")
    'a_b_c'
    """
    return _NOT_IN_NAMES.sub("_", slug)


def normalized_slugs(slugs: Iterable[str]) -> dict[str, str]:
    """The normalised form of each slug.

    Raises ConfigError when two slugs share one: each would overwrite the files of the other.
    """
    known = list(slugs)
    for clash in clashes(known):
        raise ConfigError(clash)
    return {slug: normalized(slug) for slug in known}


def clashes(slugs: Iterable[str]) -> Iterator[str]:
    """What is to be said of each slug whose normalised form is an earlier one's.

    >>> list(clashes(["a-b", "c", "a-b"]))
    []
    """
    owners: dict[str, str] = {}
    for slug in slugs:
        owner = owners.setdefault(normalized(slug), slug)
        if owner != slug:
            yield (
                f'experiments "{owner}" and "{slug}" would both be published as '
                f'"{normalized(slug)}"; rename one, or publish it from another project'
            )


def statistics_file(slug: str, period: Period) -> str:
    """Where the results of all windows of one period are.

    >>> from sonde.window import Period
    >>> statistics_file("a-b", Period.WEEK)
    'statistics/statistics_a_b_weekly.json'
    """
    return f"statistics/statistics_{normalized(slug)}_{period.suffix}.json"


def metadata_file(slug: str) -> str:
    """Where the names and descriptions of metrics and outcomes are.

    >>> metadata_file("a-b")
    'metadata/metadata_a_b.json'
    """
    return f"metadata/metadata_{normalized(slug)}.json"


def errors_file(slug: str) -> str:
    """Where the problems of the newest analyses are.

    >>> errors_file("a-b")
    'errors/errors_a_b.json'
    """
    return f"errors/errors_{normalized(slug)}.json"
