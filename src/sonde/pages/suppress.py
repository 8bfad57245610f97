"""Small cells are not shown, nor what would reveal them."""

from __future__ import annotations

from collections.abc import Mapping

from sonde.pages.results import EVERYONE

MINIMUM_UNITS = 20


def hidden_segments(
    units: Mapping[str, Mapping[str, int]], minimum: int = MINIMUM_UNITS
) -> set[str]:
    """The segments that are hidden, in one basis and window.

    units: segment -> branch -> units, with the segment of everyone. A segment is hidden when any
    of its branches has fewer than `minimum` units, or so many that the units outside of it,
    which everyone minus the segment would show, are fewer than that (none at all reveal nothing).
    If one is hidden, so is the next smallest: several segments that divide everyone among them
    would give away a single missing one.

    >>> units = {"all": {"a": 500}, "x": {"a": 490}, "y": {"a": 250}, "z": {"a": 200}}
    >>> sorted(hidden_segments(units))
    ['x', 'z']
    """
    everyone = units.get(EVERYONE, {})
    if any(0 < n < minimum for n in everyone.values()):
        return set(units)
    segments = {name: of for name, of in units.items() if name != EVERYONE}
    hidden = {
        name
        for name, of in segments.items()
        if any(
            0 < of.get(branch, 0) < minimum or 0 < whole - of.get(branch, 0) < minimum
            for branch, whole in everyone.items()
        )
    }
    shown = segments.keys() - hidden
    if hidden and shown:
        hidden.add(min(shown, key=lambda name: (sum(segments[name].values()), name)))
    return hidden
