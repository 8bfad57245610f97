"""The checks as they may be shown: without what tells of few units."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from sonde.health import Check, State
from sonde.pages.results import EVERYONE
from sonde.pages.suppress import Kinds, hidden_segments

_INSIDE, _OUTSIDE = "segment ", "not in segment "
_ALWAYS = frozenset({"freshness", "failed_metrics"})  # they count days and metrics, not units
_BY_DAY = ("days", "shares", "lower", "upper", "p")
_SUMMED = ("words", "branches", "design", "units", "since", "adjusted_p", "one_look_p",
           "band_confidence", "first_below_look", "first_below_stop")  # fmt: skip


@dataclass(frozen=True)
class Limits:
    """What decides whether a number is shown.

    kinds: combinations of segments, see `Kinds`. is_hidden: whether the results of everyone are,
    by period and number of the window. is_shown: whether an effect is among the results that are
    shown, by metric, branch and point.
    """

    minimum: int
    kinds: Callable[[], Kinds | None]
    is_hidden: Callable[[str, int], bool]
    is_shown: Callable[[str, str, float], bool]

    def few(self, counts: Iterable[float]) -> bool:
        """Whether any is too small to be shown; none at all is not."""
        return any(0 < count < self.minimum for count in counts)


def shown_checks(checks: Sequence[Check], limits: Limits) -> tuple[Check, ...]:
    """The checks without numbers of few units. States stay: a split may break by losing most."""
    enrolled = _enrolled(checks)
    if enrolled is None or limits.few(enrolled):
        return tuple(_without_units(check, limits) for check in checks)
    hidden = _hidden(checks, enrolled, limits)
    return tuple(_shown(check, enrolled, hidden, limits) for check in checks)


def _enrolled(checks: Sequence[Check]) -> list[int] | None:
    """Enrolled units by branch, where any check has counted them."""
    for check in checks:
        if check.name == "sample_ratio" and check.scope == EVERYONE and "counts" in check.detail:
            return _totals(check)
        if check.name == "coverage" and check.detail.get("steps"):
            return _counts(check, "enrolled")
    return None


def _totals(check: Check) -> list[int]:
    return [sum(branch) for branch in zip(*cast("Any", check.detail["counts"]), strict=True)]


def _counts(check: Check, step: str) -> list[int]:
    steps = cast("list[Mapping[str, Any]]", check.detail["steps"])
    return next((list(each["counts"]) for each in steps if each["name"] == step), [])


def _without_units(check: Check, limits: Limits) -> Check:
    said = f"{check.figure}{check.note}"
    if check.name in _ALWAYS or not any(letter.isdigit() for letter in said):
        return check
    why = f"A branch has fewer than {limits.minimum} units: the numbers are not shown."
    return _hide(check, why)


def _hide(check: Check, why: str) -> Check:
    is_open = check.state is State.UNCHECKED
    figure = check.figure if is_open else "hidden"
    return replace(check, figure=figure, note=why, value=None, threshold=None, detail={})


def _segment(check: Check) -> str | None:
    if check.name != "sample_ratio" or check.scope == EVERYONE:
        return None
    return check.scope.removeprefix(_OUTSIDE).removeprefix(_INSIDE)


def _hidden(checks: Sequence[Check], enrolled: Sequence[int], limits: Limits) -> Collection[str]:
    """The segments whose units are not told. One that was too small to be checked is small."""
    units: dict[str, dict[str, int]] = {EVERYONE: {str(n): of for n, of in enumerate(enrolled)}}
    for check in checks:
        if (name := _segment(check)) is not None and check.scope.startswith(_INSIDE):
            counted = _totals(check) if "counts" in check.detail else [1] * len(enrolled)
            units[name] = {str(n): of for n, of in enumerate(counted)}
    return hidden_segments(units, limits.minimum, lambda: _by_place(checks, limits.kinds()))


def _by_place(checks: Iterable[Check], kinds: Kinds | None) -> Kinds | None:
    """By the place of the branch among those that the checks count."""
    names = next((c.detail["branches"] for c in checks if c.detail.get("branches")), ())
    if kinds is None:
        return None
    by_name = enumerate(cast("Sequence[str]", names))
    return {str(n): kinds[name] for n, name in by_name if name in kinds}


def _shown(check: Check, enrolled: Sequence[int], hidden: Collection[str], limits: Limits) -> Check:
    segment = _segment(check)
    if segment is not None and (segment in hidden or "counts" not in check.detail):
        words = check.detail.get("words") or check.scope
        return _hide(check, f"{words}: fewer than {limits.minimum} units, or next to such a group.")
    if check.name == "sample_ratio" and "counts" in check.detail:
        return replace(check, detail=_path(check, enrolled, limits))
    if check.name == "implausible_effect" and "point" in check.detail:
        key = (check.scope, str(check.detail["branch"]), cast("float", check.detail["point"]))
        return check if limits.is_shown(*key) else _hide(check, _elsewhere(limits))
    if check.name == "coverage" and check.detail.get("steps"):
        return _funnel(check, limits)
    if limits.few(cast("list[int]", check.detail.get("exposed", ()))):
        return _hide(check, _elsewhere(limits))
    window = (check.detail.get("period"), check.detail.get("window"))
    if window[0] is not None and limits.is_hidden(*cast("tuple[str, int]", window)):
        return _hide(check, _elsewhere(limits))
    return check


def _elsewhere(limits: Limits) -> str:
    return f"It was found in fewer than {limits.minimum} units: the numbers are not shown."


def _path(check: Check, enrolled: Sequence[int], limits: Limits) -> dict[str, object]:
    """From the first day on which there are enough units; of segments without counts by day."""
    counts = cast("list[list[int]]", check.detail["counts"])
    first = _first_day(counts, enrolled, limits)
    whole = {name: check.detail[name] for name in _SUMMED if name in check.detail}
    by_day = {name: cast("list[Any]", check.detail[name])[first:] for name in _BY_DAY}
    days = cast("list[str]", by_day["days"])
    for name in ("first_below_look", "first_below_stop"):
        if whole.get(name) is not None and days:
            whole[name] = max(cast("str", whole[name]), days[0])
    if check.scope != EVERYONE:
        del by_day["p"]
        return {**whole, **by_day}
    merged = [[sum(branch) for branch in zip(*counts[: first + 1], strict=True)]]
    return {**whole, **by_day, "counts": merged + counts[first + 1 :] if days else []}


def _first_day(counts: Sequence[Sequence[int]], enrolled: Sequence[int], limits: Limits) -> int:
    so_far = [0] * len(enrolled)
    for place, day in enumerate(counts):
        so_far = [a + b for a, b in zip(so_far, day, strict=True)]
        if all(n >= limits.minimum for n in so_far):
            return place
    return len(counts)


def _funnel(check: Check, limits: Limits) -> Check:
    """Stages with few units lose their counts, and with those of data go the shares."""
    steps = list(_steps(cast("list[dict[str, Any]]", check.detail["steps"]), limits))
    sources = cast("dict[str, list[int]]", check.detail.get("sources", {}))
    kept = {name: of for name, of in sources.items() if not limits.few(of)}
    detail = {**check.detail, "steps": steps, "sources": kept}
    with_data = next((step for step in steps if step["name"] == "has data"), None)
    if with_data is None or with_data["counts"] is not None:
        return replace(check, detail=detail)
    return replace(_hide(check, _elsewhere(limits)), detail=detail)


def _steps(steps: Iterable[dict[str, Any]], limits: Limits) -> Iterator[dict[str, Any]]:
    for step in steps:
        if limits.few([*step["counts"], *step.get("of", ())]):
            yield {**step, "counts": None, **({"of": None} if "of" in step else {})}
        else:
            yield step
