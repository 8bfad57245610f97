"""The same steps on a Dask cluster: a real scheduler and two worker processes on loopback."""

from __future__ import annotations

import copy
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from sonde.errors import BackendError, ConfigError
from sonde.lake import Lake
from sonde.plan.steps import queries_table
from sonde.project import Project
from sonde.results import errors
from sonde.run import schedule
from sonde.run.dask import Dask, _check_versions, _client
from sonde.run.execute import Batch, Done, Failed, Report, Setting
from sonde.run.runner import Resources, WorkerDiedError
from tests import browser
from tests.run.test_crash import COMMAND, RUN_DATE, contents, finish, opened

HOST = "127.0.0.1"
TWO_SOURCES = """
[metrics]
weekly = ["active_hours", "hours_last_seen"]
overall = ["active_hours"]

[metrics.active_hours.statistics.linear_model_mean]
[metrics.active_hours.statistics.deciles]
[metrics.hours_last_seen.statistics.linear_model_mean]
"""
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(filter(None, [*sys.path, str(Path(__file__).parents[2])])),
    "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "2s",  # not 30 s: a dead worker is asked long
}


@dataclass(frozen=True)
class Cluster:
    """The processes; workers: those that watch over the workers, Dask's nannies."""

    address: str
    scheduler: subprocess.Popen[bytes]
    workers: subprocess.Popen[bytes]

    def worker_processes(self) -> list[int]:
        found = subprocess.run(
            ["pgrep", "-P", str(self.workers.pid), "-f", "spawn_main"],
            capture_output=True,
            text=True,
            check=True,
        )
        return [int(pid) for pid in found.stdout.split()]


@contextmanager
def cluster_in(folder: Path, allowed_failures: int = 1) -> Iterator[Cluster]:
    """allowed_failures: workers that a task may lose, and is tried again; by Dask's default 3."""
    with socket.socket() as free:
        free.bind((HOST, 0))
        address = f"tcp://{HOST}:{free.getsockname()[1]}"
    port = ["--port", address.rpartition(":")[2]]
    allowed = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": str(allowed_failures)}
    scheduler = dask("scheduler", "--host", HOST, "--no-dashboard", *port, **allowed)
    try:
        with workers_in(folder, address) as workers:
            yield Cluster(address, scheduler, workers)
    finally:
        kill(scheduler)


@contextmanager
def workers_in(folder: Path, address: str) -> Iterator[subprocess.Popen[bytes]]:
    """Two, which the scheduler knows."""
    size = ["--nworkers", "2", "--nthreads", "1", "--memory-limit", "1GB"]
    place = ["--local-directory", str(folder), "--death-timeout", "30"]
    workers = dask("worker", address, "--host", HOST, "--no-dashboard", *size, *place)
    try:
        _wait_for(address)
        yield workers
    finally:
        kill(workers)


def kill(process: subprocess.Popen[bytes]) -> None:
    """With all that it has started."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(timeout=30)


def dask(*command: str, **environment: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *command],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def _wait_for(address: str) -> None:
    """Until there are two workers; the scheduler may not listen yet."""
    until = time.monotonic() + 60
    while True:
        try:
            with _client(address) as client:
                client.wait_for_workers(2, timeout=60)
                return
        except BackendError:
            if time.monotonic() > until:
                raise


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with cluster_in(tmp_path_factory.mktemp("workers")) as running:
        yield running


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return browser.write_project(tmp_path_factory.mktemp("fresh"), TWO_SOURCES)


@pytest.fixture(scope="module")
def expected(fresh: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What one worker on this machine makes."""
    folder = tmp_path_factory.mktemp("alone") / "project"
    shutil.copytree(fresh, folder)
    finish(folder)
    return everything(folder)


@pytest.fixture
def own(fresh: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(fresh, tmp_path / "project"))


def everything(folder: Path) -> dict[str, Any]:
    project = opened(folder)
    queries = project.lake.read(queries_table(project.experiment(browser.SLUG))).to_pylist()
    return {**contents(folder), "queries": sorted(queries, key=str)}


