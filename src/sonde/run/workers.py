"""Worker processes that share nothing: one that dies takes its own task with it, no other's.

A pool with a common queue has a common lock. A process killed while it holds that lock stops all
the others for ever, so here each worker has a pipe to itself.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable, Sequence
from multiprocessing import connection
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self

from sonde.run.runner import Answer, Task, WorkerDiedError

_PATIENCE = 5.0  # seconds that a worker gets to put away what it has on disk
_LOOK = 0.1  # seconds between two looks at what the workers hold
_GREEDY = (
    "the worker process held more than the {most}MB of memory it may; raise `memory` under [run] "
    "in sonde.toml, or lower `workers`, and run again"
)
_DIED = (
    "the worker process died, perhaps for want of memory; lower `memory` or `workers` under [run] "
    "in sonde.toml and run again"
)


class Here(Generic[Task, Answer]):
    """The process itself: one task at a time, done when its answer is asked for."""

    def __init__(self, do: Callable[[Task], Answer]) -> None:
        self._do = do
        self.tasks: list[Task] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.tasks = []

    @property
    def has_room(self) -> bool:
        """Whether nothing waits to be done."""
        return not self.tasks

    def start(self, task: Task) -> None:
        """Take a task."""
        self.tasks.append(task)

    def next(self) -> tuple[Task, Answer | WorkerDiedError]:
        """Do it."""
        task = self.tasks.pop()
        return task, self._do(task)


class Workers(Generic[Task, Answer]):
    """Processes that each do one task at a time; a dead one is replaced when there is work.

    A task whose worker dies is tried once more: it need not have been its own fault.

    do: a function that another process can import. preload: modules it needs. most: MB that a
    worker may hold; one that holds more is stopped, and its task is not tried again.
    """

    def __init__(
        self,
        count: int,
        do: Callable[[Task], Answer],
        preload: Sequence[str],
        most: int | None = None,
    ) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(list(preload))
        self._do = do
        self._count = count
        self._most = most
        self._idle: list[_Worker] = []
        self._busy: dict[_Worker, Task] = {}
        self._died: list[Task] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """Idle workers leave; those in the middle of a task are told to stop."""
        workers = [*self._idle, *self._busy]
        for worker in workers:
            worker.dismiss()
        for worker in workers:
            worker.bury()

    @property
    def tasks(self) -> list[Task]:
        """Those under way."""
        return list(self._busy.values())

    @property
    def has_room(self) -> bool:
        """Whether a task would be started at once."""
        return len(self._busy) < self._count

    def start(self, task: Task) -> None:
        """Give a task to a worker. There must be room."""
        assert self.has_room
        while True:
            worker = self._idle.pop() if self._idle else _Worker(self._context, self._do)
            try:
                worker.connection.send(task)
            except OSError:  # it died while it was idle
                worker.bury()
                continue
            self._busy[worker] = task
            return

    def next(self) -> tuple[Task, Answer | WorkerDiedError]:
        """Wait for a task to end: its answer, or that its worker died. What it raised is raised."""
        while True:
            worker = self._ready()
            task = self._busy.pop(worker)
            try:
                answer: Answer | Exception = worker.connection.recv()
            except (EOFError, OSError):
                worker.bury()
                if worker.is_greedy:
                    return task, WorkerDiedError(_GREEDY.format(most=self._most))
                if any(task is each for each in self._died):
                    return task, WorkerDiedError(_DIED)
                self._died.append(task)
                self.start(task)
                continue
            self._idle.append(worker)
            if isinstance(answer, Exception):
                raise answer
            return task, answer

    def _ready(self) -> _Worker:
        """The next worker to answer, or to end. Who holds too much is ended meanwhile."""
        while True:
            patience = None if self._most is None else _LOOK
            ready = connection.wait([each.connection for each in self._busy], patience)
            for worker in self._busy:
                if worker.connection in ready:
                    return worker
                if self._most is not None and worker.resident() > self._most * 10**6:
                    worker.stop()


class _Worker:
    """A process and our end of its pipe."""

    def __init__(self, context: Any, do: Callable[[Any], Any]) -> None:
        self.is_greedy = False
        self.connection, theirs = context.Pipe()
        self._process: BaseProcess = context.Process(target=_serve, args=(theirs, do), daemon=True)
        self._process.start()
        theirs.close()

    def resident(self) -> int:
        """Bytes that the process holds in memory; 0 where the system does not say."""
        try:
            pages = Path(f"/proc/{self._process.pid}/statm").read_text().split()[1]
        except OSError:
            return 0
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def stop(self) -> None:
        """End it at once, because it holds too much."""
        self.is_greedy = True
        self._process.kill()

    def dismiss(self) -> None:
        self.connection.close()
        self._process.terminate()

    def bury(self) -> None:
        self.connection.close()
        self._process.join(_PATIENCE)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def _serve(tasks: Connection, do: Callable[[Any], Any]) -> None:
    """What a worker does until its pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that shows progress decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    while True:
        try:
            task = tasks.recv()
        except EOFError:
            return
        try:
            answer = do(task)
        except Exception as error:  # raised again by whoever asked
            answer = error
        try:
            tasks.send(answer)
        except BrokenPipeError:
            return
