"""The checks of units without data, and of units that leave."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from sonde.health import State
from sonde.run.health_coverage import coverage_checks
from sonde.window import Period
from tests.run.health_samples import enrolled, experiment, row, states


def counted(
    metric: str, control: float, treatment: float, source: str = "population"
) -> list[dict[str, Any]]:
    rows = [("control", control), ("treatment", treatment)]
    same = {"statistic": "count", "comparison": None, "comparison_to_branch": None}
    return [row(metric, branch=b, point=n, data_source=source, **same) for b, n in rows]


@pytest.mark.parametrize(
    ("with_data", "state"),
    [
        ((9_800, 9_790), State.FINE),
        ((9_800, 9_700), State.LOOK),  # p < 0.001, one point apart
        ((9_800, 9_290), State.STOP),  # more than five points apart
        ((9_800, 0), State.STOP),
        ((8_000, 8_010), State.LOOK),  # few units have data
    ],
)
def test_coverage(with_data, state):
    units = enrolled(np.full((10, 1, 2), 1_000), [0.8, 0.8])
    rows = [
        *counted("identity", 10_000, 10_000),
        *counted("has_data", *with_data, "clients_daily"),
        *counted("has_data", 10_000, 10_000, "events"),
        row("pages"),
        row("hours"),
        row("unenroll", data_source="events", statistic="sum"),
    ]
    check, _ = coverage_checks(experiment(()), units, rows)
    assert check.state is state
    steps = {step["name"]: step["counts"] for step in check.detail["steps"]}
    assert steps == {
        "enrolled": [10_000, 10_000],
        "exposed": [8_000, 8_000],
        "has data": list(with_data),
        "window complete": [10_000, 10_000],
    }
    assert check.detail["sources"]["events"] == [10_000, 10_000]


def test_coverage_waits_for_a_window():
    units = enrolled(np.full((10, 1, 2), 1_000))
    found = states(list(coverage_checks(experiment(()), units, counted("identity", 5, 5))))
    assert set(found.values()) == {State.UNCHECKED}
    few = [*counted("identity", 99, 99), *counted("has_data", 99, 9, "clients_daily")]
    check, _ = coverage_checks(experiment(()), units, few)
    assert check.state is State.UNCHECKED


def test_units_that_leave_are_not_checked_without_the_metric():
    *_, nothing = coverage_checks(experiment(), None, [])
    assert nothing.state is State.UNCHECKED
    assert "is not asked for" in nothing.note
    asked = experiment(metrics={Period.OVERALL: ["unenroll"]})
    *_, waiting = coverage_checks(asked, None, [])
    assert waiting.state is State.UNCHECKED
    assert "has been computed yet" in waiting.note


@pytest.mark.parametrize(("z", "state"), [(3.2, State.FINE), (3.4, State.LOOK)])
def test_units_that_leave(z, state):
    error = 0.002
    half = error * stats.norm.ppf(0.975)
    level = {"comparison": None, "comparison_to_branch": None, "statistic": "binomial"}
    rows = [
        row("unenroll", branch="control", point=0.015, **level),
        row("unenroll", branch="treatment", point=0.015 + z * error, **level),
        row(
            "unenroll",
            statistic="binomial",
            point=z * error,
            lower=z * error - half,
            upper=z * error + half,
        ),
    ]
    *_, check = coverage_checks(experiment(()), None, rows)
    assert (check.name, check.state) == ("unenrollment", state)
    assert "1.50\N{NO-BREAK SPACE}% in control" in check.note
