"""Linear models against mozanalysis, exact arithmetic, and figures of Jetstream's own tests."""

import math
import warnings

import numpy as np
import pytest
from mozanalysis.frequentist_stats.linear_models import compare_branches_lm
from scipy import stats

from sonde.stats.arrays import estimate, summarise
from sonde.stats.estimate import Estimate, NotEstimable, Reason
from sonde.stats.linear import LinearModelMean, LinearModelMeanNoClip, PerClientDauImpact
from sonde.stats.needs import Clip, Columns, GridMeanOf, Scope
from sonde.stats.statistic import Covariate, CovariatePeriod

from .oracle import (
    exact_linear_model,
    frame,
    further_wine,
    mozanalysis_rows,
    rows_of,
    wine,
)

TENS = {"treatment": {"x": np.arange(10)}, "control": {"x": np.arange(10, 20)}}
X = Columns("x")


def by_rows(statistic, units, columns=X, references=("control",)):
    return rows_of(estimate(statistic, units, columns, references))


def as_floats(units):
    return {b: {c: v.astype(float) for c, v in of.items()} for b, of in units.items()}


def covariate_units():
    """numpy's legacy generator with seed 42: a treatment that adds 1, a noisy earlier value."""
    legacy = np.random.RandomState(42)
    before = legacy.normal(2, 1, 200)
    after = before + legacy.normal(1, 1, 200)
    earlier = before + legacy.normal(0, 1, 200)
    return {
        "treatment": {"x": after[:100], "x_pre": earlier[:100]},
        "control": {"x": before[100:], "x_pre": earlier[100:]},
    }


def run(*figures):
    """Figures of a run of mozanalysis. Its relative limits are off by up to 1e-8: it takes a
    derivative by finite differences (what is right: see exact_linear_model)."""
    return pytest.approx(figures, rel=1e-9, abs=2e-8)


def test_figures_of_integers():
    rows = by_rows(LinearModelMean(), TENS)
    expected = {
        ("treatment", None): (4.5, 2.334149410, 6.665850590),
        ("control", None): (14.5, 12.334149410, 16.665850590),
        ("treatment", "difference"): (-10, -12.844661890, -7.155338110),
        ("treatment", "relative_uplift"): (-0.689655172, -0.799450947, -0.519748857),
    }
    assert rows.keys() == expected.keys()
    for key, figures in expected.items():
        assert rows[key] == run(*figures)


def test_figures_of_floats_whose_highest_value_is_clipped():
    rows = by_rows(LinearModelMean(), as_floats(TENS))
    assert rows["control", None] == run(14.4905, 12.335794511, 16.645205489)
    assert rows["treatment", "difference"] == run(-9.9905, -12.827852256, -7.153147744)
    assert rows["treatment", "relative_uplift"] == run(-0.689451710, -0.799099227, -0.519960830)


def test_booleans_are_zeros_and_ones():
    booleans = {"a": {"x": np.array([True, False, True])}, "b": {"x": np.array([True, False] * 4)}}
    numbers = {b: {"x": of["x"].astype(int)} for b, of in booleans.items()}
    assert by_rows(LinearModelMean(), booleans, references=["b"]) == by_rows(
        LinearModelMean(), numbers, references=["b"]
    )


def test_figures_of_wine():
    rows = by_rows(LinearModelMean(), wine("x"), references=["1"])
    assert [rows[branch, None][0] for branch in "123"] == pytest.approx(
        [2.455593, 2.244664, 2.437083], abs=1e-6
    )
    expected = {
        ("2", "difference"): (-0.210929136, -0.300231128, -0.121627144),
        ("2", "relative_uplift"): (-0.085897426, -0.119711755, -0.050784193),
        ("3", "difference"): (-0.018509887, -0.117044750, 0.080024976),
        ("3", "relative_uplift"): (-0.007537847, -0.046468472, 0.032982230),
    }
    for key, figures in expected.items():
        assert rows[key] == run(*figures)


def test_figures_of_wine_without_clipping():
    rows = by_rows(LinearModelMean(drop_highest=0), wine("x"), references=["1"])
    assert rows["2", None][0] == pytest.approx(2.244788732)
    assert rows["2", "difference"] == run(-0.210804488, -0.300173598, -0.121435378)
    assert rows["2", "relative_uplift"] == run(-0.085846665, -0.119686895, -0.050705578)


