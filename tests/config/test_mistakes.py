"""Mistakes: each names file, line, key, and what to write; all are raised at once."""

import pytest

from sonde.config import Configuration
from sonde.errors import ConfigError, ConfigErrors

from .conftest import MEAN, RECORD

METRIC = """[metrics]
weekly = ["m"]
[metrics.m]
statistics = { sum = {} }
"""
SOURCED = METRIC + 'select_expression = "1"\ndata_source = "d"\n[data_sources.d]\n'


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            '[metrics]\nweekly = ["hour"]',
            ':2 [metrics.weekly]: no metric "hour"; did you mean "hours"?',
        ),
        (
            METRIC + 'data_source = "dayly"\nselect_expression = "1"',
            ':5 [metrics.m.data_source]: no data source "dayly"; did you mean "daily"?',
        ),
        (
            '[experiment]\nsegments = ["keen"]',
            ':2 [experiment.segments]: no segment "keen"',
        ),
        (
            (
                '[experiment]\nsegments = ["a"]\n'
                '[segments.a]\ndata_source = "s"\nselect_expression = "x"'
            ),
            ':4 [segments.a.data_source]: no data source for segments "s"',
        ),
        (
            '[experiment]\noutcomes = ["beds"]',
            ':2 [experiment.outcomes]: no outcome "beds" for firefox_desktop',
        ),
        (
            '[metrics]\nweekly = ["hours"]',
            (
                'definitions/firefox_desktop.toml:3 [metrics.hours.data_source]: metric "hours" has'
                " no statistics; add one, for example [metrics.hours.statistics.bootstrap_mean]"
            ),
        ),
        (
            METRIC,
            (
                ':4 [metrics.m.statistics]: metric "m" has no "select_expression" and no'
                ' "data_source", and there is no definition to take it from'
            ),
        ),
        (
            METRIC + 'select_expression = "1"',
            ':4 [metrics.m.statistics]: metric "m" has no "data_source", and there is no',
        ),
        (
            METRIC + 'depends_on = ["hour"]',
            ':5 [metrics.m.depends_on]: no metric "hour"; did you mean "hours"?',
        ),
        (
            METRIC + 'select_expression = "{{agg_sum(1)}}"\ndata_source = "daily"',
            ':5 [metrics.m.select_expression]: "agg_sum" is not known here',
        ),
        (
            "[experiment]\nenrollment_query = \"SELECT '{{experiment.normandy_slag}}'\"",
            (
                ':2 [experiment.enrollment_query]: there is no "normandy_slag" here;'
                ' did you mean "normandy_slug"?'
            ),
        ),
        (
            '[experiment]\nenrollment_query = "{{experiment.enrollment_query}}"',
            ":2 [experiment.enrollment_query]: an enrollment query cannot contain itself",
        ),
        (
            SOURCED + 'from_expression = "{dataset}.x"',
            ':8 [data_sources.d.from_expression]: {dataset} needs a "default_dataset"',
        ),
        (
            SOURCED + 'from_expression = "{dateset}.x"',
            ':8 [data_sources.d.from_expression]: {dateset} is not filled in; did you mean "data',
        ),
        (
            SOURCED + "from_expression = \"(SELECT '{' FROM x)\"",
            ":8 [data_sources.d.from_expression]: expected '}' before end of string; a brace that",
        ),
        (
            SOURCED + 'description = "no table"',
            ':8 [data_sources.d.description]: data source "d" has no "from_expression"',
        ),
        (
            '[metrics]\nweekly = ["hours"]\n[metrics.hours.statistics.mean]\npre_treatments = [1]',
            ":4 [metrics.hours.statistics.mean.pre_treatments]: a pre-treatment is a name, or a",
        ),
        (
            "[metrics]\nweekly = ['hours']\n[metrics.hours.statistics.mean]\npre_treatments = 'a'",
            ":4 [metrics.hours.statistics.mean.pre_treatments]: expected a list",
        ),
        ('[experiment]\nskip = "false"', ":2 [experiment.skip]: expected true or false, not"),
        ("[experiment]\nsample_size = 3.7", ":2 [experiment.sample_size]: expected a whole number"),
        ("[experiment]\nsample_size = 101", ":2 [experiment.sample_size]: expected 1 to 100, not"),
        ('[experiment]\nend_date = "01/07/2021"', ":2 [experiment.end_date]: "),
        ("experiment = 1", ":1 [experiment]: expected a table; write [experiment]"),
        ("[metrics]\nweekly = 'hours'", ":2 [metrics.weekly]: expected a list of metric names"),
        (
            "[metrics]\nweek = ['hours']",
            ':2 [metrics.week]: "week" is neither a period nor a metric table; write "weekly"',
        ),
        (
            "[metrics]\noveral = ['hours']",
            (
                ':2 [metrics.overal]: "overal" is neither a period nor a metric table;'
                ' did you mean "overall"?'
            ),
        ),
        (
            "[segments.a]\nselect_expression = 'x'",
            ':1 [segments.a]: "data_source" is missing',
        ),
        (
            "[metrics.m]\nanalysis_bases = ['exposure']",
            ':2 [metrics.m.analysis_bases]: unknown word "exposure"; did you mean "exposures"?',
        ),
        (
            "[metrics.m.statistics]\nmean = 1",
            ':1 [metrics.m.statistics]: "mean" is the number 1; expected a table',
        ),
        ("[metrics.m", ":1: not valid TOML: Expected ']' at the end of a table declaration"),
        ("a = 1\n\na = 2\n", ":3: not valid TOML: Cannot overwrite a value"),
    ],
)
def test_a_mistake_names_file_line_key_and_what_to_write(resolve, own, message):
    with pytest.raises(ConfigError) as refusal:
        resolve(own)
    assert (".toml" + message if message.startswith(":") else message) in str(refusal.value)


