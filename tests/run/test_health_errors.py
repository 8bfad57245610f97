"""The checks of failures, and of effects too good to be true."""

from __future__ import annotations

from typing import Any

import pytest

from sonde.health import State
from sonde.run.health_errors import failure_checks, implausible_checks
from sonde.window import Period
from tests.run.health_samples import experiment, row


def error(**changes: Any) -> dict[str, Any]:
    plain = {"log_level": "ERROR", "metric": None, "segment": None, "data_source": None}
    return {**plain, "message": "m", **changes}


def test_failures():
    asked = experiment(metrics={Period.WEEK: ["pages", "hours"], Period.OVERALL: ["hours"]})
    rows = [row("hours")]
    (fine,) = failure_checks(asked, rows, [error(log_level="WARNING", metric="pages")])
    assert (fine.state, fine.figure) == (State.FINE, "0 of 2")
    (one,) = failure_checks(asked, rows, [error(metric="pages", data_source="d")] * 3)
    assert (one.state, one.figure) == (State.LOOK, "1 of 2")
    assert "pages" in one.note
    (step,) = failure_checks(asked, rows, [error(data_source="search")])
    assert (step.state, step.detail["steps"]) == (State.LOOK, ["search"])
    (lost,) = failure_checks(asked, rows, [error(segment="linux")])
    assert (lost.state, lost.detail["segments"]) == (State.LOOK, ["linux"])
    (none,) = failure_checks(asked, rows, [error()])
    assert none.state is State.STOP  # the enrollments failed
    (nothing,) = failure_checks(asked, [], [])
    assert nothing.state is State.UNCHECKED


@pytest.mark.parametrize(
    ("limits", "state"),
    [
        ((0.26, 0.80), State.LOOK),
        ((0.24, 0.90), State.FINE),  # wide: it may be small
        ((0.30, 0.60), State.FINE),  # not so large
        ((-0.9, -0.3), State.LOOK),
    ],
)
def test_effects_too_good_to_be_true(limits, state):
    lower, upper = limits
    change = row("pages", comparison="relative_uplift", lower=lower, upper=upper)
    (check,) = implausible_checks(experiment(), [change | {"point": (lower + upper) / 2}])
    assert check.state is state
    assert check.scope == ("pages" if state is State.LOOK else "all")


def test_effects_are_not_checked_before_there_are_any():
    (check,) = implausible_checks(experiment(), [])
    assert check.state is State.UNCHECKED
