"""The check of exposure: what it finds, and how often it is wrong."""

from __future__ import annotations

import numpy as np
from scipy import stats

from sonde.health import State
from sonde.run.health_split import exposure_checks
from tests.run.health_samples import enrolled


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
