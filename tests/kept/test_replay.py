"""A stored result is made again, to the bytes, whatever has come since; or it is said why not."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake

import sonde.run.made
from sonde.plan.steps import statistics_table
from sonde.project import Project
from sonde.table import Partition
from tests import browser
from tests.commands import ended
from tests.kept.hub import AS_OF, DEFINITIONS, OWN, TRIPLED, Hub, make_hub, run
from tests.pages import small

DAILY = "lake/telemetry/clients_daily"
SOME = ("--period", "week", "--window", "1", "--basis", "enrollments")


@pytest.fixture(scope="module")
def analysed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that was analysed twice, a day apart."""
    hub, _ = make_hub(tmp_path_factory.mktemp("analysed"))
    run(hub.project, date(2020, 4, 11))
    run(hub.project)
    return hub.project


@pytest.fixture
def project(analysed: Path, tmp_path: Path) -> Path:
    """A copy of it, to be changed."""
    return Path(shutil.copytree(analysed, tmp_path / "project"))


def states(project: Path, capsys: pytest.CaptureFixture[str], *more: str) -> Counter[str]:
    capsys.readouterr()
    ended("replay", browser.SLUG, "--project", project, "--format", "json", *more)
    return Counter(each["state"] for each in json.loads(capsys.readouterr().out))


def said(project: Path, capsys: pytest.CaptureFixture[str], *more: str) -> tuple[int, str]:
    capsys.readouterr()
    code = ended("replay", browser.SLUG, "--project", project, *more)
    return code, "".join(capsys.readouterr())


def rows_of(day: date) -> pa.Table:
    rows = browser.clients_daily().to_pylist()[:4]
    return pa.Table.from_pylist(
        [{**row, "submission_date": day} for row in rows], browser.clients_daily().schema
    )