def test_figures_of_wine_of_other_columns():
    alcohol = by_rows(LinearModelMean(), further_wine("alcohol"), Columns("alcohol"), ["1"])
    assert [alcohol[branch, None][0] for branch in "123"] == pytest.approx(
        [13.743545763, 12.278732394, 13.15375], abs=1e-9
    )
    assert alcohol["2", "difference"] == run(-1.464813368, -1.642505027, -1.287121710)
    assert alcohol["3", "difference"] == run(-0.589795763, -0.785858837, -0.393732688)
    proline = by_rows(LinearModelMean(), further_wine("proline"), Columns("proline"), ["1"])
    assert [proline[branch, None][0] for branch in "123"] == pytest.approx(
        [1113.728814, 519.507042, 629.895833], abs=1e-6
    )
    assert proline["2", "difference"] == pytest.approx(
        (-594.221771, -653.460023, -534.983520), abs=1e-6
    )
    assert proline["2", "relative_uplift"] == run(-0.533542604, -0.571850599, -0.491807061)


def test_figures_with_and_without_a_covariate():
    units = covariate_units()
    adjusted = by_rows(LinearModelMean(), units, Columns("x", "x_pre"))
    plain = by_rows(LinearModelMean(), units)
    expected = {
        ("treatment", None): (2.954931, 2.652364, 3.257497),
        ("control", None): (2.022305, 1.833076, 2.211533),
        ("treatment", "difference"): (0.963116, 0.650634, 1.275598),
        ("treatment", "relative_uplift"): (0.480032, 0.296891, 0.689034),
    }
    for key, figures in expected.items():
        assert adjusted[key] == pytest.approx(figures, abs=6e-7)
    expected |= {
        ("treatment", "difference"): (0.932626, 0.577954, 1.287299),
        ("treatment", "relative_uplift"): (0.461170, 0.258451, 0.696544),
    }
    for key, figures in expected.items():
        assert plain[key] == pytest.approx(figures, abs=6e-7)


def spikes():
    control, treatment = np.zeros((2, 1_000))
    control[:4], treatment[:4] = (100, 101, 102, 103), (100, 102, 104, 106)
    return {"treatment": {"x": treatment}, "control": {"x": control}}


def test_clipping_that_leaves_only_zeros_is_named():
    outcomes = estimate(LinearModelMean(), spikes(), X, ["control"])
    assert len(outcomes) == 4
    assert {each.reason for each in outcomes} == {Reason.CLIPPED_TO_CONSTANT}
    assert "clipping" in outcomes[0].detail


def test_figures_of_rare_values_without_clipping():
    rows = by_rows(LinearModelMeanNoClip(), spikes())
    expected = {
        ("treatment", None): (0.412, 0.008270, 0.815730),
        ("control", None): (0.406, 0.008219, 0.803781),
        ("treatment", "difference"): (0.006, -0.560426, 0.572426),
    }
    for key, figures in expected.items():
        assert rows[key] == pytest.approx(figures, abs=6e-7)
    assert rows["treatment", "relative_uplift"][1:] == pytest.approx((-0.745768, 3.050531), 1e-6)


@pytest.mark.parametrize(
    ("control", "cause"), [(np.zeros(500), "there are only"), (np.eye(1, 500)[0], "clipping sets")]
)
def test_a_reference_of_zeros_has_no_comparisons_and_other_references_have(control, cause):
    units = {"control": {"x": control}, "treatment": {"x": -np.arange(1.0, 101)}}
    outcomes = estimate(LinearModelMean(), units, X)
    kinds = [(type(each), each.comparison_to_branch) for each in outcomes]
    assert kinds[:4] == [(Estimate, None)] * 2 + [(NotEstimable, "control")] * 2
    assert {each.reason for each in outcomes[2:4]} == {Reason.BASELINE_IS_ZERO}
    assert cause in outcomes[2].detail
    assert outcomes[4].comparison_to_branch == "treatment"
    assert isinstance(outcomes[4], Estimate)
    assert outcomes[5].reason is Reason.OPPOSITE_SIGNS


