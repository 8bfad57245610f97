"""What the keys of [experiment] mean, and what templates can ask of it."""

from dataclasses import replace
from datetime import date

import pytest

from sonde.config import Configuration, Platform
from sonde.errors import ConfigError, ConfigErrors
from sonde.experiment import EnrollmentsQueryType, Overrides
from sonde.metric import (
    AnalysisUnit,
    WindowLimit,
)

from .conftest import RECORD


def test_a_private_experiment_needs_a_dataset(resolve, of_tree):
    with pytest.raises(ConfigError, match="needs its own"):
        resolve("[experiment]\nis_private = true")
    experiment = of_tree("secret")
    assert (experiment.is_private, experiment.dataset_id) == (True, "behind_the_hedge")


def test_only_an_end_date(resolve):
    experiment = resolve('[experiment]\nend_date = "2021-07-01"').experiment
    assert experiment.overrides == Overrides(end_date=date(2021, 7, 1))
    assert experiment.end_date == date(2021, 7, 1)
    assert resolve("").experiment.overrides == Overrides()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("", None),
        ("window_start = 11", 11),
        ('window_start = "enrollment_start"', WindowLimit.ENROLLMENT_START),
        ('window_start = "analysis_window_end"', WindowLimit.ANALYSIS_WINDOW_END),
        ('window_start = "invalid"', 'unknown word "invalid"'),
    ],
)
def test_the_window_of_an_exposure_signal(resolve, given, expected):
    own = (
        '[experiment.exposure_signal]\nname = "n"\nfriendly_name = "N"\ndescription = "d"\n'
        f'data_source = "daily"\nselect_expression = "x"\n{given}'
    )
    if isinstance(expected, str) and not isinstance(expected, WindowLimit):
        with pytest.raises(ConfigError, match=expected):
            resolve(own)
    else:
        assert resolve(own).experiment.exposure_signal.window_start == expected


def test_a_signal_that_lacks_something(resolve):
    with pytest.raises(ConfigErrors) as refusal:
        resolve(
            '[experiment.exposure_signal]\nname = "n"\ndescription = "d"\ndata_source = "daily"'
        )
    assert [error.message for error in refusal.value.errors] == [
        '"select_expression" is missing',
        '"friendly_name" is missing',
    ]


@pytest.mark.parametrize(
    ("unit", "own", "expected"),
    [
        ("normandy_id", "", AnalysisUnit.CLIENT),
        ("group_id", "", AnalysisUnit.PROFILE_GROUP),
        ("group_id", 'analysis_unit = "client_id"', AnalysisUnit.CLIENT),
        ("user_id", 'analysis_unit = "profile_group_id"', AnalysisUnit.PROFILE_GROUP),
    ],
)
def test_analysis_unit(resolve, unit, own, expected):
    record = replace(RECORD, randomization_unit=unit)
    assert resolve(f"[experiment]\n{own}", record).experiment.analysis_unit is expected


def test_an_unknown_randomization_unit(resolve):
    with pytest.raises(ConfigError, match='"grup_id"; did you mean "group_id"'):
        resolve("", replace(RECORD, randomization_unit="grup_id"))


@pytest.mark.parametrize(
    ("app", "kind"),
    [
        ("firefox_desktop", EnrollmentsQueryType.NORMANDY),
        ("fenix", EnrollmentsQueryType.GLEAN_EVENT),
        ("monitor_cirrus", EnrollmentsQueryType.CIRRUS),
    ],
)
def test_how_enrollments_are_found(resolve, app, kind):
    assert resolve("", replace(RECORD, app_name=app)).experiment.enrollments_query_type is kind


def test_applications_can_be_added(write):
    platforms = {"garden": Platform("a.garden", EnrollmentsQueryType.CIRRUS)}
    configuration = Configuration.load([write({"jetstream/a.toml": ""})], platforms)
    experiment = configuration.resolve(replace(RECORD, app_name="garden")).experiment
    assert experiment.enrollments_query_type is EnrollmentsQueryType.CIRRUS
    with pytest.raises(ConfigError, match='no known application: "gardn"; did you mean "garden"'):
        configuration.resolve(replace(RECORD, app_name="gardn"))
    own = '[experiment]\nenrollments_query_type = "normandy"'
    configuration = Configuration.load([write({"jetstream/bloom.toml": own})], platforms)
    configuration.resolve(replace(RECORD, app_name="gardn"))


