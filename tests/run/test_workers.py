"""Worker processes: nothing is lost, nothing waits for ever."""

from __future__ import annotations

import os
import signal
import time

import pytest

from sonde.errors import BackendError
from sonde.run.workers import WorkerDiedError, Workers


def work(task: str) -> str:
    """A task that does what it is called."""
    match task.split():
        case ["pid"]:
            return str(os.getpid())
        case ["die"]:
            os.kill(os.getpid(), signal.SIGKILL)
        case ["sleep"]:
            time.sleep(60)
        case ["raise"]:
            raise BackendError("the disk is full")
        case _:
            pass
    return task.upper()


def pool(count: int) -> Workers[str, str]:
    return Workers(count, work, ["tests.run.test_workers"])


def test_answers_and_errors_come_back() -> None:
    with pool(2) as workers:
        workers.start("a")
        workers.start("b")
        assert not workers.has_room
        assert dict(workers.next() for _ in range(2)) == {"a": "A", "b": "B"}
        workers.start("raise")
        with pytest.raises(BackendError, match="the disk is full"):
            workers.next()
        workers.start("c")
        assert workers.next() == ("c", "C")


def test_a_worker_is_used_again() -> None:
    with pool(1) as workers:
        pids = set()
        for _ in range(3):
            workers.start("pid")
            pids.add(workers.next()[1])
    assert len(pids) == 1


def test_one_that_dies_takes_only_its_own_task() -> None:
    with pool(2) as workers:
        for _ in range(5):
            workers.start("die")
            workers.start("b")
            answers = dict(workers.next() for _ in range(2))
            assert isinstance(answers["die"], WorkerDiedError)
            assert answers["b"] == "B"


def test_one_killed_while_idle_is_replaced() -> None:
    with pool(1) as workers:
        workers.start("pid")
        _, pid = workers.next()
        assert isinstance(pid, str)
        os.kill(int(pid), signal.SIGKILL)
        time.sleep(0.2)
        workers.start("c")
        task, answer = workers.next()
        if isinstance(answer, WorkerDiedError):  # the task was in the pipe already
            workers.start(task)
            _, answer = workers.next()
        assert answer == "C"


def test_leaving_stops_what_is_under_way() -> None:
    started = time.monotonic()
    with pool(2) as workers:
        workers.start("sleep")
        workers.start("pid")
    assert time.monotonic() - started < 30  # far from a minute: nobody waited for the task
