"""A page with every chart and component, without a project, a lake or a script."""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, field
from datetime import date, timedelta
from importlib import resources
from pathlib import Path
from types import SimpleNamespace

from jinja2 import Environment, PackageLoader

from sonde.pages import words
from sonde.pages.draw import figure
from sonde.pages.draw.figure import Figure
from sonde.pages.draw.row import Axis, axis_row, row
from sonde.pages.forest_table import forest_table
from sonde.pages.interval import Interval, Tone, tone
from sonde.pages.marks import mark

AXIS_METRICS = [
    ("Searches per client-day", Interval(0.037, 0.018, 0.056), True, None),
    ("Week-2 retention", Interval(0.015, 0.002, 0.028), True, None),
    ("Start-up time, p95", Interval(0.003, -0.008, 0.014), False, 0.02),
    ("Crashes per 1 000 hours", Interval(0.009, -0.027, 0.045), False, 0.05),
    ("Active hours per client-day", Interval(0.004, -0.004, 0.012), True, -0.015),
    ("Page load, p75", Interval(0.04, 0.03, 0.05), False, 0.02),
    ("Memory after 1 h", Interval(0.3, -0.2, 0.8), False, None),
]
BODY = Path(__file__).with_name("sample.html")
HOSTILE = '<script>alert("x")</script> \u202ereversed ' + "long name " * 18


def around(point: float, error: float) -> Interval:
    return Interval(point, point - 1.96 * error, point + 1.96 * error)


def weeks(start: float = 0.037, error: float = 0.012, count: int = 4) -> list[tuple[str, Interval]]:
    rng = random.Random(3)
    return [
        (f"week {n + 1}", around(start + rng.gauss(0, error / 3), error / math.sqrt(n + 1)))
        for n in range(count)
    ]


def curves() -> dict[str, list[tuple[float, float]]]:
    values = [n * 0.25 for n in range(200)]
    return {
        branch: [(x, zero + (1 - zero) * (1 - math.exp(-x / mean))) for x in values]
        for branch, zero, mean in (("control", 0.282, 4.62), ("treatment", 0.274, 4.86))
    }


def densities() -> dict[str, list[tuple[float, float]]]:
    values = [n * 0.1 for n in range(240)]
    return {
        branch: [(x, x * math.exp(-x / mean) / mean**2) for x in values]
        for branch, mean in (("control", 4.0), ("treatment", 4.3), ("third", 3.6))
    }


DAYS = [date(2026, 10, 26) + timedelta(n) for n in range(14)]


def split(drift: float) -> tuple[list[float], list[float], list[float]]:
    rng = random.Random(5)
    units = treated = 0.0
    share, lower, upper = [], [], []
    for n in range(14):
        units += 1000
        treated += 1000 * (0.5 + (drift if n > 7 else 0.0)) + rng.gauss(0, 12)
        share.append(treated / units)
        lower.append(0.5 - 1.6 / math.sqrt(units))
        upper.append(0.5 + 1.6 / math.sqrt(units))
    return share, lower, upper


def figures() -> list[Figure]:
    """One of each kind."""
    branches = {
        branch: [(name, around(level + 0.02 * n, 0.02)) for n, (name, _) in enumerate(weeks())]
        for branch, level in (("control", 3.41), ("treatment", 3.54), (HOSTILE, 3.45))
    }
    deciles = [(n / 10, around(max(0.0, (n - 3) * 0.04), 0.02 + 0.004 * n)) for n in range(1, 10)]
    note = "Relative change, treatment against control; higher is better."
    return [
        figure.over_time(weeks(), title="Searches, week by week", note=note, tone=Tone.GOOD),
        figure.branches_over_time(
            branches, control="control", title="Each branch", note="95 %", label="searches a day"
        ),
        figure.ecdf(
            curves(), control="control", title="Both branches", note="Shares.", label="searches"
        ),
        figure.quantile_differences(
            deciles, title="Where it changes", note="Deciles.", label="searches", tone=Tone.GOOD
        ),
        figure.density(
            densities(), control="control", title="Densities", note="", label="searches a day"
        ),
        figure.over_time(
            weeks(0.01, 0.05, 28), title=HOSTILE, note="", tone=Tone.FLAT, margin=0.05
        ),
        figure.split_over_time(
            DAYS, *split(0.067), design=0.5, title="Share, windows", note="", broken_on=DAYS[9]
        ),
        figure.per_day(
            DAYS,
            [4600 - 250 * n for n in range(14)],
            title="Units enrolled per day",
            note="Black: the plan.",
            plan=[4400 - 230 * n for n in range(14)],
        ),
    ]


