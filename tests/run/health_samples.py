"""What checks are tried on: enrolled units and stored estimates of a small experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
from scipy import stats

from sonde.experiment import Branch, EnrollmentsQueryType, Experiment, ExperimentRecord
from sonde.health import Check, State
from sonde.metric import AnalysisUnit, Metric, Segment, SegmentDataSource
from sonde.run.health_units import Enrolled
from sonde.window import Period

START = date(2026, 11, 3)
SYSTEMS = ("windows", "macos", "linux")
SHARES = np.array([0.66, 0.24, 0.10])
ALPHA = 0.001


def segment(name: str) -> Segment:
    source = SegmentDataSource("clients_daily", "telemetry.clients_daily")
    return Segment(name, source, "TRUE", friendly_name=name.title())


def experiment(
    segments: Sequence[str] = SYSTEMS,
    branches: Mapping[str, int] | None = None,
    metrics: Mapping[Period, Sequence[str]] | None = None,
) -> Experiment:
    arms = tuple(Branch(s, r) for s, r in (branches or {"control": 1, "treatment": 1}).items())
    record = ExperimentRecord("exp", arms, "control", START)
    asked = {p: tuple(map(Metric, names)) for p, names in (metrics or {}).items()}
    return Experiment(
        record,
        7,
        AnalysisUnit.CLIENT,
        EnrollmentsQueryType.NORMANDY,
        asked,
        segments=tuple(segment(name) for name in segments),
    )


def enrolled(
    counts: np.ndarray,
    exposed: Sequence[float] | None = None,
    branches: Mapping[str, int] | None = None,
    **further: Any,
) -> Enrolled:
    """From counts by (day, system, branch). exposed: the share of each branch; None: all."""
    arms = branches or {"control": 1, "treatment": 1}
    days, systems, _ = counts.shape
    day, system, branch = (axis.ravel() for axis in np.indices(counts.shape))
    shares = np.ones(len(arms)) if exposed is None else np.array(exposed)
    met = np.round(counts * shares).ravel()
    both = np.concatenate([met, counts.ravel() - met])
    twice = np.tile(system, 2)
    return Enrolled(
        branches=tuple(arms),
        ratios=tuple(arms.values()),
        days=tuple(START + timedelta(days=n) for n in range(days)),
        day=np.tile(day, 2),
        branch=np.tile(branch, 2),
        exposed=np.repeat([True, False], counts.size),
        within={SYSTEMS[n]: (twice == n).astype(np.int8) for n in range(systems)},
        count=both.astype(float),
        units=int(counts.sum()),
        **further,
    )


def means(per_day: float = 2_400, days: int = 10) -> np.ndarray:
    """Expected new units by (day, system, branch)."""
    return np.broadcast_to(per_day * SHARES[:, None] / 2, (days, 3, 2)).copy()


def states(checks: Sequence[Check]) -> dict[str, State]:
    return {f"{check.name}: {check.scope}": check.state for check in checks}


def row(metric: str, **changes: Any) -> dict[str, Any]:
    return {
        "metric": metric,
        "statistic": "mean_lm",
        "parameter": None,
        "branch": "treatment",
        "comparison": "difference",
        "comparison_to_branch": "control",
        "ci_width": 0.95,
        "point": 0.0,
        "lower": -1.0,
        "upper": 1.0,
        "segment": "all",
        "analysis_basis": "enrollments",
        "analysis_period": "overall",
        "window_index": 1,
        "data_source": "clients_daily",
        **changes,
    }


def before(metric: str, z: float, **changes: Any) -> dict[str, Any]:
    half = stats.norm.ppf(0.975)
    return row(
        metric,
        point=z,
        lower=z - half,
        upper=z + half,
        analysis_period="preenrollment_week",
        **changes,
    )
