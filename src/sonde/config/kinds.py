"""The kinds of value a key may have. Each checks a value from TOML and gives what it means.

A value of another type that can only mean one thing (`3.0` for a whole number) is taken, with a
complaint; one that cannot (`"false"` for a yes-or-no) is refused with a ValueError.
"""

from __future__ import annotations

import datetime
import enum
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from sonde.errors import did_you_mean
from sonde.metric import WindowLimit


@dataclass(frozen=True)
class Taken:
    """A value, and what is to be said about how it was written. None: as if the key were absent."""

    value: Any
    complaint: str | None = None


_EMPTY = Taken(None, "is empty; leave the key out")


Kind: TypeAlias = Callable[[Any], Taken]


def text(value: Any) -> Taken:
    """A string; numbers and dates are taken as written."""
    if isinstance(value, str):
        return Taken(value)
    if isinstance(value, int | float | datetime.date) and not isinstance(value, bool):
        return Taken(str(value), f'expected text; write "{value}"')
    raise _wrong("text in quotes", value)


def name(value: Any) -> Taken:
    """A string that says something."""
    taken = text(value)
    return taken if taken.value.strip() else _EMPTY


def flag(value: Any) -> Taken:
    """True or false.

    >>> flag("false")
    Traceback (most recent call last):
    ValueError: expected true or false, not the text "false"
    """
    if isinstance(value, bool):
        return Taken(value)
    raise _wrong("true or false", value)


def whole(least: int | None = None, most: int | None = None) -> Kind:
    """A whole number within [least, most].

    >>> whole()(3.0)
    Taken(value=3, complaint='expected a whole number; write 3')
    """

    def kind(value: Any) -> Taken:
        taken = _whole(value)
        if (least is not None and taken.value < least) or (most is not None and taken.value > most):
            bounds = f"{least} to {most}" if most is not None else f"{least} or more"
            raise ValueError(f"expected {bounds}, not {taken.value}")
        return taken

    return kind


def number(value: Any) -> Taken:
    """A number."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return Taken(value)
    raise _wrong("a number", value)


def day(value: Any) -> Taken:
    """A date: "YYYY-MM-DD", or TOML's own."""
    if isinstance(value, datetime.datetime):
        raise ValueError("expected a date, not a time; write YYYY-MM-DD")
    if isinstance(value, datetime.date):
        return Taken(value)
    if value == "":
        return _EMPTY
    if isinstance(value, str):
        try:
            return Taken(datetime.datetime.strptime(value, "%Y-%m-%d").date())  # noqa: DTZ007
        except ValueError:
            raise ValueError(f'"{value}" is not a date; write YYYY-MM-DD') from None
    raise _wrong("a date", value)


def names(value: Any) -> Taken:
    """A list of names."""
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return Taken(tuple(value))
    raise _wrong("a list of names", value)


def name_or_names(value: Any) -> Taken:
    """One name, or a list of them."""
    return Taken((value,)) if isinstance(value, str) else names(value)


def choice(of: type[enum.StrEnum]) -> Kind:
    """One of a closed set of words."""

    def kind(value: Any) -> Taken:
        try:
            return Taken(of(value))
        except ValueError:
            raise _not_one_of(value, [str(member) for member in of]) from None

    return kind


def choices(of: type[enum.StrEnum]) -> Kind:
    """Some of a closed set of words; none at all is as good as absent."""
    one = choice(of)

    def kind(value: Any) -> Taken:
        if not isinstance(value, list):
            raise _wrong("a list", value)
        if not value:
            return _EMPTY
        return Taken(tuple(dict.fromkeys(one(item).value for item in value)))

    return kind


def word(*allowed: str) -> Kind:
    """One of a few words, in any case."""

    def kind(value: Any) -> Taken:
        if isinstance(value, str) and value.lower() in allowed:
            return Taken(value.lower())
        raise _not_one_of(value, allowed)

    return kind


def window_limit(value: Any) -> Taken:
    """Days since the first enrollment date, or a named limit."""
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        return choice(WindowLimit)(value)
    return _whole(value)


def table(value: Any) -> Taken:
    """A table."""
    if isinstance(value, dict):
        return Taken(value)
    raise _wrong("a table", value)


def table_of_tables(value: Any) -> Taken:
    """A table whose values are tables."""
    for key, item in table(value).value.items():
        if not isinstance(item, dict):
            raise ValueError(f'"{key}" is {_called(item)}; expected a table, as in [.. .{key}]')
    return Taken(value)


def tables(value: Any) -> Taken:
    """A list of tables."""
    if isinstance(value, list) and all(isinstance(item, dict) for item in value):
        return Taken(value)
    raise _wrong("a list of tables", value)


def text_or_table(value: Any) -> Taken:
    """A string, or a table of strings."""
    if not isinstance(value, dict):
        return text(value)
    taken = {key: text(item) for key, item in value.items()}
    complaints = [f"{key}: {item.complaint}" for key, item in taken.items() if item.complaint]
    return Taken({key: item.value for key, item in taken.items()}, "; ".join(complaints) or None)


def _whole(value: Any) -> Taken:
    if isinstance(value, int) and not isinstance(value, bool):
        return Taken(value)
    if isinstance(value, float) and value.is_integer():
        return Taken(int(value), f"expected a whole number; write {int(value)}")
    if isinstance(value, str) and value.removeprefix("-").isdecimal():
        return Taken(int(value), f"expected a whole number; write {int(value)} without quotes")
    raise _wrong("a whole number", value)


def _wrong(expected: str, value: Any) -> ValueError:
    return ValueError(f"expected {expected}, not {_called(value)}")


def _not_one_of(value: Any, allowed: Sequence[str]) -> ValueError:
    if isinstance(value, str):
        return ValueError(f'unknown word "{value}"{did_you_mean(value, allowed)}')
    return _wrong("one of " + ", ".join(f'"{word}"' for word in allowed), value)


def _called(value: Any) -> str:
    """A value from TOML, in the author's words."""
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return f'the text "{value}"'
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return f"{value}"
