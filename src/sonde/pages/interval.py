"""An estimate with its limits, and how it reads."""

from __future__ import annotations

import enum
import math
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

    @property
    def error(self) -> float:
        """The standard error behind a 95 % interval."""
        return (self.upper - self.lower) / 2 / 1.959964


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


def p_value(change: Interval) -> float:
    """Of no change, two-sided; 1 where the interval has no width."""
    return two_sided(abs(change.point) / change.error) if change.error else 1.0


def two_sided(z: float) -> float:
    """The chance of a normal value at least so far from 0.

    >>> round(two_sided(1.959964), 6)
    0.05
    """
    return math.erfc(z / math.sqrt(2))


def at_least(count: int, of: int, share: float) -> float:
    """The chance of so many or more, were they independent, each with chance `share`.

    >>> round(at_least(2, 2, 0.05), 6)
    0.0025
    """
    if not count:
        return 1.0
    log = math.log(share), math.log1p(-share)
    return sum(
        math.exp(
            math.lgamma(of + 1) - math.lgamma(k + 1) - math.lgamma(of - k + 1)
            + k * log[0] + (of - k) * log[1]
        )
        for k in range(count, of + 1)
    )  # fmt: skip
