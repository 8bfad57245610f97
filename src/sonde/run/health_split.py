"""The split over branches and exposure: checks of who is in the experiment."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sonde.experiment import Experiment
from sonde.health import Check, Light, State
from sonde.pages.words import count, day, listed, percent
from sonde.run.health_units import Enrolled, Flags
from sonde.stats.counts import Floats
from sonde.stats.multiplicity import holm
from sonde.stats.split import SampleRatio, chi_square_p, homogeneity_p, sample_ratio

EVERYONE = "all"
SPLIT_STOP = 0.001
SPLIT_LOOK = 0.01
EXPOSURE_LOOK = 0.001
SEVERAL_LOOK = 0.001
SEVERAL_STOP = 0.01
FEW_UNITS = 10  # so many in several branches are no pattern yet
EXPOSED_ENOUGH = 100  # units in each branch

_MEND = (
    "Do not read the effects: what loses units of one branch may change those that remain. "
    "Find what differs between the branches{where}{since}: lost events, crashes at start-up, "
    "redirects, filters. Stop enrolling, mend it and start again with new units; to leave out "
    "the units where it shows is no repair."
)
_WATCH = "Read with care, and look again tomorrow: it takes p < 0.001 to be sure."


@dataclass(frozen=True, eq=False)
class _Scope:
    """A part of the units. name: as in checks. words: as in sentences.

    p: adjusted for all parts that are looked at.
    """

    name: str
    words: str
    path: SampleRatio
    counts: Floats
    p: float

    def first_below(self, alpha: float) -> int | None:
        """The first day on which the adjusted p was below alpha, adjusted as it is today."""
        return self.path.first_below(alpha * float(self.path.p[-1]) / self.p)


def split_checks(experiment: Experiment, units: Enrolled) -> Iterator[Check]:
    """The split overall, in each segment, and units where they should not be."""
    if len(units.branches) < 2:
        yield _unchecked("sample_ratio", "One branch only: there is nothing to compare.")
        return
    if not units.count.sum():
        yield _unchecked("sample_ratio", "No unit is enrolled yet; checked from the first day on.")
        return
    whole = _scope(EVERYONE, "all units", units)
    inside, outside = _segments(experiment, units)
    broken = [scope.words for scope in inside if scope.p < SPLIT_STOP]
    elsewhere = len(broken) < len(inside) and len(broken) > 0
    yield _sample_ratio(whole, units, listed(broken) if elsewhere else "")
    for scope in inside:
        yield _sample_ratio(scope, units, scope.words)
    if not any(scope.p < SPLIT_LOOK for scope in inside):
        for scope in outside:
            if scope.p < SPLIT_LOOK:
                yield _sample_ratio(scope, units, scope.words)
    yield _several_branches(units)
    if units.strangers:
        yield _strangers(units.strangers)


def _scope(
    name: str, words: str, units: Enrolled, chosen: Flags | None = None, tests: int = 1
) -> _Scope:
    counts = units.by_day(chosen)
    path = sample_ratio(counts, units.ratios, SPLIT_STOP / tests)
    return _Scope(name, words, path, counts, float(path.p[-1]))


def _segments(experiment: Experiment, units: Enrolled) -> tuple[list[_Scope], list[_Scope]]:
    """Units in each segment, and units in its complement; p of Holm over all of both.

    Valid on every day at once: the smallest of m always-valid p-values is ever below alpha / m
    with a probability of at most alpha.
    """
    segments = [segment for segment in experiment.segments if segment.name in units.within]
    if not segments:
        return [], []
    inside, outside = [], []
    tests = 2 * len(segments)
    for segment in segments:
        name, words = segment.name, segment.friendly_name or segment.name
        known = units.within[name]
        inside.append(_scope(f"segment {name}", words, units, known == 1, tests))
        without = f"units that are not {words}"
        outside.append(_scope(f"not in segment {name}", without, units, known == 0, tests))
    adjusted = holm([scope.p for scope in (*inside, *outside)])
    both = [
        _Scope(s.name, s.words, s.path, s.counts, float(p))
        for s, p in zip((*inside, *outside), adjusted, strict=True)
    ]
    return both[: len(inside)], both[len(inside) :]


def _sample_ratio(scope: _Scope, units: Enrolled, where: str) -> Check:
    path = scope.path
    figure = " : ".join(_points(share) for share in path.shares[-1])
    if not scope.counts.sum() or (path.lower[-1].max() <= 0 and path.upper[-1].min() >= 1):
        note = f"{count(scope.counts.sum())} units so far: too few to tell any split from another."
        return _unchecked("sample_ratio", note, scope.name)
    planned = " : ".join(_points(ratio / sum(units.ratios)) for ratio in units.ratios)
    state = State.STOP if scope.p < SPLIT_STOP else State.LOOK
    if scope.p >= SPLIT_LOOK:
        state = State.FINE
    return Check(
        light=Light.SPLIT,
        name="sample_ratio",
        scope=scope.name,
        state=state,
        figure=figure,
        note=_found(scope, units, state, figure, planned, where),
        value=scope.p,
        threshold=SPLIT_STOP,
        todo=_todo(state, scope, units, where),
        detail=_path(scope, units),
    )


def _found(
    scope: _Scope, units: Enrolled, state: State, figure: str, planned: str, where: str
) -> str:
    said = f"{p_words(scope.p)} on any day"
    if state is State.FINE:
        return f"{figure}, planned {planned}; {said}."
    since = day(units.days[scope.path.since])
    place = "" if scope.name != EVERYONE or not where else f" It is found in {where}."
    of = "" if scope.name == EVERYONE else f" in {scope.words}"
    return f"{figure}{of} instead of {planned}, most likely since {since}; {said}.{place}"


def _todo(state: State, scope: _Scope, units: Enrolled, where: str) -> str:
    if state is State.FINE:
        return ""
    if state is State.LOOK:
        return _WATCH
    since = f", since about {day(units.days[scope.path.since])}"
    return _MEND.format(where=f" in {where}" if where else "", since=since)


def _path(scope: _Scope, units: Enrolled) -> dict[str, object]:
    """The chart: entries by day, or by day and branch."""
    path = scope.path
    stopped, looked = scope.first_below(SPLIT_STOP), scope.first_below(SPLIT_LOOK)
    total = sum(units.ratios)
    return {
        "branches": list(units.branches),
        "design": [ratio / total for ratio in units.ratios],
        "days": [each.isoformat() for each in units.days],
        "counts": scope.counts.astype(int).tolist(),
        "shares": [[None if np.isnan(s) else s for s in row] for row in path.shares.tolist()],
        "lower": path.lower.tolist(),
        "upper": path.upper.tolist(),
        "p": path.p.tolist(),
        "band_confidence": 1 - SPLIT_STOP,
        "adjusted_p": scope.p,
        "one_look_p": chi_square_p(scope.counts.sum(axis=0), units.ratios),
        "units": int(scope.counts.sum()),
        "words": scope.words,
        "since": units.days[path.since].isoformat(),
        "first_below_look": None if looked is None else units.days[looked].isoformat(),
        "first_below_stop": None if stopped is None else units.days[stopped].isoformat(),
    }


def _several_branches(units: Enrolled) -> Check:
    share = units.several / units.units if units.units else 0.0
    state = State.FINE
    if units.several >= FEW_UNITS and share >= SEVERAL_LOOK:
        state = State.STOP if share >= SEVERAL_STOP else State.LOOK
    were = "unit is" if units.several == 1 else "units are"
    note = f"{count(units.several)} {were} in several branches and left out of the analysis."
    return Check(
        light=Light.SPLIT,
        name="several_branches",
        scope=EVERYONE,
        state=state,
        figure=percent(share, 2, ""),
        note="No unit is in several branches." if not units.several else note,
        value=share,
        threshold=SEVERAL_STOP,
        todo=""
        if state is State.FINE
        else (
            "Find out why units change branch: ids that are copied or reset, an id in the events "
            "that is not the one randomised on, or a second start of the experiment."
        ),
        detail={"units": units.units, "several": units.several},
    )


def _strangers(strangers: Mapping[str, int]) -> Check:
    number = sum(strangers.values())
    return Check(
        light=Light.SPLIT,
        name="undeclared_branches",
        scope=EVERYONE,
        state=State.LOOK,
        figure=count(number),
        note=f"Units are in branches that are not declared: {listed(sorted(strangers))}.",
        value=float(number),
        threshold=0.0,
        todo="Declare the branches, or find out who else writes enrollments under this slug.",
        detail={"counts": dict(strangers)},
    )


def exposure_checks(units: Enrolled) -> Iterator[Check]:
    """Whether as many units of each branch met the change."""
    exposed, enrolled = units.by_branch(units.exposed), units.by_branch()
    if not exposed.sum():
        yield _unchecked(
            "exposure",
            "No exposure event has been found: the exposures basis is empty. Checked once "
            f"{EXPOSED_ENOUGH} units of each branch are enrolled and any is exposed.",
            light=Light.EXPOSURE,
        )
        return
    if enrolled.min() < EXPOSED_ENOUGH:
        yield _unchecked(
            "exposure",
            f"Needs {EXPOSED_ENOUGH} enrolled units in each branch; the smallest has "
            f"{count(enrolled.min())}.",
            light=Light.EXPOSURE,
        )
        return
    yield _exposure(units.branches, exposed, enrolled)


def _exposure(branches: Sequence[str], exposed: Floats, enrolled: Floats) -> Check:
    p = homogeneity_p(exposed, enrolled)
    shares = exposed / enrolled
    state = State.LOOK if p < EXPOSURE_LOOK else State.FINE
    by_branch = listed(
        [f"{percent(s, 1, '')} in {b}" for b, s in zip(branches, shares, strict=True)]
    )
    apart = shares.max() - shares.min()
    return Check(
        light=Light.EXPOSURE,
        name="exposure",
        scope=EVERYONE,
        state=state,
        figure=percent(exposed.sum() / enrolled.sum(), 1, ""),
        note=f"{by_branch}: {_points(apart)} points apart"
        + ("." if np.isnan(p) else f", {p_words(p)}."),
        value=None if np.isnan(p) else p,
        threshold=EXPOSURE_LOOK,
        todo=""
        if state is State.FINE
        else (
            "Read results by enrollments, not by exposures: exposed units of the branches are not "
            "alike. See that the event is sent at the same point in each branch, before the "
            "change can act."
        ),
        detail={
            "branches": list(branches),
            "enrolled": enrolled.astype(int).tolist(),
            "exposed": exposed.astype(int).tolist(),
            "shares": shares.tolist(),
        },
    )


def _unchecked(name: str, note: str, scope: str = EVERYONE, *, light: Light = Light.SPLIT) -> Check:
    return Check(light, name, scope, State.UNCHECKED, "not yet", note)


def _points(share: float) -> str:
    return f"{100 * share:.1f}"


def p_words(p: float) -> str:
    """A p-value as it is printed.

    >>> p_words(0.0312), p_words(0.00012), p_words(2e-9), p_words(1.0)
    ('p = 0.031', 'p < 0.001', 'p < 0.000001', 'p = 1')
    """
    for bound in ("0.000001", "0.00001", "0.0001", "0.001"):
        if p < float(bound):
            return f"p < {bound}"
    return f"p = {float(f'{p:.2g}'):g}"
