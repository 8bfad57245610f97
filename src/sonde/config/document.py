"""One TOML file: its tables, and where each key in it stands."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from sonde.config.lines import Path, key_lines
from sonde.errors import ConfigError, Place

if TYPE_CHECKING:
    from collections.abc import Mapping

_AT_LINE = re.compile(r"\s*\(at line (\d+), column \d+\)")


@dataclass(frozen=True)
class Origin:
    """Who says a value: a file, the line (from 1) of its key, and the commit it was read from.

    shared: the file's name for readers who do not have this machine.
    """

    file: str
    line: int | None = None
    commit: str | None = None
    shared: str = ""

    def __str__(self) -> str:
        return self._text(self.file)

    @property
    def published(self) -> str:
        """The same in words that may leave this machine."""
        return self._text(self.shared or self.file)

    def _text(self, file: str) -> str:
        line = f":{self.line}" if self.line is not None else ""
        commit = f" @ {self.commit[:10]}" if self.commit else ""
        return f"{file}{line}{commit}"


@dataclass(frozen=True)
class Document:
    """A TOML file as read. `file` is its name for people; `commit` the one it was read from.

    shared: its name for people elsewhere, by repository and path; empty: the same.
    """

    file: str
    content: bytes
    commit: str | None = None
    shared: str = ""

    @cached_property
    def text(self) -> str:
        """The content, decoded."""
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            line = self.content.count(b"\n", 0, error.start) + 1
            raise ConfigError("not UTF-8 text", Place(self.file, line)) from error

    @cached_property
    def tables(self) -> Mapping[str, Any]:
        """The parsed content; not TOML: a ConfigError with the line."""
        try:
            return tomllib.loads(self.text)
        except tomllib.TOMLDecodeError as error:
            at = _AT_LINE.search(str(error))
            line = int(at[1]) if at else self.text.count("\n") + 1
            message = _AT_LINE.sub("", str(error)).replace(" (at end of document)", "")
            raise ConfigError(f"not valid TOML: {message}", Place(self.file, line)) from error

    @cached_property
    def _lines(self) -> Mapping[Path, int]:
        return key_lines(self.text)

    def line(self, path: Path) -> int | None:
        """The line of the key, or of the nearest key around it."""
        for length in range(len(path), 0, -1):
            if (line := self._lines.get(path[:length])) is not None:
                return line
        return None

    def place(self, path: Path) -> Place:
        """The place of a key, for an error message."""
        return Place(self.file, self.line(path), ".".join(path) or None)

    def origin(self, path: Path) -> Origin:
        """The place of a key, for an explanation."""
        return Origin(self.file, self.line(path), self.commit, self.shared)


@dataclass(frozen=True)
class Setting:
    """A value that a file gives to a key. `path` is the key as written."""

    value: Any
    document: Document
    path: Path

    @property
    def place(self) -> Place:
        """The place of the key, for an error message."""
        return self.document.place(self.path)

    def origin(self, *below: str) -> Origin:
        """The place of the key, or of one `below` it, for an explanation."""
        return self.document.origin(self.path + below)


Table = dict[str, Setting]


@dataclass(frozen=True)
class Finding:
    """Something wrong in a document. `is_tolerated`: the rest of the document keeps its meaning."""

    document: Document
    path: Path
    message: str
    is_tolerated: bool = False

    @property
    def error(self) -> ConfigError:
        """The finding, for the author."""
        return ConfigError(self.message, self.document.place(self.path))
