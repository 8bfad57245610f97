"""The larger charts, each from plain numbers: drawn twice, with the table of what is drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING

from sonde.pages import words
from sonde.pages.draw import axes, paint
from sonde.pages.draw.plot import (
    Band,
    Bars,
    Ends,
    Key,
    Level,
    Line,
    Mark,
    Moment,
    Plot,
    Region,
    Spot,
    Strokes,
    Whiskers,
)
from sonde.pages.draw.scale import Scale, signed, usual
from sonde.pages.interval import Interval, Tone

if TYPE_CHECKING:
    import altair

WIDE, NARROW, SMALL = 540, 340, 264
_FULL_HEIGHT, _HEALTH_HEIGHT, _SMALL_HEIGHT = 230, 190, 104
_MOST_ROWS = 40
_TAIL = 0.99  # a distribution is drawn up to here where what follows would take most of the room
_LOOKS = (("treat", ""), ("third", ""), ("treat", "8 3"), ("third", "8 3"), ("muted", "2 3"))

Curve = Sequence[tuple[float, float]]
Labelled = Sequence[tuple[str, Interval]]


@dataclass(frozen=True)
class Figure:
    """One chart for a page.

    wide, narrow: SVG for a column of the page and for a phone. header, rows: the same numbers as
    a table. plot: what was drawn.
    """

    title: str
    note: str
    wide: str
    narrow: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    plot: Plot = field(repr=False)

    def chart(self, width: int = 484) -> altair.LayerChart:
        """The same as an Altair chart, in the colours of a light page."""
        from sonde.pages.draw import vega  # noqa: PLC0415 - Altair takes most of a second to import

        return vega.chart(self.plot, width, self.title)


def _figure(
    plot: Plot,
    title: str,
    note: str,
    said: str,
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    wide: int = WIDE,
) -> Figure:
    return Figure(
        title,
        note,
        paint.svg(plot, wide, title, said),
        paint.svg(plot, NARROW, title, said),
        tuple(header),
        tuple(map(tuple, _some(rows))),
        plot,
    )


def over_time(
    points: Labelled,
    *,
    title: str,
    note: str,
    tone: Tone,
    margin: float | None = None,
    small: bool = False,
    label: str = "relative change",
) -> Figure:
    """A relative change in one window after another. small: for several beside one another."""
    known = [(name, each) for name, each in points if _has_point(each)]
    placed = [(float(place), each) for place, (_, each) in enumerate(known)]
    changes = [each for _, each in known]
    y = axes.change_scale(changes, margin, "" if small else label, 3 if small else 5)
    marks: list[Mark] = _beyond(margin, y)
    marks += [_band(placed, tone.value, 0.25), Level(0.0)]
    marks.append(_line(placed, tone.value, "", 1.75 if small else 2.0))
    marks += [Spot(x, each.point, tone.value) for x, each in placed[-1:]]
    x = axes.windows([name for name, _ in known])
    plot = Plot(x, y, tuple(marks), _SMALL_HEIGHT if small else _FULL_HEIGHT)
    said = f"{known[-1][0]}: {words.between(changes[-1])}." if known else "No window is over yet."
    rows = [(name, *_limits(each)) for name, each in points]
    header = ("window", "estimate", "lower", "upper")
    return _figure(plot, title, note, said, header, rows, SMALL if small else WIDE)


def branches_over_time(
    levels: Mapping[str, Labelled], *, control: str, title: str, note: str, label: str
) -> Figure:
    """The level of each branch in one window after another."""
    order = _control_first(levels, control)
    names = list(dict.fromkeys(name for branch in order for name, _ in levels[branch]))
    known = {
        branch: [
            (float(names.index(name)), each) for name, each in levels[branch] if _is_known(each)
        ]
        for branch in order
    }
    drawn = {branch: points for branch, points in known.items() if points}
    values = [each for points in drawn.values() for _, each in points]
    limits = [limit for each in values for limit in (each.lower, each.point, each.upper)]
    marks: list[Mark] = [_band(points, order[b][0], 0.12) for b, points in drawn.items()]
    marks += [_line(points, *order[branch]) for branch, points in drawn.items()]
    ends = [points[-1][1].point for points in drawn.values()]
    marks.append(Ends(ends, list(drawn), [order[branch][0] for branch in drawn]))
    plot = Plot(axes.windows(names), axes.level_scale(limits, label), tuple(marks), _FULL_HEIGHT)
    said = "; ".join(f"{b} ends at {words.number(end)}" for b, end in zip(drawn, ends, strict=True))
    rows = [
        (name, branch, *map(words.number, (each.point, each.lower, each.upper)))
        for branch in order
        for name, each in levels[branch]
    ]
    header = ("window", "branch", "level", "lower", "upper")
    return _figure(plot, title, note, said, header, rows)


def ecdf(curves: Mapping[str, Curve], *, control: str, title: str, note: str, label: str) -> Figure:
    """The share of units at or below each value, for each branch. label: of the values."""
    ends = [_reaches(curve, _TAIL) for curve in curves.values()]
    last = max((curve[-1][0] for curve in curves.values() if curve), default=1.0)
    cut = max(ends, default=last)
    if cut < last / 2:
        label = f"{label}, up to the 99th percentile"
    else:
        cut = last
    start = min((curve[0][0] for curve in curves.values() if curve), default=0.0)
    shares = tuple((each / 4, f"{each * 25}{words.NBSP}%") for each in range(5))
    y = Scale(0.0, 1.0, shares, "units at or below")
    return _curves(curves, control, (title, note), (start, cut, label), y, is_low=True)


def density(
    curves: Mapping[str, Curve], *, control: str, title: str, note: str, label: str
) -> Figure:
    """The density of the values, for each branch. label: of the values."""
    xs = [x for curve in curves.values() for x, _ in curve] or [0.0, 1.0]
    most = max((y for curve in curves.values() for _, y in curve), default=1.0)
    y = Scale(0.0, most * 1.04 or 1.0, (), "density")
    return _curves(curves, control, (title, note), (min(xs), max(xs), label), y, is_low=False)


def quantile_differences(
    points: Sequence[tuple[float, Interval]],
    *,
    title: str,
    note: str,
    label: str,
    tone: Tone = Tone.FLAT,
) -> Figure:
    """The difference between two branches at each quantile, in the unit of the values."""
    known = [(q, each) for q, each in points if _has_point(each)]
    changes = [each for _, each in known]
    y = axes.level_scale([0.0, *usual(changes), *(each.point for each in changes)], label, signed)
    marks = (_band(known, tone.value, 0.25), Level(0.0), _line(known, tone.value, ""))
    names = [(0.1, None), (0.25, None), (0.5, "median"), (0.75, None), (0.9, None)]
    ticks = tuple((q, name or f"{q * 100:.0f}{words.NBSP}%") for q, name in names)
    plot = Plot(Scale(0.0, 1.0, ticks, "quantile of units"), y, marks, _FULL_HEIGHT)
    rows = [
        (f"{q * 100:g}{words.NBSP}%", *map(_signed, (e.point, e.lower, e.upper))) for q, e in points
    ]
    middle = min(known, key=lambda point: abs(point[0] - 0.5), default=None)
    said = ""
    if middle is not None:
        said = f"Median: {_signed(middle[1].lower)} to {_signed(middle[1].upper)}."
    return _figure(plot, title, note, said, ("quantile", "difference", "lower", "upper"), rows)


def split_over_time(
    days: Sequence[date],
    share: Sequence[float],
    lower: Sequence[float],
    upper: Sequence[float],
    *,
    design: float,
    title: str,
    note: str,
    broken_on: date | None = None,
    remark: str = "",
) -> Figure:
    """The share of one branch among all units so far, and the band in which it should stay.

    broken_on: when it left the band. remark: what is written there; the day itself if empty.
    """
    x = [float(day.toordinal()) for day in days]
    colour = "ink" if broken_on is None else "bad"
    marks: list[Mark] = [
        Band(x, lower, upper, "flat", 0.16),
        Level(design),
        Line(x, share, colour),
        *(Spot(*point, colour) for point in list(zip(x, share, strict=True))[-1:]),
    ]
    if broken_on is not None:
        said = remark or f"{words.day(broken_on)}: out of the band"
        marks.append(Moment(float(broken_on.toordinal()), "bad", said))
    y = axes.split_scale(share, lower, upper, design)
    plot = Plot(axes.days(days), y, tuple(marks), _HEALTH_HEIGHT)
    rows = [
        (words.day(day), *(words.percent(each, 2, "") for each in numbers))
        for day, *numbers in zip(days, share, lower, upper, strict=True)
    ]
    last = f"Designed: {words.percent(design, 1, '')}."
    if days:
        last = f"{words.day(days[-1])}: {words.percent(share[-1], 2, '')}. {last}"
    return _figure(plot, title, note, last, ("day", "share", "band from", "band to"), rows)


def per_day(
    days: Sequence[date],
    counts: Sequence[float],
    *,
    title: str,
    note: str,
    plan: Sequence[float] | None = None,
    label: str = "units",
) -> Figure:
    """How many on each day, with a stroke where the plan was."""
    x = [float(day.toordinal()) for day in days]
    marks: list[Mark] = [Bars(x, counts, "flat-soft", 0.72)]
    if plan is not None:
        marks.append(Strokes(x, plan, "ink", 0.72))
    y = axes.level_scale([0.0, *counts, *(plan or ())], label)
    plot = Plot(axes.days(days, around=0.6), y, tuple(marks), _HEALTH_HEIGHT)
    columns = [[words.day(day) for day in days], [words.count(each) for each in counts]]
    if plan is not None:
        columns.append([words.count(each) for each in plan])
    said = f"{words.count(sum(counts))} {label} on {words.plural(len(days), 'day')}."
    header = ("day", label, "plan")[: len(columns)]
    return _figure(plot, title, note, said, header, list(zip(*columns, strict=True)))


def _curves(
    curves: Mapping[str, Curve],
    control: str,
    texts: tuple[str, str],
    values: tuple[float, float, str],
    y: Scale,
    is_low: bool,
) -> Figure:
    """Lines over the same values, with a key; as a table, read off at round values."""
    start, end, label = values
    order = _control_first(curves, control)
    x = axes.level_scale([start, end], label)
    x = Scale(start, end if end > start else start + 1.0, x.ticks, label)
    x = Scale(x.low, x.high, tuple(t for t in x.ticks if x.low <= t[0] <= x.high), label)
    marks: list[Mark] = []
    for branch, (colour, dash) in order.items():
        drawn = _until(curves[branch], end)
        marks.append(Line([a for a, _ in drawn], [b for _, b in drawn], colour, 2.0, dash))
    looks = list(order.values())
    marks.append(Key(list(order), [look[0] for look in looks], [look[1] for look in looks], is_low))
    places = [start + (x.high - start) * part / 10 for part in range(11)]
    shown = [[_read(curves[branch], place) for branch in order] for place in places]
    printed = [
        (words.number(place), *(_share(each) if is_low else words.number(each) for each in read))
        for place, read in zip(places, shown, strict=True)
    ]
    said = "Lines: " + ", ".join(order) + "."
    plot = Plot(x, y, tuple(marks), _FULL_HEIGHT)
    return _figure(plot, *texts, said, ("value", *order), printed)


def _share(value: float) -> str:
    return words.percent(value, 1, "")


def _signed(value: float) -> str:
    text = words.number(value)
    return f"+{text}" if value > 0 else text


def _limits(change: Interval) -> tuple[str, str, str]:
    digits = 2 if min(abs(change.lower), abs(change.upper)) < 0.0005 else 1
    return (
        words.percent(change.point, digits),
        words.percent(change.lower, digits),
        words.percent(change.upper, digits),
    )


def _band(points: Sequence[tuple[float, Interval]], colour: str, opacity: float) -> Mark:
    """The limits; of a single point an upright bar, for which a band has no width."""
    x = [place for place, _ in points]
    low, high = [each.lower for _, each in points], [each.upper for _, each in points]
    return Whiskers(x, low, high, colour) if len(x) == 1 else Band(x, low, high, colour, opacity)


def _line(
    points: Sequence[tuple[float, Interval]], colour: str, dash: str, width: float = 2.0
) -> Line:
    return Line([x for x, _ in points], [each.point for _, each in points], colour, width, dash)


def _has_point(each: Interval) -> bool:
    """Limits may be infinite: they leave the picture."""
    return math.isfinite(each.point) and not math.isnan(each.lower + each.upper)


def _is_known(each: Interval) -> bool:
    return math.isfinite(each.lower + each.point + each.upper)


def _control_first(branches: Mapping[str, object], control: str) -> dict[str, tuple[str, str]]:
    """Each branch with its colour and dash."""
    others = [branch for branch in branches if branch != control]
    looks = {b: _LOOKS[place % len(_LOOKS)] for place, b in enumerate(others)}
    return {control: ("control", "5 3"), **looks} if control in branches else looks


def _beyond(margin: float | None, y: Scale) -> list[Mark]:
    if margin is None or not y.low < margin < y.high:
        return []
    low, high = (margin, y.high) if margin > 0 else (y.low, margin)
    return [Region(low, high, "margin"), Level(margin, "bad")]


def _reaches(curve: Curve, share: float) -> float:
    """The first value at which so many units are at or below."""
    return next((x for x, y in curve if y >= share), curve[-1][0] if curve else 0.0)


def _until(curve: Curve, end: float) -> list[tuple[float, float]]:
    """What of a curve lies up to a value, which it reaches."""
    kept = [point for point in curve if point[0] <= end]
    return kept if len(kept) == len(curve) else [*kept, (end, _read(curve, end))]


def _read(curve: Curve, at: float) -> float:
    """A curve between its points, on a straight line."""
    for (x0, y0), (x1, y1) in pairwise(curve):
        if x0 <= at < x1:
            return y0 + (y1 - y0) * (at - x0) / (x1 - x0)
    if not curve:
        return math.nan
    return curve[0][1] if at < curve[0][0] else curve[-1][1]


def _some(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """So many rows that a table can be read, the last always among them."""
    every = math.ceil(len(rows) / _MOST_ROWS)
    return [row for place, row in enumerate(reversed(rows)) if place % every == 0][::-1]
