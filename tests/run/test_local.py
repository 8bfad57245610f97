"""Runners of this machine: how many processes, how much memory, and what happens beyond it."""

from __future__ import annotations

import itertools
import os
from datetime import date
from importlib.metadata import EntryPoint
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from sonde.errors import BackendError, ConfigError, MemoryLimitError
from sonde.project import Project
from sonde.run import runner as runners
from sonde.run.execute import Done, Failed, Setting
from sonde.run.local import Local
from sonde.run.peak import peak_memory
from sonde.run.runner import LEAST, Resources, WorkerDiedError, runner
from sonde.run.schedule import each
from sonde.runs import dearest, newest, runs
from sonde.warehouse.duckdb import Limits, Session
from tests import browser
from tests.run.test_crash import RUN_DATE, opened

CORES = len(os.sched_getaffinity(0))
TWO = """
[metrics]
weekly = ["active_hours", "hungry"]
[metrics.hungry]
data_source = "listed"
select_expression = "MAX(n)"
[metrics.hungry.statistics.linear_model_mean]
[metrics.active_hours.statistics.linear_model_mean]
[data_sources.listed]
from_expression = """
COUNTED = "SELECT ARRAY_LENGTH(ARRAY_AGG(a + b)) AS n FROM UNNEST(GENERATE_ARRAY(1, 7000)) AS a "
COUNTED += "CROSS JOIN UNNEST(GENERATE_ARRAY(1, 7000)) AS b"
UNCOUNTED = "SELECT ARRAY_LENGTH(GENERATE_ARRAY(1, 80000000)) AS n"


def sorting(rows: str, setting: Setting) -> int:
    """The peak of a process that joins more rows than its engine may hold: it must spill."""
    wide = f"SELECT hash(i) AS h, i FROM range({rows}) AS t(i)"
    with TemporaryDirectory() as folder, peak_memory() as peak:
        limits = Limits(setting.memory, Path(folder))
        with Session(setting.as_of, limits) as session:
            (found,) = session.rows(f"SELECT count(*) FROM ({wide}) JOIN ({wide}) USING (h)")
        assert found == (int(rows),)
        return peak() or 0


def listing(rows: str, setting: Setting) -> int:
    """A list is held in one piece: it cannot spill."""
    with Session(setting.as_of, Limits(setting.memory)) as session:
        return len(session.rows(f"SELECT list(i) FROM range({rows}) AS t(i)"))


def test_a_process_stays_within_its_share() -> None:
    """Of 1 GB two workers hold 500 MB each, Python and all."""
    setting = Setting("lake", "lake", date(2026, 1, 1))
    local = Local(Resources(workers=2, memory="1GB"))
    peaks = list(each(["12000000", "12000000"], sorting, setting, local))
    assert len(peaks) == 2
    assert all(10**8 < peak < 5 * 10**8 for peak in peaks), peaks
    with pytest.raises(MemoryLimitError, match="more than the 200MB of memory"):
        list(each(["60000000"], listing, setting, local))


@pytest.mark.parametrize(
    ("query", "noticed_by"), [(COUNTED, MemoryLimitError), (UNCOUNTED, WorkerDiedError)]
)
def test_a_step_over_its_memory_fails_alone(
    tmp_path: Path, query: str, noticed_by: type[Exception]
) -> None:
    """Whether the engine counts what the query holds, or only the system sees it."""
    source = f"(SELECT t.*, n FROM mozdata.telemetry.clients_daily AS t CROSS JOIN ({query}))"
    browser.write_project(tmp_path, f'{TWO}"{source}"')
    project = Project.open(tmp_path, {"SONDE_RUN_MEMORY": f"{2 * LEAST}MB"})
    reports = list(project.run(project.work(RUN_DATE), 2))
    failed = [report for report in reports if isinstance(report, Failed)]
    assert {report.step.output.key[-1] for report in failed} == {"listed"}
    for report in failed:
        assert "raise `memory` under [run] in sonde.toml" in report.problem.message
        assert report.problem.exception_type == noticed_by.__name__
    done = {r.step.output.key[-1] for r in reports if isinstance(r, Done) and r.step.output.key}
    assert done == {"population", "clients_daily"}
    left = opened(tmp_path).work(RUN_DATE).stale
    assert {r.step.output for r in failed} == {step.output for step in left}


