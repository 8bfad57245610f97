"""Adjusted p-values against statsmodels, and what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from statsmodels.stats.multitest import multipletests

from sonde.stats.multiplicity import benjamini_hochberg, holm

p_values = st.lists(
    st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 0.05, 1.0])), min_size=1, max_size=30
)


@given(p_values)
def test_holm_is_that_of_statsmodels(p):
    assert holm(p) == pytest.approx(multipletests(p, method="holm")[1], abs=1e-15)


@given(p_values)
def test_benjamini_hochberg_is_that_of_statsmodels(p):
    assert benjamini_hochberg(p) == pytest.approx(multipletests(p, method="fdr_bh")[1], abs=1e-15)


@given(p_values, st.randoms())
def test_the_order_of_tests_does_not_matter(p, random):
    order = list(range(len(p)))
    random.shuffle(order)
    for adjust in (holm, benjamini_hochberg):
        assert adjust([p[i] for i in order]).tolist() == adjust(p)[order].tolist()


def test_family_wise_error_and_false_discoveries_under_the_null():
    rng = np.random.default_rng(3)
    p = rng.uniform(size=(4_000, 8))
    for adjust in (holm, benjamini_hochberg):
        found = np.mean([adjust(row).min() < 0.05 for row in p])
        assert found <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 4_000)


@pytest.mark.parametrize("p", [[1.1], [-0.1], [float("nan")], [[0.5]]])
def test_what_is_no_p_value_is_refused(p):
    for adjust in (holm, benjamini_hochberg):
        with pytest.raises(ValueError, match="from 0 to 1"):
            adjust(p)


def test_no_tests_no_p_values():
    assert holm([]).tolist() == benjamini_hochberg([]).tolist() == []
