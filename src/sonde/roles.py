"""What each metric is there for: to decide on, to guard, or to learn from."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Role(enum.StrEnum):
    """A metric's part in the verdict. Only the first two can change it."""

    PRIMARY = "primary"
    GUARDRAIL = "guardrail"
    OTHER = "other"


@dataclass(frozen=True)
class Roles:
    """The roles of an experiment's metrics.

    primary: names of metrics, in order. guardrails: metric -> margin, the relative change that is
    still acceptable: 0.02 is at most 2 % more, -0.015 at most 1.5 % less. is_aa: whether the
    branches are the same on purpose.
    """

    primary: tuple[str, ...] = ()
    guardrails: Mapping[str, float] = field(default_factory=dict)
    is_aa: bool = False

    def of(self, metric: str) -> Role:
        """The role of a metric.

        >>> Roles(("clicks",), {"startup": 0.02}).of("startup").value
        'guardrail'
        """
        if metric in self.primary:
            return Role.PRIMARY
        return Role.GUARDRAIL if metric in self.guardrails else Role.OTHER
