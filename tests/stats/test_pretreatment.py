"""Pre-treatments: the figures of Jetstream's own tests, and where this differs on purpose."""

import math

import numpy as np
import pandas as pd
import pytest

from sonde.stats.pretreatment import (
    PRE_TREATMENTS,
    FillNulls,
    KeepAbove,
    KeepBelow,
    KeepNotNull,
    Logarithm,
    Quantile,
    apply,
    pre_treatment,
)

INDEFINITE = np.array([1, math.inf, -math.inf, math.nan, 5])


def after(name, values, days=1, **args):
    steps = [pre_treatment(name, args, days)]
    return apply(steps, {"x": np.asarray(values, dtype=float)}, ["x"])["x"]


def test_remove_nulls_keeps_infinities():
    assert after("remove_nulls", INDEFINITE).tolist() == [1, math.inf, -math.inf, 5]


def test_remove_indefinites_drops_both_infinities():
    """Jetstream keeps minus infinity."""
    assert after("remove_indefinites", INDEFINITE).tolist() == [1, 5]


def test_censoring_by_fraction():
    numbers = np.arange(10_000)
    highest = after("censor_highest_values", numbers, fraction=0.9)
    lowest = after("censor_lowest_values", numbers, fraction=0.1)
    assert (len(highest), highest.max()) == (9_000, 8_999)
    assert (len(lowest), lowest.min()) == (9_000, 1_000)
    assert len(after("censor_highest_values", numbers)) == 9_999
    assert len(after("censor_lowest_values", numbers)) == 9_999


def test_censoring_by_threshold_is_strict():
    numbers = [0.05] * 150 + [1.1] * 50 + [0.1]
    assert len(after("censor_values_below_threshold", numbers, threshold=0.1)) == 50
    assert len(after("censor_values_above_threshold", numbers, threshold=0.1)) == 150


def test_log():
    logs = after("log", np.arange(-1, 11))
    assert (len(logs), np.isnan(logs).sum(), np.isinf(logs).sum(), logs[-1]) == (12, 1, 1, 1.0)
    assert after("log", [math.e], base=0).tolist() == [1.0]
    assert pre_treatment("log", {"base": None}) == Logarithm(None)
    assert after("log", [8], base=2).tolist() == [3.0]


def test_zero_fill_changes_only_the_named_column():
    rows = {"x": np.array([1, math.nan]), "y": np.array([math.nan, 2])}
    filled = apply([FillNulls(0)], rows, ["x"])
    assert filled["x"].tolist() == [1, 0]
    assert math.isnan(filled["y"][0])


def test_normalize_over_the_window():
    name = "normalize_over_analysis_period"
    assert after(name, [1, 5], days=10).tolist() == [0.1, 0.5]
    assert after(name, [1400, 7000], days=7).tolist() == [200, 1000]
    assert after(name, [1, 5], days=7, analysis_period_length=10).tolist() == [0.1, 0.5]


def test_steps_follow_each_other_and_quantiles_are_of_what_is_left():
    values = np.array([1.0, 2, 3, 4, 1_000, math.nan])
    steps = [pre_treatment("censor_values_above_threshold", {"threshold": 100}), *_half()]
    assert apply(steps, {"x": values}, ["x"])["x"].tolist() == [1, 2]
    frame = pd.DataFrame({"x": values})
    frame = frame[frame.x < 100]
    assert frame[frame.x < frame.x.quantile(0.5)].x.tolist() == [1, 2]


def _half():
    return [KeepBelow(Quantile(0.5))]


def test_a_ratio_is_treated_by_its_columns_and_keeps_its_rows():
    """Jetstream also looks at an empty column of the ratio itself, and drops every row."""
    rows = {
        "branch": np.array(["a", "a", "b"]),
        "numerator": np.array([1.0, math.nan, 3.0]),
        "denominator": np.array([1.0, 2.0, 3.0]),
    }
    kept = apply([KeepNotNull()], rows, ["numerator", "denominator"])
    assert kept["branch"].tolist() == ["a", "b"]
    assert kept["denominator"].tolist() == [1, 3]


def test_nothing_left_stays_nothing():
    empty = {"x": np.array([math.nan])}
    for name in PRE_TREATMENTS:
        args = {"threshold": 1} if "threshold" in name else {}
        if name not in {"zero_fill", "log", "normalize_over_analysis_period"}:
            assert len(apply([pre_treatment(name, args)], empty, ["x"])["x"]) == 0


@pytest.mark.parametrize(
    ("name", "args", "message"),
    [
        ("remove_null", {}, 'no pre-treatment "remove_null"; did you mean "remove_nulls"'),
        ("xyz", {}, 'no pre-treatment "xyz"; valid are "censor_highest_values"'),
        ("censor_values_above_threshold", {}, 'the argument "threshold" is needed'),
        ("censor_highest_values", {"fracton": 0.9}, 'did you mean "fraction"'),
        ("censor_highest_values", {"fraction": 9}, "must lie between 0 and 1, not 9"),
        ("censor_highest_values", {"fraction": "9"}, "fraction must be a number, not '9'"),
        ("log", {"base": 1}, "base must be positive and not 1"),
        ("normalize_over_analysis_period", {"analysis_period_length": 0}, "must not be 0"),
        ("remove_nulls", {"fraction": 1}, "it has none"),
    ],
)
def test_mistakes_are_named(name, args, message):
    with pytest.raises(ValueError, match=message):
        pre_treatment(name, args)


def test_whole_numbers_stand_for_numbers():
    assert pre_treatment("censor_values_below_threshold", {"threshold": 1}) == KeepAbove(1.0)
