"""An experiment keeps what it began with: its own file moves it, others only when asked."""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sonde.errors import ConfigErrors
from sonde.kept import Kept
from sonde.pins import Because
from sonde.plan.plan import plan
from sonde.project import Project
from sonde.results import statistics
from sonde.stats.registry import STATISTICS
from tests import browser
from tests.commands import ended
from tests.kept.hub import (
    AS_OF,
    DEFINITIONS,
    LATER,
    OUTCOME,
    OWN,
    TRIPLED,
    UNRELATED,
    Hub,
    kept,
    make_hub,
    run,
)

FIRST_DAY = date(2020, 3, 30)
DATE = ("--date", AS_OF.isoformat())
SHORT_OWN = browser.EXPERIMENT.replace('daily = ["active_hours"]\n', "")


def select(folder: Path) -> str:
    """The SQL of the metric, as it is analysed."""
    return select_of(kept(folder))


def select_of(found: Kept) -> str:
    metrics = found.resolved.experiment.metrics
    (select,) = {m.select_expression for all_ in metrics.values() for m in all_}
    return str(select)


def rows(project: Project) -> list[dict[str, object]]:
    return statistics(project.lake, project.experiment(browser.SLUG)).to_pylist()


def stale(folder: Path, *, to_newest: bool = False) -> int:
    """Steps that a run would do."""
    return len(Project.open(folder, {}).work(AS_OF, to_newest=to_newest).stale)


class TestBeforeTheFirstRun:
    """What is kept is known from the dates alone, without a lake."""

    def test_the_last_commit_of_the_first_day(self, tmp_path: Path) -> None:
        hub, _ = make_hub(tmp_path)
        first = hub.commit(FIRST_DAY, {})
        hub.commit(date(2020, 3, 31), {DEFINITIONS: TRIPLED})
        found = kept(tmp_path)
        assert found.read_at == f"metric-hub@{first}"
        assert found.pin is not None
        assert (found.pin.since, found.pin.because) == (FIRST_DAY, Because.BEGAN)
        assert "3 *" not in select(tmp_path)
        assert not (tmp_path / "lake" / "sonde").exists()

    def test_the_last_change_of_its_own_file(self, tmp_path: Path) -> None:
        hub, _ = make_hub(tmp_path)
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        own = hub.commit(date(2020, 4, 6), {OWN: SHORT_OWN})
        hub.commit(date(2020, 4, 7), {DEFINITIONS: browser.DEFINITIONS})
        found = kept(tmp_path)
        assert found.read_at == f"metric-hub@{own}"
        assert found.pin is not None
        assert (found.pin.since, found.pin.because) == (date(2020, 4, 6), Because.OWN_FILE)
        assert "3 *" in select(tmp_path)

    def test_a_repository_that_began_later_counts_from_its_first_commit(
        self, tmp_path: Path
    ) -> None:
        _, first = make_hub(tmp_path, LATER)
        assert kept(tmp_path).read_at == f"metric-hub@{first}"

    def test_a_branch_counts_from_its_merge(self, tmp_path: Path) -> None:
        """It was committed before the experiment began, and was in force only later."""
        hub, first = make_hub(tmp_path)
        hub.git("checkout", "--quiet", "-b", "side")
        hub.commit(date(2020, 3, 20), {DEFINITIONS: TRIPLED})
        hub.git("checkout", "--quiet", "main")
        hub.git("merge", "--quiet", "--no-ff", "--message", "m", "side", day=LATER)
        assert kept(tmp_path).read_at == f"metric-hub@{first}"
        assert "3 *" not in select(tmp_path)

    def test_what_has_not_begun_keeps_nothing(self, tmp_path: Path) -> None:
        hub, _ = make_hub(tmp_path)
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        found = kept(tmp_path, date(2020, 3, 29))
        assert found.pin is None
        assert "3 *" in select_of(found)


def test_a_definition_that_changes_is_reported_and_not_applied(
    begun: tuple[Hub, str], capsys: pytest.CaptureFixture[str]
) -> None:
    hub, first = begun
    before = rows(Project.open(hub.project, {}))
    hub.commit(LATER, {DEFINITIONS: TRIPLED})
    assert stale(hub.project) == 0
    assert kept(hub.project).newer == ('metric "active_hours"',)
    assert ended("plan", "--project", hub.project, *DATE) == 0
    assert (
        f"kept: {browser.SLUG}: has metric-hub@{first[:10]}, since 2020-03-30; not applied: "
        f'metric "active_hours" (to apply it, `sonde run --experiment {browser.SLUG} --newest`)'
    ) in capsys.readouterr().out
    run(hub.project)
    assert rows(Project.open(hub.project, {})) == before


