from __future__ import annotations

import pytest

from sonde.errors import ConfigError
from sonde.window import Period
from sonde.wire import names


def test_six_statistics_files():
    assert [names.statistics_file("my-slug", period) for period in Period] == [
        "statistics/statistics_my_slug_daily.json",
        "statistics/statistics_my_slug_weekly.json",
        "statistics/statistics_my_slug_days28.json",
        "statistics/statistics_my_slug_overall.json",
        "statistics/statistics_my_slug_preenrollment_weekly.json",
        "statistics/statistics_my_slug_preenrollment_days28.json",
    ]


@pytest.mark.parametrize(
    ("slug", "name"),
    [("a-b", "a_b"), ("a.b c/d", "a_b_c_d"), ("Été", "_t_"), ("A_b9", "A_b9")],
)
def test_normalised_slug(slug, name):
    assert names.normalized(slug) == name


def test_a_slug_given_twice_is_one_experiment():
    assert names.normalized_slugs(["a-b", "c", "a-b"]) == {"a-b": "a_b", "c": "c"}


def test_slugs_that_would_overwrite_each_other_are_refused():
    with pytest.raises(ConfigError, match='"a-b" and "a_b" would both be published as "a_b"'):
        names.normalized_slugs(["a-b", "c", "a_b"])