def on_cluster(folder: Path, address: str) -> Project:
    return Project.open(folder, {"SONDE_RUN_RUNNER": "dask", "SONDE_RUN_SCHEDULER": address})


def setting_of(folder: Path) -> Setting:
    return opened(folder).setting(RUN_DATE)


# What the workers import by name.


def memory(task: str, setting: Setting) -> str:
    return f"{task} {setting.memory}"


def deadly(batch: Batch, setting: Setting) -> list[Report]:
    if "clients_last_seen" in str(batch):
        os.kill(os.getpid(), signal.SIGKILL)
    return schedule._do(batch, setting)


def unable(task: str, setting: Setting) -> str:
    raise ZeroDivisionError(task)


class Poisoned(Dask):
    """A cluster on which some batches kill whoever does them."""

    def open(self, do: Any, setting: Setting) -> Any:
        return super().open(deadly, setting)


def test_the_tables_are_those_of_one_worker(
    cluster: Cluster, own: Path, fresh: Path, tmp_path: Path, expected: dict[str, Any]
) -> None:
    project = on_cluster(own, cluster.address)
    reports = list(project.run(project.work(RUN_DATE)))
    assert {type(report) for report in reports} == {Done}
    assert all(r.peak and r.peak > 10**7 for r in reports if isinstance(r, Done))
    assert everything(own) == expected
    local = Path(shutil.copytree(fresh, tmp_path / "local"))
    list(opened(local).run(opened(local).work(RUN_DATE), 2))
    assert everything(local) == expected


def test_a_local_cluster_when_no_scheduler_is_named(own: Path, expected: dict[str, Any]) -> None:
    project = Project.open(own, {"SONDE_RUN_RUNNER": "dask"})
    list(project.run(project.work(RUN_DATE), 1))
    assert everything(own) == expected


def test_a_killed_worker_is_made_good(
    cluster: Cluster, own: Path, expected: dict[str, Any]
) -> None:
    project = on_cluster(own, cluster.address)
    reports = project.run(project.work(RUN_DATE))
    first = next(reports)
    os.kill(cluster.worker_processes()[0], signal.SIGKILL)
    assert {type(report) for report in [first, *reports]} == {Done}
    assert everything(own) == expected


def test_a_poisoned_step_fails_alone(cluster: Cluster, own: Path, expected: dict[str, Any]) -> None:
    project = opened(own)
    poisoned = Poisoned(Resources(scheduler=cluster.address))
    reports = list(schedule.run(project.work(RUN_DATE).stale, setting_of(own), poisoned))
    failed = [r for r in reports if isinstance(r, Failed)]
    assert {r.step.output.key[-1] for r in failed} == {"clients_last_seen"}
    assert all("give the workers more memory" in r.problem.message for r in failed)
    assert sum(isinstance(r, Done) for r in reports) == len(reports) - len(failed) > len(failed)
    kept = errors(project.lake, project.experiment(browser.SLUG))
    assert {row["exception_type"] for row in kept} >= {WorkerDiedError.__name__}
    finish(own)
    assert everything(own) == expected


def test_a_lost_scheduler_loses_nothing(
    own: Path, tmp_path: Path, expected: dict[str, Any]
) -> None:
    with cluster_in(tmp_path) as cluster:
        project = on_cluster(own, cluster.address)
        reports = project.run(project.work(RUN_DATE))
        next(reports)
        cluster.scheduler.kill()
        with pytest.raises(BackendError, match="was lost; see that it runs and run again"):
            list(reports)
    assert 0 < len(opened(own).work(RUN_DATE).stale) < len(project.work(RUN_DATE).plan.steps)
    finish(own)
    assert everything(own) == expected