def test_asked_for_it_is_applied_once_and_for_all(
    begun: tuple[Hub, str], capsys: pytest.CaptureFixture[str]
) -> None:
    hub, first = begun
    second = hub.commit(LATER, {DEFINITIONS: TRIPLED})
    assert stale(hub.project, to_newest=True) == 20, "of the source alone"
    assert ended("run", "--project", hub.project, *DATE, "--newest", "--workers", 1) == 0
    said = capsys.readouterr().out
    assert f"moved: {browser.SLUG}: to metric-hub@{second[:10]} (asked for)" in said
    assert "kept: " not in said
    found = kept(hub.project)
    assert (found.read_at, found.newer, found.has_moved) == (f"metric-hub@{second}", (), False)
    assert {row["configuration"] for row in rows(Project.open(hub.project, {}))} == {
        f"metric-hub@{first}",
        f"metric-hub@{second}",
    }
    assert stale(hub.project) == stale(hub.project, to_newest=True) == 0


def test_its_own_file_moves_it_and_everything_else_with_it(begun: tuple[Hub, str]) -> None:
    hub, _ = begun
    hub.commit(LATER, {DEFINITIONS: TRIPLED})
    second = hub.commit(LATER, {OWN: SHORT_OWN})
    third = hub.commit(LATER, {UNRELATED: "[metrics]"})
    found = kept(hub.project)
    assert (found.read_at, found.has_moved) == (f"metric-hub@{third}", True)
    assert "3 *" in select(hub.project)
    run(hub.project)
    hub.commit(date(2020, 4, 6), {DEFINITIONS: browser.DEFINITIONS})
    assert kept(hub.project).read_at == f"metric-hub@{third}"
    assert second != third


def test_an_outcome_is_kept_as_well(tmp_path: Path) -> None:
    metric = '[metrics.hours]\ndata_source = "clients_daily"\nselect_expression = "{}"\n'
    metric += "[metrics.hours.statistics.linear_model_mean]\n"
    header = 'friendly_name = "H"\ndescription = "H"\ndefault_metrics = ["hours"]\n'
    hub = Hub(browser.write_project(tmp_path, outcomes=[{"slug": "hours"}]))
    hub.write({OUTCOME: header + metric.format("SUM(active_hours_sum)")})
    hub.git("init", "--quiet", "--initial-branch", "main")
    hub.commit(date(2020, 3, 1), {})
    hub.commit(LATER, {OUTCOME: header + metric.format("COUNT(*)")})
    assert kept(tmp_path).newer == ('metric "hours"',)
    hub.commit(LATER, {OUTCOME: header.replace('["hours"]', "[]")})
    assert kept(tmp_path).newer == ('metric "hours" is gone',)


def test_names_for_people_are_always_the_newest(begun: tuple[Hub, str]) -> None:
    hub, first = begun
    named = browser.DEFINITIONS.replace(
        "[metrics.active_hours]", '[metrics.active_hours]\nfriendly_name = "Hours"', 1
    )
    hub.commit(LATER, {DEFINITIONS: named})
    found = kept(hub.project)
    assert (found.read_at, found.newer) == (f"metric-hub@{first}", ())
    metrics = found.resolved.experiment.metrics.values()
    assert {metric.friendly_name for all_ in metrics for metric in all_} == {"Hours"}


def test_a_definition_that_is_broken_stops_nobody_who_has_begun(begun: tuple[Hub, str]) -> None:
    hub, _ = begun
    hub.commit(LATER, {DEFINITIONS: "[metrics"})
    (said,) = kept(hub.project).newer
    assert said.startswith("the newest cannot be used: ")
    assert "firefox_desktop.toml:1" in said
    assert stale(hub.project) == 0


def test_its_own_file_that_is_broken_is_an_error(begun: tuple[Hub, str]) -> None:
    hub, _ = begun
    hub.commit(LATER, {OWN: '[metrics]\nweekly = ["absent"]'})
    with pytest.raises(ConfigErrors, match='no metric "absent"'):
        kept(hub.project)


def test_a_record_that_names_what_is_newer_moves_it(begun: tuple[Hub, str]) -> None:
    hub, _ = begun
    header = 'friendly_name = "H"\ndescription = "H"\n'
    second = hub.commit(LATER, {OUTCOME: header})
    path = hub.project / "experiments.json"
    (record,) = json.loads(path.read_text())
    path.write_text(json.dumps([{**record, "outcomes": [{"slug": "hours"}]}]))
    found = kept(hub.project)
    assert found.pin is not None
    assert (found.read_at, found.pin.because) == (f"metric-hub@{second}", Because.RECORD)


