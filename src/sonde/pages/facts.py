"""What a verdict rests on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sonde.health import Check
from sonde.pages.interval import Interval, Tone, tone


@dataclass(frozen=True)
class Reading:
    """A metric in a branch as the verdict sees it. change: None where there is no number."""

    metric: str
    title: str
    branch: str
    change: Interval | None
    bigger_is_better: bool
    margin: float | None = None

    @property
    def tone(self) -> Tone:
        """What the interval supports."""
        if self.change is None:
            return Tone.FLAT
        return tone(self.change, self.bigger_is_better, self.margin)


@dataclass(frozen=True)
class Facts:
    """All that the rule looks at.

    first_result: the day after which the first window is complete. segments: readings of the
    first primary metric by segment. weeks: the same metric's first and newest complete week.
    others: readings of every metric, for an A/A. window: what the readings are of, in words.
    problem: why the experiment cannot be analysed. errors: how many there are. units: in
    the window shown; None: there is none. minimum_units: nothing is shown because a branch has
    fewer; 0: that is not so.
    """

    as_of: date
    start: date | None
    last_enrollment: date | None
    first_result: date | None
    planned_end: date | None
    has_ended: bool
    is_aa: bool
    checks: Sequence[Check]
    primary: Sequence[Reading] = ()
    guardrails: Sequence[Reading] = ()
    segments: Sequence[tuple[str, Reading]] = ()
    weeks: tuple[Reading, Reading] | None = None
    others: Sequence[Reading] = ()
    window: str = ""
    problem: str = ""
    errors: int = 0
    units: int | None = None
    minimum_units: int = 0

    @property
    def has_results(self) -> bool:
        """Whether there is any number to read."""
        return any(r.change is not None for r in (*self.primary, *self.guardrails, *self.others))

    @property
    def days_left(self) -> int | None:
        """Days from the last day of data to the planned end."""
        return None if self.planned_end is None else max((self.planned_end - self.as_of).days, 0)
