"""Sums and counts: the figures of Jetstream's own tests."""

import math

import numpy as np
import pytest

from sonde.stats.arrays import estimate
from sonde.stats.estimate import Estimate, Reason
from sonde.stats.needs import Columns
from sonde.stats.totals import Count, Sum

X = Columns("x")


def points(statistic, units):
    return {each.branch: each.point for each in estimate(statistic, units, X)}


def test_sums_of_integers_and_of_booleans():
    integers = {
        "treatment": {"x": [0] * 5 + [-1] * 5 + [1] * 10},
        "control": {"x": [0] * 5 + [1] * 5},
    }
    assert points(Sum(), integers) == {"treatment": 5, "control": 5}
    booleans = {
        "treatment": {"x": [False] * 5 + [True] * 15},
        "control": {"x": [False] * 5 + [True] * 5},
    }
    assert points(Sum(), booleans) == {"treatment": 15, "control": 5}


def test_sums_leave_nulls_aside_and_counts_count_them():
    units = {"a": {"x": np.array([1.5, math.nan, 2])}, "b": {"x": np.array([])}}
    found = estimate(Sum(), units, X)
    assert found[0] == Estimate("a", None, None, None, None, 3.5, None, None)
    assert found[1].reason is Reason.NO_UNITS
    assert points(Count(), units) == {"a": 3, "b": 0}


def test_counts():
    assert points(Count(), {"treatment": {"x": range(20)}, "control": {"x": range(10)}}) == {
        "treatment": 20,
        "control": 10,
    }


def test_there_are_no_parameters():
    with pytest.raises(ValueError, match='sum has no parameter "drop_highest"; it has none'):
        Sum.from_params({"drop_highest": 0})