def test_enrollment_period(resolve):
    start = date(2026, 1, 5)
    ended = replace(RECORD, start_date=start, enrollment_end_date=date(2026, 1, 11))
    assert resolve("", ended).experiment.enrollment_period == 7
    assert resolve("", RECORD).experiment.enrollment_period == 14
    unknown = replace(RECORD, proposed_enrollment=None)
    assert resolve("", unknown).experiment.enrollment_period == 0
    assert resolve("[experiment]\nenrollment_period = 3", ended).experiment.enrollment_period == 3
    later = resolve('[experiment]\nstart_date = "2026-01-08"', ended).experiment
    assert (later.enrollment_period, later.last_enrollment_date) == (4, date(2026, 1, 12))


def test_segments_are_the_configurations_then_the_platforms(of_tree):
    segments = of_tree("everything", segments=("night_owls", "keen")).segments
    assert [segment.name for segment in segments] == ["keen", "night_owls"]
    keen = segments[0]
    assert keen.select_expression == "COALESCE(LOGICAL_OR(visits > 20), FALSE)"
    assert keen.description == "Came more than 20 times.\n"
    assert "'everything' != ''" in keen.data_source.from_expression
    assert (keen.data_source.window_start, keen.data_source.window_end) == (-28, -1)


def test_templates_ask_the_experiment(of_tree):
    experiment = of_tree("everything")
    assert "day >= '2026-01-12'" in experiment.enrollment_query
    assert "day <= '2026-01-26'" in experiment.enrollment_query
    assert "day < '2026-02-20'" in experiment.enrollment_query
    assert experiment.exposure_signal.select_expression == "event = '{{not_a_template}}'"


@pytest.mark.parametrize(
    ("attribute", "text"),
    [
        ("app_name", "firefox_desktop"),
        ("proposed_enrollment", "14"),
        ("enrollment_period", "14"),
        ("reference_branch", "control"),
        ("start_date", "2026-01-05 00:00:00+00:00"),
        ("start_date.strftime('%Y%m%d')", "20260105"),
        ("end_date", "2026-03-02 00:00:00+00:00"),
        ("enrollment_end_date", "None"),
        ("is_enrollment_paused", "None"),
        ("randomization_unit.value", "normandy_id"),
        ("analysis_unit.value", "client_id"),
        ("bucket_count", "None"),
        ("branches | length", "0"),
        ("type", "v6"),
        ("experimenter_slug", "None"),
        ("status", "Complete"),
        ("sample_size", "7"),
        ("skip", "False"),
    ],
)
def test_what_templates_can_ask(resolve, attribute, text):
    own = "[experiment]\nsample_size = 7\nend_date = '2026-03-02'\n"
    own += f'enrollment_query = "{{{{experiment.{attribute}}}}}"'
    assert resolve(own).experiment.enrollment_query == text


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("window_start = 1", "the window ends (day 0) before it starts (day 1)"),
        ("from_expression = '{date}.t'", "{date} is not filled in"),
    ],
)
def test_what_is_odd_in_a_segments_source_is_said(resolve, source, message):
    own = """[experiment]
segments = ["s"]
[segments]
s = { data_source = "d", select_expression = "x" }
[segments.data_sources.d]
"""
    own += source if "from" in source else f"from_expression = 't'\n{source}"
    resolved = resolve(own)
    (warning,) = resolved.warnings
    assert str(warning.place).endswith(":6 [segments.data_sources.d.from_expression]")
    assert message in warning.message
    assert [segment.name for segment in resolved.experiment.segments] == ["s"]


def test_a_data_source_can_contain_the_enrollment_query(resolve):
    own = """[experiment]
enrollment_query = "SELECT '{{experiment.slug}}'"
segments = ["s"]
[segments.s]
data_source = "d"
select_expression = "x"
[segments.data_sources.d]
from_expression = "({{experiment.enrollment_query}})"
"""
    (segment,) = resolve(own).experiment.segments
    assert segment.data_source.from_expression == "(SELECT 'bloom')"


def test_a_date_that_is_not_there(resolve):
    own = '[experiment]\nenrollment_query = "{{experiment.end_date_str}}"'
    with pytest.raises(ConfigError, match="the experiment has no end date"):
        resolve(own, replace(RECORD, end_date=None))
