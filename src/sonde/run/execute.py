"""Do a batch of steps: open an engine, fill the partitions, commit them with their receipts."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import pyarrow as pa

from sonde.account import Account
from sonde.errors import BackendError
from sonde.lake import Filled, Lake
from sonde.plan.steps import Enroll, Estimate, Step, errors_table, fingerprint, queries_table
from sonde.run.bigquery.warehouse import InBigQuery
from sonde.run.estimate import Estimated
from sonde.run.made import MadeFrom, query_id, stored
from sonde.run.outcome import ERRORS_COLUMNS, QUERIES_COLUMNS, Problem
from sonde.run.warehouse import InFiles, Warehouse
from sonde.store import Cache
from sonde.table import Partition
from sonde.warehouse.bigquery import BigQuery
from sonde.warehouse.duckdb import Limits
from sonde.warehouse.remote import RemoteTables
from sonde.warehouse.sources import Sources
from sonde.warehouse.tables import Tables
from sonde.window import WindowsFrom


@dataclass(frozen=True)
class Batch:
    """Steps done together because they scan the same rows. Any subset gives the same results."""

    steps: tuple[Step, ...]

    @property
    def slug(self) -> str:
        """The experiment."""
        return self.steps[0].slug

    def __str__(self) -> str:
        first = self.steps[0]
        match first.action:
            case Enroll():
                return f"{self.slug}: enrollments"
            case Estimate():
                return f"{self.slug}: {first.output.key[-1]}"


@dataclass(frozen=True)
class Done:
    """A step whose partition is filled. problems: what failed within it or deserves a warning.

    seconds, read: its share of its batch's time, and of the bytes of the files that were scanned.
    peak: bytes of memory that the process held at most during the batch; None: not known.
    """

    step: Step
    rows: int
    seconds: float
    problems: tuple[Problem, ...] = ()
    peak: int | None = None
    read: int | None = None


@dataclass(frozen=True)
class Failed:
    """A step without a result. What depends on it is skipped; the next run tries again."""

    step: Step
    problem: Problem
    seconds: float = 0.0
    peak: int | None = None


@dataclass(frozen=True)
class Skipped:
    """A step not tried, because an input failed."""

    step: Step
    because: Step


Report: TypeAlias = Done | Failed | Skipped


@dataclass(frozen=True)
class Setting:
    """What a step needs to know of the deployment: it runs anywhere with it.

    lake: where results go. sources: where the tables are that people have. configuration: where
    the declarations come from, to be kept beside the results; configurations: of some experiments,
    by slug, in its place. windows: how they are computed. cache: where a machine keeps copies of
    what is in a bucket. bigquery: where units are found and counted; None: in files.
    """

    lake: str
    sources: str
    as_of: date
    configuration: str = ""
    tables: Mapping[str, str] = field(default_factory=dict)
    memory: str = "1GB"
    configurations: Mapping[str, str] = field(default_factory=dict)
    windows: WindowsFrom = WindowsFrom.ROWS
    cache: Cache = field(default_factory=Cache)
    bigquery: Account | None = None

    def open_lake(self) -> Lake:
        """The lake, made when absent."""
        return Lake.open(self.lake, self.cache)

    def find_sources(self) -> Sources:
        """The tables people have."""
        return Sources(self.sources, self.tables, cache=self.cache)

    def find_tables(self) -> Tables:
        """The same, or those in BigQuery where that is the warehouse."""
        if self.bigquery is not None:
            return RemoteTables(BigQuery(self.bigquery))
        return self.find_sources()


def batches(steps: Iterable[Step]) -> list[Batch]:
    """Steps that share experiment and sources, together; in the order of the plan."""
    grouped: dict[tuple[str, str, str], list[Step]] = {}
    for step in steps:
        source = step.output.key[-1] if step.output.key else ""
        grouped.setdefault((step.slug, type(step.action).__name__, source), []).append(step)
    return [Batch(tuple(group)) for group in grouped.values()]


def execute(batch: Batch, setting: Setting) -> list[Report]:
    """Do the steps and commit them. A failure is a report and a row in the errors table.

    Raises BackendError when the deployment is at fault (a full disk): the rest of the run would
    fail too. Too little memory for one query is that batch's matter.
    """
    started = time.perf_counter()
    lake = setting.open_lake()
    try:
        with TemporaryDirectory(prefix="sonde-") as spill:
            return _fill(batch, setting, lake, Path(spill))
    except BackendError:
        raise
    except Exception as error:  # whatever failed, the other batches go on
        return fail(batch, Problem.of(error), setting, time.perf_counter() - started)


def fail(batch: Batch, problem: Problem, setting: Setting, seconds: float = 0.0) -> list[Report]:
    """Report a batch without results, and keep the reason in the errors table."""
    reports: list[Report] = [
        Failed(step, problem, seconds / len(batch.steps)) for step in batch.steps
    ]
    _record(reports, setting.open_lake())
    return reports


def _fill(batch: Batch, setting: Setting, lake: Lake, spill: Path) -> list[Report]:
    with _opened(setting, lake, spill) as warehouse:
        match batch.steps[0].action:
            case Enroll():
                done = [_enroll(step, warehouse, lake) for step in batch.steps]
            case Estimate():
                done = _estimate(batch, warehouse, lake, setting)
        share = warehouse.bytes_read // len(batch.steps)
    return [replace(each, read=share) for each in done]


def _opened(setting: Setting, lake: Lake, spill: Path) -> AbstractContextManager[Warehouse]:
    if setting.bigquery is not None:
        return InBigQuery.opened(setting.bigquery, setting.as_of)
    sources = setting.find_sources()
    limits = Limits(setting.memory, spill)
    return InFiles.opened(sources, lake, setting.windows, limits, setting.as_of)


def _enroll(step: Step, warehouse: Warehouse, lake: Lake) -> Done:
    started = time.perf_counter()
    with lake.staging(step.output.table) as path:
        found = warehouse.enroll(step, path)
    done = Done(step, found.rows, time.perf_counter() - started, found.problems)
    _record([done], lake)
    filled = Filled(step.output, step.fingerprint, path.name, found.rows, step.marks)
    lake.commit(step.output.table, [filled])
    return done


def _estimate(batch: Batch, warehouse: Warehouse, lake: Lake, setting: Setting) -> list[Done]:
    started = time.perf_counter()
    receipt = lake.receipt(batch.steps[0].inputs[0])
    if receipt is None:
        raise BackendError(f"{batch.slug}: the enrollments are gone; run again")
    estimated = warehouse.estimate(batch.steps, receipt)
    seconds = (time.perf_counter() - started) / len(batch.steps)
    reports = [Done(e.step, len(e.rows), seconds, tuple(e.problems)) for e in estimated]
    _record(reports, lake)
    _keep_queries(estimated, lake)
    read = setting.configurations.get(batch.slug, setting.configuration)
    _commit(estimated, lake, warehouse.tables, MadeFrom(read, setting.as_of, receipt.fingerprint))
    return reports


def _commit(
    estimated: Sequence[Estimated], lake: Lake, tables: Tables, made_from: MadeFrom
) -> None:
    table = estimated[0].step.output.table
    filled = [
        lake.write(
            each.step.output,
            rows,
            each.step.fingerprint,
            each.step.marks,
        )
        for each, rows in zip(estimated, stored(estimated, tables, made_from), strict=True)
    ]
    lake.commit(table, filled)


def _keep_queries(estimated: Sequence[Estimated], lake: Lake) -> None:
    """The SQL, once for each text."""
    experiment = estimated[0].step.action.experiment
    table = queries_table(experiment)
    texts = {query_id(each): each.query for each in estimated if each.query}
    known = lake.receipts(table) if texts else {}
    filled = [
        lake.write(partition, pa.Table.from_pylist([{"sql": text}], QUERIES_COLUMNS), key)
        for key, text in texts.items()
        if (partition := table.partition(experiment.slug, key)).key not in known
    ]
    if filled:
        lake.commit(table, filled)


def _record(reports: Sequence[Report], lake: Lake) -> None:
    """Replace each step's rows in the errors table by what this try found."""
    table = errors_table(reports[0].step.action.experiment)
    known = lake.receipts(table)
    filled: list[Filled] = []
    clean: list[Partition] = []
    for report in reports:
        partition = table.partition(report.step.slug, _step_name(report.step))
        rows = _problem_rows(report)
        if not rows:
            clean += [partition] if partition.key in known else []
            continue
        problems = pa.Table.from_pylist(rows, ERRORS_COLUMNS)
        digest = fingerprint(report.step.fingerprint, [row["message"] for row in rows])
        filled.append(lake.write(partition, problems, digest))
    if filled or clean:
        lake.commit(table, filled, clean)


def _step_name(step: Step) -> str:
    return "/".join(step.output.key[1:]) or "enrollments"


def _problem_rows(report: Report) -> list[dict[str, Any]]:
    match report:
        case Done(problems=problems):
            found = problems
        case Failed(problem=problem):
            found = (problem,)
        case Skipped():
            found = ()
    now = datetime.now(UTC)
    return [{**_where(report.step), **_plain(problem), "timestamp": now} for problem in found]


def _where(step: Step) -> dict[str, Any]:
    match step.action:
        case Enroll():
            return {}
        case Estimate(basis=basis, due=due):
            return {
                "analysis_basis": basis.value,
                "analysis_period": due.period.value,
                "window_index": due.index,
                "data_source": step.output.key[-1],
            }


def _plain(problem: Problem) -> dict[str, Any]:
    return {
        "log_level": problem.level,
        "message": problem.message,
        "exception_type": problem.exception_type,
        "exception": problem.exception,
        "filename": problem.filename,
        "func_name": problem.func_name,
        "metric": problem.metric,
        "statistic": problem.statistic,
        "segment": problem.segment,
        "sql": problem.sql,
    }
