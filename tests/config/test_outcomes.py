"""Outcomes: which, for which periods, and with which parameters."""

from dataclasses import replace

import pytest

from sonde.errors import ConfigError, ConfigErrors
from sonde.window import Period

from .conftest import RECORD, by_name

OUTCOME = """
friendly_name = "Beds"
description = "About beds"
[metrics.of_bed]
data_source = "daily"
select_expression = "COUNTIF(sample_id = {{parameters.id}})"
[metrics.of_bed.statistics.bootstrap_mean]
"""
BEDS = replace(RECORD, outcomes=("beds",))


def select_of(resolved):
    return resolved.experiment.metrics[Period.WEEK][0].select_expression


def test_a_parameters_value_wins_over_its_default(resolve):
    outcome = OUTCOME + '[parameters.id]\ndefault = "700"\nvalue = "123"'
    assert select_of(resolve(record=BEDS, jetstream__outcomes__firefox_desktop__beds=outcome)) == (
        "COUNTIF(sample_id = 123)"
    )


def test_a_parameter_by_branch_is_a_case(resolve):
    outcome = OUTCOME + (
        '[parameters.id]\ndistinct_by_branch = true\ndefault.branch_3 = "444"\n'
        'default.branch_1 = "1"\nvalue.branch_1 = "444"\nvalue.branch_2 = "456"'
    )
    assert select_of(resolve(record=BEDS, jetstream__outcomes__firefox_desktop__beds=outcome)) == (
        "COUNTIF(sample_id = CASE e.branch"
        ' WHEN "branch_3" THEN "444" WHEN "branch_1" THEN "444" WHEN "branch_2" THEN "456" END)'
    )


@pytest.mark.parametrize(
    "parameter",
    [
        'distinct_by_branch = true\nvalue = "1"',
        'value.branch_1 = "1"',
        'friendly_name = "Nothing"',
        'vallue = "1"',
        "value = [1]",
    ],
)
def test_an_impossible_parameter(resolve, parameter):
    outcome = OUTCOME + "[parameters.id]\n" + parameter
    with pytest.raises(ConfigError, match="parameter"):
        resolve(record=BEDS, jetstream__outcomes__firefox_desktop__beds=outcome)


@pytest.mark.parametrize(
    ("outcome", "periods"),
    [
        ("daily_harvest", {"pears": ["day", "preenrollment_days28"]}),
        ("harvest", {"baskets": ["week", "overall"], "apples": ["week", "overall"]}),
    ],
)
def test_periods_of_an_outcome(of_tree, outcome, periods):
    metrics = of_tree("no-file", outcomes=(outcome,)).metrics
    found = {
        name: [period.value for period in Period if name in by_name(metrics[period])]
        for name in ("pears", "plums", "baskets", "apples")
    }
    assert {name: where for name, where in found.items() if where} == periods


def test_lists_under_metrics_count_in_an_outcome_too(resolve):
    lists = '[metrics]\ndaily = ["of_bed"]\n[metrics.of_bed]'
    outcome = OUTCOME.replace("{{parameters.id}}", "1").replace("[metrics.of_bed]", lists, 1)
    experiment = resolve(record=BEDS, jetstream__outcomes__firefox_desktop__beds=outcome).experiment
    assert [period.value for period in Period if experiment.metrics[period]] == ["day"]


def test_an_outcome_names_its_default_metrics(resolve):
    outcome = 'default_metrics = ["of_bad"]\n' + OUTCOME.replace("{{parameters.id}}", "1")
    with pytest.raises(ConfigError) as refusal:
        resolve(record=BEDS, jetstream__outcomes__firefox_desktop__beds=outcome)
    assert str(refusal.value).endswith(
        'beds.toml:1 [default_metrics]: metric "of_bad" is not defined in this outcome;'
        ' did you mean "of_bed"?'
    )


def test_an_outcome_says_what_it_is(resolve):
    with pytest.raises(ConfigErrors) as refusal:
        resolve(record=BEDS, jetstream__outcomes__firefox_desktop__beds="[metrics]")
    assert [error.message for error in refusal.value.errors] == [
        '"friendly_name" is missing',
        '"description" is missing',
    ]


def test_an_outcome_for_another_application(resolve):
    with pytest.raises(ConfigError) as refusal:
        resolve(record=BEDS, jetstream__outcomes__fenix__beds=OUTCOME)
    assert str(refusal.value) == 'no outcome "beds" for firefox_desktop; it is for fenix'


def test_an_outcome_named_by_both_is_there_once(of_tree):
    outcomes = of_tree("everything", outcomes=("daily_harvest", "parameters")).outcomes
    assert [outcome.slug for outcome in outcomes] == ["daily_harvest", "parameters", "harvest"]
    harvest = outcomes[2]
    assert (harvest.friendly_name, harvest.default_metrics) == ("Harvest", ("baskets",))
    assert harvest.metrics == ("baskets", "apples", "flowers_picked")
