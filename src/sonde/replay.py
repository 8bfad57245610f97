"""A stored result computed again, from the configuration and the tables that it names."""

from __future__ import annotations

import enum
import io
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import isclose, isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sonde.errors import ConfigError, DataError, SondeError
from sonde.experiment import Experiment, ExperimentRecord
from sonde.lake import write_rows
from sonde.plan.plan import plan
from sonde.plan.select import effective_date
from sonde.plan.steps import Estimate, Step, covariate_metrics, enrollments_table, statistics_table
from sonde.project import Project
from sonde.run.estimate import estimate
from sonde.run.made import MadeFrom, inputs_of, step_key, stored
from sonde.run.outcome import STATISTICS_COLUMNS
from sonde.sql import TableName
from sonde.table import Partition, Receipt
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources

_MADE_BY = ("sonde", "configuration", "inputs", "query_id")
_NUMBERS = ("ci_width", "point", "lower", "upper", "reason", "detail")
_ROUNDING = 1e-9
_MOST = 10  # differences of a result that are told
_COVARIATE_DAYS = 28  # the longest time before enrollment that a step reads


class State(enum.StrEnum):
    """What came of a replay."""

    IDENTICAL = "identical"  # the same bytes
    SAME_NUMBERS = "same numbers"  # made by something else, and equal in every bit of them
    ROUNDED = "same but for rounding"  # sums were made in another order
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
    """Compute the stored results of an experiment again and compare them.

    Each by the configuration, the commits of Delta tables and the enrollments that it was made
    from, together with what was computed with it. Nothing is written. is_wanted: is given the last
    day of data, too. Raises DataError when no stored result is wanted.
    """
    if project.bigquery is not None:
        raise ConfigError(
            "BigQuery keeps no old rows of its tables; a result is computed again from files only"
        )
    table = statistics_table(project.experiment(slug))
    receipts = [
        receipt
        for key, receipt in sorted(project.lake.receipts(table).items())
        if key[0] == slug and is_wanted(receipt.partition, date.fromisoformat(receipt.marks[1]))
    ]
    if not receipts:
        raise DataError(f"no such result of {slug} is stored; `sonde results {slug}` prints them")
    past = _Past(project, slug)
    for batch, results in _batches(receipts, project).items():
        if batch is None:
            yield from (Replayed(r.receipt.partition, State.IMPOSSIBLE, _UNKNOWN) for r in results)
            continue
        try:
            made = past.computed(batch, results)
        except SondeError as error:
            said = (str(error),)
            yield from (Replayed(r.receipt.partition, State.IMPOSSIBLE, said) for r in results)
            continue
        for result in results:
            yield _compared(result, made.get(result.receipt.partition))


_UNKNOWN = ("it has no rows, or was stored by an older sonde: it does not say what it is from",)


@dataclass(frozen=True)
class _Result:
    """A stored result. inputs: the version of each table that was read, by name."""

    receipt: Receipt
    file: Path
    rows: pa.Table
    inputs: Mapping[str, str]


@dataclass(frozen=True)
class _Batch:
    """Results that were computed together. numbers: the commits of the Delta tables, by name."""

    made_from: MadeFrom
    source: str
    numbers: tuple[tuple[str, int], ...]


def _batches(receipts: Iterable[Receipt], project: Project) -> dict[_Batch | None, list[_Result]]:
    """Stored results by what they were computed with; of None it is not known."""
    found: dict[_Batch | None, list[_Result]] = {}
    for receipt in receipts:
        file = project.lake.file(receipt)
        rows = pq.read_table(file, partitioning=None)
        made_from = MadeFrom.of(rows)
        inputs = {} if made_from is None else inputs_of(rows)
        parted = ((name, version.partition(":")) for name, version in inputs.items())
        numbers = tuple((name, int(number)) for name, (number, colon, _) in parted if colon)
        key = receipt.partition.key[-1]
        batch = None if made_from is None else _Batch(made_from, key, numbers)
        found.setdefault(batch, []).append(_Result(receipt, file, rows, inputs))
    return found


