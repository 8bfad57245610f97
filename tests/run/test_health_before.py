"""The check of differences before enrollment."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from sonde.health import Light, State
from sonde.run.health_before import before_checks
from sonde.window import Period
from tests.run.health_samples import before, experiment, row


def test_the_p_value_of_an_interval_is_that_of_the_test():
    rng = np.random.default_rng(10)
    a, b = rng.normal(0, 1, 4_000), rng.normal(0.06, 1.3, 5_000)
    test = stats.ttest_ind(b, a, equal_var=False)
    limits = test.confidence_interval(0.95)
    point = b.mean() - a.mean()
    rows = [before("m", 0) | {"point": point, "lower": limits.low, "upper": limits.high}]
    (check,) = before_checks(experiment(), rows)
    assert check.value == pytest.approx(test.pvalue, rel=1e-2)


@pytest.mark.parametrize(
    ("z", "state"),
    [(2.2, State.FINE), (2.4, State.LOOK), (3.4, State.LOOK), (3.6, State.STOP), (-9, State.STOP)],
)
def test_before_enrollment_after_holm_over_three(z, state):
    # 3 times the p-value of |z| = 2.39 is 0.05, of 3.59 is 0.001.
    rows = [before("pages", z), before("hours", 0.5), before("searches", -1)]
    (check,) = before_checks(experiment(), rows)
    assert (check.light, check.state) == (Light.BEFORE, state)
    assert check.value == pytest.approx(3 * 2 * stats.norm.sf(abs(z)))


def test_before_takes_one_statistic_of_a_metric_and_the_reference_only():
    rows = [
        before("pages", 0.1),
        before("pages", 9, statistic="binomial"),
        before("pages", 9, comparison_to_branch="treatment", branch="control"),
        before("pages", 9, segment="windows"),
        before("pages", 9, parameter=0.5, statistic="deciles"),
        before("pages", 9, analysis_basis="exposures"),
        before("pages", 0.2, comparison="relative_uplift"),
        row("pages", point=9, lower=8, upper=10),
    ]
    (check,) = before_checks(experiment(), rows)
    assert check.state is State.FINE
    (found,) = check.detail["rows"]
    assert (found["metric"], found["point"], found["relative_point"]) == ("pages", 0.1, 0.2)


def test_before_says_what_to_do_to_be_checked():
    (nothing,) = before_checks(experiment(), [])
    assert nothing.state is State.UNCHECKED
    assert "preenrollment_weekly" in nothing.note
    asked = experiment(metrics={Period.PREENROLLMENT_WEEK: ["pages"]})
    (waiting,) = before_checks(asked, [row("pages")])
    assert waiting.state is State.UNCHECKED
    assert "No estimate from before enrollment" in waiting.note
