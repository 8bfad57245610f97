"""Where sonde and the public parser differ on purpose: what each does.

docs/compatibility.md lists these by the names of the tests.
"""

import re
from dataclasses import replace
from pathlib import Path

import pytest
from cattrs.errors import ClassValidationError
from metric_config_parser.analysis import AnalysisSpec

from sonde.config import Configuration, validate
from sonde.errors import ConfigError
from sonde.window import Period

from .conftest import DEFINITIONS, MEAN, RECORD
from .public import PublicParser, plain

REPOSITORY = Path(__file__).parents[2]
DEFAULTS = "jetstream/defaults/firefox_desktop.toml"
OWN = "jetstream/bloom.toml"
OUTCOME = "jetstream/outcomes/firefox_desktop/beds.toml"
BEDS = replace(RECORD, outcomes=("beds",))
WEEKLY = '[metrics]\nweekly = ["hours"]\n'


@pytest.fixture
def both(write):
    """Both parsers over a few files and the small shared definitions."""

    def loaded(texts):
        tree = write({"definitions/firefox_desktop.toml": DEFINITIONS, **texts})
        return Configuration.load([tree]), PublicParser(tree)

    return loaded


def metric(answer, name="hours"):
    """The first summary of a metric in the public parser's plain form."""
    return next(
        summary
        for summaries in answer["metrics"].values()
        for (each, _), summary in summaries.items()
        if each == name
    )


@pytest.mark.parametrize(
    ("key", "below", "above", "ours", "theirs"),
    [
        ("bigger_is_better", "true", "false", False, True),
        ("friendly_name", '"Hours"', '""', "", "Hours"),
        ("category", '"usage"', '""', "", "usage"),
    ],
)
def test_false_and_empty_values_override(both, key, below, above, ours, theirs):
    defaults = f"{WEEKLY}[metrics.hours]\n{key} = {below}\n" + METRIC_BODY
    configuration, public = both({DEFAULTS: defaults, OWN: f"[metrics.hours]\n{key} = {above}\n"})
    (resolved,) = configuration.resolve(RECORD).experiment.metrics[Period.WEEK]
    assert getattr(resolved, key) == ours
    there = metric(public.resolve(RECORD))
    told = {"bigger_is_better": there["better"], "friendly_name": there["texts"][0]}
    assert {**told, "category": there["meta"][1]}[key] == theirs


METRIC_BODY = 'data_source = "daily"\nselect_expression = "SUM(hours)"\n' + MEAN


def test_a_false_survives_a_table_above_that_does_not_mention_it(both):
    shared = DEFINITIONS.replace("bigger_is_better = true", "bigger_is_better = false")
    configuration, public = both(
        {
            "definitions/firefox_desktop.toml": shared,
            "jetstream/definitions/firefox_desktop.toml": MEAN,
            OWN: WEEKLY,
        }
    )
    (resolved,) = configuration.resolve(RECORD).experiment.metrics[Period.WEEK]
    assert resolved.bigger_is_better is False
    assert metric(public.resolve(RECORD))["better"] is True


def test_empty_lists_override(both):
    segment = '[segments.s]\ndata_source = "d"\nselect_expression = "x"\n'
    segment += '[segments.data_sources.d]\nfrom_expression = "t"\n'
    configuration, public = both(
        {
            DEFAULTS: f'[experiment]\nsegments = ["s"]\n{segment}',
            OWN: "[experiment]\nsegments = []",
        }
    )
    assert configuration.resolve(RECORD).experiment.segments == ()
    assert [each["name"] for each in public.resolve(RECORD)["segments"]] == ["s"]


def test_a_partial_table_changes_all_that_it_mentions(both):
    own = f'{WEEKLY}[metrics.hours]\nfriendly_name = "H"\nbigger_is_better = false\n{MEAN}'
    configuration, public = both({OWN: own})
    (resolved,) = configuration.resolve(RECORD).experiment.metrics[Period.WEEK]
    assert (resolved.friendly_name, resolved.bigger_is_better) == ("H", False)
    there = metric(public.resolve(RECORD))
    assert (there["texts"][0], there["better"]) == ("Hours", True)


def test_a_partial_table_keeps_the_shared_statistics(both):
    own = f'{WEEKLY}[metrics.hours]\nanalysis_bases = ["exposures"]\n'
    configuration, public = both({"definitions/firefox_desktop.toml": DEFINITIONS + MEAN, OWN: own})
    (resolved,) = configuration.resolve(RECORD).experiment.metrics[Period.WEEK]
    assert [statistic.name for statistic in resolved.statistics] == ["bootstrap_mean"]
    with pytest.raises(ValueError, match="No statistical treatment defined"):
        public.resolve(RECORD)