class TestIdentical:
    def test_of_several_runs(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert states(project, capsys) == {"identical": 40}
        code, text = said(project, capsys, *SOME)
        assert code == 0
        assert text == (
            "week 1, enrollments, clients_daily: identical\n"
            "week 1, enrollments, population: identical\n"
            "2 identical\n"
        )

    def test_after_rows_that_came_late(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_deltalake(project / DAILY, rows_of(date(2020, 4, 6)), mode="append")
        DeltaTable(project / DAILY).delete("submission_date = '2020-04-05'")
        work = Project.open(project, {}).work(AS_OF)
        assert work.stale, "the tables are no longer what they were"
        assert states(project, capsys) == {"identical": 40}

    def test_after_other_configuration(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Hub(project).commit(date(2020, 4, 9), {DEFINITIONS: TRIPLED, OWN: browser.EXPERIMENT + "#"})
        assert Project.open(project, {}).work(AS_OF).stale
        assert states(project, capsys) == {"identical": 40}

    def test_after_other_enrollments(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        more = browser.events().slice(0, 1)
        index = more.schema.get_field_index("client_id")
        other = more.set_column(index, "client_id", pa.array(["zzzz"]))
        write_deltalake(project / "lake/telemetry/events", other, mode="append")
        opened = Project.open(project, {})
        work = opened.work(AS_OF)
        list(opened.run(replace(work, stale=work.stale[:1]), 1))
        assert states(project, capsys) == {"identical": 40}

    def test_of_results_by_different_configurations(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Hub(project).commit(date(2020, 4, 9), {DEFINITIONS: TRIPLED})
        run(project, to_newest=True)
        assert states(project, capsys) == {"identical": 40}

    def test_of_other_statistics(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Of what is drawn at random, of quantiles, and of what is adjusted."""
        adjusted = 'covariate_adjustment = { period = "preenrollment_week" }'
        experiment = small.EXPERIMENT.replace(
            "drop_highest = 0", f"drop_highest = 0\n{adjusted}", 1
        )
        experiment += "[metrics.days_of_use.statistics.bootstrap_mean]\n"
        experiment += "[metrics.active_hours.statistics.deciles]\n"
        small.write_project(tmp_path, {browser.SLUG: experiment})
        small.run(tmp_path)
        found = states(tmp_path, capsys)
        assert set(found) == {"identical"}
        opened = Project.open(tmp_path, {})
        rows = opened.lake.read(statistics_table(opened.experiment(browser.SLUG)))
        assert set(rows["statistic"].to_pylist()) == {"count", "deciles", "mean", "mean_lm"}

    def test_of_windows_that_were_merged_from_days(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """They are computed from rows: the same numbers, by another query."""
        hub, _ = make_hub(tmp_path)
        with (hub.project / "sonde.toml").open("a") as settings:
            settings.write('[run]\nwindows = "incremental"\n')
        run(hub.project)
        found = states(hub.project, capsys)
        assert set(found) <= {"identical", "same numbers", "same but for rounding"}
        assert found.total() == 40

    def test_nothing_is_written(self, project: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
        assert said_nothing(project)
        after = {path: path.stat().st_mtime_ns for path in project.rglob("*")}
        assert after == before


def said_nothing(project: Path) -> bool:
    return ended("replay", browser.SLUG, "--project", project, *SOME) == 0


class TestDifferent:
    def tampered(self, project: Path, by: float) -> Partition:
        """A number of a stored result changed, its receipt too."""
        opened = Project.open(project, {})
        table = statistics_table(opened.experiment(browser.SLUG))
        partition = table.partition(browser.SLUG, "enrollments", "week", "1", "clients_daily")
        receipt = opened.lake.receipt(partition)
        assert receipt is not None
        rows = pq.read_table(opened.lake.file(receipt), partitioning=None)
        points = [p if p is None else p * by for p in rows["point"].to_pylist()]
        index = rows.schema.get_field_index("point")
        changed = rows.set_column(index, "point", pa.array(points, pa.float64()))
        filled = opened.lake.write(partition, changed, "another", receipt.marks)
        opened.lake.commit(table, [filled])
        return partition

    def test_which_numbers_and_by_how_much(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        self.tampered(project, 0)
        code, text = said(project, capsys, *SOME)
        assert code == 1
        assert "week 1, enrollments, clients_daily: different\n" in text
        assert "  active_hours mean_lm branch1 all: ci_width 0.95, point 0.0 -> " in text
        now = re.search(r"branch1 all: .* -> ci_width 0\.95, point (\S+)\n", text)
        assert now is not None
        assert float(now[1]) == pytest.approx(0.8)
        assert text.endswith("1 different, 1 identical\n")
        assert states(project, capsys) == {"different": 1, "identical": 39}

    def test_rounding_is_none(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.tampered(project, 1 + 1e-14)
        code, text = said(project, capsys, *SOME)
        assert code == 0
        assert "week 1, enrollments, clients_daily: same but for rounding\n" in text

    def test_another_version_of_the_program(
        self,
        project: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sonde.run.made, "release", lambda: "99")
        code, text = said(project, capsys, *SOME)
        assert code == 0
        assert "clients_daily: same numbers\n  sonde: " in text
        assert text.endswith(" -> 99\n2 same numbers\n")


class TestImpossible:
    def test_a_table_was_vacuumed(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        table = DeltaTable(project / DAILY)
        table.delete("submission_date = '2020-04-05'")
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
        code, text = said(project, capsys)
        assert code == 3
        assert (
            "version 0 of table mozdata.telemetry.clients_daily is gone: it was vacuumed, and files"
        ) in text
        assert states(project, capsys) == {"impossible": 20, "identical": 20}, "units are counted"

    def test_the_log_of_a_version_is_gone(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        table = DeltaTable(project / DAILY)
        table.delete("submission_date = '2020-04-05'")
        table.create_checkpoint()
        (project / DAILY / "_delta_log" / f"{0:020}.json").unlink()
        code, text = said(project, capsys, *SOME)
        assert code == 3
        assert "version 0 of table telemetry.clients_daily is gone" in text.replace("mozdata.", "")

    def test_a_table_without_versions_has_changed(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        browser.write_project(tmp_path)
        shutil.rmtree(tmp_path / DAILY)
        pq.write_table(browser.clients_daily(), tmp_path / f"{DAILY}.parquet")
        run(tmp_path)
        assert states(tmp_path, capsys, *SOME) == {"identical": 2}
        pq.write_table(rows_of(date(2020, 4, 6)), tmp_path / f"{DAILY}.parquet")
        code, text = said(tmp_path, capsys, *SOME)
        assert code == 3
        assert "has changed, and has no versions: it is no Delta table" in text

    def test_the_commit_is_gone(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub = Hub(project)
        before = hub.git("rev-parse", "HEAD")
        hub.git("commit", "--quiet", "--amend", "--message", "other", day=date(2020, 4, 9))
        hub.git("reflog", "expire", "--expire=now", "--all")
        hub.git("gc", "--quiet", "--prune=now")
        run(project, to_newest=True)
        code, text = said(project, capsys, *SOME)
        assert code == 3
        assert f"metric-hub has no commit {before[:10]}" in text

    def test_it_was_made_of_files_that_were_not_committed(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        Hub(project).write({OWN: browser.EXPERIMENT.replace("drop_highest = 0", "")})
        run(project)
        code, text = said(project, capsys, *SOME)
        assert code == 3
        assert "metric-hub was read with changes that were not committed" in text

    def test_the_enrollments_are_gone(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        for file in (project / "lake/sonde/enrollments").rglob("*.parquet"):
            if "_delta_log" not in file.parts:
                file.unlink()
        code, text = said(project, capsys, *SOME)
        assert code == 3
        assert "are gone: their table was vacuumed" in text

    def test_the_dates_were_others(self, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
        path = project / "experiments.json"
        (record,) = json.loads(path.read_text())
        changed = {**record, "startDate": "2020-03-25", "proposedEnrollment": 20}
        path.write_text(json.dumps([{**changed, "enrollmentEndDate": None}]))
        code, text = said(project, capsys, *SOME)
        assert code == 3
        assert "nothing asks for it any more" in text

    def test_there_is_no_such_result(
        self, project: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        code, text = said(project, capsys, "--period", "overall")
        assert code == 3
        assert f"no such result of {browser.SLUG} is stored" in text


def test_what_is_read_of_exposures_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of a signal's source too: without it, results by exposures could not be made again."""
    signal = """
[experiment.exposure_signal]
name = "seen"
data_source = "clients_last_seen"
select_expression = "active_hours_sum > 0.5"
friendly_name = "Seen"
description = "Seen"
window_start = 0
window_end = "enrollment_end"
"""
    browser.write_project(tmp_path, browser.EXPERIMENT + signal)
    opened = run(tmp_path)
    found = opened.lake.read(statistics_table(opened.experiment(browser.SLUG))).to_pylist()
    tables = {
        (row["analysis_basis"], row["data_source"], each.partition("@")[0].rpartition(".")[2])
        for row in found
        for each in row["inputs"].split(", ")
    }
    assert tables >= {
        ("enrollments", "clients_daily", "clients_daily"),
        ("exposures", "clients_daily", "clients_daily"),
        ("exposures", "clients_daily", "clients_last_seen"),
    }
    assert ("enrollments", "clients_daily", "clients_last_seen") not in tables
    assert states(tmp_path, capsys) == {"identical": 40}
