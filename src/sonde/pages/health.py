"""The six lights, and the numbers behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sonde.health import Check, Light, State, worst
from sonde.pages import words
from sonde.pages.figures import health_figures
from sonde.pages.material import Material

_TONES = {State.FINE: "", State.LOOK: "watch", State.STOP: "bad", State.UNCHECKED: "none"}
_NAMES = {
    Light.SPLIT: "Split",
    Light.EXPOSURE: "Exposure",
    Light.BEFORE: "Before-period",
    Light.COVERAGE: "Coverage",
    Light.FRESHNESS: "Freshness",
    Light.ERRORS: "Errors",
}
_BRIEF = {
    "before_period": "metrics differed already",
    "coverage": "of enrolled units have data",
    "failed_metrics": "metrics failed",
}
_LONGEST_BRIEF = 60


@dataclass(frozen=True)
class ShownLight:
    """One of the six lights. tone: a class of the stylesheet."""

    name: str
    state: State
    figure: str
    note: str
    href: str

    @property
    def tone(self) -> str:
        """A class of the stylesheet."""
        return _TONES[self.state]


def lights(checks: Sequence[Check], section: str = "#health") -> list[ShownLight]:
    """The six lights, each with the check that decides it. section: a link to the details."""
    return [_light(light, [c for c in checks if c.light is light], section) for light in Light]


def _light(light: Light, checks: Sequence[Check], section: str) -> ShownLight:
    state = worst(check.state for check in checks)
    deciding = next((check for check in checks if check.state is state), None)
    if deciding is None:
        return ShownLight(_NAMES[light], state, "Not yet", "nothing was checked", section)
    return ShownLight(_NAMES[light], state, deciding.figure, _brief(deciding), section)


def _brief(check: Check) -> str:
    """A check in half a line: the rest is in the table below."""
    if check.state is not State.UNCHECKED and check.name in _BRIEF:
        return _BRIEF[check.name]
    if check.name == "sample_ratio" and "; " in check.note:
        return check.note.split("; ")[1].split(". ")[0].rstrip(".")
    if check.name == "exposure" and ": " in check.note:
        return check.note.rsplit(": ", 1)[1].split(", ")[0].rstrip(".")
    brief = check.note.split("; ")[0].split(". ")[0].rstrip(".")
    return brief if len(brief) <= _LONGEST_BRIEF else f"{brief[: _LONGEST_BRIEF - 1]}…"


@dataclass(frozen=True)
class ShownCheck:
    """A line of the table of checks."""

    light: str
    name: str
    scope: str
    state: State
    figure: str
    threshold: str
    note: str
    todo: str


class HealthSection:
    """The numbers behind the lights."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self.figures = health_figures(material)

    @property
    def funnel(self) -> dict[str, Any] | None:
        """Units at each stage, by branch."""
        found = stages(self._material)
        if not found:
            return None
        branches = _funnel(self._material)["branches"]
        rows = [(stage["name"], _told(stage["counts"], branches)) for stage in found]
        return {"branches": branches, "rows": rows}

    @property
    def checks(self) -> list[ShownCheck]:
        """Every check, as a table."""
        return [
            ShownCheck(
                _NAMES[c.light],
                c.name.replace("_", " "),
                "everyone" if c.scope == "all" else c.scope,
                c.state,
                c.figure,
                "" if c.threshold is None else words.number(c.threshold),
                c.note,
                c.todo,
            )
            for c in self._material.checks
        ]


def stages(material: Material) -> list[Mapping[str, Any]]:
    """From enrolled to complete, each with its units by branch; None where they are hidden."""
    return list(_funnel(material).get("steps", ()))


def _funnel(material: Material) -> Mapping[str, Any]:
    of_units = (c.detail for c in material.checks if c.name == "coverage")
    return next((detail for detail in of_units if detail.get("steps")), {})


def _told(counts: Sequence[int] | None, branches: Sequence[str]) -> list[str]:
    return ["hidden"] * len(branches) if counts is None else [words.count(n) for n in counts]