def test_a_constant_metric_has_a_reason_in_every_row():
    units = {"a": {"x": np.full(5, 0.1)}, "b": {"x": np.full(7, 0.1)}}
    outcomes = estimate(LinearModelMean(), units, X)
    assert len(outcomes) == 6
    assert {each.reason for each in outcomes} == {Reason.NO_VARIATION}


def test_branches_that_are_constant_each_have_means_but_no_comparisons():
    units = {"a": {"x": np.full(5, 0.1)}, "b": {"x": np.full(7, 0.3)}}
    first, second, *rest = estimate(LinearModelMean(), units, X, ["a"])
    assert (first.point, first.lower, first.upper) == pytest.approx((0.1, 0.1, 0.1))
    assert second.point == pytest.approx(0.3)
    assert {each.reason for each in rest} == {Reason.NO_RESIDUAL_VARIATION}


def test_a_branch_that_cannot_be_estimated_loses_no_other():
    units = {
        "control": {"x": np.arange(10.0)},
        "empty": {"x": np.array([math.nan])},
        "infinite": {"x": np.array([1.0, math.inf])},
        "treatment": {"x": np.arange(5.0, 15)},
    }
    statistic = LinearModelMeanNoClip()
    outcomes = estimate(statistic, units, X, ["control"])
    without = {branch: units[branch] for branch in ("control", "treatment")}
    kept = [each for each in outcomes if isinstance(each, Estimate)]
    assert kept == estimate(statistic, without, X, ["control"])
    lost = {each.branch: each.reason for each in outcomes if isinstance(each, NotEstimable)}
    assert lost == {"empty": Reason.NO_UNITS, "infinite": Reason.NOT_FINITE}


def test_one_unit_has_a_mean_without_limits_and_can_be_compared():
    units = {"control": {"x": np.arange(10.0)}, "treatment": {"x": np.array([7.0])}}
    rows = by_rows(LinearModelMeanNoClip(), units)
    assert rows["treatment", None] == (7.0, None, None)
    pooled = {b: (of["x"], None) for b, of in units.items()}
    for key, figures in exact_linear_model(pooled, "control").items():
        assert rows[key] == pytest.approx(figures, rel=1e-12)


def test_one_unit_per_branch_leaves_nothing_to_estimate_the_variance_from():
    units = {"a": {"x": np.array([1.0])}, "b": {"x": np.array([2.0])}}
    outcomes = estimate(LinearModelMean(), units, X, ["a"])
    assert [each.reason for each in outcomes[2:]] == [Reason.TOO_FEW_UNITS] * 2


def test_a_covariate_that_does_not_vary_within_branches_is_left_out():
    units = {
        "a": {"x": np.arange(5.0), "p": np.full(5, 0.1)},
        "b": {"x": np.arange(1.0, 7), "p": np.full(6, 0.3)},
    }
    assert by_rows(LinearModelMean(), units, Columns("x", "p"), ["a"]) == by_rows(
        LinearModelMean(), units, X, ["a"]
    )


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_units_without_a_covariate_count_for_thresholds_only():
    rng = np.random.default_rng(5)
    units = {
        branch: {"x": rng.gamma(1, size=60), "p": rng.gamma(1, size=60)} for branch in ("a", "b")
    }
    units["a"]["p"][:20] = math.nan
    units["b"]["x"][50:] = math.nan
    units["a"]["x"][3] = 1_000
    rows = by_rows(LinearModelMean(0.05), units, Columns("x", "p"), ["a"])
    theirs = compare_branches_lm(frame(units), "x", "a", "p", 0.95, [0.05])
    for key, figures in mozanalysis_rows(theirs).items():
        assert rows[key] == pytest.approx(figures, rel=1e-6)
        assert rows[key][0] == pytest.approx(figures[0], rel=1e-9)


def test_every_reference_in_one_call_is_each_reference_on_its_own():
    units = wine("x")
    together = estimate(LinearModelMean(), units, X)
    apart = [each for one in "123" for each in estimate(LinearModelMean(), units, X, [one])[3:]]
    assert together[3:] == apart
    assert len(together) == 3 * (1 + 2 * 2)


