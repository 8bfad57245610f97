"""State marks: they differ by shape first, colour second."""

from __future__ import annotations

from functools import cache

from markupsafe import Markup

_TICK = "M4.8 8.2l2.2 2.2 4.2-4.6"
_UP, _DOWN = "M8 2l5 6H9.6v6H6.4V8H3z", "M8 14l5-6H9.6V2H6.4v6H3z"
_SHAPES = {
    "ok": f'<circle cx="8" cy="8" r="7" fill="var(--good)"/>'
    f'<path d="{_TICK}" stroke="var(--paper)" stroke-width="1.8" fill="none"/>',
    "watch": '<path d="M8 1.2L15.2 14.4H.8z" fill="var(--watch)"/>'
    '<path d="M8 6v4.2M8 11.3v1.6" stroke="var(--paper)" stroke-width="1.7"/>',
    "stop": '<path d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" fill="var(--bad)"/>'
    '<path d="M5.4 5.4l5.2 5.2M10.6 5.4l-5.2 5.2" stroke="var(--paper)" stroke-width="1.8"/>',
    "up-good": f'<path d="{_UP}" fill="var(--good)"/>',
    "up-bad": f'<path d="{_UP}" fill="var(--bad)"/>',
    "down-good": f'<path d="{_DOWN}" fill="var(--good)"/>',
    "down-bad": f'<path d="{_DOWN}" fill="var(--bad)"/>',
    "flat": '<path d="M1.5 8h13M4.5 5L1.5 8l3 3M11.5 5l3 3-3 3" fill="none" '
    'stroke="var(--flat)" stroke-width="1.6"/>',
    "none": '<circle cx="8" cy="8" r="6.2" fill="none" stroke="var(--none)" stroke-width="1.5" '
    'stroke-dasharray="2.6 2"/>',
}
_SAME = {"fine": "ok", "look": "watch", "not checked": "none", "up": "up-good"}


@cache
def mark(kind: str, size: int = 15) -> Markup:
    """The mark of a state (`fine`, `look`, `stop`, `not checked`) or of a direction.

    >>> "dasharray" in mark("not checked"), "circle" in mark("fine")
    (True, True)
    """
    shape = _SHAPES[_SAME.get(kind, kind)]
    return Markup(  # noqa: S704 - nothing that a person has written is in it
        f'<svg width="{size}" height="{size}" viewBox="0 0 16 16" aria-hidden="true">{shape}</svg>'
    )