def test_a_column_of_a_partial_table_is_ignored_aloud(both):
    own = f'{WEEKLY}[metrics.hours]\nselect_expression = "SUM(minutes)"\n{MEAN}'
    configuration, public = both({OWN: own})
    resolved = configuration.resolve(RECORD)
    (ours,) = resolved.experiment.metrics[Period.WEEK]
    assert ours.select_expression == metric(public.resolve(RECORD))["select"] == "SUM(hours)"
    assert "comes from its shared definition" in str(resolved.warnings[0])


def test_one_experiment_does_not_change_another(both):
    other = replace(RECORD, slug="other")
    configuration, public = both(
        {
            "definitions/firefox_desktop.toml": DEFINITIONS + MEAN,
            DEFAULTS: WEEKLY,
            OWN: f'[metrics.hours]\nanalysis_bases = ["exposures"]\n{MEAN}',
        }
    )
    before = configuration.resolve(other)
    configuration.resolve(RECORD)
    assert configuration.resolve(other).experiment == before.experiment
    assert metric(plain(before))["bases"] == ["enrollments", "exposures"]

    leaking = public.collection_of("firefox_desktop")  # the parser as others use it: one collection
    for record, bases in ((RECORD, ["exposures"]), (other, ["exposures"])):
        assert metric(public.resolve_in(leaking, record))["bases"] == bases


def test_wildcards_keep_the_names_of_metrics(both):
    defaults = f"{WEEKLY}[metrics.hours]\n{METRIC_BODY}"
    configuration, public = both({DEFAULTS: defaults, OWN: "[metrics.'h*']\ncategory = 'x'\n"})
    (resolved,) = configuration.resolve(RECORD).experiment.metrics[Period.WEEK]
    assert (resolved.name, resolved.category) == ("hours", "x")
    assert metric(public.resolve(RECORD), "h*")["meta"][1] == "x"


def test_upstream_metrics_need_no_statistics(both):
    own = '[metrics]\nweekly = ["r"]\n[metrics.r]\ndepends_on = ["hours"]\n'
    own += "statistics = { population_ratio = { numerator = 'hours', denominator = 'hours' } }"
    configuration, public = both({OWN: own})
    (resolved,) = configuration.resolve(RECORD).experiment.metrics[Period.WEEK]
    assert [each.name for each in resolved.depends_on] == ["hours"]
    with pytest.raises(ValueError, match="No statistical treatment defined for metric 'hours'"):
        public.resolve(RECORD)


def test_parameters_of_the_own_file_count(both):
    outcome = 'friendly_name = "B"\ndescription = "B"\n[parameters.bed]\ndefault = "700"\n'
    outcome += '[metrics.m]\ndata_source = "daily"\nselect_expression = "{{parameters.bed}}"\n'
    outcome += "statistics = { sum = {} }"
    own = '[parameters.bed]\nvalue = "123"'
    configuration, public = both({OUTCOME: outcome, OWN: own})
    (resolved,) = configuration.resolve(BEDS).experiment.metrics[Period.WEEK]
    assert resolved.select_expression == "123"
    assert metric(public.resolve(BEDS), "m")["select"] == "700"


@pytest.mark.parametrize(
    ("own", "read", "theirs"),
    [
        ('skip = "false"', lambda spec: spec.skip, True),
        ("sample_size = 3.7", lambda spec: spec.sample_size, 3),
        ("sample_size = 101", lambda spec: spec.sample_size, 101),
        ("enrollment_period = -1", lambda spec: spec.enrollment_period, -1),
        ('segments = "abc"', lambda spec: len(spec.segments), 3),
    ],
)
def test_wrong_types_are_refused(resolve, own, read, theirs):
    key, written = own.split(" = ")
    with pytest.raises(ConfigError, match=rf"bloom.toml:2 \[experiment.{key}\]: expected"):
        resolve(f"[experiment]\n{own}")
    raw = {"experiment": {key: eval(written)}}
    assert read(AnalysisSpec.from_dict(raw).experiment) == theirs


