"""Validation of whole trees: everything that is wrong, with its place."""

import os
import shutil
from dataclasses import replace

import pytest

from sonde.config import Configuration, validate

from .conftest import DEFINITIONS, MEAN, TREE
from .public import dummy_record

SHARED = "definitions/firefox_desktop.toml"
OWN = "jetstream/bloom.toml"
WEEKLY = '[metrics]\nweekly = ["hours"]\n'


class AnyStatistic:
    """A catalogue in which everything exists."""

    def check_statistic(self, name, params):
        pass

    def check_pre_treatment(self, name, args):
        pass


class Few(AnyStatistic):
    """A catalogue of one statistic with one parameter and one pre-treatment."""

    def check_statistic(self, name, params):
        if name != "bootstrap_mean":
            raise ValueError(f'no statistic "{name}"')
        if set(params) - {"num_samples"}:
            raise ValueError("unknown parameter")

    def check_pre_treatment(self, name, args):
        if name != "log":
            raise ValueError(f'no pre-treatment "{name}"')


@pytest.fixture
def errors(write):
    """The errors of a few files, without the folder they are in."""

    def found(texts, **known):
        folder = write({SHARED: DEFINITIONS, **texts})
        known.setdefault("catalogue", AnyStatistic())
        return [str(error).replace(f"{folder}/", "") for error in validate([folder], **known)]

    return found


def test_a_sound_tree_has_no_errors():
    assert validate([TREE], catalogue=AnyStatistic()) == []


def test_all_errors_of_all_files_in_reading_order(errors):
    assert errors(
        {
            "jetstream/a.toml": "[metrics]\ndaily = ['x']\nweekly = ['hours']\n" + MEAN,
            "jetstream/b.toml": "[experiment]\nskip = 'no'\nsegmints = []\nend_date = 'never'",
            "jetstream/c.toml": "a = [",
            "jetstream/defaults/firefox_desktop.toml": "[metrics.hours]\nowners = 'me'",
            "jetstream/outcomes/fenix/o.toml": "friendly_name = 'O'",
        }
    ) == [
        'jetstream/a.toml:2 [metrics.daily]: no metric "x"; expected one of "hours"',
        'jetstream/b.toml:2 [experiment.skip]: expected true or false, not the text "no"',
        (
            'jetstream/b.toml:3 [experiment.segmints]: unknown key "segmints";'
            ' did you mean "segments"?'
        ),
        'jetstream/b.toml:4 [experiment.end_date]: "never" is not a date; write YYYY-MM-DD',
        "jetstream/c.toml:1: not valid TOML: Invalid value",
        (
            "jetstream/defaults/firefox_desktop.toml:2 [metrics.hours.owners]: unknown key"
            ' "owners"; did you mean "owner"?'
        ),
        'jetstream/outcomes/fenix/o.toml: "description" is missing',
    ]


def test_statistics_and_pre_treatments_are_looked_up(errors):
    own = WEEKLY + "[metrics.hours.statistics.men]\n[metrics.hours.statistics.bootstrap_mean]\n"
    own += 'num_sample = 3\npre_treatments = ["log", { name = "lag" }]'
    assert errors({OWN: own}, catalogue=Few()) == [
        f'{OWN}:3 [metrics.hours.statistics.men]: no statistic "men"',
        f"{OWN}:4 [metrics.hours.statistics.bootstrap_mean]: unknown parameter",
        f'{OWN}:6 [metrics.hours.statistics.bootstrap_mean.pre_treatments]: no pre-treatment "lag"',
    ]


def test_the_installed_statistics_are_the_default(write):
    own = WEEKLY + "[metrics.hours.statistics.linear_model_mean]\ndrop_highest = 0.01\n"
    folder = write({SHARED: DEFINITIONS, OWN: own})
    assert validate([folder]) == []
    write({OWN: own.replace("linear_model_mean", "linear_model_men")})
    (error,) = validate([folder])
    assert 'no statistic "linear_model_men"; did you mean "linear_model_mean"?' in str(error)


def refuse(text, kind):
    """A checker of SQL that knows one word."""
    return f"{kind}: no WRONG here" if "WRONG" in text else None


def test_sql_is_checked_with_its_kind(errors):
    own = """[experiment]
enrollment_query = "SELECT WRONG FROM {{experiment.slug}}"
segments = ["s"]
[experiment.exposure_signal]
name = "n"
friendly_name = "N"
description = "d"
data_source = "daily"
select_expression = "WRONG"
[metrics]
weekly = ["m", "hours"]
[metrics.m]
data_source = "d"
select_expression = "SUM(WRONG)"
statistics = { bootstrap_mean = {} }
[metrics.hours.statistics.bootstrap_mean]
[data_sources.d]
from_expression = "WRONG.t"
[segments.s]
data_source = "e"
select_expression = "WRONG"
[segments.data_sources.e]
from_expression = "(SELECT WRONG)"
"""
    found = errors({OWN: own}, check_sql=refuse)
    assert found == [
        f"{OWN}:2 [experiment.enrollment_query]: query: no WRONG here",
        f"{OWN}:9 [experiment.exposure_signal.select_expression]: expression: no WRONG here",
        f"{OWN}:14 [metrics.m.select_expression]: expression: no WRONG here",
        f"{OWN}:18 [data_sources.d.from_expression]: relation: no WRONG here",
        f"{OWN}:21 [segments.s.select_expression]: expression: no WRONG here",
        f"{OWN}:23 [segments.data_sources.e.from_expression]: relation: no WRONG here",
    ]


