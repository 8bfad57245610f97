"""The check of the split: what it finds, and how often it is wrong."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from sonde.health import Light, State, worst
from sonde.run.health_split import split_checks
from sonde.stats.split import log_e_values
from tests.run.health_samples import ALPHA, START, SYSTEMS, enrolled, experiment, means, states


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