@pytest.mark.parametrize(
    ("own", "value", "complaint"),
    [
        ("sample_size = 3.0", 3, "write 3"),
        ('sample_size = "3"', 3, "write 3 without quotes"),
    ],
)
def test_a_wrong_type_with_one_meaning_is_taken_aloud(resolve, own, value, complaint):
    resolved = resolve(f"[experiment]\n{own}")
    assert resolved.experiment.sample_size == value
    assert [complaint in str(warning) for warning in resolved.warnings] == [True]
    raw = {"experiment": {"sample_size": eval(own.split(" = ")[1])}}
    assert AnalysisSpec.from_dict(raw).experiment.sample_size == value


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            "[experiment]\nenrollment_end_date = '2026-01-01'",
            (
                ':2 [experiment.enrollment_end_date]: unknown key "enrollment_end_date";'
                " write enrollment_period, in days from the start date"
            ),
        ),
        (
            "[experiment]\nweekly = ['hours']",
            ':2 [experiment.weekly]: unknown key "weekly"; lists of metrics stand under [metrics]',
        ),
        (
            "[metrics]\ndays28 = ['hours']",
            ':2 [metrics.days28]: "days28" is neither a period nor a metric table; write "28_day"',
        ),
        (
            "[metrics.hours]\nfriendly_nam = 'H'",
            (
                ':2 [metrics.hours.friendly_nam]: unknown key "friendly_nam";'
                ' did you mean "friendly_name"?'
            ),
        ),
        (
            "[metrics.hours]\nname = 'H'",
            ':2 [metrics.hours.name]: ignored: the name is the table\'s, "hours"',
        ),
        (
            "[data_sources.d]\nfrom_expression = 't'\nclient_id = 'x'",
            (
                ':3 [data_sources.d.client_id]: unknown key "client_id";'
                ' did you mean "client_id_column"?'
            ),
        ),
        (
            "[segments.s]\ndata_source = 'd'\nselect_expression = 'x'\nwindow_start = -7",
            (
                ':4 [segments.s.window_start]: "window_start" has no effect here;'
                " write it under [segments.data_sources.d]"
            ),
        ),
        ("[experimint]", ':1 [experimint]: unknown key "experimint"; did you mean "experiment"?'),
        ("weekly = ['hours']", ':1 [weekly]: unknown key "weekly"; lists of metrics stand under'),
    ],
)
def test_unknown_keys_are_warnings_when_resolving_and_errors_when_validating(
    both, write, own, message
):
    configuration, public = both({OWN: own})
    resolved = configuration.resolve(RECORD)
    assert plain(resolved) == public.resolve(RECORD)
    assert [message in str(warning) for warning in resolved.warnings] == [True]
    errors = validate([write({})], [RECORD])
    assert [message in str(error) for error in errors] == [True]


def test_unknown_keys_of_parameters_are_refused_by_both(resolve):
    with pytest.raises(ConfigError, match='unknown key "vallue"; did you mean "value"'):
        resolve("[parameters.bed]\nvallue = '1'")
    with pytest.raises(ClassValidationError):
        AnalysisSpec.from_dict({"parameters": {"bed": {"vallue": "1"}}})


def test_an_unknown_list_is_refused_by_name(resolve):
    with pytest.raises(ConfigError, match='"week" is neither a period nor a metric table'):
        resolve("[metrics]\nweek = ['hours']")
    with pytest.raises(ClassValidationError) as refusal:
        AnalysisSpec.from_dict({"metrics": {"week": ["hours"]}})
    assert "week" not in str(refusal.value.exceptions)


def test_the_default_dataset_of_a_segments_source_is_kept(both):
    own = '[experiment]\nsegments = ["s"]\n[segments.s]\ndata_source = "d"\n'
    own += 'select_expression = "x"\n[segments.data_sources.d]\n'
    own += 'from_expression = "{dataset}.t"\ndefault_dataset = "garden"'
    configuration, public = both({OWN: own})
    (segment,) = configuration.resolve(RECORD).experiment.segments
    assert segment.data_source.default_dataset == "garden"
    collection = public.collection_of("firefox_desktop")
    spec = public.own("bloom")
    source = spec.segments.data_sources["d"].resolve(spec, None, collection)
    assert source.default_dataset is None


def test_lists_under_metrics_count_in_an_outcome(both, write):
    outcome = 'friendly_name = "B"\ndescription = "B"\n[metrics]\ndaily = ["m"]\n'
    outcome += '[metrics.m]\ndata_source = "daily"\nselect_expression = "1"\n'
    outcome += "statistics = { sum = {} }"
    tree = write({"definitions/firefox_desktop.toml": DEFINITIONS, OUTCOME: outcome})
    metrics = Configuration.load([tree]).resolve(BEDS).experiment.metrics
    assert [period.value for period in Period if metrics[period]] == ["day"]
    with pytest.raises(AttributeError):
        PublicParser(tree)