def test_sql_is_checked_as_it_will_run():
    seen = set()

    def note(text, kind):
        seen.add((kind, " ".join(text.split())))

    validate([TREE], check_sql=note, catalogue=AnyStatistic())
    assert {
        ("expression", "COALESCE(SUM(active_hours_sum), 0)"),
        ("expression", "COUNTIF(bed = 700)"),
        ("relation", "mozdata.garden.plants"),
        ("relation", "`mozdata.fenix.baseline`"),
        ("expression", "COALESCE(LOGICAL_OR(visits > 20), FALSE)"),
    } <= seen
    assert any("'{d10d0bf8-" in text for _, text in seen)
    assert not any("{{" in text and "not_a_template" not in text for _, text in seen)


def test_shared_definitions_are_checked_one_by_one(errors):
    shared = (
        DEFINITIONS
        + """
[metrics.nowhere]
data_source = "dialy"
select_expression = "1"
[metrics.untemplated]
data_source = "daily"
select_expression = "{{agg_sun(x)}}"
[metrics.round]
depends_on = ["round"]
[data_sources.open]
from_expression = "{dataset}.t"
[segments.s]
data_source = "daily"
select_expression = "x"
"""
    )
    assert errors({SHARED: shared}) == [
        f'{SHARED}:12 [metrics.nowhere.data_source]: no data source "dialy"; did you mean "daily"?',
        f'{SHARED}:16 [metrics.untemplated.select_expression]: "agg_sun" is not known here',
        f"{SHARED}:18 [metrics.round.depends_on]: depends on itself: round -> round",
        (
            f"{SHARED}:20 [data_sources.open.from_expression]: {{dataset}} needs a"
            ' "default_dataset" for experiments without an app id'
        ),
        f'{SHARED}:22 [segments.s.data_source]: no data source for segments "daily"',
    ]


def test_aggregations_are_compared_with_the_sql_they_stand_for(errors):
    nimbus = "nimbus/definitions/firefox_desktop.toml"
    functions = '[functions.agg_sum]\ndefinition = "COALESCE(SUM({select_expr}), 0)"'
    declared = '[metrics.hours]\ndata_source = "daily"\naggregation = "sum"\ncolumn = "hours"\n'
    files = {"definitions/functions.toml": functions}
    same = DEFINITIONS.replace('"SUM(hours)"', '"""\nCOALESCE(\n  SUM( hours ), 0\n)"""')
    assert errors({**files, SHARED: same, nimbus: declared}) == []
    assert errors({**files, nimbus: declared}) == [
        (
            f'{nimbus}:3 [metrics.hours.aggregation]: the shared definition of "hours" says'
            " SUM(hours), this says COALESCE(SUM(hours), 0)"
        )
    ]
    assert errors({**files, nimbus: declared.replace('"daily"', '"dialy"')}) == [
        (
            f'{nimbus}:2 [metrics.hours.data_source]: no data source "dialy" is defined;'
            ' did you mean "daily"?'
        )
    ]
    elsewhere = DEFINITIONS + '[data_sources.other]\nfrom_expression = "t"'
    assert errors({**files, SHARED: elsewhere, nimbus: declared.replace("daily", "other")})[0] == (
        f'{nimbus}:2 [metrics.hours.data_source]: "hours" reads "other" here and "daily" in its'
        " shared definition"
    )
    assert errors({**files, nimbus: '[metrics.hours]\nselect_expression = "1"'}) == [
        f'{nimbus}:1 [metrics.hours]: "data_source" is missing',
        f'{nimbus}:1 [metrics.hours]: "aggregation" is missing',
        f'{nimbus}:2 [metrics.hours.select_expression]: unknown key "select_expression"',
    ]


def test_functions(errors):
    functions = "definitions/functions.toml"
    assert errors({functions: '[functions.f]\ndefinition = "F({select})"\n[functions.g]'}) == [
        f'{functions}:3 [functions.g]: "definition" is missing'
    ]
    assert errors({functions: '[functions.f]\ndefinition = "F({select})"'}) == [
        (
            f"{functions}:2 [functions.f.definition]: {{select}} is not filled in; did you mean"
            ' "select_expr"?; a brace that is meant as one is written twice'
        )
    ]


