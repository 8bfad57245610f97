"""An experiment in brief: what the portfolio, the metric pages and the API say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sonde.health import Light, worst
from sonde.pages import words
from sonde.pages.health import lights
from sonde.pages.interval import Interval
from sonde.pages.material import Material
from sonde.pages.progress import life
from sonde.pages.results import EVERYONE
from sonde.pages.verdict import Kind

FORM = 1  # of a card; a later sonde reads no card of another form


def card(material: Material) -> dict[str, Any]:
    """Plain values that JSON can hold."""
    experiment, found = material.experiment, material.verdict
    return {
        "form": FORM,
        "slug": experiment.slug,
        "name": material.title,
        "application": experiment.app_name,
        "is_private": experiment.is_private,
        "state": life(material),
        "start_date": _day(experiment.start_date),
        "enrollment_end_date": _day(experiment.last_enrollment_date),
        "planned_end_date": _day(experiment.planned_end),
        "data_through": _day(material.as_of),
        "branches": [{"slug": b.slug, "ratio": b.ratio} for b in experiment.branches],
        "reference_branch": material.reference or None,
        "segments": [s for s in material.results.segments if s != EVERYONE],
        "units": material.shown.units(material.cell),
        "verdict": {
            "kind": found.kind.value,
            "headline": found.headline,
            "sentence": found.sentence,
            "mark": found.mark,
            "rule": [{"state": state.value, "text": text} for state, text in found.steps],
        },
        "health": {
            light.value: {
                "state": worst(c.state for c in material.checks if c.light is light).value,
                "figure": shown.figure,
                "note": shown.note,
            }
            for light, shown in zip(Light, lights(material.checks), strict=True)
        },
        "shown": {
            "analysis_basis": material.cell.basis,
            "analysis_period": material.cell.window.period,
            "window_index": material.cell.window.number,
            "segment": material.cell.segment,
        },
        "key_effect": key_effect(material),
        "effects": [] if found.kind is Kind.BROKEN else list(_effects(material)),
        "errors": sum(row["log_level"] == "ERROR" for row in material.errors),
    }


def key_effect(material: Material) -> dict[str, Any] | None:
    """The effect a portfolio shows: a crossed guardrail, else the first primary metric."""
    facts = material.facts
    if material.verdict.kind is Kind.BROKEN:
        return None
    crossed = [r for r in facts.guardrails if r.tone.value == "bad"]
    candidates = crossed if material.verdict.kind is Kind.STOP else facts.primary
    reading = next((r for r in candidates if r.change is not None), None)
    if reading is None or reading.change is None:
        return None
    return {
        "metric": reading.metric,
        "title": reading.title,
        "branch": reading.branch,
        "bigger_is_better": reading.bigger_is_better,
        "margin": reading.margin,
        "truth": material.truth(reading.metric, material.cell, reading.branch),
        **_limits(reading.change),
    }


def effect_in_words(found: Mapping[str, Any] | None) -> str:
    """A key effect in a line of text."""
    if found is None:
        return ""
    change = Interval(found["point"], found["lower"], found["upper"])
    return f"{found['title']} {words.span(change)}"


def _effects(material: Material) -> list[dict[str, Any]]:
    cell = material.cell
    found = []
    for metric in material.shown.metrics(cell):
        for branch in material.treatments:
            reading = material.reading(metric, branch)
            if reading.change is not None:
                effect = material.shown.effect(cell, metric, branch, material.reference)
                assert effect is not None
                found.append(
                    {
                        "metric": metric,
                        "title": reading.title,
                        "role": material.roles.of(metric).value,
                        "statistic": effect.statistic,
                        "branch": branch,
                        "reference": material.reference,
                        "bigger_is_better": reading.bigger_is_better,
                        "margin": reading.margin,
                        **_limits(reading.change),
                    }
                )
    return found


def _limits(change: Interval) -> dict[str, float]:
    return {"point": change.point, "lower": change.lower, "upper": change.upper}


def _day(day: Any) -> str | None:
    return None if day is None else day.isoformat()
