"""What it costs to publish: 200 experiments of 40 metrics, and then one that has changed.

python -m benchmarks.publication [EXPERIMENTS] [METRICS]

Health checks, pages for every choice, reports, CSV and API answers of all, on two processes.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.cpu import cpu_seconds
from sonde.experiment import Branch, EnrollmentsQueryType, Experiment, ExperimentRecord, Outcome
from sonde.lake import Filled, Lake
from sonde.metric import AnalysisUnit, Metric, Segment, SegmentDataSource, StatisticDeclaration
from sonde.plan.steps import enrollments_table, statistics_table
from sonde.publish import Subject, finish, publish_shared, stale
from sonde.roles import Roles
from sonde.run.execute import Setting
from sonde.run.local import Local
from sonde.run.outcome import STATISTICS_COLUMNS
from sonde.run.runner import Resources
from sonde.run.schedule import each
from sonde.window import Period

START = date(2026, 9, 1)
AS_OF = date(2026, 10, 20)
UNITS = 2_000
WINDOWS = (("overall", 1), ("week", 1), ("week", 2), ("week", 3), ("preenrollment_week", 1))
BASES = ("enrollments", "exposures")
SEGMENTS = ("all", "regular_users")
BRANCHES = ("control", "treatment")
TARGET_ALL, TARGET_ONE = 60.0, 2.0
WORKERS = 2
_TOGETHER = 4


def experiments(count: int, metrics: int) -> Iterator[Subject]:
    declared = tuple(
        Metric(f"metric_{i}", statistics=(StatisticDeclaration("linear_model_mean"),))
        for i in range(metrics)
    )
    source = SegmentDataSource("clients", "telemetry.clients_daily")
    outcome = Outcome("usage", "Usage", "", tuple(m.name for m in declared[:6]))
    for number in range(count):
        record = ExperimentRecord(
            f"experiment-{number}",
            (Branch("control"), Branch("treatment")),
            "control",
            START,
            proposed_duration=60,
            outcomes=("usage",),
            name=f"Experiment {number}",
        )
        experiment = Experiment(
            record,
            7,
            AnalysisUnit.CLIENT,
            EnrollmentsQueryType.GLEAN_EVENT,
            {Period.OVERALL: declared, Period.WEEK: declared, Period.PREENROLLMENT_WEEK: declared},
            segments=(Segment("regular_users", source, "TRUE"),),
            outcomes=(outcome,),
        )
        names = tuple(m.name for m in declared)
        yield Subject(experiment, Roles(names[:3], {names[3]: 0.02, names[4]: -0.02}), AS_OF)


def fill(lake: Lake, subjects: list[Subject], metrics: int, seed: int = 0) -> None:
    """What a run would have stored."""
    rng = np.random.default_rng(seed)
    filled: list[Filled] = []
    for subject in subjects:
        experiment = subject.experiment
        table = enrollments_table(experiment)
        lake.commit(table, [lake.write(table.partition(), _enrollments(rng), f"made {seed}")])
        for basis in BASES:
            for period, index in WINDOWS:
                rows = list(_rows(rng, metrics))
                made = pa.Table.from_pylist(rows, STATISTICS_COLUMNS)
                key = (experiment.slug, basis, period, str(index), "clients_daily")
                partition = statistics_table(experiment).partition(*key)
                marks = ("complete", AS_OF.isoformat())
                filled.append(lake.write(partition, made, f"made {seed}", marks))
    lake.commit(statistics_table(subjects[0].experiment), filled)


def _enrollments(rng: np.random.Generator) -> pa.Table:
    days = rng.integers(0, 8, UNITS)
    return pa.table(
        {
            "analysis_id": [f"{n:08x}" for n in range(UNITS)],
            "branch": np.array(BRANCHES)[rng.integers(0, 2, UNITS)],
            "enrollment_date": [START + timedelta(days=int(day)) for day in days],
            "num_enrollment_events": np.ones(UNITS, np.int64),
            "exposure_date": [START + timedelta(days=int(day) + 1) for day in days],
            "num_exposure_events": np.ones(UNITS, np.int64),
            "regular_users": rng.random(UNITS) < 0.5,
            "in_several_branches": np.zeros(UNITS, bool),
        }
    )


def _rows(rng: np.random.Generator, metrics: int) -> Iterator[dict[str, Any]]:
    blank = dict.fromkeys(STATISTICS_COLUMNS.names)
    for segment in SEGMENTS:
        share = 1.0 if segment == "all" else 0.5
        for branch in BRANCHES:
            for name in ("identity", "has_data"):
                units = {"metric": name, "statistic": "count", "point": UNITS * share / 2}
                yield {**blank, **units, "branch": branch, "segment": segment}
        for number in range(metrics):
            about = {"metric": f"metric_{number}", "statistic": "mean_lm", "segment": segment}
            about |= {"ci_width": 0.95, "sonde": "0", "inputs": "telemetry.clients_daily@1"}
            for branch in BRANCHES:
                level = 10 + rng.normal()
                limits = {"point": level, "lower": level - 1, "upper": level + 1}
                yield {**blank, **about, "branch": branch, **limits}
                other = BRANCHES[branch == BRANCHES[0]]
                for comparison, scale in (("difference", 1.0), ("relative_uplift", 0.1)):
                    point = rng.normal(0, 0.2 * scale)
                    error = 0.3 * scale
                    limits = {"point": point, "lower": point - error, "upper": point + error}
                    to = {"comparison": comparison, "comparison_to_branch": other}
                    yield {**blank, **about, "branch": branch, **to, **limits}


def publish(subjects: list[Subject], lake: Lake) -> int:
    """As `sonde run` does when its steps are done; how many were published."""
    old = stale(subjects, lake)
    groups = [old[i : i + _TOGETHER] for i in range(0, len(old), _TOGETHER)]
    setting = Setting(str(lake.root), str(lake.root), AS_OF)
    place = Local(Resources(min(WORKERS, max(len(groups), 1))))
    done = 0
    for group in each(groups, finish, setting, place):
        assert all(published.problem is None for published in group), group
        done += len(group)
    publish_shared(lake)
    return done


def measured(what: str, target: float, call: Callable[[], int], expected: int) -> None:
    before, started = cpu_seconds(), time.perf_counter()
    assert call() == expected
    cpu, wall = cpu_seconds() - before, time.perf_counter() - started
    reached = "reached" if wall <= target else "NOT REACHED"
    print(f"{what:<44} {wall:6.1f} s {cpu:8.1f} s CPU   target {target:g} s: {reached}", flush=True)


def main(count: int = 200, metrics: int = 40) -> None:
    with tempfile.TemporaryDirectory(prefix="sonde-bench-") as folder:
        lake = Lake.open(Path(folder))
        subjects = list(experiments(count, metrics))
        fill(lake, subjects, metrics)
        what = f"publish {count} experiments x {metrics} metrics"
        measured(what, TARGET_ALL, lambda: publish(subjects, lake), count)
        measured("again, nothing changed", TARGET_ONE, lambda: publish(subjects, lake), 0)
        changed = [subjects[count // 2]]
        fill(lake, changed, metrics, seed=1)
        measured("one changed", TARGET_ONE, lambda: publish(subjects, lake), 1)
        renamed = replace(subjects[0], roles=Roles(("metric_1",)))
        subjects[0] = renamed
        measured("one decided by another metric", TARGET_ONE, lambda: publish(subjects, lake), 1)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
