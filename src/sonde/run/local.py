"""Run stale steps on this machine: worker processes, progress, and nothing lost on Ctrl-C."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from typing import TypeAlias

from sonde.plan.steps import Step
from sonde.run.execute import Batch, Failed, Report, Setting, Skipped, batches, execute
from sonde.run.outcome import Problem

Progress: TypeAlias = Callable[[int, int, str], None]


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
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["sonde.run.execute"])
    pool = ProcessPoolExecutor(workers, mp_context=context)
    running: dict[Future[list[Report]], Batch] = {}
    try:
        while waiting or running:
            outputs = {
                step.output for batch in (*waiting, *running.values()) for step in batch.steps
            }
            for batch in [b for b in waiting if not _inputs(b) & outputs]:
                if len(running) >= 2 * workers:
                    break
                waiting.remove(batch)
                skipped, ready = _split(batch, failed)
                yield from skipped
                if ready is not None:
                    running[pool.submit(execute, ready, setting)] = ready
            if not running:
                continue
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            broken: list[Batch] = []
            for future in finished:
                batch = running.pop(future)
                try:
                    reports = future.result()
                except BrokenProcessPool:
                    broken.append(batch)
                    continue
                yield from _noted(reports, failed)
            if broken:
                broken += running.values()
                running.clear()
                pool.shutdown(wait=False, cancel_futures=True)
                pool = ProcessPoolExecutor(workers, mp_context=context)
                yield from _one_by_one(broken, setting, failed, context)
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _one_by_one(
    broken: Sequence[Batch],
    setting: Setting,
    failed: dict[object, Step],
    context: multiprocessing.context.BaseContext,
) -> Iterator[Report]:
    """A worker died: each batch that was under way gets a worker to itself, to find the cause."""
    for batch in broken:
        with ProcessPoolExecutor(1, mp_context=context) as alone:
            try:
                reports = alone.submit(execute, batch, setting).result()
            except BrokenProcessPool:
                problem = Problem(
                    "the worker process died, perhaps for want of memory; lower `memory` or "
                    "`workers` under [run] in sonde.toml and run again",
                    exception_type="BrokenProcessPool",
                )
                reports = [Failed(step, problem) for step in batch.steps]
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
