"""A progress bar on standard error, when that is a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from sonde.project import Project, Work
from sonde.publish import Published
from sonde.run.execute import Report


class Progress:
    """Steps done of all, with the time left. Silent when there is nothing to do."""

    def __init__(self, total: int, what: str = "steps") -> None:
        self._bar = Bar(
            TextColumn(what),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            TextColumn("[dim]{task.description}"),
            console=Console(stderr=True),
            transient=True,
            disable=total == 0,
        )
        self._task = self._bar.add_task("", total=total)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def advance(self, report: Report) -> None:
        """One step is over."""
        self._bar.update(self._task, advance=1, description=str(report.step).split(", ")[0])

    def advance_named(self, name: str) -> None:
        """Something else is over."""
        self._bar.update(self._task, advance=1, description=name)


def publication(project: Project, work: Work, workers: int | None) -> list[Published]:
    """Publish what has changed; those that failed."""
    with Progress(len(project.unpublished(work)), "pages") as progress:
        failed = []
        for each in project.publish(work, workers):
            progress.advance_named(each.slug)
            failed += [each] if each.problem else []
    return failed


@contextmanager
def spinner(what: str) -> Iterator[Callable[[float], None]]:
    """A bar for work that reports the fraction that is done."""
    bar = Bar(
        TextColumn(what),
        BarColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    task = bar.add_task("", total=1.0)
    with bar:
        yield lambda fraction: bar.update(task, completed=fraction)
