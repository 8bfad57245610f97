"""Run stale steps on this machine: worker processes, progress, and nothing lost on Ctrl-C."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TypeAlias

from sonde.plan.steps import Step
from sonde.run.execute import Batch, Failed, Report, Setting, Skipped, batches, execute
from sonde.run.outcome import Problem
from sonde.run.workers import WorkerDiedError, Workers

Progress: TypeAlias = Callable[[int, int, str], None]

_DIED = Problem(
    "the worker process died, perhaps for want of memory; lower `memory` or `workers` under [run] "
    "in sonde.toml and run again",
    exception_type="WorkerDiedError",
)


def run(steps: Sequence[Step], setting: Setting, workers: int = 1) -> Iterator[Report]:
    """Do the steps in the order of their inputs; yield a report for each as it comes.

    workers: processes; 1 runs in this one. A step whose input fails is skipped. Raises
    BackendError as `execute` does; what is committed by then stays.
    """
    waiting = batches(steps)
    failed: dict[object, Step] = {}
    if workers == 1:
        yield from _serially(waiting, setting, failed)
    else:
        yield from _in_processes(waiting, setting, failed, workers)


def _serially(
    waiting: Sequence[Batch], setting: Setting, failed: dict[object, Step]
) -> Iterator[Report]:
    for batch in waiting:
        skipped, ready = _split(batch, failed)
        yield from skipped
        if ready is not None:
            yield from _noted(execute(ready, setting), failed)


def _in_processes(
    waiting: list[Batch], setting: Setting, failed: dict[object, Step], workers: int
) -> Iterator[Report]:
    do = partial(execute, setting=setting)
    with Workers[Batch, list[Report]](workers, do, ["sonde.run.execute"]) as pool:
        died: list[Batch] = []
        while waiting or pool.tasks:
            outputs = {step.output for batch in (*waiting, *pool.tasks) for step in batch.steps}
            for batch in [b for b in waiting if not _inputs(b) & outputs]:
                if not pool.has_room:
                    break
                waiting.remove(batch)
                skipped, ready = _split(batch, failed)
                yield from skipped
                if ready is not None:
                    pool.start(ready)
            if not pool.tasks:
                continue
            batch, reports = pool.next()
            match reports:
                case WorkerDiedError() if batch not in died:
                    died.append(batch)  # perhaps it was not its own fault
                    waiting.insert(0, batch)
                case WorkerDiedError():
                    yield from _noted([Failed(step, _DIED) for step in batch.steps], failed)
                case Exception():
                    raise reports
                case _:
                    yield from _noted(reports, failed)


def _inputs(batch: Batch) -> set[object]:
    return {partition for step in batch.steps for partition in step.inputs}


def _split(batch: Batch, failed: dict[object, Step]) -> tuple[list[Report], Batch | None]:
    """The steps whose inputs failed, and the others as a batch."""
    skipped: list[Report] = []
    ready: list[Step] = []
    for step in batch.steps:
        because = next((failed[p] for p in step.inputs if p in failed), None)
        if because is None:
            ready.append(step)
        else:
            skipped.append(Skipped(step, because))
    return skipped, Batch(tuple(ready)) if ready else None


def _noted(reports: list[Report], failed: dict[object, Step]) -> list[Report]:
    for report in reports:
        if isinstance(report, Failed):
            failed[report.step.output] = report.step
    return reports