def small() -> list[Figure]:
    return [
        figure.over_time(
            weeks(point, 0.01), title=title, note="note", tone=Tone.FLAT, margin=margin, small=True
        )
        for title, point, margin in (
            ("Week-2 retention", 0.015, None),
            ("Start-up time, p95", -0.003, 0.02),
            ("Page load, p75", 0.002, 0.02),
            ("Ad clicks per client-day", -0.004, -0.03),
        )
    ]


@dataclass
class Table:
    axis: str
    groups: list[SimpleNamespace] = field(default_factory=list)


def forest(width: int = 320, kind: str = "key") -> Table:
    axis = Axis.fitting([each for _, each, *_ in AXIS_METRICS], [0.02, 0.05, -0.015])
    rows = []
    for name, change, better, margin in AXIS_METRICS:
        colour = Tone.FLAT if kind == "seg" else tone(change, better, margin)
        reference = 0.037 if kind == "seg" else None
        truth = 0.03 if name.startswith("Searches") else None
        drawing = row(
            change, axis, tone=colour, margin=margin, truth=truth, reference=reference,
            width=width, title=name,
        )  # fmt: skip
        mark = {"good": "up-good", "bad": "stop", "flat": "flat"}[colour.value]
        rows.append(
            SimpleNamespace(
                name=name, key=name, note="mean · higher is better", drawing=drawing, mark=mark,
                value=words.span(change), small=words.percent(change.point), levels="3.41 → 3.54",
                reads="Higher, better", reads_note="primary", is_missing=False, is_hidden=False,
            )
        )  # fmt: skip
    waiting = row(None, axis, tone=Tone.FLAT, ghost=0.019, width=width, title="expected")
    plain = {"note": "", "small": "", "levels": "", "mark": "none", "reads_note": ""}
    rows += [
        SimpleNamespace(
            **plain, name="Tab groups made", key="w", drawing=waiting, value="no value",
            reads="First on 24 Nov", is_missing=True, is_hidden=False,
        ),
        SimpleNamespace(
            **plain, name="ChromeOS", key="h", drawing="", value="", is_missing=False,
            reads="fewer than 20 units", is_hidden=True,
        ),
    ]  # fmt: skip
    groups = [
        SimpleNamespace(title="2 primary metrics", note="", rows=rows[:2]),
        SimpleNamespace(title="Guardrails", note="each against its margin", rows=rows[2:]),
    ]
    return Table(axis_row(axis, width), groups)


LIGHTS = [
    ("Split", "stop", "bad", "47.9 : 52.1", "p < 0.0001 on any day"),
    ("Exposure", "look", "watch", "62.0 %", "64.1 and 60.2 by branch"),
    ("Before-period", "not checked", "none", "Not yet", "first check 21 Nov"),
    ("Coverage", "fine", "", "97.4 %", "of enrolled sent data"),
    ("Freshness", "fine", "", "1 day", "data to 19 Nov"),
    ("Errors", "fine", "", "0 of 14", "metrics failed"),
]


def page() -> str:
    """The whole page, the stylesheet within."""
    environment = Environment(
        loader=PackageLoader("sonde.pages"), autoescape=True, trim_blocks=True
    )
    names = ("name", "state", "tone", "figure", "note")
    options = [
        SimpleNamespace(name="Enrolled units", href="#a", is_chosen=True),
        SimpleNamespace(name="Exposed units", href="#b", is_chosen=False),
        SimpleNamespace(name="Windows, hidden", href="", is_chosen=False),
    ]
    environment.globals["mark"] = mark
    environment.globals["forest"] = forest_table
    css = resources.files("sonde.pages").joinpath("assets/sonde.css").read_text(encoding="utf-8")
    marks = environment.get_template("marks.html")
    template = environment.from_string(BODY.read_text(encoding="utf-8"))
    return template.render(
        marks=marks,
        css=css,
        lights=[
            SimpleNamespace(**dict(zip(names, each, strict=True)), href="#how") for each in LIGHTS
        ],
        menu=SimpleNamespace(chosen="Enrolled units", options=options),
        key=forest(),
        all=forest(320, "all"),
        seg=forest(420, "seg"),
        port=forest(190, "port"),
        figures=figures(),
        small=small(),
    )
