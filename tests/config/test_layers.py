"""Which declaration wins: outcomes, defaults, the experiment's own, later repositories."""

from sonde.config import Configuration
from sonde.metric import (
    ExperimentsColumn,
    StatisticDeclaration,
)
from sonde.window import Period

from .conftest import MEAN, RECORD, by_name


def test_an_experiment_without_a_file_has_the_defaults(of_tree):
    experiment = of_tree("no-file")
    assert {period: len(metrics) for period, metrics in experiment.metrics.items()} == {
        Period.DAY: 1,
        Period.WEEK: 3,
        Period.DAYS28: 1,
        Period.OVERALL: 2,
        Period.PREENROLLMENT_WEEK: 1,
        Period.PREENROLLMENT_DAYS28: 1,
    }
    assert all(metric.statistics for metrics in experiment.metrics.values() for metric in metrics)


def test_a_metric_named_twice_is_there_once(resolve):
    metrics = resolve(f'[metrics]\nweekly = ["hours", "hours"]\n{MEAN}').experiment.metrics
    assert [metric.name for metric in metrics[Period.WEEK]] == ["hours"]


def test_lists_are_joined_own_first(resolve):
    other = '[metrics.{0}]\nselect_expression = "1"\ndata_source = "daily"\n'
    other += "statistics = {{ sum = {{}} }}\n"
    experiment = resolve(
        '[metrics]\nweekly = ["b", "hours"]\n' + other.format("b"),
        jetstream__defaults__firefox_desktop='[metrics]\nweekly = ["hours", "a"]\n'
        + MEAN
        + other.format("a"),
    ).experiment
    assert [metric.name for metric in experiment.metrics[Period.WEEK]] == ["b", "hours", "a"]


def test_the_last_matching_wildcard_wins(resolve):
    own = """
    [data_sources.'*']
    experiments_column_type = "none"
    [metrics.'test_*']
    category = "first"
    [metrics.'test_me*']
    category = "test_overwrite_second"
    [metrics.'no such *']
    category = "third"
    """
    defaults = """
    [metrics]
    weekly = ["test_metric"]
    [metrics.test_metric]
    data_source = "local"
    select_expression = "1"
    statistics = { sum = {} }
    [data_sources.local]
    from_expression = "garden.local"
    """
    experiment = resolve(own, jetstream__defaults__firefox_desktop=defaults).experiment
    (metric,) = experiment.metrics[Period.WEEK]
    assert (metric.name, metric.category) == ("test_metric", "test_overwrite_second")
    assert metric.data_source.experiments_column is ExperimentsColumn.NONE


def test_an_experiment_overrides_a_part_of_an_outcomes_metric(of_tree):
    experiment = of_tree("everything")
    baskets = by_name(experiment.metrics[Period.OVERALL])["baskets"]
    assert baskets.select_expression == "2"
    assert baskets.friendly_name == "Baskets"
    assert baskets.statistics == (StatisticDeclaration("bootstrap_mean", {"num_samples": 10}),)


def test_defaults_win_over_outcomes(of_tree):
    experiment = of_tree("no-file", outcomes=("harvest",))
    picked = by_name(experiment.metrics[Period.WEEK])["flowers_picked"]
    assert [statistic.name for statistic in picked.statistics] == ["bootstrap_mean"]


def test_defaults_of_the_type_lie_between(resolve):
    experiment = resolve(
        "[experiment]\nsample_size = 3",
        jetstream__defaults__firefox_desktop="[experiment]\nsample_size = 1\nenrollment_period = 1",
        jetstream__defaults__v6="[experiment]\nsample_size = 2\nenrollment_period = 2\nskip = true",
    ).experiment
    assert (experiment.sample_size, experiment.enrollment_period, experiment.skip) == (3, 2, True)


def test_a_file_in_place_of_the_own_one(load, tmp_path):
    configuration = load({"jetstream/bloom.toml": "[experiment]\nsample_size = 1"})
    other = tmp_path / "other.toml"
    other.write_text("[experiment]\nenrollment_period = 3")
    experiment = configuration.resolve(RECORD, own=other).experiment
    assert (experiment.sample_size, experiment.enrollment_period) == (None, 3)


SHARED = """
[metrics.m]
select_expression = "1"
data_source = "d"
[data_sources.d]
from_expression = "x.y"
"""
DEFAULTS = """
[metrics]
weekly = ["m"]
[metrics.m.statistics.sum]
"""


def test_later_repositories_are_on_top(write):
    folder = write(
        {
            "a/definitions/firefox_desktop.toml": SHARED,
            "a/jetstream/defaults/firefox_desktop.toml": DEFAULTS,
            "a/jetstream/outcomes/firefox_desktop/o.toml": 'friendly_name = "A"\ndescription = "A"',
            "b/definitions/firefox_desktop.toml": '[metrics.m]\nselect_expression = "2"',
            "b/outcomes/firefox_desktop/o.toml": 'friendly_name = "B"\ndescription = "B"',
            "b/bloom.toml": '[experiment]\noutcomes = ["o"]',
        }
    )
    experiment = Configuration.load([folder / "a", folder / "b"]).resolve(RECORD).experiment
    (metric,) = experiment.metrics[Period.WEEK]
    assert metric.select_expression == "2"
    assert metric.data_source.from_expression == "x.y"
    assert [outcome.friendly_name for outcome in experiment.outcomes] == ["B"]
