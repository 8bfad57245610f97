"""Rows of intervals: a metric, how it changed, and how that reads."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from sonde.pages import words
from sonde.pages.draw.row import Axis, axis_row, row
from sonde.pages.interval import Interval, Tone, tone
from sonde.pages.material import Material
from sonde.pages.results import EVERYONE, Cell, Effect
from sonde.roles import Role

_SHARES = frozenset({"binomial"})
KEY_WIDTH, SEGMENT_WIDTH, PORTFOLIO_WIDTH = 320, 420, 190


class Choice(NamedTuple):
    """What a reader has chosen to see."""

    cell: Cell
    reference: str


class ForestRow(NamedTuple):
    """One line of a table of intervals, as text and one drawing.

    mark: the glyph; reads: in words. link: of the metric's page, relative to the site's root.
    """

    name: str
    key: str
    note: str
    drawing: str
    value: str
    small: str
    levels: str
    mark: str
    reads: str
    reads_note: str
    is_missing: bool = False
    is_hidden: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under a heading."""

    title: str
    note: str
    rows: Sequence[ForestRow]


@dataclass(frozen=True)
class Forest:
    """Groups on one axis."""

    axis: str
    groups: Sequence[Group]

    @property
    def rows(self) -> list[ForestRow]:
        """All rows."""
        return [each for group in self.groups for each in group.rows]


class Forests:
    """The tables of one choice; they share an axis."""

    def __init__(self, material: Material, choice: Choice) -> None:
        self._material = material
        self._choice = choice
        self._treatments = [b for b in material.branches if b != choice.reference]
        self._effects: dict[tuple[str, str, str], Effect | None] = {}

    def key_metrics(self) -> Forest:
        """Primary metrics and guardrails."""
        roles = self._material.roles
        names = [*roles.primary, *roles.guardrails]
        axis = Axis.fitting(self._changes(names), list(roles.guardrails.values()))
        groups = []
        if roles.primary:
            rows = self._rows(roles.primary, axis)
            groups.append(Group(words.plural(len(roles.primary), "primary metric"), "", rows))
        if roles.guardrails:
            rows = self._rows(roles.guardrails, axis)
            title = words.plural(len(roles.guardrails), "guardrail")
            groups.append(Group(title, "each against its margin", rows))
        return Forest(axis_row(axis, KEY_WIDTH), groups)

    def all_metrics(self) -> Forest:
        """Every metric of the window, by outcome, in the order of the configuration."""
        names = self._all_names()
        axis = Axis.fitting(self._changes(names), [])
        groups: list[Group] = []
        left = list(names)
        for outcome in self._material.experiment.outcomes:
            own = [name for name in left if name in outcome.metrics]
            left = [name for name in left if name not in own]
            if own:
                note = f"outcome {outcome.slug}"
                groups.append(Group(outcome.friendly_name, note, self._rows(own, axis)))
        if left:
            title = "Other metrics" if groups else "Metrics"
            groups.append(Group(title, "", self._rows(left, axis)))
        return Forest(axis_row(axis, KEY_WIDTH), groups)

    def segments(self) -> list[tuple[str, Forest]]:
        """For each primary metric, the segments beside everyone."""
        material = self._material
        if len(material.results.segments) < 2:
            return []
        found = []
        for metric in material.roles.primary[:2]:
            changes = [
                change
                for segment in material.results.segments
                for branch in self._treatments
                if (change := self._change(self._effect(metric, branch, segment))) is not None
            ]
            axis = Axis.fitting(changes, [])
            rows = [
                self._segment_row(metric, branch, segment, axis)
                for segment in material.results.segments
                for branch in self._treatments
            ]
            forest = Forest(axis_row(axis, SEGMENT_WIDTH), [Group("", "", rows)])
            found.append((material.metric_title(metric), forest))
        return found

    def _all_names(self) -> list[str]:
        """Asked for in the window's period, whether there is a result or not."""
        found = self._material.shown.metrics(self._choice.cell)
        period = self._choice.cell.window.period
        asked = [
            metric.name
            for each, metrics in self._material.experiment.metrics.items()
            if each.value == period
            for metric in metrics
            if self._choice.cell.basis in {basis.value for basis in metric.analysis_bases}
        ]
        return list(dict.fromkeys([*asked, *found]))

    def _effect(self, metric: str, branch: str, segment: str | None = None) -> Effect | None:
        cell = self._choice.cell
        key = (metric, branch, segment or cell.segment)
        if key not in self._effects:
            within = cell if segment is None else cell._replace(segment=segment)
            self._effects[key] = self._material.shown.effect(
                within, metric, branch, self._choice.reference
            )
        return self._effects[key]

    def _change(self, effect: Effect | None) -> Interval | None:
        return effect.change.interval if effect is not None and effect.change else None

    def _changes(self, names: Iterable[str]) -> list[Interval]:
        effects = [self._effect(name, branch) for name in names for branch in self._treatments]
        return [change for each in effects if (change := self._change(each)) is not None]

    def _rows(self, names: Iterable[str], axis: Axis) -> list[ForestRow]:
        return [self._row(name, branch, axis) for name in names for branch in self._treatments]

    def _row(self, metric: str, branch: str, axis: Axis) -> ForestRow:
        material = self._material
        effect = self._effect(metric, branch)
        change = self._change(effect)
        margin = material.roles.guardrails.get(metric)
        better = material.bigger_is_better(metric)
        direction = "higher is better" if better else "higher is worse"
        parts = [branch] if len(self._treatments) > 1 else []
        kind = "" if effect is None else _kind(effect.statistic)
        note = " · ".join([*parts, *([kind] if kind else []), direction])
        title = material.metric_title(metric)
        if change is None:
            return self._missing(metric, title, note, effect, axis)
        colour = tone(change, better, margin)
        mark, reads, small = _reads(change, better, margin, material.roles.of(metric))
        return ForestRow(
            name=title,
            key=metric,
            note=note,
            drawing=row(
                change,
                axis,
                tone=colour,
                margin=margin,
                truth=material.truth(metric, self._choice.cell, branch),
                width=KEY_WIDTH,
                title=f"{title}: {words.between(change)}",
            ),
            value=words.span(change),
            small=words.percent(change.point),
            levels="" if effect is None else _levels(effect),
            mark=mark,
            reads=reads,
            reads_note=small,
        )

    def _missing(
        self, metric: str, title: str, note: str, effect: Effect | None, axis: Axis
    ) -> ForestRow:
        said = None if effect is None or effect.change is None else effect.change
        why = "nothing was computed"
        if said is not None and said.reason is not None:
            why = said.detail or said.reason.replace("_", " ")
        drawing = row(
            None, axis, tone=Tone.FLAT, width=KEY_WIDTH, title=f"{title}: not computed, {why}"
        )
        return ForestRow(
            title, metric, note, drawing, "no value", "", "", "watch", "Not computed", why, True
        )

    def _segment_row(self, metric: str, branch: str, segment: str, axis: Axis) -> ForestRow:
        material = self._material
        cell = self._choice.cell._replace(segment=segment)
        name = material.segment_title(segment)
        several = f" · {branch}" if len(self._treatments) > 1 else ""
        if material.is_hidden(cell):
            return ForestRow(
                name, segment, f"hidden{several}", "", "", "", "", "none",
                f"fewer than {material.minimum_units} units, or next to such a group", "",
                is_hidden=True,
            )  # fmt: skip
        units = sum(material.results.units(cell).values())
        note = f"{words.plural(units, 'unit')}{several}"
        change = self._change(self._effect(metric, branch, segment))
        whole = self._change(self._effect(metric, branch, EVERYONE))
        if change is None:
            return self._missing(segment, name, note, self._effect(metric, branch, segment), axis)
        reads = ""
        if segment != EVERYONE and whole is not None:
            inside = change.lower <= whole.point <= change.upper
            reads = f"{'Includes' if inside else 'Does not include'} {words.percent(whole.point)}"
        return ForestRow(
            name,
            segment,
            note,
            row(
                change,
                axis,
                tone=Tone.FLAT,
                reference=None if whole is None else whole.point,
                truth=material.truth(metric, cell, branch),
                width=SEGMENT_WIDTH,
                height=40,
                title=f"{name}: {words.between(change)}",
            ),
            words.span(change),
            words.percent(change.point),
            "",
            "flat",
            reads,
            "",
        )


