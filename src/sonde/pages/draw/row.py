"""The interval of a table's row, and the axis above the rows.

Six shapes, written as they are: a site has thousands of rows.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sonde.pages.draw import text
from sonde.pages.draw.scale import (
    decimals,
    multiples,
    rounded,
    signed,
    step,
    usual,
    usual_reach,
)
from sonde.pages.draw.text import number
from sonde.pages.interval import Interval, Tone

_BAR, _CAP = 5.0, 7.0  # half of their heights
_CAP_WIDTH, _GAP = 1.5, 2.5
_ARROW = 8.0
_LABEL = 14.0  # the size of labels where drawings shrink; 11 elsewhere
_MOST_TICKS = 7
_AIR = 1.06  # between the longest bar and the end of the axis
_ENDLESS = 1e12  # no axis is longer
# A bar of usual length ends this part of the way to the end of the axis, or further: a shorter
# one could not be read. What is longer leaves in an arrowhead; its numbers stand beside it.
_SHORTEST = 1 / 10
_FAR = 5.0  # times the longest bar: a margin beyond does not stretch the axis


class Unit(enum.StrEnum):
    """What a value is printed in. Values of the first two are fractions: 0.037 is 3.7 %."""

    PERCENT = " %"
    POINTS = " pts"
    PLAIN = ""

    @property
    def factor(self) -> float:
        """What a value is multiplied with to be printed."""
        return 1.0 if self is Unit.PLAIN else 100.0


@dataclass(frozen=True)
class Axis:
    """What all rows of a table are drawn on. distance: between two ticks."""

    low: float
    high: float
    distance: float
    unit: Unit = Unit.PERCENT

    @classmethod
    def fitting(
        cls,
        changes: Iterable[Interval],
        margins: Iterable[float] = (),
        unit: Unit = Unit.PERCENT,
    ) -> Axis:
        """As far to the left of zero as to the right, wide enough for the usual interval.

        An interval many times as far out as most would flatten all others: it leaves the axis.

        >>> Axis.fitting([Interval(0.037, 0.018, 0.056)], margins=[-0.02])
        Axis(low=-0.06, high=0.06, distance=0.02, unit=<Unit.PERCENT: ' %'>)
        """
        reach = max((abs(each) for each in _covered(changes, margins)), default=0.0)
        return cls._over(-reach, reach, unit)

    @classmethod
    def spanning(
        cls,
        changes: Iterable[Interval],
        margins: Iterable[float] = (),
        unit: Unit = Unit.PERCENT,
    ) -> Axis:
        """From the lowest usual limit, or zero, to the highest.

        >>> Axis.spanning([Interval(0.05, -0.03, 0.11)])
        Axis(low=-0.04, high=0.12, distance=0.04, unit=<Unit.PERCENT: ' %'>)
        """
        found = [0.0, *_covered(changes, margins)]
        return cls._over(min(found), max(found), unit)

    @classmethod
    def _over(cls, low: float, high: float, unit: Unit) -> Axis:
        low, high = max(low, -_ENDLESS), min(high, _ENDLESS)
        if not high - low > 1e-12:  # nothing to show yet, or all of it zero
            low, high = -5 / unit.factor, 5 / unit.factor
        distance = step((high - low) * _AIR, _MOST_TICKS)
        half = distance / 2
        low, high = math.floor(low * _AIR / half + 1e-9), math.ceil(high * _AIR / half - 1e-9)
        return cls(rounded(low * half), rounded(high * half), distance, unit)

    def at(self, value: float, pixels: float) -> float:
        """Where a value lies, which may be outside."""
        return (value - self.low) / (self.high - self.low) * pixels

    def holds(self, value: float) -> bool:
        """Whether a value lies on the axis."""
        return self.low <= value <= self.high


def _covered(changes: Iterable[Interval], margins: Iterable[float]) -> list[float]:
    """The values that an axis has to show: limits of the usual intervals, margins not far away."""
    known = [each for each in changes if not math.isnan(each.lower + each.upper)]
    limits = usual(known, 1 / _SHORTEST)
    longest = max(map(abs, limits), default=math.inf)
    most = min(_FAR * longest, usual_reach(known) / _SHORTEST)
    finite = [margin for margin in margins if math.isfinite(margin)]
    return [*limits, *(margin for margin in finite if abs(margin) <= most)]


def row(
    change: Interval | None,
    axis: Axis,
    *,
    tone: Tone,
    margin: float | None = None,
    truth: float | None = None,
    ghost: float | None = None,
    reference: float | None = None,
    width: int = 320,
    height: int = 46,
    title: str,
) -> str:
    """One interval as SVG; without one, the axis alone.

    margin: of a guardrail; what lies beyond is tinted. truth: what a simulation planted. ghost:
    half the width that is expected where there is no interval yet. reference: a change to compare
    with, as that of everyone. title: what is said instead of shown.
    """
    middle = height / 2 - (_BAR if truth is not None else 0)
    shapes = [_ground(axis, width, height, margin, reference)]
    if change is not None and not math.isnan(change.lower + change.point + change.upper):
        shapes.append(_bar(change, axis, width, middle, tone))
    elif ghost is not None:
        shapes.append(_ghost(ghost, axis, width, middle))
    if truth is not None:
        shapes.append(_diamond(axis.at(truth, width), middle + 12, width))
    return _svg(title, width, height, "".join(shapes))


def axis_row(axis: Axis, width: int) -> str:
    """The labels above rows of the same width; as many as have room."""
    factor = axis.unit.factor
    distance = axis.distance
    while True:
        places = decimals(distance * factor)
        ticks = multiples(axis.low, axis.high, distance)
        labels = [signed(rounded(tick * factor), places, axis.unit.value) for tick in ticks]
        room = max((text.width(label, _LABEL) for label in labels), default=0.0)
        if room + 8 <= distance / (axis.high - axis.low) * width or len(labels) < 3:
            break
        distance = rounded(distance * 2)
    shown = (
        f'<text x="{number(axis.at(tick, width))}" y="14">{label}</text>'
        for tick, label in zip(ticks, labels, strict=True)
        if room / 2 <= axis.at(tick, width) <= width - room / 2  # those beside are columns
    )
    group = f'<g font-size="11" text-anchor="middle" fill="var(--muted)">{"".join(shown)}</g>'
    return _svg("Axis of the intervals below", width, 20, group)


def _svg(title: str, width: int, height: int, shapes: str) -> str:
    return (
        f'<svg class="iv" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
        f'role="img"><title>{text.shown(title)}</title>{shapes}</svg>'
    )


@lru_cache(maxsize=512)
def _ground(
    axis: Axis, width: int, height: int, margin: float | None, reference: float | None
) -> str:
    """What lies behind the interval: margin, grid, zero, reference."""

    def upright(values: Iterable[float]) -> str:
        return "".join(f"M{number(axis.at(each, width))} 0v{height}" for each in values)

    inside = [t for t in multiples(axis.low, axis.high, axis.distance) if axis.low < t < axis.high]
    shapes = []
    limit = margin if margin is not None and axis.holds(margin) else None
    if limit is not None:
        start = axis.at(limit, width)
        end = width if limit > 0 else 0
        band = f"M{number(start)} 0H{end}V{height}H{number(start)}z"
        shapes.append(f'<path d="{band}" fill="var(--margin)"/>')
    if grid := upright(tick for tick in inside if tick):
        shapes.append(f'<path d="{grid}" stroke="var(--grid)"/>')
    if limit is not None:
        shapes.append(f'<path d="{upright([limit])}" stroke="var(--bad)" stroke-width="1.25"/>')
    shapes.append(f'<path d="{upright([0.0])}" stroke="var(--zero)" stroke-width="1.25"/>')
    if reference is not None and axis.holds(reference):
        dashed = 'stroke="var(--ink)" stroke-dasharray="2 3"'
        shapes.append(f'<path d="{upright([reference])}" {dashed}/>')
    return "".join(shapes)


def _bar(change: Interval, axis: Axis, width: int, middle: float, tone: Tone) -> str:
    """A bar with caps at its limits and a gap at the estimate; an arrowhead where it goes on."""
    low = min(max(axis.at(change.lower, width), 0.0), width)
    high = min(max(axis.at(change.upper, width), 0.0), width)
    goes_left, goes_right = change.lower < axis.low, change.upper > axis.high
    if goes_left:
        high = max(high, _ARROW)
    if goes_right:
        low = min(low, width - _ARROW)
    start = low + _ARROW if goes_left else low
    end = high - _ARROW if goes_right else high
    top, cap = middle - _BAR, middle - _CAP
    parts = [f"M{number(start)} {number(top)}H{number(end)}v10H{number(start)}z"]
    if goes_left:
        parts.append(f"M{number(start)} {number(cap)}L0 {number(middle)}l8 7z")
    else:
        parts.append(f"M{number(low - _CAP_WIDTH / 2)} {number(cap)}h1.5v14h-1.5z")
    if goes_right:
        parts.append(f"M{number(end)} {number(cap)}L{width} {number(middle)}l-8 7z")
    else:
        parts.append(f"M{number(high - _CAP_WIDTH / 2)} {number(cap)}h1.5v14h-1.5z")
    bar = f'<path d="{"".join(parts)}" fill="var(--{tone.value})"/>'
    point = axis.at(change.point, width)
    if not start <= point <= end:
        return bar
    gap = min(_GAP, (end - start) / 3)  # a short bar is not to vanish in its gap
    line = f'd="M{number(point)} {number(top)}v10" stroke-width="{number(gap)}"'
    return f'{bar}<path {line} stroke="var(--paper)"/>'


def _ghost(half: float, axis: Axis, width: int, middle: float) -> str:
    low, high = (min(max(axis.at(each, width), 0.0), width) for each in (-half, half))
    dashed = f"M{number(low)} {number(middle)}H{number(high)}"
    ends = "".join(f"M{number(x)} {number(middle - _BAR)}v10" for x in (low, high))
    look = 'stroke="var(--muted)" stroke-width="1.25"'
    return f'<path d="{dashed}" stroke-dasharray="3 3" {look}/><path d="{ends}" {look}/>'


def _diamond(x: float, y: float, width: int) -> str:
    inside = min(max(x, 5.0), width - 5.0)
    return (
        f'<path d="M{number(inside)} {number(y - 4.7)}l3.6 4.7-3.6 4.7-3.6-4.7z" '
        'fill="var(--paper)" stroke="var(--truth)" stroke-width="1.5"/>'
    )
