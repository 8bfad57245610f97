from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from mozilla_nimbus_schemas import jetstream

from sonde.errors import DataError
from sonde.experiment import (
    EnrollmentsQueryType,
    Experiment,
    ExperimentRecord,
    Outcome,
    Overrides,
)
from sonde.metric import AnalysisBasis, AnalysisUnit, Metric
from sonde.window import Period
from sonde.wire.metadata import metadata_json, read_metadata
from sonde.wire.provenance import ConfigurationRead, InputRead, Provenance, QueryRun

START = datetime(2020, 1, 17, 4, 5, 6, 789, tzinfo=UTC)
PLAIN = Metric("my_cool_metric")
NAMED = Metric(
    "ad_clicks",
    friendly_name="Ad clicks",
    description="Clicks on ads",
    bigger_is_better=False,
    analysis_bases=(AnalysisBasis.EXPOSURES,),
)
LATE = Metric("retained")
PLATFORM_OUTCOME = Outcome(
    slug="performance",
    friendly_name="Performance",
    description="How fast it is",
    metrics=("speed", "crashes"),
    default_metrics=("speed",),
    commit_hash="abc",
)
CONFIGURED_OUTCOME = Outcome("search", "Search", "Searches", metrics=("searches",))
EXPERIMENT = Experiment(
    ExperimentRecord("normandy-test-slug"),
    enrollment_period=7,
    analysis_unit=AnalysisUnit.CLIENT,
    enrollments_query_type=EnrollmentsQueryType.NORMANDY,
    metrics={Period.OVERALL: (LATE, PLAIN), Period.WEEK: (PLAIN, NAMED)},
    outcomes=(PLATFORM_OUTCOME, CONFIGURED_OUTCOME),
)
PROVENANCE = Provenance(
    sonde="1.2.3",
    configuration=(
        ConfigurationRead(
            path="https://github.com/mozilla/metric-hub",
            revision="f00",
            committed=datetime(2020, 1, 16, tzinfo=UTC),
        ),
        ConfigurationRead(path="own", revision="ba7", committed=datetime(2019, 5, 1, tzinfo=UTC)),
        ConfigurationRead(path="a/folder"),
    ),
    inputs=(InputRead(table="telemetry.clients_daily", version="17"),),
    queries=(QueryRun(output="unit_days(source=clients_daily)", sql_id="5d41"),),
)


def published(experiment=EXPERIMENT, **rest):
    return json.loads(metadata_json(experiment, **rest))


def with_overrides(**overrides):
    return replace(EXPERIMENT, overrides=Overrides(**overrides))


def test_the_bytes_that_jetstream_writes():
    content = metadata_json(with_overrides(end_date=date(2021, 7, 1)), START)
    model = jetstream.Metadata.model_validate_json(content)
    assert model.model_dump_json().encode() == content


def test_without_an_analysis_and_without_overrides():
    content = metadata_json(EXPERIMENT)
    assert jetstream.Metadata.model_validate_json(content).model_dump_json().encode() == content
    assert json.loads(content)["analysis_start_time"] is None
    assert json.loads(content)["external_config"] is None


def test_metrics_of_all_periods_each_once():
    assert published()["metrics"] == {
        "my_cool_metric": {
            "analysis_bases": ["enrollments", "exposures"],
            "bigger_is_better": True,
            "description": "",
            "friendly_name": "My Cool Metric",
        },
        "ad_clicks": {
            "analysis_bases": ["exposures"],
            "bigger_is_better": False,
            "description": "Clicks on ads",
            "friendly_name": "Ad clicks",
        },
        "retained": {
            "analysis_bases": ["enrollments", "exposures"],
            "bigger_is_better": True,
            "description": "",
            "friendly_name": "Retained",
        },
    }


def test_outcomes_of_the_platform_and_of_the_configuration():
    assert published()["outcomes"] == {
        "performance": {
            "commit_hash": "abc",
            "default_metrics": ["speed"],
            "description": "How fast it is",
            "friendly_name": "Performance",
            "metrics": ["speed", "crashes"],
            "slug": "performance",
        },
        "search": {
            "commit_hash": None,
            "default_metrics": [],
            "description": "Searches",
            "friendly_name": "Search",
            "metrics": ["searches"],
            "slug": "search",
        },
    }


def test_one_override():
    assert published(with_overrides(end_date=date(2021, 7, 1)))["external_config"] == {
        "reference_branch": None,
        "end_date": "2021-07-01",
        "start_date": None,
        "enrollment_period": None,
        "skip": False,
        "url": "https://github.com/mozilla/metric-hub/blob/main/jetstream/normandy-test-slug.toml",
    }


@pytest.mark.parametrize(
    "override",
    [
        {"reference_branch": "control"},
        {"start_date": date(2021, 7, 1)},
        {"enrollment_period": 0},
    ],
)
def test_each_override_is_told(override):
    (name,) = override
    told = published(with_overrides(**override))["external_config"]
    assert [key for key, value in told.items() if value is not None] == [name, "skip", "url"]


def test_skip_alone_is_no_override():
    assert published(replace(EXPERIMENT, skip=True))["external_config"] is None


@pytest.mark.parametrize("base", ["https://example.org/hub", "https://example.org/hub/"])
def test_configuration_somewhere_else(base):
    told = published(with_overrides(enrollment_period=3), config_url=base)
    assert told["external_config"]["url"] == "https://example.org/hub/normandy-test-slug.toml"


def test_provenance_in_the_fields_that_readers_know():
    model = jetstream.Metadata.model_validate_json(
        metadata_json(EXPERIMENT, START, provenance=PROVENANCE)
    )
    assert model.version_info.model_dump() == {
        "metric_definitions": [
            {"path": "https://github.com/mozilla/metric-hub", "revision": "f00"},
            {"path": "own", "revision": "ba7"},
            {"path": "a/folder", "revision": None},
        ],
        "jetstream_image": {"path": "sonde", "revision": "1.2.3"},
    }
    assert model.version_date == datetime(2020, 1, 16, tzinfo=UTC)
    assert model.schema_version == jetstream.statistics.SCHEMA_VERSION


def test_provenance_in_full_beside_them():
    told = published(provenance=PROVENANCE)
    assert list(told)[-1] == "provenance"
    assert told["provenance"]["inputs"] == [{"table": "telemetry.clients_daily", "version": "17"}]
    content = metadata_json(EXPERIMENT, START, PROVENANCE)
    assert read_metadata(content).provenance == PROVENANCE


def test_the_start_is_written_in_utc():
    in_berlin = START.astimezone(timezone(timedelta(hours=1)))
    assert metadata_json(EXPERIMENT, in_berlin) == metadata_json(EXPERIMENT, START)


def test_the_address_of_a_slug_with_a_space():
    record = ExperimentRecord("a slug")
    told = published(replace(with_overrides(enrollment_period=3), record=record))
    assert told["external_config"]["url"].endswith("/jetstream/a%20slug.toml")


def test_a_moment_without_zone_is_refused():
    with pytest.raises(ValueError, match="has no time zone"):
        metadata_json(EXPERIMENT, START.replace(tzinfo=None))


def test_reads_the_file_of_another_program():
    other = jetstream.Metadata(metrics={"m": {"analysis_bases": [], "bigger_is_better": True}})
    read = read_metadata(other.model_dump_json().encode())
    assert read.metrics["m"].friendly_name is None


def test_anything_else_is_refused():
    with pytest.raises(DataError, match="not a file of metadata"):
        read_metadata(b"[]")
