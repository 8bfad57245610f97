"""Windows of one experiment merged from its unit-days, in a session."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from sonde.errors import ConfigError, DataError
from sonde.experiment import Experiment
from sonde.lake import Filled, Lake
from sonde.metric import AnalysisBasis, DataSource
from sonde.plan.steps import fingerprint
from sonde.plan.unit_days import (
    Cohort,
    Feed,
    covariates_table,
    day_fingerprint,
    day_sources,
    feed_of,
    merged_fingerprint,
    merged_table,
    unit_days_table,
)
from sonde.plan.windows import DueWindow
from sonde.sql import relation
from sonde.sql.enrollments import in_dataset
from sonde.sql.separable import separable
from sonde.sql.text import identifier, quoted
from sonde.sql.unit_days import merged, storable, windows_of
from sonde.sql.units import ENROLLED, WindowRow, numbered
from sonde.table import Partition, Receipt
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources
from sonde.window import Period


@dataclass(frozen=True)
class Day:
    """A day's unit-days. print, made_of: of what they should be. kept: None when they are not."""

    day: date
    print: str
    made_of: str
    kept: Receipt | None


class Days:
    """Which unit-days of an experiment are in the lake, and are what they should be."""

    def __init__(
        self,
        session: Session,
        lake: Lake,
        sources: Sources,
        enrollments: Receipt,
        receipts: Mapping[tuple[str, ...], Receipt],
    ) -> None:
        self._session, self._lake, self._sources = session, lake, sources
        self._enrollments, self._receipts = enrollments, receipts
        self._known: dict[tuple[str, date], Day] = {}
        self._cohorts: tuple[Cohort, ...] | None = None

    def find(self, feed: Feed, day: date) -> Day:
        """A day of a feed. Raises DataError when a table of the feed is absent."""
        if (feed.key, day) not in self._known:
            self._known[feed.key, day] = self._look(feed, day)
        return self._known[feed.key, day]

    def _look(self, feed: Feed, day: date) -> Day:
        version = version_of(feed, day, self._sources)
        made_of = day_sources(feed, version, self._enrollments.fingerprint)
        receipt = self._receipts.get((feed.slug, feed.key, day.isoformat()))
        if receipt is not None and receipt.marks == (made_of,):
            return Day(day, receipt.fingerprint, made_of, receipt)
        print_ = day_fingerprint(feed, day, version, self._found_cohorts())
        if receipt is not None and receipt.fingerprint == print_:
            return Day(day, print_, made_of, receipt)
        return Day(day, print_, made_of, None)

    def _found_cohorts(self) -> tuple[Cohort, ...]:
        if self._cohorts is None:
            rows = self._session.rows(
                "SELECT enrollment_date, count(*), bit_xor(hash(__u, analysis_id))\n"
                f"FROM ({numbered(str(self._lake.file(self._enrollments)))})\n"
                "GROUP BY 1 ORDER BY 1"
            )
            self._cohorts = tuple(Cohort(day, n, str(digest)) for day, n, digest in rows)
        return self._cohorts


