"""What published numbers were made from, so that somebody else can make them again."""

from __future__ import annotations

from datetime import datetime

import msgspec

from sonde.wire.names import METRIC_HUB


class ConfigurationRead(msgspec.Struct, frozen=True, kw_only=True):
    """A repository of declarations, at one commit.

    path: its folder or URL. revision: the commit; None: not a git repository.
    committed: when the commit was made.
    """

    path: str
    revision: str | None = None
    committed: datetime | None = None


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where declarations were read. url: the folder that shows `<slug>.toml` to people."""

    configuration: tuple[ConfigurationRead, ...] = ()
    url: str = METRIC_HUB


class InputRead(msgspec.Struct, frozen=True, kw_only=True):
    """A table, as it was read. version: of the table's own history, or a fingerprint."""

    table: str
    version: str


class QueryRun(msgspec.Struct, frozen=True, kw_only=True):
    """A query. output: the partition it filled; sql_id: the fingerprint of its text."""

    output: str
    sql_id: str


class Provenance(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that decides the numbers. sonde: the version of this program."""

    sonde: str
    configuration: tuple[ConfigurationRead, ...] = ()
    inputs: tuple[InputRead, ...] = ()
    queries: tuple[QueryRun, ...] = ()
