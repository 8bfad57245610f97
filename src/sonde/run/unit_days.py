"""Make unit-days: one scan of a feed's day, for all experiments that read it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq

from sonde.errors import ConfigError, DataError, MemoryLimitError
from sonde.experiment import Experiment
from sonde.lake import Filled, Lake
from sonde.plan.steps import enrollments_table
from sonde.plan.unit_days import Feed, Scan, day_sources
from sonde.run.execute import Setting
from sonde.run.merged import Day, Days, version_of
from sonde.run.runner import Runner
from sonde.sql import expression, relation
from sonde.sql.text import date_literal, identifier, quoted
from sonde.sql.unit_days import storable, unit_days
from sonde.sql.units import numbered
from sonde.table import Receipt, Table
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources


def scan_all(scans: Sequence[Scan], setting: Setting, runner: Runner) -> None:
    """Make what is missing. What cannot be made is left out: its estimates come from rows."""
    waiting = list(reversed(missing(scans, setting)))
    if not waiting:
        return
    with runner.open(scan, setting) as pool:
        while waiting or pool.tasks:
            while waiting and pool.has_room:
                pool.start(waiting.pop())
            pool.next()


def missing(scans: Sequence[Scan], setting: Setting) -> list[Scan]:
    """The days whose unit-days are not for certain what they should be, in tasks."""
    if not scans:
        return []
    lake, sources = setting.open_lake(), setting.find_sources()
    made: dict[Table, Mapping[tuple[str, ...], Receipt]] = {}
    enrolled: dict[str, str] = {}
    found: list[Scan] = []
    for each in scans:
        if each.table not in made:
            made[each.table] = lake.receipts(each.table)
        for experiment, _, _ in each.wanted:
            if experiment.slug not in enrolled:
                receipt = lake.receipt(enrollments_table(experiment).partition())
                enrolled[experiment.slug] = "" if receipt is None else receipt.fingerprint
        with suppress(DataError):  # a table is absent: whoever reads it says so
            known = made[each.table]
            days = [d for d in each.days if _is_missing(each, d, known, enrolled, sources)]
            found += each.of_days(days)
    return found


def _is_missing(
    task: Scan,
    day: date,
    made: Mapping[tuple[str, ...], Receipt],
    enrolled: Mapping[str, str],
    sources: Sources,
) -> bool:
    version = version_of(task.feed, day, sources)
    for experiment, feed, days in task.wanted:
        if day in days and enrolled[experiment.slug]:
            receipt = made.get((feed.slug, feed.key, day.isoformat()))
            right = (day_sources(feed, version, enrolled[experiment.slug]),)
            if receipt is None or receipt.marks != right:
                return True
    return False


def scan(task: Scan, setting: Setting) -> int:
    """Make the partitions that are missing or out of date; how many."""
    lake, sources = setting.open_lake(), setting.find_sources()
    made = 0
    with (
        suppress(ConfigError, DataError, MemoryLimitError),  # whoever reads the rows says it
        TemporaryDirectory(prefix="sonde-") as spill,
        Session(
            setting.as_of,
            Limits(setting.memory, Path(spill)),
            [lake.root, sources.root, *sources.folders()],
        ) as session,
    ):
        scanning = _Scan(task, session, lake, sources)
        for day in task.days:
            made += scanning.make(day)
    return made


@dataclass(frozen=True)
class _Reader:
    """An experiment that reads the feed. number: its own in this scan."""

    number: int
    experiment: Experiment
    feed: Feed
    wanted: frozenset[date]
    file: Path
    days: Days


class _Scan:
    def __init__(self, task: Scan, session: Session, lake: Lake, sources: Sources) -> None:
        self.task, self.session, self.lake, self.sources = task, session, lake, sources
        self.readers = list(self._readers())
        self._has_members = False

    def _readers(self) -> Iterable[_Reader]:
        receipts = self.lake.receipts(self.task.table)
        for number, (experiment, feed, wanted) in enumerate(self.task.wanted):
            receipt = self.lake.receipt(enrollments_table(experiment).partition())
            if receipt is not None:
                days = Days(self.session, self.lake, self.sources, receipt, receipts)
                yield _Reader(number, experiment, feed, wanted, self.lake.file(receipt), days)

    def make(self, day: date) -> int:
        """Make a day's partitions that are missing or not what they should be; how many."""
        found = [(r, r.days.find(r.feed, day)) for r in self.readers if day in r.wanted]
        stale = [(reader, each) for reader, each in found if each.kept is None]
        try:
            return self._fill(day, stale)
        except DataError:
            if len(stale) == 1:
                raise
        return sum(self._alone(day, reader, each) for reader, each in stale)

    def _alone(self, day: date, reader: _Reader, each: Day) -> int:
        """Others' metrics that fail are not this one's fault."""
        with suppress(DataError):
            return self._fill(day, [(reader, each)])
        return 0

    def _fill(self, day: date, stale: Sequence[tuple[_Reader, Day]]) -> int:
        if stale:
            self._aggregate(day, [reader for reader, _ in stale])
            filled = [self._write(reader, each) for reader, each in stale]
            self.lake.commit(self.task.table, filled)
        return len(stale)

    def _aggregate(self, day: date, stale: Sequence[_Reader]) -> None:
        """Make the table `made` of the day, of all readers that need it."""
        feed = self.task.feed
        for name in feed.tables:
            self.session.attach(self.sources.find(name), day, day)
        read = relation(feed.text)
        self._check_days(read.sql)
        columns = {c.name: c for reader in stale for c in reader.feed.columns}
        self._collect_members()
        numbers = ", ".join(str(reader.number) for reader in stale)
        text = unit_days(
            read.sql,
            feed.source,
            feed.source.unit_column(feed.unit),
            [columns[name] for name in sorted(columns)],
            (date_literal(day), date_literal(day)),
            f"(SELECT * FROM members WHERE __x IN ({numbers}))",
        )
        described = [(name, kind) for name, kind, *_ in self.session.rows(f"DESCRIBE {text}")]
        self.session.execute(f"CREATE OR REPLACE TEMP TABLE made AS\n{storable(text, described)}")

    def _check_days(self, read: str) -> None:
        """A day is a DATE: of a time, conditions on days would mean something else."""
        column = self.task.feed.source.submission_date_column
        ((kind,),) = self.session.rows(
            f"SELECT typeof({expression(f'ds.{column}')}) FROM (SELECT 1) "
            f"LEFT JOIN (SELECT * FROM {read} LIMIT 0) AS ds ON TRUE"
        )
        if kind != "DATE":
            raise DataError(f"{column} is of type {kind}, not DATE")

    def _collect_members(self) -> None:
        """The units of all readers, once."""
        if self._has_members:
            return
        self._has_members = True
        parts = "\nUNION ALL\n".join(
            f"SELECT {r.number} AS __x, {quoted(r.experiment.slug)} AS slug, __u, "
            f"analysis_id AS unit, enrollment_date\nFROM ({numbered(str(r.file))})"
            for r in self.readers
        )
        self.session.execute(f"CREATE TEMP TABLE members AS\n{parts}")

    def _write(self, reader: _Reader, day: Day) -> Filled:
        """In the order of units, in small groups: of most days few units are read at a time."""
        table = self.task.table
        columns = ", ".join(
            ["__u", "__day", "rows", *(identifier(column.name) for column in reader.feed.columns)]
        )
        with self.lake.staging(table) as path:
            self.session.execute(
                f"COPY (\nSELECT {columns}\nFROM made\nWHERE __x = {reader.number}\nORDER BY __u\n)"
                f" TO {quoted(str(path))} (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 4096)"
            )
        key = table.partition(reader.experiment.slug, reader.feed.key, day.day.isoformat())
        rows = pq.read_metadata(path).num_rows
        return Filled(key, day.print, path.name, rows, (day.made_of,))
