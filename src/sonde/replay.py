"""A stored result computed again, from the configuration and the tables that it names."""

from __future__ import annotations

import enum
import io
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sonde.errors import ConfigError, DataError, SondeError
from sonde.experiment import Experiment
from sonde.lake import write_rows
from sonde.plan.plan import plan
from sonde.plan.steps import Estimate, Step, covariate_metrics, enrollments_table, statistics_table
from sonde.project import Project
from sonde.run.estimate import estimate
from sonde.run.execute import stored_rows
from sonde.run.outcome import STATISTICS_COLUMNS
from sonde.sql import TableName
from sonde.table import Partition, Receipt
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources, SourceTable

_MADE_BY = ("sonde", "configuration", "inputs", "query_id")
_NUMBERS = ("ci_width", "point", "lower", "upper", "reason", "detail")
_MOST = 10  # differences of a result that are told
_COVARIATE_DAYS = 28  # the longest time before enrollment that a step reads


class State(enum.StrEnum):
    """What came of a replay."""

    IDENTICAL = "identical"  # the same bytes
    SAME_NUMBERS = "same numbers"  # made by something else, and equal in every estimate
    DIFFERENT = "different"
    IMPOSSIBLE = "impossible"  # what it was made from is gone


@dataclass(frozen=True)
class Replayed:
    """A stored result, and whether it came out the same. said: what differs, or what is gone."""

    partition: Partition
    state: State
    said: tuple[str, ...] = ()


def replay(
    project: Project, slug: str, is_wanted: Callable[[Partition, date], bool]
) -> Iterator[Replayed]:
    """Compute the stored results of an experiment again and compare them, in order of their keys.

    Each by the configuration, the commits of Delta tables and the enrollments that it was made
    from. Nothing is written. is_wanted: is given the last day of data, too. Raises DataError when
    no stored result is wanted.
    """
    table = statistics_table(project.experiment(slug))
    receipts = [
        receipt
        for key, receipt in sorted(project.lake.receipts(table).items())
        if key[0] == slug and is_wanted(receipt.partition, date.fromisoformat(receipt.marks[1]))
    ]
    if not receipts:
        raise DataError(f"no such result of {slug} is stored; `sonde results {slug}` prints them")
    latest = max(date.fromisoformat(receipt.marks[1]) for receipt in receipts)
    past = _Past(project, slug, latest)
    for receipt in receipts:
        try:
            yield past.replayed(receipt)
        except SondeError as error:
            yield Replayed(receipt.partition, State.IMPOSSIBLE, (str(error),))


@dataclass(frozen=True)
class _MadeFrom:
    """What a stored result says of itself."""

    configuration: str
    inputs: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, rows: pa.Table) -> _MadeFrom:
        first = rows.slice(0, 1).to_pylist()[0]
        parts = (each.partition("@") for each in (first["inputs"] or "").split(", ") if each)
        return cls(first["configuration"] or "", tuple((name, v) for name, _, v in parts))

    @property
    def numbers(self) -> dict[str, int]:
        """The commits of the Delta tables."""
        parted = ((name, version.partition(":")) for name, version in self.inputs)
        return {name: int(number) for name, (number, colon, _) in parted if colon}