def test_outcomes_of_one_name_for_several_applications(write):
    outcome = 'friendly_name = "{0}"\ndescription = "{0}"'
    folder = write(
        {
            "a/outcomes/firefox_desktop/beds.toml": outcome.format("A"),
            "b/outcomes/fenix/beds.toml": outcome.format("B"),
        }
    )
    configuration = Configuration.load([folder / "a", folder / "b"])
    experiment = configuration.resolve(BEDS).experiment
    assert [each.friendly_name for each in experiment.outcomes] == ["A"]
    merged = PublicParser(folder / "a").collection
    merged.merge(PublicParser(folder / "b").collection)
    assert [each.platform for each in merged.outcomes] == ["fenix"]


def test_a_circle_is_named(both):
    own = '[metrics]\nweekly = ["a"]\n'
    for name, upstream in (("a", "b"), ("b", "a")):
        own += f'[metrics.{name}]\ndepends_on = ["{upstream}"]\nstatistics = {{ sum = {{}} }}\n'
    configuration, public = both({OWN: own})
    with pytest.raises(ConfigError, match="depends on itself: a -> b -> a"):
        configuration.resolve(RECORD)
    with pytest.raises(RecursionError):
        public.resolve(RECORD)


def test_one_broken_file_does_not_stop_the_others(load, write):
    broken = {"jetstream/other.toml": "[metrics]\nweekly = 'hours'", OWN: WEEKLY + MEAN}
    assert load(broken).resolve(RECORD).experiment.metrics[Period.WEEK]
    tree = write({})
    with pytest.raises(ClassValidationError):
        PublicParser(tree)


def test_toml_is_read_as_it_is_defined(both, write):
    own = f'''{WEEKLY}
[metrics.hours]
data_source = "daily"
select_expression = """
SUM( \n  hours)"""
[metrics.hours.statistics.bootstrap_mean]
pre_treatments = [{{ name = "log", base = 2 }}]
'''
    configuration, public = both({OWN: own})
    (resolved,) = configuration.resolve(RECORD).experiment.metrics[Period.WEEK]
    assert resolved.select_expression == "SUM( \n  hours)"
    said = public.own("bloom").metrics.definitions["hours"].select_expression
    assert said == "SUM(\n  hours)"
    tree = write({OWN: own.replace("[{", '["zero_fill", {')})
    (resolved,) = Configuration.load([tree]).resolve(RECORD).experiment.metrics[Period.WEEK]
    assert [each.name for each in resolved.statistics[0].pre_treatments] == ["zero_fill", "log"]
    with pytest.raises(IndexError):
        PublicParser(tree)


def test_templates_run_in_a_sandbox(both):
    own = '[experiment]\nenrollment_query = "{{experiment.__class__.__name__}}"'
    configuration, public = both({OWN: own})
    with pytest.raises(ConfigError, match="unsafe"):
        configuration.resolve(RECORD)
    assert public.resolve(RECORD)["enrollment_query"] == "ExperimentProxy"


def test_units_are_written_by_their_columns(both):
    own = '[experiment]\nenrollment_query = "{{experiment.analysis_unit}}"'
    configuration, public = both({OWN: own})
    assert configuration.resolve(RECORD).experiment.enrollment_query == "client_id"
    assert public.resolve(RECORD)["enrollment_query"] == "AnalysisUnit.CLIENT"


def test_an_unknown_statistic_is_said(both):
    own = f"{WEEKLY}[metrics.hours.statistics.men]\n"
    configuration, public = both({OWN: own})
    resolved = configuration.resolve(RECORD)
    assert [each.name for each in resolved.experiment.metrics[Period.WEEK][0].statistics] == ["men"]
    assert plain(resolved)["metrics"] == public.resolve(RECORD)["metrics"]
    (warning,) = resolved.warnings
    assert ':3 [metrics.hours.statistics.men]: no statistic "men"' in str(warning)


def test_metrics_come_in_the_order_of_the_lists(both):
    own = '[metrics]\nweekly = ["b", "hours"]\n' + MEAN
    own += '[metrics.b]\ndata_source = "daily"\nselect_expression = "1"\nstatistics = { sum = {} }'
    configuration, public = both({OWN: own})
    ours = [each.name for each in configuration.resolve(RECORD).experiment.metrics[Period.WEEK]]
    assert ours == ["b", "hours"]
    assert [name for name, _ in public.resolve(RECORD)["metrics"]["week"]] == ["hours", "b"]


def test_every_difference_is_in_the_documentation():
    page = (REPOSITORY / "docs" / "compatibility.md").read_text()
    section = page.split("## Configuration\n")[1].split("\n## ")[0]
    listed = re.findall(r"`(test_\w+)` \|", section)
    here = [name for name in globals() if name.startswith("test_")]
    assert listed == here[: len(listed)]
    assert here[len(listed) :] == ["test_every_difference_is_in_the_documentation"]