def test_who_may_see_it_is_never_kept(begun: tuple[Hub, str]) -> None:
    hub, _ = begun
    defaults = "jetstream/defaults/firefox_desktop.toml"
    private = '[experiment]\nis_private = true\ndataset_id = "hush"\n'
    hub.commit(LATER, {defaults: private, DEFINITIONS: TRIPLED})
    found = kept(hub.project)
    assert found.newer == ('metric "active_hours"',)
    assert found.resolved.experiment.is_private
    assert found.resolved.experiment.dataset_id == "hush"
    hub.commit(LATER, {defaults: private, DEFINITIONS: "[metrics"})
    assert kept(hub.project).resolved.experiment.is_private


class TestWithoutCommits:
    def test_a_folder_is_used_as_it_is(self, tmp_path: Path) -> None:
        browser.write_project(tmp_path)
        run(tmp_path)
        (tmp_path / "metric-hub" / DEFINITIONS).write_text(TRIPLED)
        found = kept(tmp_path)
        assert (found.read_at, found.newer) == ("metric-hub@-", ())
        assert "3 *" in select(tmp_path)
        assert stale(tmp_path) == 20

    def test_an_own_file_is_used_as_it_is_and_nothing_is_kept(self, begun: tuple[Hub, str]) -> None:
        hub, first = begun
        hub.write({OWN: SHORT_OWN})
        found = kept(hub.project)
        assert (found.pin, found.read_at) == (None, f"metric-hub@{first}+uncommitted")
        assert {p.value for p, m in found.resolved.experiment.metrics.items() if m} == {"week"}
        hub.write({OWN: browser.EXPERIMENT})
        assert kept(hub.project).read_at == f"metric-hub@{first}"

    def test_a_definition_is_reported_and_cannot_be_applied(
        self, begun: tuple[Hub, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub, _ = begun
        hub.write({DEFINITIONS: TRIPLED})
        assert kept(hub.project).newer == ('metric "active_hours"',)
        assert ended("run", "--project", hub.project, *DATE, "--newest") == 2
        assert "files that are not committed; commit them" in capsys.readouterr().out

    def test_a_folder_that_git_has_never_seen(self, tmp_path: Path) -> None:
        """It lies within a repository of something else."""
        outer = Hub(tmp_path)
        outer.folder = tmp_path
        (tmp_path / "README").write_text("other things")
        outer.git("init", "--quiet", "--initial-branch", "main")
        outer.commit(date(2020, 3, 1), {})
        browser.write_project(tmp_path / "project")
        found = kept(tmp_path / "project")
        assert found.pin is None
        assert {p.value for p, m in found.resolved.experiment.metrics.items() if m} == {
            "day",
            "week",
        }


class TestACommitThatIsGone:
    def test_it_is_said_and_nothing_is_computed(
        self, begun: tuple[Hub, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub, first = begun
        hub.git("commit", "--quiet", "--amend", "--message", "other", day=LATER)
        hub.git("reflog", "expire", "--expire=now", "--all")
        hub.git("gc", "--quiet", "--prune=now")
        assert ended("run", "--project", hub.project, *DATE) == 2
        said = capsys.readouterr().out
        assert f"has no commit {first[:10]}" in said
        assert "git fetch --unshallow" in said
        assert ended("run", "--project", hub.project, *DATE, "--newest") == 0
        assert kept(hub.project).read_at == f"metric-hub@{hub.git('rev-parse', 'HEAD')}"

    def test_other_repositories_in_the_settings(self, begun: tuple[Hub, str]) -> None:
        """The pin says nothing about them: what was in force on the first day counts."""
        hub, first = begun
        more = hub.project / "private" / "jetstream"
        more.mkdir(parents=True)
        (more / "x.toml").write_text("")
        settings = hub.project / "sonde.toml"
        text = settings.read_text().replace('["metric-hub"]', '["metric-hub", "private"]')
        settings.write_text(text)
        assert kept(hub.project).read_at == f"metric-hub@{first}, private@-"


class TestRevisions:
    """A newer program does not change results that exist; asked for, it does."""

    def raised(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(STATISTICS["linear_model_mean"], "revision", 99)

    def test_results_by_the_old_one_stay(
        self, begun: tuple[Hub, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub, _ = begun
        self.raised(monkeypatch)
        (said,) = kept(hub.project).newer
        assert said == 'statistic "linear_model_mean" (revision 1, now 99)'
        assert stale(hub.project) == 0
        assert stale(hub.project, to_newest=True) == 20
        run(hub.project, to_newest=True)
        assert (stale(hub.project), kept(hub.project).newer) == (0, ())

    def test_what_is_made_anew_is_made_by_the_new_one(
        self, begun: tuple[Hub, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hub, _ = begun
        next_day = date(2020, 4, 13)
        usual = Project.open(hub.project, {}).work(next_day).stale
        self.raised(monkeypatch)
        later = Project.open(hub.project, {}).work(next_day).stale
        assert [step.output for step in later] == [step.output for step in usual]
        had = {step.output: step.fingerprint for step in usual}
        measured = [step for step in later if step.output.key[-1] == "clients_daily"]
        assert measured
        assert all(step.fingerprint != had[step.output] == step.kept for step in measured)

    def test_without_a_lake_they_are_those_that_run(self, tmp_path: Path) -> None:
        make_hub(tmp_path)
        project = Project.open(tmp_path, {})
        found = kept(tmp_path)
        assert found.pin is not None
        experiment = found.resolved.experiment
        assert plan([experiment], AS_OF, project.versions, found.pin.revisions) == plan(
            [experiment], AS_OF, project.versions
        )


FILES = {"own": OWN, "definitions": DEFINITIONS, "unrelated": UNRELATED}


CHANGES = st.lists(st.tuples(st.sampled_from([*FILES, "ask"]), st.integers(1, 9)), max_size=6)
IN_FOLDERS = [HealthCheck.function_scoped_fixture]


@settings(max_examples=8, suppress_health_check=IN_FOLDERS)
@given(CHANGES)
def test_laws(tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]) -> None:
    check_laws(tmp_path_factory.mktemp("laws"), changes)


@pytest.mark.slow
@settings(max_examples=60, suppress_health_check=IN_FOLDERS)
@given(CHANGES)
def test_more_laws(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, int]]
) -> None:
    check_laws(tmp_path_factory.mktemp("laws"), changes)


def check_laws(folder: Path, changes: list[tuple[str, int]]) -> None:
    """Whatever changes, in whatever order: an unrelated file moves nothing, nor does a definition
    until it is asked for; its own file does; and deciding twice is deciding once."""
    hub, commit = make_hub(folder)
    text = {
        "own": browser.EXPERIMENT,
        "definitions": browser.DEFINITIONS,
        "unrelated": "",
    }
    in_force = newest = select(folder)
    remember(folder)
    for number, (what, value) in enumerate(changes, 1):
        before = kept(folder)
        assert not before.is_new
        if what == "ask":
            if newest != in_force:
                commit, in_force = hub.git("rev-parse", "HEAD"), newest
            remember(folder, to_newest=True)
        else:
            changed = {
                "own": text["own"] + f"# {value}\n",
                "definitions": browser.DEFINITIONS.replace("* 2", f"* {value}").replace(
                    "'{{agg_sum(\"active_hours_sum\")}}'", f"'SUM({value} * active_hours_sum)'", 1
                ),
                "unrelated": f"[experiment]\nsample_size = {value}\n",
            }[what]
            has_changed = changed != text[what]
            text[what] = changed
            made = hub.commit(date(2020, 4, 1 + number), {FILES[what]: changed})
            if what == "definitions":
                newest = f"SUM({value} * active_hours_sum)"
            if what == "own" and has_changed:
                commit, in_force = made, newest
        after = kept(folder)
        assert after.read_at == f"metric-hub@{commit}"
        assert select(folder) == in_force
        assert bool(after.newer) == (newest != in_force)
        remember(folder)
        assert kept(folder).pin == after.pin


def remember(folder: Path, *, to_newest: bool = False) -> None:
    """Write down what is kept, as a run does first."""
    project = Project.open(folder, {})
    project.keep(project.work(AS_OF, to_newest=to_newest))


def test_a_pin_that_is_removed(begun: tuple[Hub, str]) -> None:
    """As `docs/pinning.md` says: it begins anew."""
    hub, first = begun
    hub.commit(LATER, {DEFINITIONS: TRIPLED})
    run(hub.project, to_newest=True)
    assert kept(hub.project).read_at != f"metric-hub@{first}"
    DeltaTable(hub.project / "lake/sonde/pins").delete(f"experiment = '{browser.SLUG}'")
    assert kept(hub.project).read_at == f"metric-hub@{first}"
    assert stale(hub.project) == 20
    run(hub.project)
    assert stale(hub.project) == 0
