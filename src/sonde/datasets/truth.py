"""The effects that are in the demo's telemetry, so that results can be held against them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from sonde.metric import AnalysisBasis
from sonde.window import Window

METRICS = ("active_hours", "uri_count", "search_count", "ad_clicks", "startup_time")
EVERYONE = "all"


@dataclass(frozen=True)
class TrueEffect:
    """How much higher a metric's mean is in a branch than in the control, on the same units.

    The units are those enrolled in any branch, and, on the basis of exposures, exposed. Each was
    played twice with the same draws: once in `branch` and once in `control`; its membership
    in other experiments stayed as it was. So this is the average effect on these very units,
    not on a population that they are drawn from. `relative` is the difference as a fraction
    of the control's mean.

    segment: `all`, or a system. partner: `slug:branch` of another experiment whose arm all
    units are in, or None.
    """

    experiment: str
    metric: str
    window: Window
    basis: AnalysisBasis
    branch: str
    control: str
    segment: str
    partner: str | None
    units: int
    relative: float


@dataclass(frozen=True)
class LessonTruth:
    """What is planted in one experiment.

    metric: the one that shows the lesson. planted: one sentence per effect. touched: the
    metrics in `METRICS` that are changed; the others are not. split_holds: whether branches
    have the units that the design gives them; where not, they differ before any treatment.
    """

    slug: str
    name: str
    text: str
    metric: str
    planted: tuple[str, ...]
    touched: tuple[str, ...]
    split_holds: bool


@dataclass(frozen=True)
class Truth:
    """What was planted, and what it does to the metrics.

    rows: of each table, by its path in the lake.
    """

    seed: int
    scale: float
    first_day: date
    last_day: date
    clients: int
    rows: Mapping[str, int]
    lessons: tuple[LessonTruth, ...]
    effects: tuple[TrueEffect, ...]

    def lesson(self, experiment: str) -> LessonTruth:
        """The lesson of an experiment."""
        return next(lesson for lesson in self.lessons if lesson.slug == experiment)

    def relative(
        self,
        experiment: str,
        metric: str,
        window: Window,
        branch: str = "treatment",
        basis: AnalysisBasis = AnalysisBasis.ENROLLMENTS,
        segment: str = EVERYONE,
        partner: str | None = None,
    ) -> float | None:
        """The true relative effect; 0 for a metric that nothing touches; None when not known.

        Known are the metrics in `METRICS`, in whole weeks that all units have behind them, and
        from enrollment to the end of such a week.
        """
        if metric in METRICS and metric not in self.lesson(experiment).touched:
            return 0.0
        wanted = (experiment, metric, window, branch, basis, segment, partner)
        return self._relative.get(wanted)

    @cached_property
    def _relative(self) -> dict[tuple[object, ...], float]:
        return {_key(each): each.relative for each in self.effects}

    def to_json(self) -> dict[str, Any]:
        """As plain values, for `truth.json`."""
        plain = dataclasses.asdict(self)
        plain["first_day"], plain["last_day"] = str(self.first_day), str(self.last_day)
        return plain

    def write(self, path: Path) -> None:
        """Write the truth as JSON."""
        path.write_text(json.dumps(self.to_json(), indent=1) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> Truth:
        """The truth in a file that `write` wrote."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        lessons = [
            {**each, "planted": tuple(each["planted"]), "touched": tuple(each["touched"])}
            for each in plain["lessons"]
        ]
        effects = [
            {**each, "window": Window(**each["window"]), "basis": AnalysisBasis(each["basis"])}
            for each in plain["effects"]
        ]
        return cls(
            **{
                **plain,
                "first_day": date.fromisoformat(plain["first_day"]),
                "last_day": date.fromisoformat(plain["last_day"]),
                "lessons": tuple(LessonTruth(**each) for each in lessons),
                "effects": tuple(TrueEffect(**each) for each in effects),
            }
        )


def _key(effect: TrueEffect) -> tuple[object, ...]:
    return (
        *(effect.experiment, effect.metric, effect.window, effect.branch),
        *(effect.basis, effect.segment, effect.partner),
    )
