"""A Dask cluster: somebody's, by the address of its scheduler, or one of this machine's processes.

What is done is known from the lake, never from Dask. So a step may run twice, as Dask does when a
worker is lost, and what a lost scheduler knew is made good by the next run.
"""

from __future__ import annotations

import logging
import queue
import time
import uuid
import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Any, Generic, Self

import dask.config
from distributed import Client, Future, LocalCluster, get_worker
from distributed.scheduler import KilledWorker
from distributed.versions import VersionMismatchWarning

from sonde.errors import BackendError, SondeError
from sonde.lake import Lake
from sonde.release import release
from sonde.run.execute import Setting
from sonde.run.runner import (
    Answer,
    Do,
    Pool,
    Resources,
    Task,
    WorkerDiedError,
    engine_megabytes,
    wrong,
)

_CONNECT = "5s"
_GATHER = 60.0  # seconds for an answer that is there already
_LOOK = 10.0  # seconds without an answer before it is seen whether there are workers
_ALONE = 300.0  # seconds without any worker before the run is given up; a cluster may grow slowly
_AHEAD = 1000  # tasks given to the scheduler: more than it has workers, less than it minds
_SHARE = 0.6  # of a worker's memory at most for the engine: a worker over its limit is killed
# The engine holds the memory, and spills; a worker that pauses would wait for nobody.
_UNMANAGED = {f"distributed.worker.memory.{each}": False for each in ("target", "spill", "pause")}
# Ctrl-C reaches all processes of a terminal; the one that shows progress decides what it means.
_DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"
_PACKAGES = ("sonde", "dask", "distributed")
_LOGGERS = ("distributed", "distributed.client", "distributed.worker", "distributed.scheduler")


class Dask:
    """The cluster of `run.scheduler`, or a local one while tasks are done."""

    def __init__(self, resources: Resources) -> None:
        if resources.scheduler is not None:
            for key in ("workers", "memory"):
                if getattr(resources, key) is not None:
                    raise wrong(
                        key,
                        f"the cluster at {resources.scheduler} has {key} of its own; "
                        "leave it out, or leave out `scheduler` for a cluster on this machine",
                    )
        self._resources = resources

    def open(self, do: Do[Task, Answer], setting: Setting) -> Pool[Task, Answer]:
        """A pool of the cluster's workers. Raises BackendError when it cannot be reached."""
        return _Cluster(self._resources, do, setting)


class _Cluster(Generic[Task, Answer]):
    """Tasks as futures. A task stays under way until its answer was asked for."""

    def __init__(self, resources: Resources, do: Do[Task, Answer], setting: Setting) -> None:
        self._resources = resources
        self._do = do
        self._setting = setting
        self._name = resources.scheduler or "this machine"
        self._busy: dict[str, tuple[Task, Future[Answer]]] = {}
        self._ended: queue.SimpleQueue[Future[Answer]] = queue.SimpleQueue()
        self._open = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._client = stack.enter_context(_connected(self._resources))
            self._open = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        """What waits is cancelled; a step that a worker has begun ends, and counts."""
        with self._open:
            if self._busy and self._client.status == "running":
                self._client.cancel([future for _, future in self._busy.values()])

    @property
    def tasks(self) -> list[Task]:
        return [task for task, _ in self._busy.values()]

    @property
    def has_room(self) -> bool:
        return len(self._busy) < _AHEAD

    def start(self, task: Task) -> None:
        key = f"{_title(task)}-{uuid.uuid4()}"  # not the step's alone: a failed key is remembered
        future = self._client.submit(
            _on_worker,
            task,
            self._do,
            self._setting,
            release(),
            key=key,
            pure=False,
            retries=0,
        )
        self._busy[key] = task, future
        future.add_done_callback(self._ended.put)

    def next(self) -> tuple[Task, Answer | WorkerDiedError]:
        alone_since: float | None = None
        while True:
            try:
                future = self._ended.get(timeout=_LOOK)
            except queue.Empty:
                alone_since = self._alone_since(alone_since)
                continue
            task, _ = self._busy.pop(str(future.key))
            return task, self._answer(future)

    def _answer(self, future: Future[Answer]) -> Answer | WorkerDiedError:
        try:
            return future.result(timeout=_GATHER)
        except KilledWorker as error:
            return WorkerDiedError(
                f"{error.allowed_failures + 1} worker processes died of it, perhaps for want of "
                "memory; give the workers more memory, or fewer threads, and run again"
            )
        except SondeError:
            raise
        except Exception as error:
            if future.status == "error":
                raise _unable(error) from error
            raise BackendError(  # cancelled, or nobody is there to give it
                f"the scheduler at {self._name} was lost; see that it runs and run again "
                "(what was finished is kept)"
            ) from error

    def _alone_since(self, before: float | None) -> float | None:
        """Since when no look found a worker; None when there is one. Raises when that is long."""
        if self._client.scheduler_info()["workers"]:
            return None
        since = time.monotonic() if before is None else before
        if time.monotonic() - since >= _ALONE:
            raise BackendError(
                f"the cluster at {self._name} has no workers; start some and run again "
                "(what was finished is kept)"
            )
        return since


