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
    def week(self) -> int | None:
        """The number of the week since enrollment, if the window is one."""
        period, _, index = self.window.rpartition("_")
        return int(index) if period == Period.WEEK.value else None

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


def telling(lesson: LessonTruth, found: Iterable[Finding]) -> list[Finding]:
    """The few that tell a lesson: its metrics in the newest week; the first, if the effect fades.

    Segments are shown where something is planted in them.
    """
    weeks: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in found:
        shown = finding.metric in {lesson.metric, *lesson.touched}
        if finding.lesson == lesson and shown and finding.week is not None:
            key = (finding.metric, finding.segment, finding.branch)
            weeks.setdefault(key, []).append(finding)
    segments = {f.segment for each in weeks.values() for f in each if f.truth}
    chosen: list[Finding] = []
    for metric, segment, branch in sorted(weeks, key=lambda key: _order(lesson, key)):
        if segment != EVERYONE and (metric != lesson.metric or not segments - {EVERYONE}):
            continue
        series = sorted(weeks[metric, segment, branch], key=lambda f: f.week or 0)
        first, last = series[0], series[-1]
        chosen += [first] if abs(last.truth) < abs(first.truth) / 2 else []
        chosen.append(last)
    return chosen


def _order(lesson: LessonTruth, key: tuple[str, str, str]) -> tuple[object, ...]:
    metric, segment, branch = key
    return (metric != lesson.metric, metric, segment != EVERYONE, segment, branch)


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
