"""Windows of one experiment merged from its unit-days, in a session."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from sonde.errors import DataError
from sonde.experiment import Experiment
from sonde.lake import Filled, Lake
from sonde.metric import AnalysisBasis, DataSource
from sonde.plan.steps import fingerprint
from sonde.plan.unit_days import (
    Cohort,
    Feed,
    covariates_table,
    day_fingerprint,
    feed_of,
    merged_fingerprint,
    merged_table,
    unit_days_table,
)
from sonde.plan.windows import DueWindow
from sonde.sql.text import identifier, quoted
from sonde.sql.unit_days import merged, storable, windows_of
from sonde.sql.units import ENROLLED, WindowRow, numbered
from sonde.table import Partition, Receipt
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources
from sonde.window import Period


@dataclass(frozen=True)
class _Day:
    """A day's unit-days. print: of what they should be; file: None when they are not."""

    print: str
    file: Path | None


def versions(feed: Feed, day: date, sources: Sources) -> str:
    """The version of the rows of a day, of all tables that the feed reads."""
    names = sorted(set(feed.tables), key=str)
    return fingerprint([[str(name), sources.find(name).version(day, day)] for name in names])


def cohorts(session: Session, file: Path) -> tuple[Cohort, ...]:
    """The cohorts of an enrollments' file, by date."""
    rows = session.rows(
        "SELECT enrollment_date, count(*), bit_xor(hash(__u, analysis_id))\n"
        f"FROM ({numbered(str(file))})\nGROUP BY 1 ORDER BY 1"
    )
    return tuple(Cohort(day, units, str(digest)) for day, units, digest in rows)