def _reads(
    change: Interval, better: bool, margin: float | None, role: Role
) -> tuple[str, str, str]:
    """The glyph, what a row says in words, and the small line below."""
    if margin is not None:
        small = f"margin {words.percent(margin)}"
        if tone(change, better, margin) is Tone.BAD:
            return "stop", "Worse than margin", small
        within = change.upper < margin if margin > 0 else change.lower > margin
        return ("ok", "Within margin", small) if within else ("flat", "Margin not settled", small)
    small = "primary" if role is Role.PRIMARY else "exploratory"
    if change.holds_zero:
        return "flat", "Could be either", small
    colour = tone(change, better)
    up = change.lower > 0
    mark = f"{'up' if up else 'down'}-{'good' if colour is Tone.GOOD else 'bad'}"
    said = f"{'Higher' if up else 'Lower'}, {'better' if colour is Tone.GOOD else 'worse'}"
    return mark, said, small


def _kind(statistic: str) -> str:
    return {
        "mean_lm": "mean",
        "mean_lm_noclip": "mean",
        "mean": "mean, bootstrap",
        "binomial": "share of units",
        "population_ratio": "ratio",
        "per_client_dau_impact": "impact on daily use",
    }.get(statistic, statistic.replace("_", " "))


def _levels(effect: Effect) -> str:
    if effect.level is None or effect.reference_level is None:
        return ""
    points = (effect.reference_level.point, effect.level.point)
    if points[0] is None or points[1] is None:
        return ""
    if effect.statistic in _SHARES:
        shown = [
            words.percent(each, 2 if abs(each) < 0.01 else 1, "") for each in (points[0], points[1])
        ]
    else:
        shown = [words.number(each) for each in (points[0], points[1])]
    return f"{shown[0]} → {shown[1]}"