class _Past:
    """What the results of an experiment were made from."""

    def __init__(self, project: Project, slug: str) -> None:
        self._project = project
        self._record = project.record(slug)

    def computed(self, batch: _Batch, results: Sequence[_Result]) -> dict[Partition, pa.Table]:
        """The rows of all that was computed together. Raises what stands in the way."""
        made_from, project = batch.made_from, self._project
        experiment = project.configuration.at(made_from.configuration).resolve(self._record)
        steps = _steps(experiment.experiment, self._record, batch)
        numbers = dict(batch.numbers)
        sources = project.sources_at(numbers)
        for step in steps.values():
            _check_files(sources, numbers, step)
        for result in results:
            _check(result, steps, sources)
        enrolled = self._enrolled(experiment.experiment, made_from)
        memory = project.setting(made_from.as_of).memory
        folders = [project.lake.root, *sources.folders()]
        with (
            TemporaryDirectory(prefix="sonde-") as spill,
            Session(made_from.as_of, Limits(memory, Path(spill)), folders) as session,
        ):
            estimated = estimate(list(steps.values()), session, sources, enrolled, project.lake)
        tables = stored(estimated, sources, made_from)
        return {e.step.output: rows for e, rows in zip(estimated, tables, strict=True)}

    def _enrolled(self, experiment: Experiment, made_from: MadeFrom) -> Receipt:
        """The enrollments that counted."""
        lake = self._project.lake
        for receipts in lake.history(enrollments_table(experiment)):
            for receipt in receipts.values():
                if receipt.fingerprint == made_from.enrollments and not lake.is_gone(receipt):
                    return receipt
        raise DataError(
            f"the enrollments of then ({made_from.enrollments}) are gone: their table was vacuumed"
        )


def _steps(experiment: Experiment, record: ExperimentRecord, batch: _Batch) -> dict[str, Step]:
    """The steps of a batch, as the configuration of then plans them, by their keys."""
    as_of = effective_date(record, batch.made_from.as_of)
    planned = {
        step_key(step): step
        for step in plan([experiment], as_of, lambda *_: "").steps
        if step.output.key and step.output.key[-1] == batch.source
    }
    return {key: planned[key] for key in batch.made_from.together if key in planned}


def _check(result: _Result, steps: Mapping[str, Step], sources: Sources) -> None:
    """Raises what makes it impossible to compute a result from what it names."""
    partition = result.receipt.partition
    step = next((s for s in steps.values() if s.output == partition), None)
    if step is None or step.marks != result.receipt.marks:
        raise ConfigError(
            "nothing asks for it any more: the experiment's dates were others when it was made"
        )
    due = _action(step).due
    for name, version in result.inputs.items():
        table = sources.find(TableName.parse(name))
        if table.named_version(due.first_data, due.last_data) != version:
            raise DataError(f"table {name} has changed, and has no versions: it is no Delta table")


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


def _check_files(sources: Sources, numbers: Mapping[str, int], step: Step) -> None:
    """Raises DataError when a file of a version is gone."""
    first, last = _days(step)
    for name, number in numbers.items():
        table = sources.find(TableName.parse(name))
        if table.has_lost(table.within(first, last)):
            raise DataError(
                f"version {number} of table {name} is gone: it was vacuumed, and files of the days "
                f"{first} to {last} are no longer there"
            )


def _as_file(rows: pa.Table) -> bytes:
    """As the lake writes them."""
    sink = io.BytesIO()
    write_rows(rows, sink)
    return sink.getvalue()


def _compared(result: _Result, rows: pa.Table | None) -> Replayed:
    """Which estimates differ, then what of their making does."""
    partition, stored_ = result.receipt.partition, result.rows
    assert rows is not None  # checked: its step was among those computed
    if _as_file(rows) == result.file.read_bytes():
        return Replayed(partition, State.IDENTICAL)
    had, have = _by_name(stored_), _by_name(rows)
    names = dict.fromkeys((*had, *have))
    unlike = [name for name in names if not _is_close(had.get(name), have.get(name))]
    told = [f"{name}: {_said(had.get(name))} -> {_said(have.get(name))}" for name in unlike]
    more = [f"and {len(told) - _MOST} more"] if len(told) > _MOST else []
    made_by = [
        f"{column}: {before} -> {after}"
        for column in _MADE_BY
        if (before := _first(stored_, column)) != (after := _first(rows, column))
    ]
    exact = all(repr(had.get(name)) == repr(have.get(name)) for name in names)
    alike = State.SAME_NUMBERS if exact else State.ROUNDED
    state = State.DIFFERENT if unlike else alike
    return Replayed(partition, state, (*told[:_MOST], *more, *made_by))


def _is_close(had: Mapping[str, Any] | None, have: Mapping[str, Any] | None) -> bool:
    """Whether two estimates are one, but for rounding."""
    if had is None or have is None:
        return False
    largest = max((abs(v) for v in had.values() if isinstance(v, float) and isfinite(v)), default=0)
    return all(
        isclose(had[name], have[name], rel_tol=_ROUNDING, abs_tol=_ROUNDING * largest)
        if isinstance(had[name], float) and isinstance(have[name], float) and isfinite(had[name])
        else repr(had[name]) == repr(have[name])
        for name in _NUMBERS
    )


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
