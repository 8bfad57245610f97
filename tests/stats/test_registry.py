"""Statistics by name, and what all of them have in common."""

import math
from importlib import metadata

import numpy as np
import pytest

from sonde.stats.arrays import estimate
from sonde.stats.estimate import Estimate
from sonde.stats.needs import Columns
from sonde.stats.registry import BUILT_IN, GROUP, STATISTICS, statistic

LABELS = {
    "binomial": "binomial",
    "bootstrap_mean": "mean",
    "count": "count",
    "deciles": "deciles",
    "empirical_cdf": "empirical_cdf",
    "kernel_density_estimate": "kernel_density_estimate",
    "linear_model_mean": "mean_lm",
    "linear_model_mean_no_clip": "mean_lm_noclip",
    "per_client_dau_impact": "per_client_dau_impact",
    "population_ratio": "population_ratio",
    "sum": "sum",
}
PARAMS = {"population_ratio": {"numerator": "x", "denominator": "ones"}}


def made(name):
    return statistic(name, PARAMS.get(name, {}))


def test_names_and_labels():
    assert {name: made(name).label for name in LABELS} == LABELS
    assert {each.name for each in BUILT_IN} == set(LABELS)
    assert set(LABELS) <= set(STATISTICS)
    assert list(STATISTICS) == sorted(STATISTICS)


def test_the_entry_points_of_this_package_are_its_statistics():
    ours = {e.name: e.load() for e in metadata.entry_points(group=GROUP) if e.dist.name == "sonde"}
    if not ours:
        pytest.skip("the installed metadata is older than the entry points")
    assert ours == {each.name: each for each in BUILT_IN}


def test_unknown_names_bring_the_nearest():
    with pytest.raises(
        ValueError, match='no statistic "bootstrap_means"; did you mean "bootstrap_mean"'
    ):
        statistic("bootstrap_means", {})
    with pytest.raises(ValueError, match="binomial has no parameter"):
        statistic("binomial", {"drop_highest": 0})


BOOLEANS = {
    "treatment": {"x": np.repeat([False, True], [7, 3])},
    "control": {"x": np.repeat([False, True], [5, 5])},
    "foo": {"x": np.repeat([False, True], [5, 5])},
}


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("binomial", 15),
        ("bootstrap_mean", 15),
        ("deciles", 135),
        ("empirical_cdf", 768),
        ("kernel_density_estimate", 768),
        ("linear_model_mean", 15),  # none in Jetstream, which cannot take booleans
        ("per_client_dau_impact", 12),
        ("sum", 3),
        ("count", 3),
    ],
)
def test_rows_of_three_branches_of_booleans(name, rows):
    outcomes = estimate(made(name), BOOLEANS, Columns("x"))
    assert len(outcomes) == rows
    keys = {(o.branch, o.comparison, o.comparison_to_branch, o.parameter) for o in outcomes}
    assert len(keys) == rows


def hostile(seed):
    """Branches of all the sorts that there should not be."""
    rng = np.random.default_rng(seed)
    kinds = [
        np.zeros,
        lambda n: np.full(n, 1e6),
        lambda n: rng.normal(size=n) * 10.0 ** rng.integers(-9, 9),
        lambda n: rng.lognormal(0, 5, n),
        lambda n: rng.integers(0, 2, n).astype(float),
        lambda n: np.where(rng.random(n) < 0.5, math.inf, 1.0),
        lambda n: np.where(rng.random(n) < 0.5, -math.inf, math.nan),
        lambda n: np.full(n, math.nan),
        lambda n: np.full(n, 1e300) * rng.choice([-1, 1], n),
        lambda n: np.full(n, 5e-324),
    ]
    units = {}
    for number in range(4):
        size = int(rng.integers(0, 12))
        values = kinds[int(rng.integers(len(kinds)))](size)
        covariate = kinds[int(rng.integers(len(kinds)))](size)
        units[str(number)] = {"x": values, "pre": covariate, "ones": np.ones(size)}
    return units


@pytest.mark.parametrize("name", sorted(LABELS))
def test_no_branch_however_odd_raises_or_lets_a_number_out_that_is_not_finite(name):
    for seed in range(60):
        units = hostile(seed)
        for columns in (Columns("x"), Columns("x", "pre")):
            outcomes = estimate(made(name), units, columns)
            keys = [(o.branch, o.comparison, o.comparison_to_branch, o.parameter) for o in outcomes]
            assert {branch for branch, *_ in keys} <= set(units)
            for each in outcomes:
                if isinstance(each, Estimate):
                    numbers = [n for n in (each.point, each.lower, each.upper) if n is not None]
                    assert all(map(math.isfinite, numbers))


@pytest.mark.parametrize("name", sorted(LABELS))
def test_branches_may_have_any_names(name):
    """Jetstream writes them into a formula, and refuses parentheses, tildes and quotes."""
    odd, plain = ["a (b) ~ 'c'", 'd"'], ["a", "b"]
    rows = [
        {"x": np.arange(9) % 2, "ones": np.ones(9)},
        {"x": np.arange(8) % 2, "ones": np.ones(8)},
    ]
    found, expected = (
        estimate(made(name), dict(zip(names, rows, strict=True)), Columns("x"))
        for names in (odd, plain)
    )
    points = [[getattr(each, "point", None) for each in outcomes] for outcomes in (found, expected)]
    assert points[0] == points[1]


@pytest.mark.parametrize("name", sorted(LABELS))
def test_statistics_are_values(name):
    assert made(name) == made(name)
    assert hash(made(name)) == hash(made(name))
    assert made(name).revision >= 1
