"""Checks of experiments as a whole, and that they are kept."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

from sonde.experiment import Experiment, Overrides
from sonde.health import Check, Light, State
from sonde.jetstream import export
from sonde.plan.steps import enrollments_table, errors_table, health_table, statistics_table
from sonde.project import Project
from sonde.results import counts_and_estimates, statistics
from sonde.run.health import HEALTH_COLUMNS, check_health, checked, freshness, staged, stored
from sonde.run.health_before import before_checks
from sonde.run.health_errors import implausible_checks
from sonde.run.health_rows import looked_at
from sonde.run.health_split import exposure_checks, split_checks
from sonde.stored import Receipts, errors_of, estimates_of
from sonde.table import Table
from sonde.warehouse.duckdb import Limits, Session
from tests import browser
from tests.run.health_samples import START, before, enrolled, experiment, means, row, states


@pytest.mark.parametrize(
    ("behind", "end", "state"),
    [
        (0, None, State.FINE),
        (1, None, State.FINE),
        (2, None, State.LOOK),
        (3, None, State.LOOK),
        (4, None, State.STOP),
        (40, 40, State.FINE),  # ended 40 days ago; the day before is there
        (42, 40, State.LOOK),
        (-2, None, State.FINE),
    ],
)
def test_freshness(behind, end, state):
    as_of = date(2026, 12, 31)
    ended = None if end is None else as_of - timedelta(days=end)
    declared = replace(experiment(), overrides=Overrides(end_date=ended))
    newest = as_of - timedelta(days=behind + (1 if end else 0))
    assert freshness(declared, as_of, newest, "telemetry.events").state is state


def test_of_an_experiment_without_anything_every_light_is_grey():
    checks = check_health(experiment(), START, None, [], [], None)
    assert {check.light for check in checks} == set(Light)
    assert {check.state for check in checks} == {State.UNCHECKED}
    assert all(check.note for check in checks)


def test_red_and_amber_say_what_to_do():
    expected = means()
    expected[:, 0, 1] *= 0.7
    units = enrolled(np.random.default_rng(11).poisson(expected), [0.9, 0.8], several=90)
    checks = [*split_checks(experiment(), units), *exposure_checks(units)]
    checks += before_checks(experiment(), [before("pages", 5)])
    checks += implausible_checks(
        experiment(), [row("p", comparison="relative_uplift", point=0.9, lower=0.5, upper=1.3)]
    )
    alarms = [check for check in checks if check.state in {State.LOOK, State.STOP}]
    assert len(alarms) >= 5
    assert all(check.todo and check.value is not None for check in alarms)


AS_OF = date(2020, 4, 12)


def analysed(folder: Path) -> tuple[Project, Experiment]:
    project = Project.open(browser.write_project(folder), {})
    list(project.run(project.work(AS_OF), 1))
    return project, project.experiment(browser.SLUG)


def update_health(
    declared: Experiment, as_of: date, project: Project, without: Table | None = None
) -> bool:
    """Make the checks and keep them, as publication does; whether they were made anew."""
    lake = project.lake
    receipts = Receipts(lake)
    found = estimates_of(declared, lake, receipts)
    errors = errors_of(declared, lake, receipts)
    known = [
        receipt
        for table in (enrollments_table, statistics_table, errors_table, health_table)
        if table(declared) != without
        for receipt in lake.receipts(table(declared)).values()
    ]
    with Session(as_of, Limits(), [lake.root]) as session:
        _, made = checked(
            declared,
            as_of,
            lake,
            project.sources,
            known,
            session,
            lambda: looked_at((each.keys, each.columns) for each in found.parts),
            errors,
        )
    if made is not None:
        lake.commit(made.partition.table, [made])
    return made is not None


def test_checks_are_kept_and_made_anew_when_something_changed(tmp_path):
    project, declared = analysed(tmp_path)
    lake = project.lake
    assert stored(lake, declared) == ()
    newest = date(2020, 4, 6)
    assert update_health(declared, newest, project)
    kept = stored(lake, declared)
    assert {check.light for check in kept} == set(Light)
    assert states(kept)["freshness: all"] is State.FINE
    assert not update_health(declared, newest, project)
    assert update_health(declared, newest, project, without=health_table(declared))
    # Days later, without newer data: the experiment is live, so they are late.
    assert update_health(declared, AS_OF, project)
    assert states(stored(lake, declared))["freshness: all"] is State.STOP
    # As declared otherwise.
    assert update_health(replace(declared, segments=()), AS_OF, project)


def test_checks_are_made_anew_when_results_are(tmp_path):
    project, declared = analysed(tmp_path)
    assert update_health(declared, AS_OF, project)
    table = statistics_table(declared)
    receipt = next(iter(project.lake.receipts(table).values()))
    project.lake.commit(table, [], [receipt.partition])
    assert update_health(declared, AS_OF, project)
    assert not update_health(declared, AS_OF, project)


def test_an_experiment_that_has_ended_is_not_checked_every_day(tmp_path):
    project, declared = analysed(tmp_path)
    ended = replace(declared, overrides=Overrides(end_date=date(2020, 4, 10)))
    assert update_health(ended, AS_OF, project)
    later = AS_OF + timedelta(days=30)
    assert not update_health(ended, later, project)


def test_checks_come_back_as_they_were(tmp_path):
    project, declared = analysed(tmp_path)
    check = Check(
        Light.SPLIT, "n", "a", State.LOOK, "1 : 2", "é", 0.1, None, "do", {"x": [1, None]}
    )
    both = [check, replace(check, value=None)]
    made = staged(project.lake, declared, both, "digest")
    project.lake.commit(made.partition.table, [made])
    assert stored(project.lake, declared) == (check, replace(check, value=None))
    rows = project.lake.read(health_table(declared))
    assert [field.name for field in HEALTH_COLUMNS] == [
        name for name in rows.column_names if name not in {"experiment", "fingerprint"}
    ]


def test_units_with_data_are_counted_and_stay_out_of_the_results(tmp_path):
    project, declared = analysed(tmp_path)
    rows = counts_and_estimates(project.lake, declared).to_pylist()
    found = {
        (r["analysis_period"], r["window_index"], r["data_source"], r["branch"]): r["point"]
        for r in rows
        if r["metric"] == "has_data" and r["analysis_basis"] == "enrollments"
    }
    # aaaa has hours in its first week and before it, bbbb too.
    assert found["week", 1, "clients_daily", "branch1"] == 1
    assert found["week", 1, "clients_daily", "branch2"] == 1
    assert {r["segment"] for r in rows if r["metric"] == "has_data"} == {"all"}
    assert "has_data" not in statistics(project.lake, declared)["metric"].to_pylist()
    origins = {declared.slug: project.origin(project.kept(declared.slug))}
    files = export(project.lake, [declared], tmp_path / "out", origins)
    assert files
    assert not any(b"has_data" in file.read_bytes() for file in files)


def test_no_file_of_enrollments_is_needed(tmp_path):
    project = Project.open(browser.write_project(tmp_path), {})
    declared = project.experiment(browser.SLUG)
    assert project.lake.receipts(enrollments_table(declared)) == {}
    assert update_health(declared, AS_OF, project)
    kept = states(stored(project.lake, declared))
    assert kept["sample_ratio: all"] is State.UNCHECKED