@pytest.mark.parametrize("ci_width", [0.8, 0.9, 0.99])
def test_any_width_of_interval(ci_width):
    statistic = LinearModelMean(drop_highest=0, confidence_interval=ci_width)
    rows = by_rows(statistic, as_floats(TENS))
    pooled = {b: (of["x"], None) for b, of in TENS.items()}
    for key, figures in exact_linear_model(pooled, "control", ci_width=ci_width).items():
        assert rows[key] == pytest.approx(figures, rel=1e-12)
    low, high = stats.t.interval(ci_width, 9, 4.5, stats.sem(np.arange(10)))
    assert rows["treatment", None] == pytest.approx((4.5, low, high), rel=1e-12)


def test_figures_of_daily_use_scaled_to_all_units():
    units = {"treatment": {"x": np.arange(10, 20) / 20}, "control": {"x": np.arange(10) / 20}}
    rows = by_rows(PerClientDauImpact(), units)
    assert list(rows) == [("treatment", "difference"), ("treatment", "relative_uplift")]
    assert rows["treatment", "difference"] == run(10, 7.155338110, 12.844661890)
    assert rows["treatment", "relative_uplift"] == pytest.approx(
        (2.222222, 1.082243862, 3.986311274), rel=3e-7
    )


def test_branches_not_asked_for_count_in_the_pool_and_are_not_reported():
    units = wine("x")
    statistic, summaries = LinearModelMean(), None
    need = statistic.needs(X, summaries := summarise(statistic._moments_of(X), _arrays(units)))
    assert summaries.missing(need) == ()
    rng = np.random.default_rng(0)
    some = list(statistic.estimates(X, summaries, ["1", "2"], ["1"], rng))
    everything = estimate(statistic, units, X, ["1"])
    assert some == [each for each in everything if each.branch != "3"]


def _arrays(units):
    return {b: {c: np.asarray(v) for c, v in of.items()} for b, of in units.items()}


SHAPES = ("gamma", "lognormal", "rare integers", "normal")


def draw(seed):
    """Two to four branches of one shape, with an earlier value that foretells some of it."""
    rng = np.random.default_rng(seed)
    units = {}
    for number in range(int(rng.integers(2, 5))):
        size = int(rng.integers(4, 400))
        latent = rng.normal(size=size)
        match SHAPES[seed % len(SHAPES)]:
            case "gamma":
                now, before = rng.gamma(np.exp(latent / 2)), rng.gamma(np.exp(latent / 2))
            case "lognormal":
                now, before = np.exp(latent + rng.normal(size=size)), np.exp(latent)
            case "rare integers":
                now, before = rng.poisson(np.exp(latent - 1), size=(2, size))
                now[0] += 1
            case _:
                now, before = 5 + latent + rng.normal(size=size), 5 + latent
        units[f"branch-{number}"] = {"x": now * (1 + number), "x_pre": before}
    return units


def assert_equals_mozanalysis(seed, covariate):
    units = draw(seed)
    drop_highest = (0.0, 0.005, 0.05)[seed % 3]
    columns = Columns("x", "x_pre" if covariate else None)
    statistic = LinearModelMean(drop_highest)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = compare_branches_lm(
            frame(units), "x", "branch-0", columns.covariate, 1 - drop_highest, [0.05]
        )
    rows = by_rows(statistic, units, columns, ["branch-0"])
    expected = mozanalysis_rows(theirs)
    assert rows.keys() == expected.keys()
    for key, figures in expected.items():
        exact = 3 if key[1] != "relative_uplift" else 1
        close = pytest.approx(figures[:exact], rel=1e-9, abs=1e-11, nan_ok=True)
        assert rows[key][:exact] == close
        by_differences = 3e-6 * np.nan_to_num(figures[2] - figures[1])
        near = pytest.approx(figures[exact:], abs=by_differences, nan_ok=True)
        assert rows[key][exact:] == near


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("covariate", ["adjusted", ""])
def test_equal_to_mozanalysis(seed, covariate):
    assert_equals_mozanalysis(seed, covariate)