def version_of(feed: Feed, day: date, sources: Sources) -> str:
    """The version of the rows of a day, of all tables that the feed reads."""
    names = sorted(set(feed.tables), key=str)
    return fingerprint([[str(name), sources.find(name).version(day, day)] for name in names])


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
        receipts = lake.receipts(unit_days_table(experiment))
        self._days = Days(session, lake, sources, enrollments, receipts)
        self._numbers: dict[date, tuple[int, int]] | None = None
        self._feeds: dict[str, Feed | None] = {}
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
        return all(day.kept is not None for day in days)

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
        name = self._merge(feed, windows, anchor, self._span(feed, due))
        if len(due) == 1 and due[0].window.days == 1:
            self._one[feed.key, anchor, due[0].window.start] = name
        return name

    def _span(self, feed: Feed, due: Iterable[DueWindow]) -> list[Day]:
        due = list(due)
        first, last = min(d.first_data for d in due), max(d.last_data for d in due)
        return [self._day(feed, first + timedelta(days=n)) for n in range((last - first).days + 1)]

    def _day(self, feed: Feed, day: date) -> Day:
        return self._days.find(feed, day)

    def _merge(
        self,
        feed: Feed,
        windows: Sequence[WindowRow],
        anchor: AnalysisBasis,
        days: Sequence[Day],
    ) -> str:
        span = min(w.start for w in windows), max(w.stop for w in windows)
        self._lake.fetch(day.kept for day in days if day.kept is not None)
        read = [text for day in days if (text := self._rows_of(day, span, anchor))]
        rows = f"({' UNION ALL '.join(read or [self._no_rows(days)])})"
        return self._create(windows_of(rows, feed.states, windows, anchor))

    def _rows_of(self, day: Day, span: tuple[int, int], anchor: AnalysisBasis) -> str | None:
        """The day's rows of the units whose windows it is in; None: there are none.

        Units are numbered by the date of their enrollment: few of a file's row groups are read.
        """
        text = f"SELECT * FROM {self._file(day)}"
        if anchor is not AnalysisBasis.ENROLLMENTS:
            return text
        first = day.day - timedelta(days=span[1] - 1)
        last = day.day - timedelta(days=span[0])
        numbers = [n for date_, n in self._cohort_numbers().items() if first <= date_ <= last]
        if not numbers:
            return None
        lowest, highest = min(n for n, _ in numbers), max(n for _, n in numbers)
        return f"{text} WHERE __u BETWEEN {lowest} AND {highest}"

    def _no_rows(self, days: Sequence[Day]) -> str:
        return f"SELECT * FROM {self._file(days[0])} LIMIT 0"

    def _file(self, day: Day) -> str:
        assert day.kept is not None  # `has` was asked
        return f"read_parquet({quoted(str(self._lake.file(day.kept)))})"

    def _cohort_numbers(self) -> dict[date, tuple[int, int]]:
        """The lowest and highest number of the units enrolled on each date."""
        if self._numbers is None:
            rows = self._session.rows(
                f"SELECT enrollment_date, min(__u), max(__u) FROM {ENROLLED} GROUP BY 1"
            )
            self._numbers = {day: (lowest, highest) for day, lowest, highest in rows}
        return self._numbers

    def _create(self, text: str) -> str:
        self._made += 1
        name = f"merged_{self._made}"
        self._session.execute(f"CREATE TEMP TABLE {name} AS\n{text}")
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
        if known is not None:
            # Each day's would stay in the folder for good, as large as the enrollments.
            self._lake.delete(known)
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
        found = [self._day(feed, day) for day in days]
        return self._merge(feed, [WindowRow(1, had, stop, date.max)], anchor, found)

    def made_of_rows(self, read: Iterable[DataSource], days: tuple[date, date]) -> str | None:
        """A digest of the units and of the rows of some days; None when there are none to read."""
        try:
            found = [self._version(source, days) for source in read]
        except (ConfigError, DataError):
            return None  # whoever reads them says why
        return fingerprint(self._enrollments.fingerprint, found)

    def _version(self, source: DataSource, days: tuple[date, date]) -> list[object]:
        text = in_dataset(self._experiment, source.from_expression, source)
        first = days[0] if separable(text) else None
        names = sorted(set(relation(text).tables), key=str)
        return [text, [self._sources.find(name).version(first, days[1]) for name in names]]

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
        described = list(self._session.columns(name).items())
        text = storable(f"SELECT * FROM {name}", described)
        with self._lake.staging(partition.table) as path:
            self._session.execute(
                f"COPY ({text}) TO {quoted(str(path))} (FORMAT parquet, COMPRESSION snappy)"
            )
        ((rows,),) = self._session.rows(f"SELECT count(*) FROM {name}")
        filled = Filled(partition, print_, path.name, int(rows), marks)
        self._lake.commit(partition.table, [filled])

    def forget(self, *names: str) -> None:
        """Give memory back."""
        for name in names:
            if name not in self._one.values():
                self._session.execute(f"DROP TABLE {identifier(name)}")
