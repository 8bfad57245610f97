"""A plot as an Altair chart, for notebooks and for whoever goes on from there."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, assert_never

import altair as alt

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
from sonde.pages.draw.scale import Scale

# The stylesheet's tokens in a light page.
LIGHT = {
    "ink": "#14202b",
    "muted": "#566370",
    "grid": "#e8ecef",
    "zero": "#34424f",
    "paper": "#ffffff",
    "good": "#0a62ae",
    "bad": "#b93a0c",
    "flat": "#5a6a79",
    "flat-soft": "#bec9d2",
    "control": "#65727e",
    "treat": "#14202b",
    "third": "#7a3fb0",
    "margin": "rgba(185, 58, 12, .07)",
}


def chart(plot: Plot, width: int, title: str = "") -> alt.LayerChart:
    """The marks of a plot as layers, with literal colours. width: of the area within the axes."""
    layers = [layer for mark in plot.marks for layer in _layers(mark, plot)]
    whole: alt.LayerChart = (
        alt.layer(*layers)
        .properties(width=width, height=plot.height, title=title)
        .configure_view(stroke=None)
        .configure_axis(
            labelColor=LIGHT["muted"],
            titleColor=LIGHT["muted"],
            titleFontWeight="normal",
            gridColor=LIGHT["grid"],
            tickColor=LIGHT["grid"],
            domain=False,
        )
    )
    return whole


def _layers(mark: Mark, plot: Plot) -> list[alt.Chart]:
    match mark:
        case Region(low, high, colour):
            shape = _rows(y=[low], y2=[high]).mark_rect(fill=LIGHT[colour])
            return [shape.encode(y=_y(plot), y2="y2:Q")]
        case Level(y, colour, thick):
            shape = _rows(y=[y]).mark_rule(stroke=LIGHT[colour], strokeWidth=thick)
            return [shape.encode(y=_y(plot))]
        case Moment(x, colour, label):
            rows = _rows(x=[x], label=[label])
            line = rows.mark_rule(stroke=LIGHT[colour], strokeDash=[2, 3])
            name = rows.mark_text(align="left", baseline="top", dx=6, fill=LIGHT[colour])
            return [
                line.encode(x=_x(plot)),
                name.encode(x=_x(plot), text="label:N", y=alt.value(0)),
            ]
        case Band(x, low, high, colour, opacity):
            shape = _rows(x=x, y=low, y2=high).mark_area(fill=LIGHT[colour], opacity=opacity)
            return [shape.encode(x=_x(plot), y=_y(plot), y2="y2:Q")]
        case Line(x, y, colour, thick, dash):
            look: dict[str, Any] = {"strokeDash": [int(n) for n in dash.split()]} if dash else {}
            shape = _rows(x=x, y=y).mark_line(stroke=LIGHT[colour], strokeWidth=thick, **look)
            return [shape.encode(x=_x(plot), y=_y(plot), order="x:Q")]
        case Whiskers(x, low, high, colour):
            shape = _rows(x=x, y=low, y2=high).mark_rule(
                stroke=LIGHT[colour], strokeWidth=8, opacity=0.4
            )
            return [shape.encode(x=_x(plot), y=_y(plot), y2="y2:Q")]
        case Spot(x, y, colour):
            shape = _rows(x=[x], y=[y]).mark_point(
                fill=LIGHT["paper"], stroke=LIGHT[colour], strokeWidth=2, size=36, opacity=1
            )
            return [shape.encode(x=_x(plot), y=_y(plot))]
        case Bars(x, y, colour, wide):
            rows = _rows(
                x=[each - wide / 2 for each in x],
                x2=[each + wide / 2 for each in x],
                y=y,
                y2=[0.0] * len(x),
            )
            shape = rows.mark_rect(fill=LIGHT[colour])
            return [shape.encode(x=_x(plot), x2="x2:Q", y=_y(plot), y2="y2:Q")]
        case Strokes(x, y, colour, wide):
            rows = _rows(x=[each - wide / 2 for each in x], x2=[each + wide / 2 for each in x], y=y)
            shape = rows.mark_rule(stroke=LIGHT[colour], strokeWidth=2)
            return [shape.encode(x=_x(plot), x2="x2:Q", y=_y(plot))]
        case Ends(y, names, colours):
            return [
                _rows(y=[height], name=[name])
                .mark_text(align="left", dx=8, fill=LIGHT[colour], fontWeight=600)
                .encode(x=alt.value("width"), y=_y(plot), text="name:N")
                for height, name, colour in zip(y, names, colours, strict=True)
            ]
        case Key(names, colours, _, is_low):
            return [
                alt.Chart(alt.InlineData(values=[{"name": name}]))
                .mark_text(align="right", fill=LIGHT[colour], fontWeight=600)
                .encode(
                    x=alt.value("width"),
                    y=alt.value(
                        plot.height - 12 - 16 * (len(names) - 1 - place)
                        if is_low
                        else 10 + 16 * place
                    ),
                    text="name:N",
                )
                for place, (name, colour) in enumerate(zip(names, colours, strict=True))
            ]
        case _:
            assert_never(mark)


def _rows(**columns: Sequence[float] | Sequence[str]) -> alt.Chart:
    rows = [
        dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)
    ]
    return alt.Chart(alt.InlineData(values=rows))


def _x(plot: Plot) -> alt.X:
    axis = _axis(plot.x, grid=False, titleAnchor="start")
    return alt.X("x:Q", scale=_scale(plot.x), axis=axis)


def _y(plot: Plot) -> alt.Y:
    axis = _axis(plot.y, grid=True)
    return alt.Y("y:Q", scale=_scale(plot.y), axis=axis)


def _scale(scale: Scale) -> alt.Scale:
    return alt.Scale(domain=[scale.low, scale.high], nice=False, zero=False, clamp=True)


def _axis(scale: Scale, **look: Any) -> alt.Axis:
    """With our labels: Vega would write other ones."""
    cases = [
        f"abs(datum.value - {json.dumps(value)}) < 1e-9 ? {json.dumps(label)} : "
        for value, label in scale.ticks
    ]
    return alt.Axis(
        values=[value for value, _ in scale.ticks],
        labelExpr=f"{''.join(cases)}''",
        title=scale.title or None,
        labelOverlap="greedy",
        **look,
    )
