"""Errors, by who can act on them. Each says where, what, and what to do instead."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class SondeError(Exception):
    """Base of every error that sonde raises on purpose. `exit_code` is the process's."""

    exit_code = 1


@dataclass(frozen=True)
class Place:
    """Where a declaration stands: a file, its line (from 1) and the dotted key within it."""

    file: str
    line: int | None = None
    key: str | None = None

    def __str__(self) -> str:
        line = f":{self.line}" if self.line is not None else ""
        key = f" [{self.key}]" if self.key else ""
        return f"{self.file}{line}{key}"


class ConfigError(SondeError):
    """The author of a declaration can act.

    >>> print(ConfigError('no statistic "men"; did you mean "mean"?', Place("a.toml", 3)))
    a.toml:3: no statistic "men"; did you mean "mean"?
    """

    exit_code = 2

    def __init__(self, message: str, place: Place | None = None) -> None:
        self.message = message
        self.place = place
        super().__init__(f"{place}: {message}" if place else message)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.place)


class ConfigErrors(ConfigError):
    """All errors of a tree at once, in the order of file and line."""

    def __init__(self, errors: Sequence[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in errors))

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.errors,)


class DataError(SondeError):
    """The owner of a table can act: a table or column is absent, a value is not of its type.

    sql: the statement that failed, when there is one.
    """

    exit_code = 3

    def __init__(self, message: str, sql: str | None = None) -> None:
        self.message = message
        self.sql = sql
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.message, self.sql)


class BackendError(SondeError):
    """The operator can act; the same command may succeed later (exit 75, EX_TEMPFAIL)."""

    exit_code = 75


class MemoryLimitError(SondeError):
    """The operator can act: a query needs more memory than it may use. Others may well do."""

    exit_code = 75


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """The end of an error message: the nearest valid name, or the valid ones when they are few.

    >>> did_you_mean("wekly", ["daily", "weekly"])
    '; did you mean "weekly"?'
    >>> did_you_mean("x", ["daily", "weekly"])
    '; expected one of "daily", "weekly"'
    """
    names = sorted(set(known))
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f'; did you mean "{near[0]}"?'
    if 0 < len(names) <= 12:
        return "; expected one of " + ", ".join(f'"{known_name}"' for known_name in names)
    return ""
