"""Whether results can be trusted: checks, each with its number, threshold and what to do."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


class Light(enum.StrEnum):
    """What a reader asks first. Every check belongs to one; the order is that of the page."""

    SPLIT = "split"
    EXPOSURE = "exposure"
    BEFORE = "before-period"
    COVERAGE = "coverage"
    FRESHNESS = "freshness"
    ERRORS = "errors"


class State(enum.StrEnum):
    """What a check says. Not checked is never fine."""

    FINE = "fine"
    LOOK = "look"
    STOP = "stop"
    UNCHECKED = "not checked"


_WORST = (State.STOP, State.LOOK, State.FINE, State.UNCHECKED)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    name: of the kind of check, as `sample_ratio`. scope: what of the experiment, as `all`, a
    day, `segment windows`, `branch treatment` or a metric. figure: the number as it is printed,
    `47.9 : 52.1`. value, threshold: what was compared, as in `p < 0.001`. note: what was found,
    a sentence. todo: what to do about it, empty when nothing is to be done. detail: further
    numbers, for charts and tables; plain values that JSON can hold.
    """

    light: Light
    name: str
    scope: str
    state: State
    figure: str
    note: str
    value: float | None = None
    threshold: float | None = None
    todo: str = ""
    detail: Mapping[str, object] = field(default_factory=dict)


def worst(states: Iterable[State]) -> State:
    """The state of several checks together: of those made, the worst.

    >>> worst([State.FINE, State.UNCHECKED, State.LOOK]).value
    'look'
    >>> worst([]).value
    'not checked'
    """
    found = set(states)
    return next((state for state in _WORST if state in found), State.UNCHECKED)
