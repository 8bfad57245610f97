"""What `sonde demo` does, and how it says what it found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sonde.cli.progress import publication
from sonde.datasets import SEED, TRUTH_FILE, Truth, write_project
from sonde.datasets.findings import Finding, findings, telling
from sonde.errors import ConfigError
from sonde.plan.steps import Estimate
from sonde.project import Project, Work
from sonde.results import statistics
from sonde.run.execute import Done, Report
from sonde.window import Period, Window


class Demonstration:
    """A folder with the demo's project: made when it is not there, used again when it is."""

    def __init__(self, folder: Path, seed: int | None, scale: float) -> None:
        self._folder = folder
        self._seed = SEED if seed is None else seed
        self._scale = scale
        self._work: Work | None = None
        self.exit_code = 0

    def make(self, progress: Callable[[float], None]) -> None:
        """Write the project. Raises ConfigError when the folder holds something else."""
        path = self._folder / TRUTH_FILE
        if not path.is_file():
            self.truth = write_project(self._folder, self._seed, self._scale, progress)
            return
        self.truth = Truth.read(path)
        if (self.truth.seed, self.truth.scale) != (self._seed, self._scale):
            raise ConfigError(
                f"{self._folder} holds a demo of seed {self.truth.seed} and scale "
                f"{self.truth.scale}; remove it, or name another folder with --dir"
            )

    def work(self) -> Work:
        """What is to be done as of the telemetry's last day."""
        self._project = Project.open(self._folder)
        slugs = [lesson.slug for lesson in self.truth.lessons]
        self._work = self._project.work(self.truth.last_day, slugs)
        return self._work

    def run(self, work: Work, workers: int | None) -> Iterator[Report]:
        """Do it."""
        for report in self._project.run(work, workers):
            if not isinstance(report, Done):
                self.exit_code = 3
            yield report

    def publish(self, work: Work, workers: int | None) -> None:
        """Make the pages."""
        if publication(self._project, work, workers):
            self.exit_code = 3

    def found(self) -> Found:
        """The estimates whose truth is known."""
        assert self._work is not None
        windows: dict[str, dict[tuple[Period, int], Window]] = {}
        for step in self._work.plan.steps:
            if isinstance(step.action, Estimate):
                due = step.action.due
                windows.setdefault(step.slug, {})[due.period, due.index] = due.window
        found: list[Finding] = []
        split: dict[str, dict[str, int]] = {}
        for lesson in self.truth.lessons:
            rows = _told(statistics(self._project.lake, self._project.experiment(lesson.slug)))
            found += findings(self.truth, lesson.slug, rows, windows.get(lesson.slug, {}))
            split[lesson.slug] = _split(rows)
        return Found(self.truth, tuple(found), split, self._folder)


def _told(table: pa.Table) -> list[dict[str, Any]]:
    """Relative effects and counts of units: a few rows of many."""
    effects = pc.equal(table["comparison"], "relative_uplift")
    units = pc.equal(table["metric"], "identity")
    rows: list[dict[str, Any]] = table.filter(pc.or_kleene(effects, units)).to_pylist()
    return rows


def _split(rows: Sequence[dict[str, Any]]) -> dict[str, int]:
    """Units by branch, of the newest window that every unit is counted in."""
    return {
        row["branch"]: int(row["point"])
        for row in rows
        if row["metric"] == "identity"
        and row["analysis_basis"] == "enrollments"
        and row["segment"] == "all"
        and row["analysis_period"] == Period.PREENROLLMENT_WEEK.value
    }


@dataclass(frozen=True)
class Found:
    """Everything that can be held against the truth."""

    truth: Truth
    findings: tuple[Finding, ...]
    split: dict[str, dict[str, int]]
    folder: Path

    def text(self, made: float, analysed: float, steps: int) -> str:
        """For people: what was found beside what was planted, and what to try next."""
        rows = self.truth.rows["telemetry/clients_daily"]
        inside = sum(f.holds_truth for f in self.findings)
        project = f"--project {self.folder}"
        did = f"did {steps:,} steps in {analysed:.1f} s"
        return "\n".join(
            [
                f"made {rows / 1e6:.2f} million client-days in {made:.1f} s, {did}",
                "",
                *self._lines(),
                "",
                f"{inside} of {len(self.findings)} known effects lie inside their 95 % interval.",
                "",
                "look closer:",
                f"  sonde results search-as-you-type {project} --metric search_count",
                f"  sonde show new-tab-density {project}",
            ]
        )

    def _lines(self) -> Iterator[str]:
        for lesson in self.truth.lessons:
            yield f"{lesson.slug}: {lesson.name}"
            if not lesson.split_holds:
                counts = self.split[lesson.slug]
                units = ", ".join(f"{n:,} in {branch}" for branch, n in counts.items())
                yield f"  units: {units}; as many were to be in each"
            for finding in telling(lesson, self.findings):
                what = f"{finding.metric}{_of(finding)}, {finding.window.replace('_', ' ')}"
                interval = f"between {percent(finding.lower)} and {percent(finding.upper)}"
                planted = f"planted {percent(finding.truth)}"
                yield f"  {what:<31} {interval:<32} {planted:<16}{_mark(finding)}".rstrip()

    def plain(self) -> dict[str, Any]:
        """For programs."""
        return {
            "seed": self.truth.seed,
            "scale": self.truth.scale,
            "findings": [
                {
                    "experiment": f.lesson.slug,
                    "lesson": f.lesson.name,
                    "metric": f.metric,
                    "window": f.window,
                    "branch": f.branch,
                    "segment": f.segment,
                    "point": f.point,
                    "lower": f.lower,
                    "upper": f.upper,
                    "planted": f.truth,
                    "inside": f.holds_truth,
                }
                for f in self.findings
            ],
            "units": self.split,
        }


def _of(finding: Finding) -> str:
    parts = [finding.segment] if finding.segment != "all" else []
    parts += [finding.branch] if finding.branch != "treatment" else []
    return f" ({', '.join(parts)})" if parts else ""


def _mark(finding: Finding) -> str:
    return "" if finding.holds_truth else " (missed)"


def percent(fraction: float) -> str:
    """With a sign, a decimal and a true minus.

    >>> percent(0.1), percent(-0.005)
    ('+10.0 %', '−0.5 %')
    """
    return f"{100 * fraction:+.1f} %".replace("-", "−")
