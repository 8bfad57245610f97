"""Text and coordinates as they stand in SVG."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from xml.sax.saxutils import escape

_WIDE = 1.0  # of the font's size: East Asian letters fill a square
_NARROW = 0.62  # the mean of the widest sans serif that a reader may have
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN", "RLE", "RLO", "RLI", "LRE", "LRO", "LRI", "PDF"})
_ISOLATE, _END = "\N{FIRST STRONG ISOLATE}", "\N{POP DIRECTIONAL ISOLATE}"
# Most text has nothing that would need a look at each letter.
_PLAIN = re.compile("[!-~](?:[ -~\N{NO-BREAK SPACE}\N{MINUS SIGN}]*[!-~])?")
_INVISIBLE = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})


def number(value: float) -> str:
    """A coordinate, to a tenth of a pixel.

    >>> number(12.04), number(-0.01), number(7.25)
    ('12', '0', '7.2')
    """
    return _tenths(round(value * 10))


@lru_cache(maxsize=16_384)  # drawings are a few hundred pixels wide
def _tenths(count: int) -> str:
    return f"{count / 10:g}"


@lru_cache(maxsize=4096)
def shown(text: str) -> str:
    """Any text as the content of an element: escaped, and its direction kept to itself.

    >>> shown('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    if _PLAIN.fullmatch(text):
        return escape(text, {'"': "&quot;"})
    clean = "".join(
        " " if unicodedata.category(each) in _INVISIBLE else each for each in text
    ).strip()
    if any(unicodedata.bidirectional(each) in _RIGHT_TO_LEFT for each in clean):
        clean = f"{_ISOLATE}{clean}{_END}"
    return escape(clean, {'"': "&quot;"})


@lru_cache(maxsize=4096)
def width(text: str, size: float) -> float:
    """About how many pixels a line of text takes, rather too many than too few."""
    return sum(
        size * (_WIDE if unicodedata.east_asian_width(each) in "WF" else _NARROW) for each in text
    )


@lru_cache(maxsize=4096)
def shorten(text: str, room: float, size: float) -> str:
    """What of a line fits into so many pixels.

    >>> shorten("searches per day", 1000, 11), shorten("searches per day", 60, 11)
    ('searches per day', 'searche…')
    """
    if width(text, size) <= room:
        return text
    kept = len(text)
    while kept > 0 and width(text[:kept] + "…", size) > room:
        kept -= 1
    return text[:kept].rstrip() + "…"
