"""BigQuery as the warehouse: units stay in its tables, sums and counts leave it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sonde.account import Account
from sonde.errors import BackendError
from sonde.experiment import Experiment
from sonde.plan.steps import Enroll, Step
from sonde.run.bigquery.answers import ByQueries
from sonde.run.bigquery.frames import Framing
from sonde.run.bigquery.units import Units
from sonde.run.enroll import Enrolled, Finder, several
from sonde.run.estimate import Estimated, estimated
from sonde.sql import in_bigquery as sql
from sonde.table import Receipt
from sonde.warehouse.bigquery import BigQuery
from sonde.warehouse.remote import RemoteTables
from sonde.wire.tables import enrollments_name


@dataclass(frozen=True)
class InBigQuery:
    """A batch's access to a project."""

    bigquery: BigQuery
    tables: RemoteTables
    as_of: date

    @classmethod
    @contextmanager
    def opened(cls, account: Account, as_of: date) -> Iterator[InBigQuery]:
        """Asks nothing yet."""
        bigquery = BigQuery(account)
        yield cls(bigquery, RemoteTables(bigquery), as_of)

    @property
    def bytes_read(self) -> int:
        """By all queries so far."""
        return self.bigquery.bytes_read

    def enroll(self, step: Step, path: Path) -> Enrolled:
        """Fill the table of units, and keep how many they are."""
        assert isinstance(step.action, Enroll)
        experiment = step.action.experiment
        units, name = Units(self.bigquery, experiment), enrollments_name(experiment.slug)
        finder = Finder(step.action, self._try)
        if not units.is_made(name, step.fingerprint):
            finder.find()
            text = sql.enrollments(finder.query, finder.segments, finder.lost)
            units.check(name, text)
            units.make(name, text, step.fingerprint)
        counted = self._counted(experiment, units.enrollments)
        pq.write_table(counted, path)
        return Enrolled(
            self._rows(units.enrollments), (*finder.problems, *several(_several(counted)))
        )

    def _try(self, query: str) -> None:
        self.bigquery.dry_run(query)

    def _rows(self, table: str) -> int:
        return int(self.bigquery.rows(f"SELECT COUNT(*)\nFROM {table}")[0][0])

    def _counted(self, experiment: Experiment, table: str) -> pa.Table:
        """As `sonde.run.health_units` reads it: kinds of units, and how many of each."""
        columns = [
            ("branch", pa.string()),
            ("enrollment_date", pa.date32()),
            *((s.name, pa.bool_()) for s in experiment.segments),
            ("exposure_date", pa.date32()),
            ("in_several_branches", pa.bool_()),
            ("units", pa.int64()),
        ]
        rows = self.bigquery.rows(sql.enrollments_counted(table, experiment.segments))
        found = list(zip(*rows, strict=True)) or [()] * len(columns)
        arrays = [pa.array(v, kind) for v, (_, kind) in zip(found, columns, strict=True)]
        return pa.table(arrays, names=[name for name, _ in columns])

    def estimate(self, steps: Sequence[Step], enrollments: Receipt) -> list[Estimated]:
        """Estimates of steps that share experiment and sources, in the order of `steps`."""
        experiment = steps[0].action.experiment
        units, name = Units(self.bigquery, experiment), enrollments_name(experiment.slug)
        if not units.is_made(name, enrollments.fingerprint):
            raise BackendError(f"{experiment.slug}: the table {name} is gone; run again")
        framing = Framing(steps, self.bigquery, self.tables, enrollments, self.as_of)
        return estimated(steps, framing, framing.frames(), ByQueries(self.bigquery))


def _several(counted: pa.Table) -> int:
    rows = counted.filter(counted["in_several_branches"])
    return sum(rows["units"].to_pylist())
