"""Deciles against the binomial law, mozanalysis, and pairs counted one by one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mozanalysis.frequentist_stats import bootstrap
from scipy import stats

from sonde.stats.arrays import estimate
from sonde.stats.counts import ValueCounts
from sonde.stats.deciles import DECILES, Deciles, QuantileLaw
from sonde.stats.estimate import Estimate, NotEstimable, Reason
from sonde.stats.needs import Columns

from .oracle import frame, mozanalysis_rows, wine

X = Columns("x")
TENS = {"treatment": {"x": np.arange(10)}, "control": {"x": np.arange(10, 20)}}


def by_rows(units, statistic=None, references=("control",)):
    return {
        (each.parameter, each.branch, each.comparison): (each.point, each.lower, each.upper)
        for each in estimate(statistic or Deciles(), units, X, references)
        if isinstance(each, Estimate)
    }


def test_figures_of_ten_units():
    outcomes = estimate(Deciles(), TENS, X, ["control"])
    assert len(outcomes) == 36
    assert [each.parameter for each in outcomes[:18:2]] == list(DECILES)
    assert by_rows(TENS)[0.5, "treatment", None] == pytest.approx((4.5, 2, 7))


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 300), st.sampled_from(DECILES), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_limits_are_at_quantiles_of_a_binomial_rank(size, decile, ci_width):
    values = np.sort(np.random.default_rng(size).normal(size=size))
    statistic = Deciles(confidence_interval=ci_width)
    rows = by_rows({"a": {"x": values}}, statistic, [])
    ranks = stats.binom(size - 1, decile)
    low, high = ranks.ppf([(1 - ci_width) / 2, (1 + ci_width) / 2]).astype(int)
    mean = ranks.pmf(np.arange(size)) @ values
    assert rows[decile, "a", None] == pytest.approx((mean, values[low], values[high]), rel=1e-9)


def test_the_law_of_repeated_values_is_that_of_the_rows():
    values = np.random.default_rng(1).poisson(2, 5_000)
    law = QuantileLaw.of(ValueCounts.of(values), 0.3)
    ranks = stats.binom(4_999, 0.3)
    rows = np.sort(values)
    for value, share in zip(law.values, law.shares, strict=True):
        expected = ranks.pmf(np.flatnonzero(rows == value)).sum()
        assert share == pytest.approx(expected, abs=1e-12)
    assert law.shares.sum() == pytest.approx(1, abs=1e-15)


def test_within_monte_carlo_error_of_mozanalysis():
    rng = np.random.default_rng(2)
    units = {b: {"x": 1 + rng.gamma(2, size=400) * (1 + i / 10)} for i, b in enumerate("abc")}
    np.random.seed(5)  # mozanalysis draws from the global state
    theirs = bootstrap.compare_branches_quantiles(frame(units), "x", "a")
    rows = by_rows(units, references=["a"])
    for decile in DECILES:
        of_decile = {
            kind: {branch: figures.loc[f"{decile:.1}"] for branch, figures in branches.items()}
            for kind, branches in theirs.items()
        }
        for (branch, comparison), figures in mozanalysis_rows(of_decile).items():
            found = np.array(rows[decile, branch, comparison])
            width = figures[2] - figures[1]
            if comparison is None:  # ranks are steps: 10,000 draws can miss a limit by one value
                values = np.sort(units[branch]["x"])
                places = np.searchsorted(values, [found[1:], np.array(figures[1:]) - 1e-9])
                assert np.abs(np.diff(places, axis=0)).max() <= 1
                assert found[0] == pytest.approx(figures[0], abs=0.02 * width)
            else:
                assert found == pytest.approx(figures, abs=0.05 * width)


def test_figures_of_wine():
    rows = by_rows(wine("x"), references=["1"])
    for branch, figures in {
        "1": (2.4406, 2.36, 2.51),
        "2": (2.2467, 2.20, 2.30),
        "3": (2.3960, 2.35, 2.48),
    }.items():
        point, *limits = rows[0.5, branch, None]
        assert point == pytest.approx(figures[0], abs=2e-3)
        # 2.38 is the exact limit of branch 1: the share at or below 2.36 is 0.0240.
        assert limits == pytest.approx(figures[1:], abs=0.021)
    nineties = [rows[0.9, branch, None][0] for branch in "123"]
    assert nineties == pytest.approx([2.7169, 2.6383, 2.6970], abs=3e-3)
    assert rows[0.5, "2", "difference"] == pytest.approx((-0.1938, -0.29, -0.10), abs=0.011)


def test_comparisons_are_those_of_all_pairs_of_ranks():
    """Every pair of values with its share: what the lattice of pairs stands for."""
    rng = np.random.default_rng(3)
    one, other = rng.gamma(2, size=150) + 1, rng.gamma(2, size=130) + 1
    rows = by_rows({"treatment": {"x": one}, "control": {"x": other}})
    for decile in DECILES:
        t = QuantileLaw.of(ValueCounts.of(one), decile)
        c = QuantileLaw.of(ValueCounts.of(other), decile)
        weights = np.outer(t.shares, c.shares).ravel()
        for comparison, pairs in {
            "difference": np.subtract.outer(t.values, c.values).ravel(),
            "relative_uplift": (np.divide.outer(t.values, c.values) - 1).ravel(),
        }.items():
            order = np.argsort(pairs)
            below = np.cumsum(weights[order])
            low, high = pairs[order][np.searchsorted(below, [0.025, 0.975])]
            point, *limits = rows[decile, "treatment", comparison]
            assert point == pytest.approx(weights @ pairs, rel=1e-9)
            assert limits == pytest.approx([low, high], abs=0.01 * (high - low))


def test_turning_a_difference_turns_its_limits():
    rows = by_rows(TENS, references=["control", "treatment"])
    for decile in DECILES:
        forth = rows[decile, "treatment", "difference"]
        back = rows[decile, "control", "difference"]
        assert forth == pytest.approx((-back[0], -back[2], -back[1]), rel=1e-12)


def test_a_decile_that_may_be_zero_has_no_ratio_and_the_others_have():
    control = np.repeat([0.0, 1.0, 2.0], [30, 20, 50])
    units = {"treatment": {"x": np.arange(100.0)}, "control": {"x": control}}
    outcomes = estimate(Deciles(), units, X, ["control"])
    lost = {each.parameter for each in outcomes if isinstance(each, NotEstimable)}
    assert lost == {0.1, 0.2, 0.3, 0.4}
    first = next(each for each in outcomes if isinstance(each, NotEstimable))
    assert (first.comparison, first.reason) == ("relative_uplift", Reason.BASELINE_IS_ZERO)
    assert "0 with probability 1" in first.detail


def test_a_zero_rarer_than_half_a_sample_is_passed_over():
    control = np.append(0.0, np.arange(1.0, 200))
    units = {"treatment": {"x": np.arange(1.0, 200)}, "control": {"x": control}}
    rows = by_rows(units)
    assert 0 < stats.binom(199, 0.1).pmf(0) < 0.5 / 10_000
    assert (0.1, "treatment", "relative_uplift") in rows


def test_infinite_values_spoil_only_the_deciles_they_may_be():
    values = np.append(np.arange(2_000.0), [math.inf] * 10)
    outcomes = estimate(Deciles(), {"a": {"x": values}}, X, [])
    assert [isinstance(each, Estimate) for each in outcomes] == [True] * 9
    many = np.append(np.arange(5_000.0), [math.inf] * 700)
    outcomes = estimate(Deciles(), {"a": {"x": many}}, X, [])
    assert outcomes[7].parameter == 0.8
    assert isinstance(outcomes[7], Estimate)
    assert outcomes[8].reason is Reason.NOT_FINITE


def test_branches_that_cannot_be_estimated_lose_no_other():
    units = {**TENS, "nulls": {"x": [1, math.nan]}, "empty": {"x": []}}
    outcomes = estimate(Deciles(), units, X, ["control"])
    kept = [each for each in outcomes if isinstance(each, Estimate)]
    assert kept == estimate(Deciles(), TENS, X, ["control"])
    reasons = {each.branch: each.reason for each in outcomes if isinstance(each, NotEstimable)}
    assert reasons == {"nulls": Reason.NULL_VALUES, "empty": Reason.NO_UNITS}


def test_a_single_unit_is_every_decile():
    assert set(by_rows({"a": {"x": [3.0]}}, references=[]).values()) == {(3.0, 3.0, 3.0)}