def test_text_that_is_not_utf_8(tmp_path):
    (tmp_path / "bloom.toml").write_bytes(b'# ok\na = "\xff"')
    with pytest.raises(ConfigError, match=r"bloom.toml:2: not UTF-8 text"):
        Configuration.load([tmp_path]).resolve(RECORD)


def test_all_mistakes_are_raised_at_once(resolve):
    own = """
[experiment]
segments = ["a", "b"]
[metrics]
weekly = ["c", "hours"]
daily = ["d", "c"]
"""
    with pytest.raises(ConfigErrors) as refusal:
        resolve(own)
    assert [error.message.split(";")[0] for error in refusal.value.errors] == [
        'metric "hours" has no statistics',
        'no segment "a"',
        'no segment "b"',
        'no metric "d"',
        'no metric "c"',
    ]


def test_a_circle_is_named(resolve):
    own = '[metrics]\nweekly = ["a"]\n'
    for name, upstream in (("a", "b"), ("b", "c"), ("c", "a")):
        own += f'[metrics.{name}]\ndepends_on = ["{upstream}"]\nstatistics = {{ sum = {{}} }}\n'
    with pytest.raises(ConfigError, match="depends on itself: a -> b -> c -> a"):
        resolve(own)


def test_a_circle_through_shared_definitions_is_named(resolve):
    own = '[metrics]\nweekly = ["a"]\n[metrics.a.statistics.sum]\n'
    shared = '[metrics.a]\ndepends_on = ["b"]\n[metrics.b]\ndepends_on = ["a"]\n'
    with pytest.raises(ConfigError, match="depends on itself: b -> a -> b"):
        resolve(own, jetstream__definitions__firefox_desktop=shared)


@pytest.mark.parametrize("depends_on", ["", "depends_on = []"])
def test_a_shared_definition_that_is_half(resolve, depends_on):
    shared = f'[metrics.half]\ndata_source = "daily"\n{depends_on}'
    with pytest.raises(ConfigError, match='metric "half" has no "select_expression", and there'):
        resolve(
            '[metrics]\nweekly = ["half"]\n[metrics.half.statistics.sum]',
            jetstream__definitions__firefox_desktop=shared,
        )


def test_a_mistake_in_an_unrelated_file_is_nobody_elses(load):
    configuration = load(
        {
            "jetstream/bloom.toml": '[metrics]\nweekly = ["hours"]\n' + MEAN,
            "jetstream/other.toml": "this is not TOML",
            "jetstream/outcomes/firefox_desktop/other.toml": "[metrics]",
            "jetstream/defaults/fenix.toml": "[experiment]\nskip = 7",
            "jetstream/definitions/firefox_desktop.toml": "[metrics.other]\ndeprecated = 7",
        }
    )
    assert configuration.resolve(RECORD).warnings == ()


def test_a_mistake_in_a_shared_definition_is_raised_where_it_is_used(resolve):
    with pytest.raises(ConfigErrors) as refusal:
        resolve(
            '[metrics]\nweekly = ["other"]',
            jetstream__definitions__firefox_desktop="[metrics.other]\ndeprecated = 7",
        )
    assert "definitions/firefox_desktop.toml:2 [metrics.other.deprecated]: expected" in str(
        refusal.value
    )