def test_other_tools_files_are_only_to_be_toml(errors):
    assert (
        errors(
            {
                "opmon/a.toml": "[metrics]\nx = 1",
                "opmon/defaults/a.toml": "[anything]",
                "featmon/a.toml": "[features]",
                "looker/definitions/a.toml": "[metrics.m.statistics.rolling_average]",
                "jetstream/monitored.toml": "[project]\nname = 'x'\n[metrics]\nweekly = 1",
                "pyproject.toml": "[tool.x]",
                "docs/a.toml": "= not read",
            }
        )
        == []
    )
    assert errors({"opmon/a.toml": "= no"}) == ["opmon/a.toml:1: not valid TOML: Invalid statement"]


def test_an_experiment_of_which_nothing_is_known_is_given_the_benefit_of_the_doubt(errors):
    outcome = 'friendly_name = "O"\ndescription = "O"\n[metrics.theirs]\ndata_source = "daily"\n'
    outcome += 'select_expression = "1"\n' + MEAN.replace("hours", "theirs")
    phone = '[metrics.calls]\ndata_source = "d"\nselect_expression = "1"\n'
    phone += '[data_sources.d]\nfrom_expression = "t"'
    assert (
        errors(
            {
                "jetstream/outcomes/firefox_desktop/o.toml": outcome,
                "definitions/fenix.toml": phone,
                "jetstream/with-outcome.toml": '[metrics]\nweekly = ["theirs"]',
                "jetstream/on-a-phone.toml": '[metrics]\nweekly = ["calls"]\n'
                + MEAN.replace("hours", "calls"),
            }
        )
        == []
    )


def test_an_experiment_with_a_record_is_seen_with_it(errors):
    outcome = 'friendly_name = "O"\ndescription = "O"\n[metrics.theirs]\ndata_source = "daily"\n'
    outcome += 'select_expression = "1"\n' + MEAN.replace("hours", "theirs")
    files = {
        "jetstream/outcomes/firefox_desktop/o.toml": outcome,
        OWN: '[metrics]\nweekly = ["theirs"]',
    }
    record = dummy_record("bloom", "firefox_desktop")
    assert errors(files, records=[record]) == [
        (
            f'{OWN}:2 [metrics.weekly]: no metric "theirs"; it belongs to outcome "o",'
            " which this experiment does not have"
        )
    ]
    assert errors(files, records=[replace(record, outcomes=("o",))]) == []


def test_a_single_file_is_seen_within_its_repository(write, monkeypatch):
    folder = write(
        {
            SHARED: DEFINITIONS,
            OWN: WEEKLY + MEAN,
            "jetstream/broken.toml": "[metrics]\nweekly = ['x']",
            "jetstream/outcomes/firefox_desktop/o.toml": "[metrics]",
        }
    )
    assert validate([folder / OWN]) == []
    assert len(validate([folder / "jetstream/broken.toml", folder / OWN])) == 1
    assert len(validate([folder / "jetstream/outcomes/firefox_desktop/o.toml"])) == 2
    monkeypatch.chdir(folder / "jetstream")
    assert validate(["bloom.toml"]) == []
    monkeypatch.chdir(folder)
    (error,) = validate(["jetstream/broken.toml"])
    assert str(error).startswith("./jetstream/broken.toml:2 ")


def test_repositories_beneath(tmp_path):
    for path, text in ((f"public/{SHARED}", DEFINITIONS), ("private/bloom.toml", WEEKLY + MEAN)):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text)
    assert len(validate([tmp_path / "private"])) == 1
    assert validate([tmp_path / "private"], beneath=[tmp_path / "public"]) == []


def test_a_repository_is_not_beneath_itself(write, monkeypatch):
    folder = write({SHARED: DEFINITIONS, OWN: "[experiment]\nskip = 'no'"})
    monkeypatch.chdir(folder)
    (error,) = validate([OWN], beneath=[folder])
    assert str(error).startswith(
        "./jetstream/bloom.toml:2 [experiment.skip]: expected true or false"
    )


def test_real_files(shared):
    errors = validate([shared("data/metric-hub")], catalogue=AnyStatistic())
    unknown = [error for error in errors if "unknown key" in error.message]
    misplaced = [error for error in errors if "has no effect here" in error.message]
    undefined = [error for error in errors if error not in unknown + misplaced]
    assert len(unknown) > 40
    assert len(misplaced) > 200
    assert {error.message.split('"')[0] for error in undefined} == {
        "metric ",
        "no data source ",
        "no metric ",
    }
    assert all(error.place.line and error.place.key for error in errors)


def test_loading_a_real_tree_is_quick(shared, tmp_path):
    shutil.copytree(shared("data/metric-hub"), tmp_path / "hub")
    before = os.times()
    configuration = Configuration.load([tmp_path / "hub"])
    for file in configuration.files.all:
        assert file.declared is not None
    after = os.times()
    assert len(configuration.files.all) > 300
    assert after.user + after.system - before.user - before.system < 1
