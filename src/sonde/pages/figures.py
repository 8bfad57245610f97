"""The larger charts of an experiment: over time, distributions, health."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import cast

from sonde.health import Check, State
from sonde.pages import words
from sonde.pages.draw import figure
from sonde.pages.draw.figure import Figure
from sonde.pages.forest import Choice
from sonde.pages.interval import Interval, Tone, tone
from sonde.pages.material import Material
from sonde.pages.results import Cell, Window

_MOST_SMALL = 4
_MOST_DISTRIBUTIONS = 3


@dataclass(frozen=True)
class Section:
    """Charts under a sentence that says what they show. small: further ones, less large."""

    lead: str
    figures: Sequence[Figure]
    small: Sequence[Figure] = ()


def over_time(material: Material, choice: Choice, metrics: Sequence[str] = ()) -> Section | None:
    """Metrics week by week, the key ones if none are named; None while there is but one week."""
    names = metrics or [*material.roles.primary, *material.roles.guardrails]
    branch = _branch(material, choice)
    if branch is None:
        return None
    series = {name: _series(material, choice, name, branch) for name in names}
    shown = {name: points for name, points in series.items() if len(points) > 1}
    if not shown:
        return None
    first, *others = shown
    figures = [_effect_figure(material, first, shown[first], branch, choice.reference)]
    if (levels := _levels(material, choice, first)) is not None:
        figures.append(levels)
    small = [
        _effect_figure(material, name, shown[name], branch, choice.reference, small=True)
        for name in others[:_MOST_SMALL]
    ]
    one, last = shown[first][0][1], shown[first][-1][1]
    lead = (
        f"{material.metric_title(first)} changed {words.between(one)} in {shown[first][0][0]}, "
        f"{words.between(last)} in {shown[first][-1][0]}. Each week is read once, when it is over "
        "for everyone; a week that still grows is not drawn."
    )
    return Section(lead, figures, small)


def _branch(material: Material, choice: Choice) -> str | None:
    others = [branch for branch in material.branches if branch != choice.reference]
    return others[0] if others else None


def _weeks(material: Material) -> list[Window]:
    return sorted(
        w for w, grows in material.results.windows.items() if w.period == "week" and not grows
    )


def _series(
    material: Material, choice: Choice, metric: str, branch: str
) -> list[tuple[str, Interval]]:
    found = []
    for window in _weeks(material):
        cell = choice.cell._replace(window=window)
        effect = material.shown.effect(cell, metric, branch, choice.reference)
        change = effect.change.interval if effect is not None and effect.change else None
        if change is not None:
            found.append((words.window(*window).lower(), change))
    return found


def _effect_figure(
    material: Material,
    metric: str,
    points: Sequence[tuple[str, Interval]],
    branch: str,
    reference: str,
    small: bool = False,
) -> Figure:
    better = material.bigger_is_better(metric)
    margin = material.roles.guardrails.get(metric)
    colour = tone(points[-1][1], better, margin)
    direction = "higher is better" if better else "higher is worse"
    title = material.metric_title(metric)
    return figure.over_time(
        points,
        title=title if small else f"{title}, week by week",
        note=direction if small else f"Relative change, {branch} against {reference}; {direction}.",
        tone=colour,
        margin=margin,
        small=small,
    )


def _levels(material: Material, choice: Choice, metric: str) -> Figure | None:
    levels: dict[str, list[tuple[str, Interval]]] = {}
    for window in _weeks(material):
        cell = choice.cell._replace(window=window)
        for branch in material.branches:
            other = choice.reference if branch != choice.reference else _branch(material, choice)
            if other is None:
                continue
            effect = material.shown.effect(cell, metric, branch, other)
            level = effect.level.interval if effect is not None and effect.level else None
            if level is not None:
                levels.setdefault(branch, []).append((words.window(*window).lower(), level))
    if not levels:
        return None
    title = material.metric_title(metric)
    return figure.branches_over_time(
        levels,
        control=choice.reference,
        title=f"{title}, each branch",
        note="Level in each week, with its 95 % interval.",
        label=title,
    )


def distribution(material: Material, choice: Choice) -> Section | None:
    """Where in the distribution a metric moves, for those that keep more than a mean."""
    branch = _branch(material, choice)
    if branch is None:
        return None
    figures: list[Figure] = []
    leads: list[str] = []
    for metric in _with_curves(material, choice.cell)[:_MOST_DISTRIBUTIONS]:
        found = _quantiles(material, choice, metric, branch)
        if found is not None:
            figures.append(found[0])
            leads.append(found[1])
        if (curves := _curves(material, choice, metric)) is not None:
            figures.append(curves)
    if not figures:
        return None
    return Section(" ".join(leads) or "Share of units at or below each value.", figures)


def _with_curves(material: Material, cell: Cell) -> list[str]:
    """Metrics with deciles or curves in a cell, the primary first."""
    known = material.shown.curves.get(cell, {})
    names = list(dict.fromkeys(metric for metric, *_ in known))
    order = {name: place for place, name in enumerate(material.roles.primary)}
    return sorted(names, key=lambda name: order.get(name, len(order)))


def _quantiles(
    material: Material, choice: Choice, metric: str, branch: str
) -> tuple[Figure, str] | None:
    curve = material.shown.curve(choice.cell, metric, "deciles", branch, choice.reference)
    points = [(q, each.interval) for q, each in curve if each.interval is not None]
    if len(points) < 2:
        return None
    title = material.metric_title(metric)
    drawn = figure.quantile_differences(
        points,
        title=f"{title}: where it changes",
        note=f"{branch} minus {choice.reference} at each decile, with its 95 % interval.",
        label=title,
        tone=Tone.FLAT,
    )
    middle = min(points, key=lambda point: abs(point[0] - 0.5))[1]
    top = max(points, key=lambda point: point[0])[1]
    lead = (
        f"{title}: the median moves between {_signed(middle.lower)} and {_signed(middle.upper)}, "
        f"the highest decile between {_signed(top.lower)} and {_signed(top.upper)}."
    )
    return drawn, lead


def _signed(value: float) -> str:
    return words.number(value) if value <= 0 else f"+{words.number(value)}"


def _curves(material: Material, choice: Choice, metric: str) -> Figure | None:
    for statistic, draw, note in (
        ("empirical_cdf", figure.ecdf, "Share of units at or below each value."),
        ("kernel_density_estimate", figure.density, "Density of the values of each branch."),
    ):
        curves = {}
        for branch in material.branches:
            points = [
                (x, each.point)
                for x, each in material.shown.curve(choice.cell, metric, statistic, branch)
                if each.point is not None
            ]
            if len(points) > 1:
                curves[branch] = points
        if curves:
            title = material.metric_title(metric)
            return draw(curves, control=choice.reference, title=title, note=note, label=title)
    return None


def health_figures(material: Material) -> list[Figure]:
    """How the split and the enrollment went, day by day."""
    found: list[Figure] = []
    for check in material.checks:
        if check.name != "sample_ratio" or not check.detail.get("days"):
            continue
        is_whole = check.scope == "all"
        if is_whole or check.state is State.STOP:
            found += [drawn] if (drawn := _split_figure(check)) is not None else []
        if is_whole:
            found.append(_enrolled_figure(check))
    return found


def _days(check: Check) -> list[date]:
    return [date.fromisoformat(day) for day in cast("list[str]", check.detail["days"])]


def _enrolled_figure(check: Check) -> Figure:
    counts = cast("list[list[int]]", check.detail["counts"])
    return figure.per_day(
        _days(check),
        [sum(day) for day in counts],
        title="Units enrolled per day",
        note="All branches together.",
    )


def _split_figure(check: Check) -> Figure | None:
    """The share of the branch that is farthest from the design."""
    detail = check.detail
    branches = cast("list[str]", detail["branches"])
    shares, lower, upper = (
        cast("list[list[float | None]]", detail[name]) for name in ("shares", "lower", "upper")
    )
    if len(shares) < 2 or None in shares[-1]:
        return None
    design = cast("list[float]", detail["design"])
    apart = [abs(cast("float", share) - of) for share, of in zip(shares[-1], design, strict=True)]
    place = len(apart) - 1 - apart[::-1].index(max(apart))
    kept = [row for row in range(len(shares)) if shares[row][place] is not None]
    days = _days(check)
    broken = detail.get("first_below_stop")
    scope = "" if check.scope == "all" else f", {detail.get('words') or check.scope}"
    return figure.split_over_time(
        [days[row] for row in kept],
        [cast("float", shares[row][place]) for row in kept],
        [cast("float", lower[row][place]) for row in kept],
        [cast("float", upper[row][place]) for row in kept],
        design=design[place],
        broken_on=date.fromisoformat(broken) if isinstance(broken, str) else None,
        title=f"Share in {branches[place]}{scope}",
        note="Cumulative. Band: where the share stays on every day, if the split is as designed.",
    )