class Merged:
    """Tables of states in the session, from what is in the lake.

    enrollments: the receipt of those that the session's table of units was made from.
    """

    def __init__(
        self,
        session: Session,
        experiment: Experiment,
        lake: Lake,
        sources: Sources,
        enrollments: Receipt,
    ) -> None:
        self._session, self._experiment = session, experiment
        self._lake, self._sources, self._enrollments = lake, sources, enrollments
        self._receipts = lake.receipts(unit_days_table(experiment))
        self._cohorts = cohorts(session, lake.file(enrollments))
        self._feeds: dict[str, Feed | None] = {}
        self._days: dict[tuple[str, date], _Day] = {}
        self._one: dict[tuple[str, AnalysisBasis, int], str] = {}
        self._made = 0

    def feed(self, source: DataSource) -> Feed | None:
        """The source's feed, if it has one."""
        if source.name not in self._feeds:
            self._feeds[source.name] = feed_of(self._experiment, source)
        return self._feeds[source.name]

    def has(self, feed: Feed, due: Sequence[DueWindow], anchor: AnalysisBasis) -> bool:
        """Whether the windows can be merged: they are after enrollment, and no day is missing."""
        if any(each.window.start < 0 for each in due) or not self._is_after(anchor):
            return False
        try:
            days = self._span(feed, due)
        except DataError:
            return False  # a table is absent: whoever reads it says so
        return all(day.file is not None for day in days)

    def _is_after(self, anchor: AnalysisBasis) -> bool:
        """No unit's days begin before its enrollment: there are none of them."""
        if anchor is AnalysisBasis.ENROLLMENTS:
            return True
        early = f"SELECT 1 FROM {ENROLLED} WHERE exposure_date < enrollment_date LIMIT 1"
        return not self._session.rows(early)

    def states(self, feed: Feed, due: Sequence[DueWindow], anchor: AnalysisBasis) -> str:
        """Make the table of states of each unit and window; its name.

        Of a window that has all days from the enrollment on, a day is added to what was merged
        before.
        """
        if len(due) == 1 and due[0].period is Period.OVERALL:
            return self._from_the_start(feed, due[0], anchor)
        windows = [WindowRow(d.index, d.window.start, d.window.stop, date.max) for d in due]
        name = self._merge(feed, windows, anchor, [d.file for d in self._span(feed, due)])
        if len(due) == 1 and due[0].window.days == 1:
            self._one[feed.key, anchor, due[0].window.start] = name
        return name

    def _span(self, feed: Feed, due: Iterable[DueWindow]) -> list[_Day]:
        due = list(due)
        first, last = min(d.first_data for d in due), max(d.last_data for d in due)
        return [self._day(feed, first + timedelta(days=n)) for n in range((last - first).days + 1)]

    def _day(self, feed: Feed, day: date) -> _Day:
        if (feed.key, day) not in self._days:
            version = versions(feed, day, self._sources)
            print_ = day_fingerprint(feed, day, version, self._cohorts)
            receipt = self._receipts.get((feed.slug, feed.key, day.isoformat()))
            fits = receipt is not None and receipt.fingerprint == print_
            file = self._lake.file(receipt) if receipt is not None and fits else None
            self._days[feed.key, day] = _Day(print_, file)
        return self._days[feed.key, day]

    def _merge(
        self,
        feed: Feed,
        windows: Sequence[WindowRow],
        anchor: AnalysisBasis,
        files: Iterable[Path | None],
    ) -> str:
        listed = ", ".join(quoted(str(file)) for file in files)
        text = windows_of(f"read_parquet([{listed}])", feed.states, windows, anchor)
        return self._create(text)

    def _create(self, text: str) -> str:
        self._made += 1
        name = f"merged_{self._made}"
        described = [(column, kind) for column, kind, *_ in self._session.rows(f"DESCRIBE {text}")]
        self._session.execute(f"CREATE TEMP TABLE {name} AS\n{storable(text, described)}")
        return name

    def _from_the_start(self, feed: Feed, due: DueWindow, anchor: AnalysisBasis) -> str:
        table = merged_table(self._experiment)
        partition = table.partition(feed.slug, feed.key, anchor.value)
        known = self._lake.receipt(partition)
        had = 0 if known is None else self._still_right(feed, due, anchor, known)
        if known is not None and had:
            file = f"read_parquet({quoted(str(self._lake.file(known)))})"
            if had == due.window.days:
                return self._create(f"SELECT * REPLACE ({due.index} AS __n) FROM {file}")
            added = self._added(feed, due, anchor, had)
            text = merged([file, added], feed.states, ["__u"])
        else:
            text = merged([self._added(feed, due, anchor, 0)], feed.states, ["__u"])
        name = self._create(f"SELECT *, CAST({due.index} AS INTEGER) AS __n FROM (\n{text}\n)")
        print_ = self._print(feed, due, anchor, due.window.days)
        self._write(partition, print_, name, (str(due.window.days),))
        return name

    def _still_right(
        self, feed: Feed, due: DueWindow, anchor: AnalysisBasis, known: Receipt
    ) -> int:
        """How many days were merged before; 0 when they are too many, or have changed since."""
        days = int(known.marks[0])
        if days > due.window.days:
            return 0
        return days if self._print(feed, due, anchor, days) == known.fingerprint else 0

    def _print(self, feed: Feed, due: DueWindow, anchor: AnalysisBasis, days: int) -> str:
        last = (due.last_enrollment - due.first_enrollment).days + days
        of_days = [
            self._day(feed, due.first_enrollment + timedelta(days=n)).print for n in range(last)
        ]
        return merged_fingerprint(feed, self._enrollments.fingerprint, anchor, days, of_days)

    def _added(self, feed: Feed, due: DueWindow, anchor: AnalysisBasis, had: int) -> str:
        """The states of the days after those that were merged before."""
        stop = due.window.stop
        if stop - had == 1 and (made := self._one.get((feed.key, anchor, had))):
            return made
        first = due.first_enrollment + timedelta(days=had)
        days = [first + timedelta(days=n) for n in range((due.last_data - first).days + 1)]
        files = [self._day(feed, day).file for day in days]
        return self._merge(feed, [WindowRow(1, had, stop, date.max)], anchor, files)

    def covariates(self, wanted: str, print_: str) -> str | None:
        """The name of the table of what was kept under this fingerprint, made in the session."""
        receipt = self._lake.receipt(self._covariates(wanted))
        if receipt is None or receipt.fingerprint != print_:
            return None
        return self._create(f"SELECT * FROM read_parquet({quoted(str(self._lake.file(receipt)))})")

    def keep_covariates(self, wanted: str, print_: str, name: str) -> None:
        """Keep a table of units' metrics before enrollment for other days' runs."""
        partition = self._covariates(wanted)
        self._write(partition, print_, name)

    def _covariates(self, wanted: str) -> Partition:
        slug = self._experiment.slug
        return covariates_table(self._experiment).partition(slug, wanted)

    def _write(
        self, partition: Partition, print_: str, name: str, marks: tuple[str, ...] = ()
    ) -> None:
        with self._lake.staging(partition.table) as path:
            self._session.execute(
                f"COPY {name} TO {quoted(str(path))} (FORMAT parquet, COMPRESSION snappy)"
            )
        ((rows,),) = self._session.rows(f"SELECT count(*) FROM {name}")
        filled = Filled(partition, print_, path.name, int(rows), marks)
        self._lake.commit(partition.table, [filled])

    def forget(self, *names: str) -> None:
        """Give memory back."""
        for name in names:
            if name not in self._one.values():
                self._session.execute(f"DROP TABLE {identifier(name)}")
