"""Where each key of a TOML text stands, found without a second parser."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Path = tuple[str, ...]

_STRING = r'"""(?:\\.|[^\\])*?"""+|\'\'\'.*?\'\'\'+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\''
_NAME = r'(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"|\'[^\'\n]*\')'
_DOTTED = rf"{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*"
_BLANK = re.compile(r"(?:[ \t\r\n]+|#[^\n]*)+")
_HEADER = re.compile(rf"\[\[?[ \t]*({_DOTTED})[ \t]*\]\]?")
_KEY = re.compile(rf"({_DOTTED})[ \t]*=[ \t]*")
_TOKEN = re.compile(rf"{_STRING}|#[^\n]*|[\[\]{{}}\n]", re.DOTALL)
_PART = re.compile(_NAME)


def key_lines(text: str) -> dict[Path, int]:
    r"""The line, from 1, of every table header and key, by its path as written.

    `text` is valid TOML. Keys within inline tables have the line of their own statement.

    >>> key_lines("[a]\nb = 1\n[a.'*']\n")
    {('a',): 1, ('a', 'b'): 2, ('a', '*'): 3}
    """
    lines: dict[Path, int] = {}
    table: Path = ()
    line, counted = 1, 0
    for is_header, path, start in _statements(text):
        line += text.count("\n", counted, start)
        counted = start
        if is_header:
            table = path
        full = path if is_header else table + path
        for length in range(1 if is_header else len(table) + 1, len(full) + 1):
            lines.setdefault(full[:length], line)
    return lines


def _statements(text: str) -> Iterator[tuple[bool, Path, int]]:
    """Each header or key: whether it is a header, its path, its offset."""
    position = 0
    while position < len(text):
        if blank := _BLANK.match(text, position):
            position = blank.end()
        elif header := _HEADER.match(text, position):
            yield True, _parts(header[1]), position
            position = header.end()
        elif key := _KEY.match(text, position):
            yield False, _parts(key[1]), position
            position = _after_value(text, key.end())
        else:  # not TOML: leave the rest without lines
            return


def _after_value(text: str, position: int) -> int:
    """The offset of the line end after the value that begins at `position`."""
    depth = 0
    for token in _TOKEN.finditer(text, position):
        match token[0]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "\n" if depth <= 0:
                return token.start()
    return len(text)


def _parts(dotted: str) -> Path:
    return tuple(
        part[1:-1] if part[0] in "\"'" else part for part in (m[0] for m in _PART.finditer(dotted))
    )
