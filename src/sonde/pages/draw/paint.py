"""A plot as SVG: small, the same bytes everywhere, colours left to the stylesheet."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import assert_never

from sonde.pages.draw import text
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
from sonde.pages.draw.text import number

_LABEL, _NOTE = 11.0, 11.5
_LONGEST_NAME = 92.0
_APART = 14.0  # between the names at two ends of lines
_MANY = 60  # points, from which on it pays to leave some out
_TOLERANCE = 0.2  # pixels that a line may run beside points that are left out

Points = list[tuple[float, float]]


@dataclass(frozen=True)
class _Area:
    """The inner area of a plot on its sheet, in pixels."""

    plot: Plot
    left: float
    top: float
    width: float

    @property
    def right(self) -> float:
        return self.left + self.width

    @property
    def bottom(self) -> float:
        return self.top + self.plot.height

    def x(self, value: float) -> float:
        return self.left + self.plot.x.at(value, self.width)

    def y(self, value: float) -> float:
        return self.bottom - self.plot.y.at(value, self.plot.height)


def svg(plot: Plot, width: int, title: str, description: str) -> str:
    """Drawn so many pixels wide, axes and labels included."""
    labels = (text.width(label, _LABEL) for _, label in plot.y.ticks)
    left = max(labels, default=-6.0) + 8
    names = (name for mark in plot.marks if isinstance(mark, Ends) for name in mark.names)
    ends = max((min(text.width(name, _NOTE), _LONGEST_NAME) + 10 for name in names), default=0.0)
    top = 26.0 if plot.y.title else 8.0
    last = max((text.width(label, _LABEL) / 2 for _, label in plot.x.ticks[-1:]), default=0.0)
    area = _Area(plot, left, top, width - left - max(ends, last + 1, 10.0))
    height = round(area.bottom + (38 if plot.x.title else 22))
    shapes = [*_grid(area), *(_mark(mark, area) for mark in plot.marks), _labels(area)]
    return (
        f'<svg width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img">'
        f"<title>{text.shown(title)}</title><desc>{text.shown(description)}</desc>"
        f"{''.join(shapes)}</svg>"
    )


def _grid(area: _Area) -> list[str]:
    lines = "".join(
        f"M{number(area.left)} {number(area.y(value))}h{number(area.width)}"
        for value, _ in area.plot.y.ticks
    )
    base = f"M{number(area.left)} {number(area.bottom)}h{number(area.width)}"
    ticks = "".join(
        f"M{number(area.x(value))} {number(area.bottom)}v4" for value, _ in _fitting_x(area)
    )
    return [f'<path d="{lines}{base}{ticks}" stroke="var(--grid)"/>']


def _fitting_x(area: _Area) -> list[tuple[float, str]]:
    """The ticks of x whose labels have room beside the one before."""
    kept: list[tuple[float, str]] = []
    free = -1e9
    for value, label in area.plot.x.ticks:
        half = text.width(label, _LABEL) / 2
        if area.x(value) - half >= free:
            kept.append((value, label))
            free = area.x(value) + half + 8
    return kept


def _labels(area: _Area) -> str:
    plot = area.plot
    up = "".join(_text(area.left - 6, area.y(value) + 4, label) for value, label in plot.y.ticks)
    along = "".join(
        _text(area.x(value), area.bottom + 17, label) for value, label in _fitting_x(area)
    )
    titles = ""
    if plot.y.title:
        titles += _text(area.left, 11, text.shorten(plot.y.title, area.width, _LABEL))
    if plot.x.title:
        title = text.shorten(plot.x.title, area.width, _LABEL)
        titles += _text(area.left, area.bottom + 34, title)
    up = f'<g text-anchor="end">{up}</g>' if up else ""
    return (
        f'<g font-size="11" fill="var(--muted)">{up}<g text-anchor="middle">{along}</g>{titles}</g>'
    )


def _text(x: float, y: float, words: str, more: str = "") -> str:
    return f'<text x="{number(x)}" y="{number(y)}"{more}>{text.shown(words)}</text>'


def _mark(mark: Mark, area: _Area) -> str:
    match mark:
        case Region(low, high, colour):
            top, bottom = area.y(high), area.y(low)
            d = f"M{number(area.left)} {number(top)}h{number(area.width)}V{number(bottom)}"
            return f'<path d="{d}H{number(area.left)}z" fill="var(--{colour})"/>'
        case Level(y, colour, width):
            d = f"M{number(area.left)} {number(area.y(y))}h{number(area.width)}"
            return _stroke(d, colour, width)
        case Moment():
            return _moment(mark, area)
        case Band(x, low, high, colour, opacity):
            d = _path([*_points(x, high, area), *reversed(_points(x, low, area))])
            return f'<path d="{d}z" fill="var(--{colour})" opacity="{opacity:g}"/>'
        case Line(x, y, colour, width, dash):
            return _stroke(_path(_points(x, y, area)), colour, width, dash)
        case Whiskers(x, low, high, colour):
            d = "".join(
                f"M{number(area.x(a))} {number(area.y(b))}V{number(area.y(c))}"
                for a, b, c in zip(x, low, high, strict=True)
            )
            return _stroke(d, colour, 8, opacity=0.4)
        case Spot(x, y, colour):
            place = f'cx="{number(area.x(x))}" cy="{number(area.y(y))}"'
            look = f'fill="var(--paper)" stroke="var(--{colour})" stroke-width="2"'
            return f'<circle {place} r="3.4" {look}/>'
        case Bars(x, y, colour, width):
            d = "".join(_bar(a, b, width, area) for a, b in zip(x, y, strict=True) if b)
            return f'<path d="{d}" fill="var(--{colour})"/>'
        case Strokes(x, y, colour, width):
            d = "".join(_across(a, b, width, area) for a, b in zip(x, y, strict=True))
            return _stroke(d, colour, 2)
        case Ends():
            return _ends(mark, area)
        case Key():
            return _key(mark, area)
        case _:
            assert_never(mark)


def _stroke(d: str, colour: str, width: float, dash: str = "", opacity: float = 1.0) -> str:
    more = f' stroke-dasharray="{dash}"' if dash else ""
    more += f' opacity="{opacity:g}"' if opacity != 1 else ""
    more += f' stroke-width="{width:g}"' if width != 1 else ""
    return f'<path d="{d}" fill="none" stroke="var(--{colour})"{more}/>'


def _bar(x: float, y: float, width: float, area: _Area) -> str:
    foot, right = area.y(0), area.x(x + width / 2)
    return f"{_across(x, y, width, area)}V{number(foot)}H{number(2 * area.x(x) - right)}z"


def _across(x: float, y: float, width: float, area: _Area) -> str:
    left, right = area.x(x - width / 2), area.x(x + width / 2)
    return f"M{number(left)} {number(area.y(y))}H{number(right)}"


def _moment(mark: Moment, area: _Area) -> str:
    x = area.x(mark.x)
    line = _stroke(
        f"M{number(x)} {number(area.top)}v{area.plot.height}", mark.colour, 1, dash="2 3"
    )
    if not mark.label:
        return line
    before = x - area.left > area.width / 2
    room = x - area.left - 8 if before else area.right - x - 8
    words = text.shorten(mark.label, room, _NOTE)
    anchor = ' text-anchor="end"' if before else ""
    look = f' font-size="11.5" font-weight="600" fill="var(--{mark.colour})"{anchor}'
    return line + _text(x - 6 if before else x + 6, area.top + 10, words, look)


def _ends(mark: Ends, area: _Area) -> str:
    heights = apart([area.y(y) for y in mark.y], area.top + 4, area.bottom)
    names = (
        _text(area.right + 8, y + 4, text.shorten(name, _LONGEST_NAME, _NOTE), _fill(colour))
        for y, name, colour in zip(heights, mark.names, mark.colours, strict=True)
    )
    return f'<g font-size="11.5" font-weight="600">{"".join(names)}</g>'


def _fill(colour: str) -> str:
    return f' fill="var(--{colour})"'


def apart(heights: Sequence[float], top: float, bottom: float) -> list[float]:
    """In the same order, none nearer to the next than a line of text, each as near as that allows.

    >>> apart([50.0, 50.0, 10.0], 0.0, 100.0), apart([99.0, 98.0], 0.0, 100.0)
    ([57.0, 43.0, 10.0], [100.0, 86.0])
    """
    order = sorted(range(len(heights)), key=lambda place: (heights[place], -place))
    wanted = [heights[place] for place in order]
    down, up = _downwards(wanted, top), _upwards(wanted, bottom)
    middle = [(a + b) / 2 for a, b in zip(down, up, strict=True)]
    placed = _upwards(_downwards(middle, top), bottom)
    found = dict(zip(order, placed, strict=True))
    return [found[place] for place in range(len(heights))]


def _downwards(heights: Iterable[float], top: float) -> list[float]:
    moved: list[float] = []
    for height in heights:
        moved.append(max(height, moved[-1] + _APART if moved else top))
    return moved


def _upwards(heights: Sequence[float], bottom: float) -> list[float]:
    mirrored = _downwards((-height for height in reversed(heights)), -bottom)
    return [-height for height in reversed(mirrored)]


def _key(mark: Key, area: _Area) -> str:
    names = [text.shorten(name, area.width * 0.45, _NOTE) for name in mark.names]
    start = area.right - 4
    first = area.bottom - 12 - 16 * (len(names) - 1) if mark.is_low else area.top + 10
    lines, labels = [], []
    for place, (name, colour, dash) in enumerate(
        zip(names, mark.colours, mark.dashes, strict=True)
    ):
        y = first + 16 * place
        lines.append(_stroke(f"M{number(start - 22)} {number(y)}h22", colour, 2, dash))
        labels.append(_text(start - 28, y + 4, name, _fill(colour)))
    look = 'font-size="11.5" font-weight="600" text-anchor="end"'
    return f"{''.join(lines)}<g {look}>{''.join(labels)}</g>"


def _points(x: Iterable[float], y: Iterable[float], area: _Area) -> Points:
    found = [(area.x(a), area.y(b)) for a, b in zip(x, y, strict=True)]
    return simplified(found) if len(found) > _MANY else found


def _path(points: Points) -> str:
    places = " ".join(f"{number(x)} {number(y)}" for x, y in points)
    return f"M{places}" if places else ""


def simplified(points: Points) -> Points:
    """Without the points that a straight line between their neighbours passes (Douglas, Peucker).

    >>> simplified([(0, 0), (1, 0.1), (2, 0), (3, 5)])
    [(0, 0), (2, 0), (3, 5)]
    """
    if len(points) < 3:
        return points
    keep = {0, len(points) - 1}
    spans = [(0, len(points) - 1)]
    while spans:
        first, last = spans.pop()
        far, place = _farthest(points, first, last)
        if far > _TOLERANCE:
            keep.add(place)
            spans += [(first, place), (place, last)]
    return [points[place] for place in sorted(keep)]


def _farthest(points: Points, first: int, last: int) -> tuple[float, int]:
    """How far the farthest point in between lies from the line between two, and which."""
    (x0, y0), (x1, y1) = points[first], points[last]
    dx, dy = x1 - x0, y1 - y0
    length = (dx * dx + dy * dy) ** 0.5
    far, place = 0.0, first
    for each in range(first + 1, last):
        x, y = points[each]
        if length:
            off = abs(dx * (y - y0) - dy * (x - x0)) / length
        else:
            off = ((x - x0) ** 2 + (y - y0) ** 2) ** 0.5
        if off > far:
            far, place = off, each
    return far, place