def test_without_workers_it_ends_or_waits_for_others(
    own: Path, tmp_path: Path, expected: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All are killed while they work. Nobody takes their place: exit code 75, after a while. Others
    do, during the next run: it goes on, and nothing is lost or there twice."""
    monkeypatch.setattr("sonde.run.dask._LOOK", 0.2)
    monkeypatch.setattr("sonde.run.dask._ALONE", 2.0)
    with cluster_in(tmp_path / "first", allowed_failures=3) as cluster:
        project = on_cluster(own, cluster.address)
        reports = project.run(project.work(RUN_DATE))
        next(reports)
        kill(cluster.workers)
        with pytest.raises(BackendError, match="has no workers; start some and run again"):
            list(reports)
        left = opened(own).work(RUN_DATE).stale
        assert left
        monkeypatch.setattr("sonde.run.dask._ALONE", 60.0)
        with workers_in(tmp_path / "second", cluster.address) as second:
            reports = project.run(project.work(RUN_DATE))
            first = next(reports)
            kill(second)
            with workers_in(tmp_path / "third", cluster.address):
                assert {type(report) for report in [first, *reports]} == {Done}
    assert opened(own).work(RUN_DATE).stale == ()
    assert everything(own) == expected


def test_an_unreachable_scheduler_is_one_sentence(own: Path) -> None:
    said = subprocess.run(
        [*COMMAND, "--project", str(own)],
        env={
            **ENVIRONMENT,
            "SONDE_RUN_RUNNER": "dask",
            "SONDE_RUN_SCHEDULER": f"tcp://{HOST}:9",  # discard: nobody listens
        },
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert said.returncode == BackendError.exit_code
    assert said.stderr.strip() == (
        f"error: the scheduler at tcp://{HOST}:9 does not answer; start it, or correct "
        "run.scheduler in sonde.toml, and run again"
    )


def test_interrupted_from_the_keyboard(
    cluster: Cluster, own: Path, expected: dict[str, Any]
) -> None:
    process = subprocess.Popen(
        [*COMMAND, "--project", str(own)],
        env={
            **ENVIRONMENT,
            "SONDE_RUN_RUNNER": "dask",
            "SONDE_RUN_SCHEDULER": cluster.address,
        },
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in {0, 130, -signal.SIGINT}
    assert process.returncode != 130 or said.strip() == (
        "stopped; what was finished is kept, the next run does the rest"
    )
    finish(own)
    assert everything(own) == expected


def test_what_a_worker_gets_and_says(cluster: Cluster, own: Path) -> None:
    runner, setting = Dask(Resources(scheduler=cluster.address)), setting_of(own)
    Lake.open(setting.lake)
    answers = sorted(schedule.each(["a", "b"], memory, setting, runner))
    assert answers == ["a 600MB", "b 600MB"]  # of 1 GB, 60 % are the engine's
    with pytest.raises(BackendError, match=r"ZeroDivisionError: c\); install sonde"):
        list(schedule.each(["c"], unable, setting, runner))
    elsewhere = replace(setting, lake=str(own / "elsewhere"))
    with pytest.raises(BackendError, match="a worker does not find the lake"):
        list(schedule.each(["d"], memory, elsewhere, runner))


def test_all_sides_have_the_same_versions(cluster: Cluster) -> None:
    with _client(cluster.address) as client:
        found = client.get_versions(packages=["sonde"])
    _check_versions(found, cluster.address)
    older = copy.deepcopy(found)
    next(iter(older["workers"].values()))["packages"]["sonde"] = "0.0.1"
    with pytest.raises(BackendError, match=r"the worker at tcp://.* has sonde 0\.0\.1, this"):
        _check_versions(older, cluster.address)
    absent = copy.deepcopy(found)
    absent["scheduler"]["packages"]["sonde"] = None
    with pytest.raises(BackendError, match=r"the scheduler at .* has no sonde, this machine"):
        _check_versions(absent, cluster.address)


@pytest.mark.parametrize("key", ["workers", "memory"])
def test_a_cluster_has_workers_and_memory_of_its_own(key: str) -> None:
    given: dict[str, Any] = {"workers": 2} if key == "workers" else {"memory": "1GB"}
    with pytest.raises(ConfigError, match=rf"\[run.{key}\]: the cluster at tcp://h:1 has {key}"):
        Dask(Resources(scheduler="tcp://h:1", **given))
