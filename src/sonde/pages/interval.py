"""An estimate with its limits, and how it reads."""

from __future__ import annotations

import enum
from dataclasses import dataclass


class Tone(enum.StrEnum):
    """The colour token of a bar. Colour is a claim: slate where nothing is claimed."""

    GOOD = "good"
    BAD = "bad"
    FLAT = "flat"


@dataclass(frozen=True)
class Interval:
    """A relative change as fractions of the reference, or an absolute value in its own unit."""

    point: float
    lower: float
    upper: float

    @property
    def holds_zero(self) -> bool:
        """Whether the change could be either way."""
        return self.lower <= 0 <= self.upper


def tone(change: Interval, bigger_is_better: bool, margin: float | None = None) -> Tone:
    """What the whole interval supports: better, worse, or neither.

    margin: of a guardrail, the change that is still acceptable, negative where lower is worse.
    A guardrail is never good news, only crossed or not.

    >>> tone(Interval(0.04, 0.02, 0.06), bigger_is_better=False).value
    'bad'
    >>> tone(Interval(0.04, 0.02, 0.06), bigger_is_better=False, margin=0.05).value
    'flat'
    """
    if margin is not None:
        crossed = change.lower > margin if margin > 0 else change.upper < margin
        return Tone.BAD if crossed else Tone.FLAT
    if change.holds_zero:
        return Tone.FLAT
    return Tone.GOOD if (change.lower > 0) == bigger_is_better else Tone.BAD
