"""What an analysis found, beside what was planted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sonde.datasets.truth import EVERYONE, LessonTruth, Truth
from sonde.metric import AnalysisBasis
from sonde.window import Period, Window


@dataclass(frozen=True)
class Finding:
    """An estimated relative effect and the true one, as fractions of the control's mean.

    window: as in tables, `week_2`.
    """

    lesson: LessonTruth
    metric: str
    window: str
    branch: str
    segment: str
    point: float
    lower: float
    upper: float
    truth: float

    @property
    def holds_truth(self) -> bool:
        """Whether the interval contains what was planted."""
        return self.lower <= self.truth <= self.upper


def findings(
    truth: Truth,
    slug: str,
    rows: Iterable[Mapping[str, Any]],
    windows: Mapping[tuple[Period, int], Window],
) -> Iterator[Finding]:
    """Every complete estimate of a relative effect, on enrollments, whose truth is known.

    rows: of the statistics table. windows: the days of each window.
    """
    lesson = truth.lesson(slug)
    for row in rows:
        if not _is_effect(row):
            continue
        period, index = Period(row["analysis_period"]), int(row["window_index"])
        segment = EVERYONE if row["segment"] == "all" else row["segment"]
        known = truth.relative(
            slug,
            row["metric"],
            windows[period, index],
            row["branch"],
            AnalysisBasis(row["analysis_basis"]),
            segment,
        )
        if known is not None:
            yield Finding(
                lesson,
                row["metric"],
                f"{period.value}_{index}",
                row["branch"],
                segment,
                row["point"],
                row["lower"],
                row["upper"],
                known,
            )


def _is_effect(row: Mapping[str, Any]) -> bool:
    return (
        row["comparison"] == "relative_uplift"
        and row["comparison_to_branch"] == "control"
        and row["statistic"] in {"mean_lm", "mean"}
        and row["completeness"] == "complete"
        and row["analysis_basis"] == AnalysisBasis.ENROLLMENTS.value
        and row["lower"] is not None
        and not row["analysis_period"].startswith("preenrollment")
    )
