"""Where the units of experiments are found and counted: one batch's access to it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Protocol

from sonde.lake import Lake
from sonde.plan.steps import Enroll, Step
from sonde.run.enroll import Enrolled, enroll
from sonde.run.estimate import Estimated, estimate
from sonde.table import Receipt
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources
from sonde.warehouse.tables import Tables
from sonde.window import WindowsFrom


class Warehouse(Protocol):
    """Finds who is enrolled, and estimates. Results are kept in the lake, by its caller."""

    @property
    def tables(self) -> Tables:
        """The tables people have."""

    @property
    def bytes_read(self) -> int:
        """Of them, so far."""

    def enroll(self, step: Step, path: Path) -> Enrolled:
        """Find the units of an experiment; write to a Parquet file what is to be kept of them."""

    def estimate(self, steps: Sequence[Step], enrollments: Receipt) -> list[Estimated]:
        """Estimates of steps that share experiment and sources, in the order of `steps`."""


@dataclass(frozen=True)
class InFiles:
    """Tables that are files: each batch reads them into a session of its own."""

    session: Session
    tables: Sources
    lake: Lake
    windows: WindowsFrom

    @classmethod
    @contextmanager
    def opened(
        cls, tables: Sources, lake: Lake, windows: WindowsFrom, limits: Limits, as_of: date
    ) -> Iterator[InFiles]:
        """With a session that sees the files and no others."""
        folders = [lake.root, tables.root, *tables.folders()]
        with Session(as_of, limits, folders) as session:
            yield cls(session, tables, lake, windows)

    @property
    def bytes_read(self) -> int:
        """The size of the files that were made visible."""
        return self.session.bytes_attached

    def enroll(self, step: Step, path: Path) -> Enrolled:
        """Find the units of an experiment, and keep them in a Parquet file."""
        assert isinstance(step.action, Enroll)
        return enroll(step.action, self.session, self.tables, path)

    def estimate(self, steps: Sequence[Step], enrollments: Receipt) -> list[Estimated]:
        """Estimates of steps that share experiment and sources, in the order of `steps`."""
        return estimate(steps, self.session, self.tables, enrollments, self.lake, self.windows)