@pytest.mark.parametrize(
    ("given", "processes", "share"),
    [
        (Resources(), CORES, 1000),
        (Resources(workers=3, memory="3GB"), 3, 1000),
        (Resources(memory="450MB"), 1, 450),  # not a worker for each core: there is no room
        (Resources(memory="800TB"), CORES, 800 * 10**6 // CORES),
    ],
)
def test_workers_and_memory_by_default(given: Resources, processes: int, share: int) -> None:
    assert (given.processes, given.megabytes_of_each) == (processes, share)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            Resources(3, "1GB"),
            '"1GB" is less than 3 workers need; write "1200MB" or more, or lower',
        ),
        (Resources(1, "1MB"), '"1MB" is less than a worker needs; write "400MB" or more$'),
        (Resources(1, "1G"), r'\[run.memory\]: expected an amount of memory.*, not "1G"$'),
    ],
)
def test_too_little_memory_is_said_at_once(given: Resources, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Local(given).open(listing, Setting("lake", "lake", date(2026, 1, 1)))


def test_runners_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(runner("local", Resources()), Local)
    with pytest.raises(ConfigError, match=r'\[run.runner\]: no runner "dusk"; did you mean "dask"'):
        runner("dusk", Resources())
    with pytest.raises(ConfigError, match=r'\[run.scheduler\]: means something with runner = "d'):
        runner("local", Resources(scheduler="tcp://h:1"))
    absent = (EntryPoint("far", "sonde_far.away:Far", runners.GROUP),)
    monkeypatch.setattr(runners, "BUILT_IN", absent)
    with pytest.raises(ConfigError, match=r'needs the package sonde_far.*install "sonde\[far\]"'):
        runner("far", Resources())


def test_the_peak_is_that_of_the_time_between() -> None:
    """A large block before does not count, one within does, though both are gone."""
    before = bytearray(3 * 10**8)
    del before
    with peak_memory() as small:
        low = small()
    with peak_memory() as large:
        within = bytearray(3 * 10**8)
        del within
        with peak_memory() as other:
            assert other() is None  # somebody measures already
        high = large()
    assert low is not None
    assert high is not None
    assert 2.5e8 < high - low < 3.5e8


def test_what_steps_cost_is_kept(tmp_path: Path) -> None:
    browser.write_project(tmp_path)
    project = opened(tmp_path)
    reports = list(project.run(project.work(RUN_DATE), 1))
    rows = runs(project.lake)
    (total,) = newest(rows, 5)
    assert (total["steps"], total["not_done"]) == (len(reports), 0)
    assert total["peak_memory"] == max(r.peak for r in reports if isinstance(r, Done) and r.peak)
    sizes = {
        name: sum(
            f.stat().st_size for f in (tmp_path / "lake/telemetry" / name).glob("*/*.parquet")
        )
        for name in ("events", "clients_last_seen", "clients_daily")
    }
    enrollments = next(row for row in rows if "enrollments 2020" in row["step"])
    segments = sizes["clients_last_seen"]
    assert enrollments["bytes_read"] == sizes["events"] + segments
    daily = sum(row["bytes_read"] for row in rows if row["step"].endswith("clients_daily"))
    assert 0 < daily <= sizes["clients_daily"]
    dear = dearest(rows, [total["run"]], 4)
    assert len(dear) == 4
    assert all(a["seconds"] >= b["seconds"] for a, b in itertools.pairwise(dear))
    assert dear[0]["seconds"] == max(row["seconds"] for row in rows)
    assert dearest(rows, [], 4) == []


def test_a_full_lake_is_not_a_steps_matter(tmp_path: Path) -> None:
    browser.write_project(tmp_path)
    project = opened(tmp_path)
    work = project.work(RUN_DATE)
    (tmp_path / "lake/_sonde.json").write_text('{"format": 99}')
    with pytest.raises(BackendError, match="newer sonde"):
        list(project.run(work, 2))
