"""Do steps in the order of their inputs, wherever a runner has room for them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

from sonde.plan.steps import Enroll, Estimate, Step
from sonde.plan.unit_days import scans
from sonde.run.execute import Batch, Failed, Report, Setting, Skipped, batches, execute, fail
from sonde.run.outcome import Problem
from sonde.run.peak import peak_memory
from sonde.run.runner import Answer, Do, Pool, Runner, Task, WorkerDiedError
from sonde.run.unit_days import scan_all
from sonde.window import WindowsFrom


def run(steps: Sequence[Step], setting: Setting, runner: Runner) -> Iterator[Report]:
    """Yield a report for each step as it comes. A step whose input fails is skipped.

    Unit-days, where windows are merged from them, are made between enrollments and estimates.

    Raises BackendError as `execute` and the runner do; what is committed by then stays.
    """
    failed: dict[object, Step] = {}
    if setting.windows is WindowsFrom.ROWS:
        yield from _run(steps, setting, runner, failed)
        return
    yield from _run([s for s in steps if isinstance(s.action, Enroll)], setting, runner, failed)
    estimates = [step for step in steps if isinstance(step.action, Estimate)]
    scan_all(scans(estimates), setting, runner)
    yield from _run(estimates, setting, runner, failed)


def _run(
    steps: Sequence[Step], setting: Setting, runner: Runner, failed: dict[object, Step]
) -> Iterator[Report]:
    if not steps:
        return
    waiting = sorted(batches(steps), key=_weight, reverse=True)
    with runner.open(_do, setting) as pool:
        while waiting or pool.tasks:
            for batch in _ready(waiting, pool):
                waiting.remove(batch)
                skipped, ready = _split(batch, failed)
                yield from skipped
                if ready is not None:
                    pool.start(ready)
            if pool.tasks:
                batch, answer = pool.next()
                for report in _reports(batch, answer, setting):
                    if isinstance(report, Failed):
                        failed[report.step.output] = report.step
                    yield report


def each(
    tasks: Sequence[Task], do: Do[Task, Answer], setting: Setting, runner: Runner
) -> Iterator[Answer]:
    """The answers to independent tasks as they come; what a task raises is raised."""
    if not tasks:
        return
    waiting = list(reversed(tasks))
    with runner.open(do, setting) as pool:
        while waiting or pool.tasks:
            while waiting and pool.has_room:
                pool.start(waiting.pop())
            _, answer = pool.next()
            if isinstance(answer, WorkerDiedError):
                raise answer
            yield answer


def _do(batch: Batch, setting: Setting) -> list[Report]:
    """What a worker does."""
    with peak_memory() as peak:
        reports = execute(batch, setting)
        highest = peak()
    return [r if isinstance(r, Skipped) else replace(r, peak=highest) for r in reports]


def _weight(batch: Batch) -> float:
    """How early a batch begins: enrollments before all that wait for them, then who has most to do.

    A long batch that begins last is done by one worker while the others have nothing left.
    """
    if any(isinstance(step.action, Enroll) for step in batch.steps):
        return math.inf
    return sum(
        (1 + len(step.action.experiment.segments))
        * (1 + sum(len(metric.statistics) for metric in step.action.metrics))
        for step in batch.steps
        if isinstance(step.action, Estimate)
    )


def _ready(waiting: Sequence[Batch], pool: Pool[Batch, list[Report]]) -> Iterator[Batch]:
    """The batches whose inputs nobody is about to make, while there is room."""
    outputs = {step.output for batch in (*waiting, *pool.tasks) for step in batch.steps}
    for batch in [b for b in waiting if not _inputs(b) & outputs]:
        if not pool.has_room:
            return
        yield batch


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


def _reports(
    batch: Batch, answer: list[Report] | WorkerDiedError, setting: Setting
) -> list[Report]:
    if isinstance(answer, WorkerDiedError):
        return fail(batch, Problem.of(answer), setting)
    return answer
