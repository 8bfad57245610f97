"""Checks of experiments: what they find, how often they are wrong, and that they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from scipy import stats

from sonde.experiment import (
    Branch,
    EnrollmentsQueryType,
    Experiment,
    ExperimentRecord,
    Overrides,
)
from sonde.health import Check, Light, State, worst
from sonde.jetstream import export
from sonde.metric import AnalysisUnit, Metric, Segment, SegmentDataSource
from sonde.plan.steps import enrollments_table, errors_table, health_table, statistics_table
from sonde.project import Project
from sonde.results import counts_and_estimates, statistics
from sonde.run.health import (
    HEALTH_COLUMNS,
    check_health,
    freshness,
    staged,
    stored,
    update_health,
)
from sonde.run.health_before import before_checks
from sonde.run.health_coverage import coverage_checks
from sonde.run.health_errors import failure_checks, implausible_checks
from sonde.run.health_split import exposure_checks, split_checks
from sonde.run.health_units import Enrolled, read_enrolled
from sonde.stats.split import log_e_values
from sonde.window import Period
from tests import browser

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


# The split


def ever_red(counts: np.ndarray) -> np.ndarray:
    """Of experiments (.., day, system, branch), those whose split light is red on any day.

    By the rule: overall, or after Holm's correction over each system and all that is not it. The
    first rejection of Holm's procedure is Bonferroni's, and p never rises.
    """
    whole = log_e_values(counts.sum(axis=-2), [1, 1]).max(axis=-1)
    least = np.log(2 * len(SYSTEMS) / ALPHA)
    red = whole > -np.log(ALPHA)
    for n in range(len(SYSTEMS)):
        inside = counts[..., n, :]
        outside = counts.sum(axis=-2) - inside
        for part in (inside, outside):
            red |= log_e_values(part, [1, 1]).max(axis=-1) > least
    return red


def test_of_1000_experiments_without_a_fault_at_most_5_are_ever_red():
    counts = np.random.default_rng(1).poisson(means(2_000), (1_000, 10, 3, 2))
    assert ever_red(counts).sum() <= 5


def test_the_rule_is_what_the_checks_say():
    rng = np.random.default_rng(2)
    red = 0
    for lost in np.linspace(0, 0.4, 25):
        expected = means(days=6)
        expected[3:, 0, 1] *= 1 - lost
        counts = rng.poisson(expected)
        found = worst(c.state for c in split_checks(experiment(), enrolled(counts)))
        assert (found is State.STOP) == bool(ever_red(counts))
        red += found is State.STOP
    assert 5 < red < 20  # both happen


@pytest.mark.slow
def test_of_1000_experiments_as_checked_at_most_5_are_ever_red():
    rng = np.random.default_rng(3)
    red = 0
    for _ in range(1_000):
        units = enrolled(rng.poisson(means(rng.choice([60, 600, 6_000]), 14)))
        red += worst(c.state for c in split_checks(experiment(), units)) is State.STOP
    assert red <= 5


@pytest.mark.slow
def test_the_share_of_red_lights_without_a_fault():
    rng = np.random.default_rng(4)
    runs = 20_000
    found = sum(ever_red(rng.poisson(means(1_000, 21), (500, 21, 3, 2))).sum() for _ in range(40))
    assert found / runs <= 2 * ALPHA  # 0.001 for the whole, 0.001 for all segments together


def test_a_loss_on_one_system_is_red_within_two_days_and_names_it():
    rng = np.random.default_rng(5)
    expected = means(days=5)
    expected[3:, 0, 1] *= 0.65
    good = enrolled(rng.poisson(expected[:3]))
    assert worst(c.state for c in split_checks(experiment(), good)) is State.FINE
    checks = list(split_checks(experiment(), enrolled(rng.poisson(expected))))
    found = states(checks)
    assert found["sample_ratio: segment windows"] is State.STOP
    assert found["sample_ratio: segment macos"] is State.FINE
    assert found["sample_ratio: segment linux"] is State.FINE
    # That what is not macOS is red, too, says nothing more.
    assert not [check for check in checks if check.scope.startswith("not in")]
    (windows,) = (check for check in checks if check.scope == "segment windows")
    assert "since 6\N{NO-BREAK SPACE}Nov" in windows.note
    assert "in Windows" in windows.todo
    assert windows.detail["since"] == "2026-11-06"
    assert windows.detail["first_below_stop"] in {"2026-11-06", "2026-11-07"}


def test_a_fault_outside_every_segment_is_found_there():
    expected = means()
    expected[:, 0, 1] *= 0.7
    units = enrolled(np.random.default_rng(6).poisson(expected))
    found = states(list(split_checks(experiment(["macos"]), units)))
    assert found["sample_ratio: segment macos"] is State.FINE
    assert found["sample_ratio: not in segment macos"] is State.STOP


def test_a_fault_everywhere_is_laid_to_no_segment():
    expected = means(20_000)
    expected[:, :, 1] *= 0.7
    checks = list(split_checks(experiment(), enrolled(np.random.default_rng(7).poisson(expected))))
    assert {check.state for check in checks if check.name == "sample_ratio"} == {State.STOP}
    assert "found in" not in checks[0].note


def test_branches_of_unequal_ratios():
    arms = {"control": 9, "treatment": 1}
    counts = np.random.default_rng(8).poisson(means(5_000) * np.array([1.8, 0.2]))
    good = enrolled(counts, branches=arms)
    assert worst(c.state for c in split_checks(experiment(branches=arms), good)) is State.FINE
    assert next(split_checks(experiment(branches=arms), good)).detail["design"] == [0.9, 0.1]
    equal = next(split_checks(experiment(), enrolled(counts)))
    assert equal.state is State.STOP
    assert equal.detail["first_below_stop"] == START.isoformat()


def test_the_chart_has_a_row_a_day_and_is_json():
    check = next(split_checks(experiment(), enrolled(np.full((4, 3, 2), 500))))
    detail = json.loads(json.dumps(check.detail, allow_nan=False))
    assert detail["days"] == ["2026-11-03", "2026-11-04", "2026-11-05", "2026-11-06"]
    assert detail["shares"] == [[0.5, 0.5]] * 4
    assert detail["counts"] == [[1_500, 1_500]] * 4
    assert all(low < 0.5 < high for low, high in zip(*map(np.ravel, edges(detail)), strict=True))
    assert detail["band_confidence"] == 0.999


def edges(detail: Mapping[str, Any]) -> tuple[Any, Any]:
    return detail["lower"], detail["upper"]


@pytest.mark.parametrize("number", [0, 1, 2])
def test_too_few_units_are_not_checked(number):
    (check, *_) = split_checks(experiment(()), enrolled(np.full((1, 1, 2), number)))
    assert check.state is State.UNCHECKED
    assert check.light is Light.SPLIT


def test_one_branch_is_not_checked():
    alone = {"treatment": 1}
    (check,) = split_checks(experiment((), alone), enrolled(np.full((2, 1, 1), 50), None, alone))
    assert check.state is State.UNCHECKED


@pytest.mark.parametrize(
    ("several", "state"),
    [(0, State.FINE), (9, State.FINE), (30, State.LOOK), (99, State.LOOK), (100, State.STOP)],
)
def test_units_in_several_branches(several, state):
    units = replace(enrolled(np.full((10, 1, 2), 500)), units=10_000, several=several)
    assert states(list(split_checks(experiment(()), units)))["several_branches: all"] is state


def test_units_of_undeclared_branches_are_told():
    units = enrolled(np.full((10, 1, 2), 500), strangers={"contrl": 7})
    found = states(list(split_checks(experiment(()), units)))
    assert found["undeclared_branches: all"] is State.LOOK


# Exposure


def test_exposure():
    counts = np.full((10, 3, 2), 400)
    (alike,) = exposure_checks(enrolled(counts, [0.86, 0.86]))
    assert (alike.state, alike.figure) == (State.FINE, "86.0\N{NO-BREAK SPACE}%")
    (apart,) = exposure_checks(enrolled(counts, [0.86, 0.80]))
    assert apart.state is State.LOOK
    assert apart.detail["exposed"] == [10_320, 9_600]
    (none,) = exposure_checks(enrolled(counts, [0, 0]))
    assert none.state is State.UNCHECKED
    assert "exposures basis is empty" in none.note
    (few,) = exposure_checks(enrolled(np.full((1, 1, 2), 99), [0.5, 0.5]))
    assert few.state is State.UNCHECKED


def test_one_branch_without_exposures():
    (check,) = exposure_checks(enrolled(np.full((10, 1, 2), 400), [0.86, 0]))
    assert check.state is State.LOOK


def test_of_1000_experiments_without_a_fault_few_are_ever_told_to_look_at_exposure():
    rng = np.random.default_rng(9)
    units = np.full((1_000, 14, 2), 500)
    exposed = rng.binomial(units, 0.86).cumsum(axis=1)
    table = np.stack([exposed, units.cumsum(axis=1) - exposed], axis=-1)
    expected = table.sum(axis=2, keepdims=True) / 2
    p = stats.chi2.sf(((table - expected) ** 2 / expected).sum(axis=(2, 3)), 1)
    assert ((p < 0.001).any(axis=1)).sum() <= 20


def test_enrollments_are_counted_as_they_lie_in_the_file(tmp_path):
    rows = [
        ("a", "control", START, True, START, False),
        ("b", "treatment", START, None, None, False),
        ("c", "treatment", START + timedelta(days=2), False, None, False),
        ("d", "control", START, True, None, True),
        ("d", "treatment", START, True, None, True),
        ("e", "other", START, True, None, False),
    ]
    names = ("analysis_id", "branch", "enrollment_date", "windows", "exposure_date",
             "in_several_branches")  # fmt: skip
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    pq.write_table(pa.table(columns), tmp_path / "enrollments.parquet")
    units = read_enrolled(experiment(["windows"]), START, tmp_path / "enrollments.parquet")
    assert units.days == (START, START + timedelta(days=2))
    assert units.by_day().tolist() == [[1, 1], [0, 1]]
    assert units.by_branch(units.exposed).tolist() == [1, 0]
    assert units.by_branch(units.within["windows"] == 1).tolist() == [1, 0]
    assert units.by_branch(units.within["windows"] == 0).tolist() == [0, 1]
    assert (units.units, units.several, units.strangers) == (5, 1, {"other": 1})


# Stored estimates


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


@pytest.mark.parametrize(
    ("behind", "end", "state"),
    [
        (0, None, State.FINE),
        (1, None, State.FINE),
        (2, None, State.LOOK),
        (3, None, State.LOOK),
        (4, None, State.STOP),
        (40, 40, State.FINE),  # ended 40 days ago; the day before is there
        (42, 40, State.LOOK),
        (-2, None, State.FINE),
    ],
)
def test_freshness(behind, end, state):
    as_of = date(2026, 12, 31)
    ended = None if end is None else as_of - timedelta(days=end)
    declared = replace(experiment(), overrides=Overrides(end_date=ended))
    newest = as_of - timedelta(days=behind + (1 if end else 0))
    assert freshness(declared, as_of, newest, "telemetry.events").state is state


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


# As a whole


def test_of_an_experiment_without_anything_every_light_is_grey():
    checks = check_health(experiment(), START, None, [], [], None)
    assert {check.light for check in checks} == set(Light)
    assert {check.state for check in checks} == {State.UNCHECKED}
    assert all(check.note for check in checks)


def test_red_and_amber_say_what_to_do():
    expected = means()
    expected[:, 0, 1] *= 0.7
    units = enrolled(np.random.default_rng(11).poisson(expected), [0.9, 0.8], several=90)
    checks = [*split_checks(experiment(), units), *exposure_checks(units)]
    checks += before_checks(experiment(), [before("pages", 5)])
    checks += implausible_checks(
        experiment(), [row("p", comparison="relative_uplift", point=0.9, lower=0.5, upper=1.3)]
    )
    alarms = [check for check in checks if check.state in {State.LOOK, State.STOP}]
    assert len(alarms) >= 5
    assert all(check.todo and check.value is not None for check in alarms)


AS_OF = date(2020, 4, 12)


def analysed(folder: Path) -> tuple[Project, Experiment]:
    project = Project.open(browser.write_project(folder), {})
    list(project.run(project.work(AS_OF), 1))
    return project, project.experiment(browser.SLUG)


def test_checks_are_kept_and_made_anew_when_something_changed(tmp_path):
    project, declared = analysed(tmp_path)
    lake, sources = project.lake, project.sources
    assert stored(lake, declared) == ()
    newest = date(2020, 4, 6)
    assert update_health(declared, newest, lake, sources)
    kept = stored(lake, declared)
    assert {check.light for check in kept} == set(Light)
    assert states(kept)["freshness: all"] is State.FINE
    assert not update_health(declared, newest, lake, sources)
    known = [
        receipt
        for table in (enrollments_table, statistics_table, errors_table, health_table)
        for receipt in lake.receipts(table(declared)).values()
    ]
    assert not update_health(declared, newest, lake, sources, known)
    assert update_health(declared, newest, lake, sources, known[:-1])
    # Days later, without newer data: the experiment is live, so they are late.
    assert update_health(declared, AS_OF, lake, sources)
    assert states(stored(lake, declared))["freshness: all"] is State.STOP
    # As declared otherwise.
    assert update_health(replace(declared, segments=()), AS_OF, lake, sources)


def test_checks_are_made_anew_when_results_are(tmp_path):
    project, declared = analysed(tmp_path)
    assert update_health(declared, AS_OF, project.lake, project.sources)
    table = statistics_table(declared)
    receipt = next(iter(project.lake.receipts(table).values()))
    project.lake.commit(table, [], [receipt.partition])
    assert update_health(declared, AS_OF, project.lake, project.sources)
    assert not update_health(declared, AS_OF, project.lake, project.sources)


def test_an_experiment_that_has_ended_is_not_checked_every_day(tmp_path):
    project, declared = analysed(tmp_path)
    ended = replace(declared, overrides=Overrides(end_date=date(2020, 4, 10)))
    assert update_health(ended, AS_OF, project.lake, project.sources)
    later = AS_OF + timedelta(days=30)
    assert not update_health(ended, later, project.lake, project.sources)


def test_checks_come_back_as_they_were(tmp_path):
    project, declared = analysed(tmp_path)
    check = Check(
        Light.SPLIT, "n", "a", State.LOOK, "1 : 2", "é", 0.1, None, "do", {"x": [1, None]}
    )
    both = [check, replace(check, value=None)]
    made = staged(project.lake, declared, both, "digest")
    project.lake.commit(made.partition.table, [made])
    assert stored(project.lake, declared) == (check, replace(check, value=None))
    rows = project.lake.read(health_table(declared))
    assert [field.name for field in HEALTH_COLUMNS] == [
        name for name in rows.column_names if name not in {"experiment", "fingerprint"}
    ]


def test_units_with_data_are_counted_and_stay_out_of_the_results(tmp_path):
    project, declared = analysed(tmp_path)
    rows = counts_and_estimates(project.lake, declared).to_pylist()
    found = {
        (r["analysis_period"], r["window_index"], r["data_source"], r["branch"]): r["point"]
        for r in rows
        if r["metric"] == "has_data" and r["analysis_basis"] == "enrollments"
    }
    # aaaa has hours in its first week and before it, bbbb too.
    assert found["week", 1, "clients_daily", "branch1"] == 1
    assert found["week", 1, "clients_daily", "branch2"] == 1
    assert {r["segment"] for r in rows if r["metric"] == "has_data"} == {"all"}
    assert "has_data" not in statistics(project.lake, declared)["metric"].to_pylist()
    files = export(project.lake, [declared], tmp_path / "out", project.origin())
    assert files
    assert not any(b"has_data" in file.read_bytes() for file in files)


def test_no_file_of_enrollments_is_needed(tmp_path):
    project = Project.open(browser.write_project(tmp_path), {})
    declared = project.experiment(browser.SLUG)
    assert project.lake.receipts(enrollments_table(declared)) == {}
    assert update_health(declared, AS_OF, project.lake, project.sources)
    kept = states(stored(project.lake, declared))
    assert kept["sample_ratio: all"] is State.UNCHECKED
