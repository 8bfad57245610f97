"""The demo's project is one that sonde reads, and says what the generator does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sonde.config import Configuration, load_experiments, validate
from sonde.datasets import LAST_DAY, TRUTH_FILE, write_project
from sonde.datasets.lessons import LESSONS
from sonde.datasets.outcomes import SEGMENTS, touched
from sonde.datasets.population import SYSTEMS
from sonde.datasets.trials import DAYS, trial, trials
from sonde.datasets.truth import METRICS
from sonde.errors import ConfigError
from sonde.metric import Metric, Segment
from sonde.settings import load_settings
from sonde.sql import check, expression, relation
from sonde.window import Period
from tests.datasets.analysis import enroll


@pytest.fixture(scope="module")
def resolved(demo):
    records, errors = load_experiments(demo.folder / "experiments.json")
    assert not errors
    configuration = Configuration.load([demo.folder / "metric-hub"])
    return {record.slug: configuration.resolve(record) for record in records}


def test_a_project_has_all_that_it_needs(demo):
    names = {path.name for path in demo.folder.iterdir()}
    assert names == {"sonde.toml", "experiments.json", "metric-hub", "lake", TRUTH_FILE}
    settings = load_settings(demo.folder, {})
    assert settings.lake_url == str(demo.folder / "lake")
    assert settings.config_repos == (str(demo.folder / "metric-hub"),)
    assert settings.experiments_source == str(demo.folder / "experiments.json")


def test_a_folder_with_something_in_it_is_left_alone(tmp_path):
    (tmp_path / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="not empty; name a new folder"):
        write_project(tmp_path, scale=0.001)
    assert [path.name for path in tmp_path.iterdir()] == ["letter.txt"]


def test_an_interrupted_project_leaves_nothing(tmp_path):
    def interrupt(fraction: float) -> None:
        if fraction > 0.1:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_project(tmp_path / "demo", scale=0.001, progress=interrupt)
    assert not list(tmp_path.iterdir())
    write_project(tmp_path / "demo", scale=0.001)
    assert (tmp_path / "demo" / TRUTH_FILE).exists()


def test_the_configuration_has_no_mistake(demo, resolved):
    records = [each.experiment.record for each in resolved.values()]
    assert validate([demo.folder / "metric-hub"], records=records, check_sql=check) == []
    assert not any(each.warnings for each in resolved.values())


@pytest.mark.parametrize("made", trials(), ids=lambda made: made.slug)
def test_the_declarations_are_what_the_generator_does(resolved, made):
    experiment = resolved[made.slug].experiment
    assert experiment.enrollment_period == made.counted
    assert [branch.slug for branch in experiment.branches] == list(made.branches)
    assert experiment.reference_branch == made.branches[0]
    assert len({branch.ratio for branch in experiment.branches}) == 1
    assert 0 < made.start < made.last_enrollment < DAYS
    assert made.weeks >= 1
    if experiment.end_date is not None:
        assert experiment.end_date <= LAST_DAY
        assert (experiment.end_date - experiment.start_date).days - made.counted == 28


def test_effects_are_of_branches_and_systems_that_there_are():
    arms = {(each.slug, branch) for each in trials() for branch in each.branches}
    for lesson in LESSONS:
        for branch, effects in lesson.effects.items():
            assert (lesson.slug, branch) in arms
            assert branch != "control"
            for effect in effects:
                assert effect.os in {None, *SYSTEMS}
                partner = effect.partner
                assert partner is None or (partner.experiment, partner.branch) in arms


def test_the_eight_experiments_are_at_all_stages(resolved):
    records = [each.experiment.record for each in resolved.values()]
    assert len(records) == 8
    assert sum(record.end_date is not None for record in records) == 2
    assert [r.slug for r in records if r.enrollment_end_date is None] == ["sync-prompt-on-exit"]
    assert sorted(len(record.branches) for record in records) == [2] * 7 + [3]


def test_one_experiment_is_private(resolved):
    private = [slug for slug, each in resolved.items() if each.experiment.is_private]
    assert private == ["sponsored-shortcuts"]
    assert resolved[private[0]].experiment.dataset_id == "partners"


def test_the_truth_s_segments_and_metrics_are_configured(resolved):
    assert {s.name for s in resolved["new-tab-density"].experiment.segments} == set(SEGMENTS)
    for each in trials():
        weekly = {m.name for m in resolved[each.slug].experiment.metrics[Period.WEEK]}
        assert weekly >= set(METRICS)
        assert each.lesson.metric in touched(each, trials()) or not each.lesson.effects


@pytest.fixture
def unit(demo):
    """The units of one experiment, as queries see them."""
    enroll(demo.connection, trial("weekly-digest-tab"))
    demo.connection.execute("""
        CREATE OR REPLACE TEMP TABLE enrolled_unit AS
        SELECT client_id AS analysis_id, branch, enrolled AS enrollment_date FROM unit""")
    return demo


def test_every_metric_and_segment_of_the_demo_can_be_computed(unit, resolved):
    found = set()
    for each in resolved.values():
        experiment = each.experiment
        metrics = {m.name: m for ms in experiment.metrics.values() for m in ms if m.data_source}
        for each_of_it in (*metrics.values(), *experiment.segments):
            compute(unit, each_of_it)
            found.add(each_of_it.name)
    assert {"active_days", "unenroll", "crashes", "windows", "regular_users"} < found


def test_metric_hub_s_desktop_defaults_run_unchanged(unit, shared):
    """The real ones: none is empty or constant, and none is null for anybody."""
    configuration = Configuration.load([shared("data/metric-hub")])
    record = replace(trial("weekly-digest-tab").record, outcomes=())
    experiment = configuration.resolve(record).experiment
    metrics = {m.name: m for ms in experiment.metrics.values() for m in ms}
    assert len(metrics) == 17
    for name, metric in metrics.items():
        values = compute(unit, metric) + compute(unit, metric, first=20, last=20)
        assert len(set(values)) > 1, name
        assert None not in values, name


def test_metric_hub_s_segments_divide_the_units(unit, shared):
    names = (
        *("regular_users_v3", "new_or_resurrected_v3", "activity_core", "activity_regular"),
        *("weekday_regular_v1", "allweek_regular_v1", "profile_age_more_than_28_days"),
        *("windows_v1", "windows_10_v1", "windows_11_v1", "macos_v1", "linux_v1", "us", "de"),
    )
    configuration = Configuration.load([shared("data/metric-hub")])
    record = replace(trial("weekly-digest-tab").record, outcomes=(), segments=names)
    experiment = configuration.resolve(record).experiment
    assert len(experiment.segments) == len(names)
    for segment in experiment.segments:
        assert set(compute(unit, segment, first=0, last=0)) == {True, False}, segment.name


def compute(demo, metric: Metric | Segment, first: int = 1, last: int = 27) -> list:
    """One value per unit, over days since enrollment."""
    source = metric.data_source
    day = f"ds.{source.submission_date_column}"
    return [
        value
        for (value,) in demo.rows(f"""
            SELECT {expression(metric.select_expression)}
            FROM enrolled_unit AS e LEFT JOIN {relation(source.from_expression).sql} AS ds
            ON {expression(f"ds.{source.client_id_column}")} = e.analysis_id
                AND {day} BETWEEN e.enrollment_date + {first} AND e.enrollment_date + {last}
            GROUP BY e.analysis_id""")
    ]