class _Past:
    """What the results of an experiment were made from; each is opened once."""

    def __init__(self, project: Project, slug: str, latest: date) -> None:
        """latest: the last day of data in any of them, as of which most windows are complete."""
        self._project = project
        self._latest = latest
        self._record = project.record(slug)
        self._experiments: dict[str, Experiment] = {}
        self._steps: dict[tuple[str, date], dict[Partition, Step]] = {}
        self._enrolled: list[Receipt] | None = None

    def replayed(self, receipt: Receipt) -> Replayed:
        """Compute one result again. Raises what stands in the way."""
        lake = self._project.lake
        file = lake.file(receipt)
        stored = pq.read_table(file, partitioning=None)
        if stored.num_rows == 0:
            return Replayed(receipt.partition, State.SAME_NUMBERS, ("it has no rows",))
        made_from = _MadeFrom.of(stored)
        step = self._step(receipt, made_from.configuration)
        sources = self._sources(made_from, step)
        rows = self._computed(step, sources, self._enrollments(receipt), made_from)
        if _as_file(rows) == file.read_bytes():
            return Replayed(receipt.partition, State.IDENTICAL)
        return Replayed(receipt.partition, *_compared(stored, rows))

    def _computed(
        self, step: Step, sources: Sources, enrolled: Path, made_from: _MadeFrom
    ) -> pa.Table:
        through = date.fromisoformat(step.marks[1])
        memory = self._project.setting(through).memory
        folders = [self._project.lake.root, *sources.folders()]
        with Session(through, Limits(memory), folders) as session:
            (estimated,) = estimate([step], session, sources, enrolled)
        if not estimated.rows and estimated.problems:
            raise DataError(estimated.problems[0].message)
        return stored_rows(estimated, sources, made_from.configuration)

    def _sources(self, made_from: _MadeFrom, step: Step) -> Sources:
        """The tables as they were. Raises DataError when one cannot be had any more."""
        project = self._project
        sources = Sources(project.lake.root, project.settings.tables, made_from.numbers)
        first, last = _days(step)
        window = _action(step).due
        for name, version in made_from.inputs:
            table = sources.find(TableName.parse(name))
            if table.named_version(window.first_data, window.last_data) != version:
                raise DataError(
                    f"table {name} is not what it was, and it is not a Delta table with a past"
                )
            _check_files(name, table, first, last)
        return sources

    def _enrollments(self, receipt: Receipt) -> Path:
        """Those in force when the result was made."""
        if self._enrolled is None:
            table = enrollments_table(self._project.experiment(receipt.partition.key[0]))
            found: dict[str, Receipt] = {}
            for receipts in self._project.lake.history(table):
                found |= {each.path: each for each in receipts.values()}
            self._enrolled = list(found.values())
        before = [each for each in self._enrolled if each.modified <= receipt.modified]
        files = [self._project.lake.file(each) for each in before[:1]]
        if not files or not files[0].is_file():
            raise DataError(
                "the enrollments that it was made from are gone: their table was vacuumed"
            )
        return files[0]

    def _step(self, receipt: Receipt, read: str) -> Step:
        """The step that made the result, as the configuration of then plans it."""
        if read not in self._experiments:
            then = self._project.configuration.at(read)
            self._experiments[read] = then.resolve(self._record).experiment
        through = date.fromisoformat(receipt.marks[1])
        for as_of in (self._latest, *(through + timedelta(days=n) for n in range(3))):
            step = self._planned(read, as_of).get(receipt.partition)
            if step is not None and step.marks == receipt.marks:
                return step
        raise ConfigError(
            "nothing asks for it: its dates, or what it is of, were others when it was made"
        )

    def _planned(self, read: str, as_of: date) -> dict[Partition, Step]:
        if (read, as_of) not in self._steps:
            made = plan([self._experiments[read]], as_of, lambda *_: "")
            self._steps[read, as_of] = {step.output: step for step in made.steps}
        return self._steps[read, as_of]


def _action(step: Step) -> Estimate:
    assert isinstance(step.action, Estimate)
    return step.action


def _days(step: Step) -> tuple[date, date]:
    """The days whose rows a step reads."""
    action = _action(step)
    first, last = action.due.first_data, action.due.last_data
    if any(covariate_metrics(action.experiment, metric) for metric in action.metrics):
        first = min(first, action.due.first_enrollment - timedelta(days=_COVARIATE_DAYS))
    return first, last


def _check_files(name: str, table: SourceTable, first: date, last: date) -> None:
    if any(not Path(file.path).is_file() for file in table.within(first, last)):
        raise DataError(
            f"version {table.number} of table {name} is gone: it was vacuumed, and files of the "
            f"days {first} to {last} are no longer there"
        )


def _as_file(rows: pa.Table) -> bytes:
    """As the lake writes them."""
    sink = io.BytesIO()
    write_rows(rows, sink)
    return sink.getvalue()


def _compared(stored: pa.Table, rows: pa.Table) -> tuple[State, tuple[str, ...]]:
    """Which estimates differ, then what of their making does."""
    had, have = _by_name(stored), _by_name(rows)
    differ = [
        f"{name}: {_said(had.get(name))} -> {_said(have.get(name))}"
        for name in dict.fromkeys((*had, *have))
        if repr(had.get(name)) != repr(have.get(name))
    ]
    more = [f"and {len(differ) - _MOST} more"] if len(differ) > _MOST else []
    made_by = [
        f"{column}: {before} -> {after}"
        for column in _MADE_BY
        if (before := stored[column][0].as_py()) != (after := _first(rows, column))
    ]
    state = State.DIFFERENT if differ else State.SAME_NUMBERS
    return state, (*differ[:_MOST], *more, *made_by)


def _first(rows: pa.Table, column: str) -> Any:
    return rows[column][0].as_py() if rows.num_rows else None


def _by_name(rows: pa.Table) -> dict[str, dict[str, Any]]:
    """Each estimate's numbers, by all that names it."""
    named = [name for name in STATISTICS_COLUMNS.names if name not in (*_NUMBERS, *_MADE_BY)]
    return {
        " ".join(str(row[name]) for name in named if row[name] is not None): {
            name: row[name] for name in _NUMBERS
        }
        for row in rows.to_pylist()
    }


def _said(numbers: Mapping[str, Any] | None) -> str:
    if numbers is None:
        return "nothing"
    told = (f"{name} {value}" for name, value in numbers.items() if value is not None)
    return ", ".join(told) or "nothing"
