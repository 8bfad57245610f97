"""A resolved experiment as JSON and as text, each value with its origin."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from sonde.config import Configuration, to_json, to_text
from sonde.config.show import settings

from .public import dummy_record

SHARED = "definitions/firefox_desktop.toml"
ON_TOP = "jetstream/definitions/firefox_desktop.toml"
DEFAULTS = "jetstream/defaults/firefox_desktop.toml"
OUTCOME = "jetstream/outcomes/firefox_desktop/harvest.toml"
OWN = "jetstream/everything.toml"


@pytest.fixture(scope="module")
def resolved(tree):
    return Configuration.load([tree]).resolve(dummy_record("everything", "firefox_desktop"))


@pytest.mark.parametrize(
    ("path", "file", "text"),
    [
        ("metrics.week.active_hours.select_expression", SHARED, "{{agg_sum('active_hours_sum')}}"),
        ("metrics.day.active_hours.statistics.deciles", DEFAULTS, "statistics.deciles]"),
        ("metrics.overall.baskets.select_expression", OWN, 'select_expression = "2"'),
        ("metrics.overall.baskets.friendly_name", OUTCOME, 'friendly_name = "Baskets"'),
        (
            "metrics.overall.baskets.statistics.bootstrap_mean.num_samples",
            OUTCOME,
            "num_samples = 10",
        ),
        ("metrics.overall.watered.aggregation", SHARED, 'aggregation = "any"'),
        ("data_sources.plants.client_id_column", ON_TOP, 'client_id_column = "gardener_id"'),
        ("data_sources.plants.from_expression", SHARED, "mozdata.{dataset}.plants"),
        ("segments.night_owls.select_expression", OWN, "{{agg_any('hour < 4')}}"),
        ("segments.data_sources.nights.window_start", OWN, "window_start = -7"),
        ("segments.data_sources.last_seen.window_start", SHARED, "window_start = -28"),
        ("exposure_signal.window_end", OWN, 'window_end = "analysis_window_end"'),
        ("end_date", OWN, 'end_date = "2026-02-20"'),
    ],
)
def test_origins(resolved, tree, path, file, text):
    origin = resolved.origins[path]
    assert Path(origin.file) == tree / file
    assert text in (tree / file).read_text().split("\n")[origin.line - 1]


def test_what_is_published_names_no_place_of_this_machine(resolved, tree):
    found = settings(resolved)
    assert str(tree) in to_text(resolved)
    assert str(tree.parent) not in str(found)
    (origin,) = [origin for name, _, origin in found if name == "start_date"]
    assert origin.startswith(f"{tree.name}/{OWN}:4")


def test_a_file_of_no_repository_is_published_by_the_name_it_was_given(tree):
    configuration = Configuration.load([tree])
    record = dummy_record("everything", "firefox_desktop")
    origin = configuration.resolve(record, tree / OWN).origins["end_date"]
    assert origin.published == str(origin)
    assert origin.file == str(tree / OWN)


def test_what_nobody_set_has_no_origin(resolved):
    assert "skip" not in resolved.origins
    assert "metrics.week.own_ratio.select_expression" not in resolved.origins


def test_json(resolved):
    written = to_json(resolved)
    assert json.loads(json.dumps(written)) == written
    metrics = written.pop("metrics")
    assert written == {
        "slug": "everything",
        "app_name": "firefox_desktop",
        "start_date": "2026-01-12",
        "end_date": "2026-02-20",
        "enrollment_period": 14,
        "reference_branch": "fence",
        "analysis_unit": "client_id",
        "segments": ["keen", "night_owls"],
    }
    assert {period: len(listed) for period, listed in metrics.items()} == {
        "day": 3,
        "week": 9,
        "days28": 1,
        "overall": 9,
        "preenrollment_week": 2,
        "preenrollment_days28": 2,
    }
    picked = next(metric for metric in metrics["week"] if metric["name"] == "flowers_picked")
    assert picked == {
        "name": "flowers_picked",
        "data_source": "clients_daily",
        "select_expression": "COALESCE(SUM(flowers), 0)",
        "depends_on": [],
        "analysis_bases": ["enrollments", "exposures"],
        "bigger_is_better": True,
        "statistics": [
            {
                "name": "bootstrap_mean",
                "params": {"num_samples": 100},
                "pre_treatments": [
                    {"name": "remove_nulls", "args": {}},
                    {"name": "censor_highest_values", "args": {"fraction": 0.9}},
                ],
            }
        ],
    }
    ratio = next(metric for metric in metrics["week"] if metric["name"] == "own_ratio")
    assert (ratio["data_source"], ratio["select_expression"]) == (None, None)
    assert ratio["depends_on"] == ["own", "flowers_picked"]


def test_json_of_an_experiment_of_which_little_is_known(tree):
    record = replace(dummy_record("no-file", "fenix"), start_date=None, end_date=None)
    written = to_json(Configuration.load([tree]).resolve(record))
    assert (written["start_date"], written["end_date"]) == (None, None)
    assert written["metrics"]["day"] == []


def test_text(resolved, tree):
    commit = resolved.origins["end_date"].commit
    written_by = f" @ {commit[:10]}" if commit else ""
    text = to_text(resolved).replace(str(tree), "tree").replace(written_by + ")", ")")
    assert text.startswith("everything\n  app_name: firefox_desktop  (record)\n")
    for line in (
        f"  start_date: 2026-01-12  (tree/{OWN}:4)",
        "  skip: false  (default)",
        f"  exposure_signal: event = '{{{{not_a_template}}}}'  (tree/{OWN}:24)",
        "  outcomes: harvest, daily_harvest",
        "  baskets (week, overall)",
        f"    select_expression: 2  (tree/{OWN}:59)",
        "    bigger_is_better: true  (default)",
        f"    statistic: bootstrap_mean num_samples=10  (tree/{OUTCOME}:9)",
        "    depends_on: own, flowers_picked  (tree/jetstream/everything.toml:49)",
    ):
        assert line in text.split("\n"), text
