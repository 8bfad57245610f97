"""What a larger chart consists of, before it is drawn in any way.

Positions are values of the chart's scales; colours are names of tokens in the stylesheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sonde.pages.draw.scale import Scale

Numbers = Sequence[float]


@dataclass(frozen=True)
class Region:
    """All between two heights, as beyond a margin."""

    low: float
    high: float
    colour: str


@dataclass(frozen=True)
class Level:
    """A line across, as zero."""

    y: float
    colour: str = "zero"
    width: float = 1.25


@dataclass(frozen=True)
class Moment:
    """A dashed line upright, with what happened written beside it."""

    x: float
    colour: str
    label: str = ""


@dataclass(frozen=True)
class Band:
    """An area between two lines."""

    x: Numbers
    low: Numbers
    high: Numbers
    colour: str
    opacity: float = 0.22


@dataclass(frozen=True)
class Line:
    """A line through points. dash: as in SVG, empty for a solid one."""

    x: Numbers
    y: Numbers
    colour: str
    width: float = 2.0
    dash: str = ""


@dataclass(frozen=True)
class Whiskers:
    """An upright bar at each point, where a band would have no width."""

    x: Numbers
    low: Numbers
    high: Numbers
    colour: str


@dataclass(frozen=True)
class Spot:
    """An open point."""

    x: float
    y: float
    colour: str


@dataclass(frozen=True)
class Bars:
    """Bars from zero. width: in units of x."""

    x: Numbers
    y: Numbers
    colour: str
    width: float


@dataclass(frozen=True)
class Strokes:
    """A short line across at each point, as a plan over bars. width: in units of x."""

    x: Numbers
    y: Numbers
    colour: str
    width: float


@dataclass(frozen=True)
class Ends:
    """Names beside the right ends of lines, moved apart where they would touch."""

    y: Numbers
    names: Sequence[str]
    colours: Sequence[str]


@dataclass(frozen=True)
class Key:
    """Names with a sample of their lines, stacked in a corner on the right."""

    names: Sequence[str]
    colours: Sequence[str]
    dashes: Sequence[str]
    is_low: bool


Mark = Region | Level | Moment | Band | Line | Whiskers | Spot | Bars | Strokes | Ends | Key


@dataclass(frozen=True)
class Plot:
    """Marks over two scales, the lowest first. height: of the area within the axes, in pixels."""

    x: Scale
    y: Scale
    marks: tuple[Mark, ...]
    height: int = 230
