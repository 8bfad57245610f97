"""Where steps are done: a runner opens a pool, and a pool does tasks.

The runners of this package and those of others come the same way: as entry points of the group
"sonde.runners", each a name and something that makes a `Runner` of `Resources`.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import TracebackType
from typing import Protocol, Self, TypeVar

from sonde.errors import BackendError, ConfigError, Place, did_you_mean
from sonde.memory import Memory
from sonde.run.execute import Setting

GROUP = "sonde.runners"

BUILT_IN = (
    EntryPoint("dask", "sonde.run.dask:Dask", GROUP),
    EntryPoint("local", "sonde.run.local:Local", GROUP),
)

Task = TypeVar("Task")
Answer = TypeVar("Answer")
_Given_contra = TypeVar("_Given_contra", contravariant=True)
_Made_co = TypeVar("_Made_co", covariant=True)


class Do(Protocol[_Given_contra, _Made_co]):
    """A function that other processes can import; what it gets and gives goes through pickle."""

    __module__: str

    def __call__(self, task: _Given_contra, /, setting: Setting) -> _Made_co:
        """Do a task."""


class WorkerDiedError(BackendError):
    """The process that does a task ended in the middle of it, and did so again."""


class Pool(Protocol[Task, _Made_co]):
    """Does tasks side by side while it is entered. Leaving it stops what is under way."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> object: ...

    @property
    def tasks(self) -> list[Task]:
        """Those under way."""

    @property
    def has_room(self) -> bool:
        """Whether another task may be started."""

    def start(self, task: Task) -> None:
        """Begin a task. There must be room."""

    def next(self) -> tuple[Task, _Made_co | WorkerDiedError]:
        """Wait for a task to end: its answer, or that its worker died. What it raises is raised."""


class Runner(Protocol):
    """A place for tasks."""

    def open(self, do: Do[Task, Answer], setting: Setting) -> Pool[Task, Answer]:
        """A pool that does tasks with `do`.

        setting: what `do` gets with a task; its memory is what there is where the task is done.
        """


@dataclass(frozen=True)
class Resources:
    """What `[run]` of sonde.toml says.

    workers: steps at once. memory: of all of them. scheduler: the address of a cluster.
    """

    workers: int | None = None
    memory: str | None = None
    scheduler: str | None = None

    @property
    def processes(self) -> int:
        """Steps at once on this machine; by default one for each core, as far as memory goes."""
        if self.workers is not None:
            return self.workers
        cores = _cores()
        return cores if self.memory is None else max(1, min(cores, self._megabytes // LEAST))

    @property
    def megabytes_of_each(self) -> int:
        """What one of the processes may hold. Raises ConfigError when that is too little."""
        if self.memory is None:
            return _USUAL
        share = self._megabytes // self.processes
        if share < LEAST:
            workers = "a worker needs" if self.processes == 1 else f"{self.processes} workers need"
            raise wrong(
                "memory",
                f'"{self.memory}" is less than {workers}; write "{LEAST * self.processes}MB" or '
                "more" + (", or lower `workers`" if self.processes > 1 else ""),
            )
        return share

    @property
    def _megabytes(self) -> int:
        """Of all; there must be an amount."""
        try:
            return Memory.of(self.memory or "").megabytes
        except ValueError as error:
            raise wrong("memory", str(error)) from None


def runner(name: str, resources: Resources) -> Runner:
    """The runner that sonde.toml asks for. Raises ConfigError when there is none."""
    known = {entry.name: entry for entry in BUILT_IN}
    if name not in known:  # reading entry points takes longer than starting a command
        known = {entry.name: entry for entry in (*entry_points(group=GROUP), *BUILT_IN)}
    if name not in known:
        raise wrong("runner", f'no runner "{name}"{did_you_mean(name, known)}')
    try:
        make: Callable[[Resources], Runner] = known[name].load()
    except ModuleNotFoundError as error:
        raise wrong(
            "runner",
            f'the runner "{name}" needs the package {error.name}, which is not installed; '
            f'run `pip install "sonde[{name}]"`',
        ) from error
    return make(resources)


def wrong(key: str, message: str) -> ConfigError:
    """What is wrong with a key of `[run]`."""
    return ConfigError(message, Place("sonde.toml", key=f"run.{key}"))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


_USUAL = 1000  # MB of a process when nobody says otherwise
_PYTHON = 300  # MB that a process of a large step held beside the engine's limit, as measured
LEAST = _PYTHON + 100  # MB: an engine with less does not get far


def engine_memory(share: int) -> str:
    """The engine's limit in a process that may hold so many MB.

    >>> engine_memory(1000)
    '700MB'
    """
    return f"{engine_megabytes(share)}MB"


def engine_megabytes(share: int) -> int:
    """The same as a number."""
    return max(share, LEAST) - _PYTHON
