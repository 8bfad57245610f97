"""Draws are uniform, independent, and the same for ever."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from sonde.datasets.draws import bits, logit, lower, uniform, upper

KEYS = np.arange(200_000, dtype=np.uint32)
DAYS = KEYS * np.uint32(64)
UINT32 = st.integers(0, 2**32 - 1)


def lowbias32(x: int) -> int:
    """The published mixing function, in whole numbers: nullprogram.com/blog/2018/07/31."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ x >> 16


def test_the_bits_are_those_of_the_first_release():
    """Another number here is another demo: its truth would have to be checked again."""
    first_release = [870355265, 2057945229, 1032837505, 2557613049]
    assert bits(2, "os", KEYS[:4]).tolist() == first_release


@given(UINT32, UINT32)
def test_mixing_is_the_published_function_of_key_and_stream(first, second):
    drawn = [int(each) for each in bits(1, "a", np.array([first, second], dtype=np.uint32))]
    digest = hashlib.blake2b(b"1/a", digest_size=4).digest()
    assert drawn == [lowbias32(key ^ int.from_bytes(digest, "big")) for key in (first, second)]


@given(st.lists(UINT32, min_size=1, max_size=30))
def test_a_draw_does_not_depend_on_the_draws_around_it(keys):
    together = bits(1, "a", np.array(keys, dtype=np.uint32))
    alone = [bits(1, "a", np.array([key], dtype=np.uint32))[0] for key in keys]
    assert together.tolist() == alone


def test_distinct_keys_have_distinct_bits():
    assert len(np.unique(bits(1, "a", KEYS))) == len(KEYS)


@pytest.mark.parametrize("part", [uniform, upper, lower])
def test_numbers_are_uniform(part):
    drawn = part(bits(1, "a", KEYS))
    assert 0 < drawn.min() < drawn.max() < 1
    assert stats.kstest(drawn, "uniform").pvalue > 0.01


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (uniform(bits(1, "a", KEYS)), uniform(bits(1, "b", KEYS))),
        (uniform(bits(1, "a", KEYS)), uniform(bits(2, "a", KEYS))),
        (uniform(bits(1, "a", KEYS)), uniform(bits(1, "a", KEYS + np.uint32(1)))),
        (uniform(bits(1, "a", DAYS)), uniform(bits(1, "a", DAYS + np.uint32(1)))),
        (upper(bits(1, "a", KEYS)), lower(bits(1, "a", KEYS))),
    ],
    ids=["streams", "seeds", "keys", "days", "halves"],
)
def test_draws_are_independent(first, second):
    cells = np.histogram2d(first, second, bins=20, range=[[0, 1], [0, 1]])[0]
    assert stats.chisquare(cells.ravel()).pvalue > 0.01


def test_logit_is_the_logistic_quantile():
    probability = np.array([0.01, 0.5, 0.9])
    np.testing.assert_allclose(logit(probability), stats.logistic.ppf(probability), atol=1e-12)