@pytest.mark.slow
@pytest.mark.parametrize("covariate", ["adjusted", ""])
def test_equal_to_mozanalysis_on_a_hundred_more(covariate):
    for seed in range(100, 200):
        assert_equals_mozanalysis(seed, covariate)


@pytest.mark.parametrize("offset", [0, 1e6])
@pytest.mark.parametrize("seed", range(20))
def test_equal_to_exact_least_squares_with_any_offset(seed, offset):
    """mozanalysis inverts X'X, which loses all digits of a covariate far from 0: not asked here."""
    units = {
        branch: {c: v[:40] + offset for c, v in of.items()} for branch, of in draw(seed).items()
    }
    columns = Columns("x", "x_pre")
    statistic = LinearModelMeanNoClip()
    need = GridMeanOf("x_pre", "x")
    grid_mean = summarise(need, _arrays(units)).grid_means[need]
    pairs = {branch: (of["x"], of["x_pre"]) for branch, of in units.items()}
    rows = by_rows(statistic, units, columns, ["branch-0"])
    tolerance = 1e-9 if offset == 0 else 1e-7
    for key, figures in exact_linear_model(pairs, "branch-0", grid_mean).items():
        width = figures[2] - figures[1]
        assert rows[key] == pytest.approx(figures, abs=tolerance * width)


def test_the_grid_is_of_ten_thousand_quantiles_of_all_branches():
    units = covariate_units()
    need = GridMeanOf("x_pre", "x", Clip(0.9, Scope.POOLED))
    pooled = np.concatenate([of["x_pre"] for of in units.values()])
    clipped = np.minimum(pooled, np.quantile(pooled, 0.9))
    expected = np.quantile(clipped, np.arange(0, 1, 0.0001)).mean()
    assert summarise(need, units).grid_means[need] == pytest.approx(expected, rel=1e-12)


def test_parameters_are_checked():
    week = {"period": "preenrollment_week"}
    statistic = LinearModelMean.from_params({"drop_highest": 0, "covariate_adjustment": week})
    assert statistic == LinearModelMean(0.0, Covariate(CovariatePeriod.WEEK))
    named = LinearModelMean.from_params({"statistic_name": "mean_of_logs"})
    assert (statistic.label, named.label) == ("mean_lm", "mean_of_logs")
    assert LinearModelMeanNoClip().label == "mean_lm_noclip"
    for wrong, message in [
        ({"drop_higest": 0.1}, 'no parameter "drop_higest"; did you mean "drop_highest"'),
        ({"drop_highest": "0.1"}, "drop_highest must be a number, not '0.1'"),
        ({"drop_highest": True}, "drop_highest must be a number, not True"),
        ({"drop_highest": 1}, "drop_highest must be at least 0 and less than 1"),
        ({"confidence_interval": 10}, "confidence_interval must lie between 0 and 1"),
        ({"covariate_adjustment": {"period": "week"}}, "must lie before enrollment"),
        ({"covariate_adjustment": {**week, "metrics": "x"}}, 'did you mean "metric"'),
        ({"covariate_adjustment": {**week, "metric": 1}}, "must be a metric's name"),
        ({"covariate_adjustment": "preenrollment_week"}, 'like {period = ".."}'),
    ]:
        with pytest.raises(ValueError, match=message):
            LinearModelMean.from_params(wrong)
    with pytest.raises(ValueError, match="must be another column"):
        Columns("x", "x")


def test_figures_of_hundreds():
    """Three branches of a hundred units, as in mozanalysis' own tests."""
    units = {
        "control": {"x": np.arange(100.0)},
        "a": {"x": np.arange(100.0, 200)},
        "b": {"x": np.arange(200.0, 300)},
    }
    rows = by_rows(LinearModelMeanNoClip(), units, references=["a"])
    assert rows["control", None] == pytest.approx((49.5, 43.74349, 55.25650), abs=1e-5)
    assert rows["a", None] == pytest.approx((149.5, 143.74349, 155.25650), abs=1e-5)
    assert rows["control", "difference"][0] == pytest.approx(-100)
    assert rows["b", "difference"][0] == pytest.approx(100)
    assert rows["b", "relative_uplift"][0] == pytest.approx(100 / 149.5)
