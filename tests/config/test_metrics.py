"""What the keys of a metric and of its data source mean."""

from dataclasses import replace

import pytest

from sonde.errors import ConfigError
from sonde.metric import (
    AnalysisBasis,
    AnalysisUnit,
    PreTreatment,
)
from sonde.window import Period

from .conftest import RECORD, by_name


def test_a_macro_is_expanded(of_tree):
    experiment = of_tree("everything")
    growth = by_name(experiment.metrics[Period.WEEK])["growth_histogram"]
    assert "hist.extract(payload.histograms.growth)" in growth.select_expression


def test_upstream_metrics_are_resolved_too(of_tree):
    experiment = of_tree("everything")
    ratio = by_name(experiment.metrics[Period.WEEK])["own_ratio"]
    assert ratio.select_expression is None
    assert ratio.data_source is None
    assert [metric.name for metric in ratio.depends_on] == ["own", "flowers_picked"]
    assert ratio.depends_on[0].select_expression == "COALESCE(SUM(x), 0) + COUNTIF(e.branch = 'a')"


def test_bases(of_tree):
    experiment = of_tree("everything")
    overall = by_name(experiment.metrics[Period.OVERALL])
    assert overall["exposed_only"].analysis_bases == (AnalysisBasis.EXPOSURES,)
    assert overall["own"].analysis_bases == (AnalysisBasis.ENROLLMENTS,)
    assert overall["baskets"].analysis_bases == tuple(AnalysisBasis)


def test_a_metric_may_not_serve_more_units_than_its_source(resolve):
    own = (
        '[metrics]\nweekly = ["m"]\n[metrics.m]\nselect_expression = "1"\ndata_source = "d"\n'
        'statistics = { sum = {} }\n[data_sources.d]\nfrom_expression = "x.y"\n'
        'analysis_units = ["client_id"]'
    )
    with pytest.raises(
        ConfigError, match='"d" is not declared for profile_group_id, but metric "m" is'
    ):
        resolve(own)
    phone = replace(RECORD, app_name="fenix")
    assert resolve(own, phone).experiment.metrics[Period.WEEK][0].analysis_units == (
        AnalysisUnit.CLIENT,
    )


def test_format_fields(of_tree):
    week = by_name(of_tree("no-file").metrics[Period.WEEK])
    assert "event_string_value = 'no-file'" in week["left_the_garden"].select_expression
    overall = by_name(of_tree("templated-source").metrics[Period.OVERALL])
    assert "'$.{seeds}'" in overall["seeds_by_json"].select_expression
    assert "'{{d10d0bf8" in overall["addons"].data_source.from_expression
    assert "plot = 'templated-source'" in overall["plots"].data_source.from_expression


def test_the_dataset_is_left_open(of_tree):
    week = by_name(of_tree("everything").metrics[Period.WEEK])
    plants = week["growth_histogram"].data_source
    assert (plants.from_expression, plants.default_dataset) == (
        "mozdata.{dataset}.plants",
        "garden",
    )
    assert plants.client_id_column == "gardener_id"


def test_a_brace_that_is_not_doubled_is_kept_and_said(resolve):
    own = (
        '[metrics]\nweekly = ["m"]\n[metrics.m]\ndata_source = "daily"\n'
        "select_expression = \"COUNTIF(REGEXP_CONTAINS(x, '[0-9]{3}'))\"\nstatistics = { sum = {} }"
    )
    resolved = resolve(own)
    assert "[0-9]{3}" in resolved.experiment.metrics[Period.WEEK][0].select_expression
    assert [(w.place.line, w.place.key) for w in resolved.warnings] == [
        (5, "metrics.m.select_expression")
    ]


def test_an_empty_depends_on_says_nothing(resolve):
    shared = '[metrics.r]\ndepends_on = ["hours"]\n[metrics.r.statistics.sum]'
    own = '[metrics]\nweekly = ["r"]\n[metrics.r]\ndepends_on = []\nfriendly_name = "R"'
    resolved = resolve(own, jetstream__definitions__firefox_desktop=shared)
    (metric,) = resolved.experiment.metrics[Period.WEEK]
    assert (metric.friendly_name, [each.name for each in metric.depends_on]) == ("R", ["hours"])


def test_keys_of_tables_are_read_in_any_case(resolve):
    own = '[metrics]\nweekly = ["m"]\n[metrics.m]\ndata_souRce = "daily"\nSELECT_expression = "1"\n'
    resolved = resolve(own + "statistics = { sum = {} }")
    (metric,) = resolved.experiment.metrics[Period.WEEK]
    assert (metric.select_expression, metric.data_source.name) == ("1", "daily")
    assert resolved.origins["metrics.week.m.data_source"].line == 4


def test_pre_treatments(of_tree):
    week = by_name(of_tree("no-file").metrics[Period.WEEK])
    (mean,) = week["flowers_picked"].statistics
    assert mean.params == {"num_samples": 100}
    assert mean.pre_treatments == (
        PreTreatment("remove_nulls"),
        PreTreatment("censor_highest_values", {"fraction": 0.9}),
    )
