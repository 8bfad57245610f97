"""Whether units of all branches send data and stay."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sonde.experiment import Experiment
from sonde.health import Check, Light, State
from sonde.pages.words import count, listed, percent, window
from sonde.plan.steps import HAS_DATA
from sonde.run.estimate import IDENTITY
from sonde.run.health_rows import (
    EVERYONE,
    FROM_ENROLLMENT,
    Row,
    WindowKey,
    compared_rows,
    is_count,
    longest,
    p_of,
)
from sonde.run.health_split import p_words
from sonde.run.health_units import Enrolled
from sonde.stats.counts import Floats
from sonde.stats.estimate import Comparison
from sonde.stats.multiplicity import holm
from sonde.stats.split import homogeneity_p
from sonde.window import Period

COVERAGE_LOOK = 0.001
COVERAGE_GAP = 0.05  # between branches
COVERAGE_LOW = 0.9
DEPARTURES_LOOK = 0.001
ENOUGH = 100  # units in each branch
UNENROLL = "unenroll"


@dataclass(frozen=True)
class _Counted:
    """Units of a window by branch, and those with data by source."""

    window: WindowKey
    units: Mapping[str, float]
    sources: Mapping[str, Mapping[str, float]]


def coverage_checks(
    experiment: Experiment, enrolled: Enrolled | None, rows: Sequence[Row]
) -> Iterator[Check]:
    """The funnel, whether branches send data alike, and whether they are left alike."""
    counted = _counted(rows)
    if counted is None or enrolled is None or not enrolled.count.sum():
        yield Check(
            Light.COVERAGE,
            "coverage",
            EVERYONE,
            State.UNCHECKED,
            "not yet",
            "No window has been computed yet; checked with the first one.",
        )
    else:
        yield _coverage(enrolled, counted, rows)
    yield _departures(experiment, rows)


def _counted(rows: Iterable[Row]) -> _Counted | None:
    """The first window of the longest period that has counts of both kinds."""
    units: dict[WindowKey, dict[str, float]] = defaultdict(dict)
    data: dict[WindowKey, dict[str, dict[str, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        if row["metric"] not in {IDENTITY, HAS_DATA} or not is_count(row):
            continue
        place = (row["analysis_period"], row["window_index"])
        if row["metric"] == IDENTITY:
            units[place][row["branch"]] = row["point"]
        else:
            data[place][row["data_source"]][row["branch"]] = row["point"]
    for period in FROM_ENROLLMENT:
        place = (period.value, 1)
        if units.get(place) and data.get(place):
            return _Counted(place, units[place], data[place])
    return None


def _coverage(enrolled: Enrolled, counted: _Counted, rows: Sequence[Row]) -> Check:
    branches = enrolled.branches
    units = np.array([counted.units.get(b, 0.0) for b in branches])
    by_source = {
        name: np.array([of.get(b, 0.0) for b in branches]) for name, of in counted.sources.items()
    }
    main = _main(by_source, rows)
    sent = by_source[main]
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = np.where(units > 0, sent / units, np.nan)
    p = homogeneity_p(sent, units)
    whole = sent.sum() / units.sum() if units.sum() else 0.0
    gap = float(np.nanmax(shares) - np.nanmin(shares)) if units.sum() else 0.0
    enough = bool(units.min() >= ENOUGH)
    state, todo = _covered(enough, p, gap, whole, sent, main)
    said = listed([f"{percent(s, 1, '')} in {b}" for b, s in zip(branches, shares, strict=True)])
    alike = "" if np.isnan(p) else f"; {p_words(p)} for the branches to be alike"
    return Check(
        light=Light.COVERAGE,
        name="coverage",
        scope=EVERYONE,
        state=state,
        figure=percent(whole, 1, "") if enough else "not yet",
        note=f"Of enrolled units {said} have rows in {main} ({window(*counted.window).lower()})"
        f"{alike}."
        if enough
        else f"Needs {ENOUGH} units in each branch; the smallest has {count(units.min())}.",
        value=None if np.isnan(p) else p,
        threshold=COVERAGE_LOOK,
        todo=todo,
        detail=_funnel(enrolled, counted, by_source, main, rows),
    )


def _main(by_source: Mapping[str, Floats], rows: Iterable[Row]) -> str:
    """The source of most metrics: one that only tells of enrollment has rows of every unit."""
    metrics: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["metric"] not in {IDENTITY, HAS_DATA}:
            metrics[row["data_source"]].add(row["metric"])
    return max(by_source, key=lambda name: (len(metrics[name]), by_source[name].sum(), name))


def _covered(
    enough: bool, p: float, gap: float, whole: float, sent: Floats, main: str
) -> tuple[State, str]:
    if not enough:
        return State.UNCHECKED, ""
    if not sent.all():
        return State.STOP, (
            f"A branch has no row in {main}, so that all its numbers are zero or missing. See "
            "that the source's id is the unit's, and that its tables reach the window."
        )
    if p < COVERAGE_LOOK and gap >= COVERAGE_GAP:
        return State.STOP, (
            "Do not read the effects before it is known why one branch sends less: units "
            "without rows count as zero. Look for crashes, lost uploads and un-enrollments."
        )
    if p < COVERAGE_LOOK:
        return State.LOOK, (
            "One branch sends data more often. If the change makes people use the product more "
            "or less, this is its effect; else data get lost. Compare with days_of_use or retained."
        )
    if whole < COVERAGE_LOW:
        return State.LOOK, (
            f"Units without rows in {main} count as zero. If more were expected, compare the "
            "source's id with the unit's, and its days with those of enrollment."
        )
    return State.FINE, ""


def _funnel(
    enrolled: Enrolled,
    counted: _Counted,
    by_source: Mapping[str, Floats],
    main: str,
    rows: Sequence[Row],
) -> dict[str, object]:
    """From enrolled to complete, by branch."""
    newest, complete = _newest(rows, enrolled.branches)
    steps: list[dict[str, object]] = [
        {"name": "enrolled", "counts": enrolled.by_branch().astype(int).tolist()},
        {"name": "exposed", "counts": enrolled.by_branch(enrolled.exposed).astype(int).tolist()},
        {
            "name": "has data",
            "counts": by_source[main].astype(int).tolist(),
            "of": [int(counted.units.get(b, 0)) for b in enrolled.branches],
            "source": main,
            "period": counted.window[0],
            "window": counted.window[1],
        },
        {
            "name": "window complete",
            "counts": complete,
            "period": newest[0],
            "window": newest[1],
        },
    ]
    sources = {name: counts.astype(int).tolist() for name, counts in by_source.items()}
    return {"branches": list(enrolled.branches), "steps": steps, "sources": sources}


def _newest(rows: Iterable[Row], branches: Sequence[str]) -> tuple[WindowKey, list[int]]:
    """The last window of the series of weeks that any unit has the whole of, and how many have.

    Of another period where there are no weeks.
    """
    found: dict[WindowKey, dict[str, float]] = defaultdict(dict)
    for row in rows:
        if row["metric"] == IDENTITY and is_count(row):
            found[row["analysis_period"], row["window_index"]][row["branch"]] = row["point"]
    for period in (Period.WEEK, Period.DAYS28, Period.DAY, Period.OVERALL):
        held = [place for place, units in found.items() if sum(units.values())] or list(found)
        if indices := [index for name, index in held if name == period.value]:
            place = (period.value, max(indices))
            return place, [int(found[place].get(branch, 0)) for branch in branches]
    raise AssertionError("there are counts of some window")


def _no_departures(experiment: Experiment) -> str:
    if any(metric.name == UNENROLL for asked in experiment.metrics.values() for metric in asked):
        return f"No window of the metric {UNENROLL} has been computed yet."
    return (
        f"The metric {UNENROLL} is not asked for. List it under overall or weekly in [metrics], "
        "and this is checked as soon as that window is due."
    )


def _departures(experiment: Experiment, rows: Sequence[Row]) -> Check:
    """Whether as many units of each branch left the experiment."""
    of_metric = [row for row in rows if row["metric"] == UNENROLL]
    compared = compared_rows(experiment, of_metric, Comparison.DIFFERENCE)
    place = longest(compared)
    if place is None:
        return Check(
            Light.COVERAGE,
            "unenrollment",
            EVERYONE,
            State.UNCHECKED,
            "not yet",
            _no_departures(experiment),
        )
    chosen = [row for row in compared if (row["analysis_period"], row["window_index"]) == place]
    p = holm([p_of(row) for row in chosen])
    least = float(p.min())
    levels = {
        row["branch"]: row["point"]
        for row in of_metric
        if row["comparison"] is None
        and row["statistic"] == chosen[0]["statistic"]
        and is_count(row)
        and (row["analysis_period"], row["window_index"]) == place
    }
    shares = [f"{percent(share, 2, '')} in {branch}" for branch, share in levels.items()]
    return Check(
        light=Light.COVERAGE,
        name="unenrollment",
        scope=EVERYONE,
        state=State.LOOK if least < DEPARTURES_LOOK else State.FINE,
        figure=percent(max(levels.values(), default=0.0), 2, ""),
        note=f"{listed(shares) if shares else 'Units'} left ({window(*place).lower()}); "
        f"{p_words(least)} for the branches to be alike.",
        value=least,
        threshold=DEPARTURES_LOOK,
        todo=""
        if least >= DEPARTURES_LOOK
        else (
            "People leave one branch more often. Those who stay are no longer alike: read results "
            "by enrollments over the whole period, and count leaving itself as an effect."
        ),
        detail={"period": place[0], "window": place[1], "shares": levels},
    )