def _title(task: object) -> str:
    """What the dashboard and the logs of the cluster call a task."""
    return str(task) if hasattr(task, "slug") else "publish"


def _unable(error: Exception) -> BackendError:
    """What the cluster could not do, as who can act should read it."""
    first_line = str(error).partition("\n")[0]
    return BackendError(
        f"the cluster cannot do what it is asked ({type(error).__name__}: {first_line}); "
        f"install sonde {release()} with all it needs on the scheduler and the "
        "workers, and run again"
    )


def _on_worker(task: Task, do: Do[Task, Answer], setting: Setting, sonde: str) -> Answer:
    """Do a task, on a worker that may have joined a moment ago."""
    if (own := release()) != sonde:
        raise BackendError(_differs("a worker", "sonde", own, sonde))
    if not Lake.exists(setting.lake, setting.cache):
        raise BackendError(
            f"a worker does not find the lake {setting.lake}; put it on a disk that this machine "
            "and all workers share, under the same path"
        )
    return do(task, replace(setting, memory=_engine_memory()))


def _engine_memory() -> str:
    """What the engine may use of the worker's memory, for one of its threads."""
    worker = get_worker()
    limit: int | None = worker.memory_manager.memory_limit
    if not limit:
        return "1GB"
    most = min(limit * _SHARE / 10**6, engine_megabytes(limit // 10**6))
    return f"{int(most / worker.state.nthreads)}MB"


@contextmanager
def _connected(resources: Resources) -> Iterator[Client]:
    for name in _LOGGERS:  # what matters is raised or reported
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if resources.scheduler is None:
        with _local(resources) as cluster, Client(cluster, set_as_default=False) as client:
            yield client
        return
    with _client(resources.scheduler) as client:
        _check_versions(client.get_versions(packages=["sonde"]), resources.scheduler)
        yield client


@contextmanager
def _local(resources: Resources) -> Iterator[LocalCluster]:
    """Workers of one thread each: steps of one process would share its memory."""
    with (
        dask.config.set(_UNMANAGED),
        TemporaryDirectory(prefix="sonde-dask-") as scratch,
        LocalCluster(
            n_workers=resources.processes,
            threads_per_worker=1,
            processes=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",  # any port: the usual one may be in use
            memory_limit=resources.megabytes_of_each * 10**6,
            local_directory=scratch,
            silence_logs=logging.CRITICAL,
            preload=[_DEAF],
        ) as cluster,
    ):
        yield cluster


def _client(address: str) -> Client:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", VersionMismatchWarning)  # ours says what to do
            return Client(address, timeout=_CONNECT, set_as_default=False)
    except (OSError, ValueError, ImportError) as error:
        raise BackendError(
            f"the scheduler at {address} does not answer; start it, or correct run.scheduler "
            "in sonde.toml, and run again"
        ) from error


def _check_versions(found: Mapping[str, Any], address: str) -> None:
    """Raise BackendError unless all sides have the same; what goes between them is pickled."""
    own = found["client"]["packages"]
    sides = {f"the scheduler at {address}": found["scheduler"]}
    sides |= {f"the worker at {where}": each for where, each in found["workers"].items()}
    for who, each in sides.items():
        for package in _PACKAGES:
            if (theirs := each["packages"].get(package)) != own[package]:
                raise BackendError(_differs(who, package, theirs, own[package]))


def _differs(who: str, package: str, theirs: str | None, own: str) -> str:
    has = f"has no {package}" if theirs is None else f"has {package} {theirs}"
    return f"{who} {has}, this machine {own}; install {package} {own} there and run again"
