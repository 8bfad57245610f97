"""Small cells are not shown, nor what would reveal them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from sonde.pages.results import EVERYONE

MINIMUM_UNITS = 20
# By branch, each combination of segments that any of its units is in.
Kinds = Mapping[str, Collection[frozenset[str]]]
_PRIME = 2**61 - 1  # residues are exact enough: a chance relation hides a segment too many


def hidden_segments(
    units: Mapping[str, Mapping[str, int]],
    minimum: int = MINIMUM_UNITS,
    kinds: Callable[[], Kinds | None] = lambda: None,
) -> set[str]:
    """The segments that are hidden, in one basis and window.

    units: segment -> branch -> units, with the segment of everyone. A segment is hidden when any
    of its branches has fewer than `minimum` units, or so many that the units outside of it,
    which everyone minus the segment would show, are fewer than that (none at all reveal nothing).
    Others are hidden when sums and differences of those shown would give it away. How segments lie
    within each other is what `kinds` says, which is asked only if one is small; while that is not
    known, one small segment hides all.

    >>> units = {"all": {"a": 500}, "x": {"a": 10}, "y": {"a": 240}, "z": {"a": 250}}
    >>> sorted(hidden_segments(units))
    ['x', 'y', 'z']
    >>> apart = {"a": [frozenset("x"), frozenset("y"), frozenset("z")]}
    >>> sorted(hidden_segments(units, kinds=lambda: apart))
    ['x', 'y']
    >>> sorted(hidden_segments(units, kinds=lambda: {"a": [*apart["a"], frozenset()]}))
    ['x']
    """
    everyone = units.get(EVERYONE, {})
    if any(0 < n < minimum for n in everyone.values()):
        return set(units)
    segments = {name: of for name, of in units.items() if name != EVERYONE}
    small = {
        branch: [name for name, of in segments.items() if _is_small(of, branch, whole, minimum)]
        for branch, whole in everyone.items()
    }
    hidden = {name for names in small.values() for name in names}
    if not hidden:
        return hidden
    known = kinds()
    if known is None or not small.keys() <= known.keys():
        return set(segments)
    left = sorted(segments.keys() - hidden, key=lambda s: (-sum(segments[s].values()), s))
    for branch, names in small.items():
        there = _present(known[branch], segments, branch, everyone[branch])
        left = _kept(left, names, there)
    return segments.keys() - left


def _is_small(of: Mapping[str, int], branch: str, whole: int, minimum: int) -> bool:
    within = of.get(branch, 0)
    return 0 < within < minimum or 0 < whole - within < minimum


def _present(
    kinds: Iterable[frozenset[str]],
    segments: Mapping[str, Mapping[str, int]],
    branch: str,
    whole: int,
) -> list[frozenset[str]]:
    """The combinations that counts of nobody, or of everybody, do not rule out."""
    empty = {name for name, of in segments.items() if not of.get(branch, 0)}
    full = {name for name, of in segments.items() if of.get(branch, 0) == whole}
    return [kind & segments.keys() for kind in kinds if not kind & empty and full <= kind]


def _kept(names: Sequence[str], small: Sequence[str], kinds: Sequence[frozenset[str]]) -> list[str]:
    """Of some segments, as many as can be shown, from the first on."""
    span = _Span([1] * len(kinds))
    secret = [[int(name in kind) for kind in kinds] for name in small]
    kept = []
    for name in names:
        wider = span.with_(int(name in kind) for kind in kinds)
        if not any(wider.holds(each) for each in secret):
            span = wider
            kept.append(name)
    return kept


class _Span:
    """All that sums and multiples of some rows can make."""

    def __init__(self, *rows: list[int]) -> None:
        self._rows: list[tuple[int, list[int]]] = []
        for row in rows:
            self._add(row)

    def with_(self, row: Iterable[int]) -> _Span:
        """The same, with a further row."""
        found = _Span()
        found._rows = list(self._rows)
        found._add(list(row))
        return found

    def holds(self, row: list[int]) -> bool:
        """Whether a row can be made of the others."""
        return not any(self._rest(row))

    def _add(self, row: list[int]) -> None:
        rest = self._rest(row)
        place = next((n for n, value in enumerate(rest) if value), None)
        if place is not None:
            inverse = pow(rest[place], -1, _PRIME)
            self._rows.append((place, [value * inverse % _PRIME for value in rest]))

    def _rest(self, row: list[int]) -> list[int]:
        for place, other in self._rows:
            if factor := row[place]:
                row = [(a - factor * b) % _PRIME for a, b in zip(row, other, strict=True)]
        return row
