"""What scoring asks of an engine, and DuckDB's answer: sums and counts of a table of units."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

from sonde.errors import DataError
from sonde.run.in_memory import InMemory
from sonde.run.summarise import Summariser
from sonde.sql.pretreatments import Treatment
from sonde.sql.summaries import Frame, cell_sizes
from sonde.stats.needs import Need, Summaries
from sonde.warehouse.duckdb import Session

_VALUES = 8_000_000  # held in memory at once: 64 MB, and as much again while they are read


class NotAnsweredError(DataError):
    """An engine has no answer to a need; what asks for it is lost, and no more."""

    def __init__(self, need: Need, message: str) -> None:
        self.need = need
        super().__init__(message)

    def __reduce__(self) -> tuple[object, ...]:
        return type(self), (self.need, self.message)


class Answers(Protocol):
    """What finds the answers to needs, of the rows of one frame."""

    def answer(self, needs: Mapping[int, Iterable[Need]]) -> None:
        """Find them, each for the cells that ask. Raises NotAnsweredError for one without."""

    def summaries(self, cell: int) -> Summaries:
        """Those found for a cell."""

    def branches(self, cell: int) -> list[str]:
        """The branches with units in a cell, sorted."""


Answering: TypeAlias = Callable[[Frame], Answers]


class Engine(Protocol):
    """Where frames are. A frame's rows are units in a window, a cell."""

    def treatment(self, frame: str) -> Treatment:
        """The frame, with what pre-treatments will make of its columns."""

    def groups(
        self, treatment: Treatment, cells: Sequence[int], columns: int
    ) -> Iterator[tuple[list[int], Answering]]:
        """Cells that are summarised together, and how. columns: as many are asked of."""


class DuckDB:
    """Frames that are tables of a session.

    order: the column in whose order rows are added up, for the last digits of a sum of doubles
    depend on it; empty: as they come.
    """

    def __init__(self, session: Session, order: str = "") -> None:
        self._session = session
        self._order = order

    def treatment(self, frame: str) -> Treatment:
        """The frame, with what pre-treatments will make of its columns."""
        return Treatment(frame)

    def groups(
        self, treatment: Treatment, cells: Sequence[int], columns: int
    ) -> Iterator[tuple[list[int], Answering]]:
        """Those that memory has room for, by the rows themselves, many at a time; the others by
        queries. A cell's results do not depend on what other cells there are.
        """
        sizes = dict(self._session.rows(cell_sizes(Frame(treatment.frame))))
        room = _VALUES // max(columns, 1)
        short: list[int] = []
        for cell in cells:
            if short and sum(sizes.get(each, 0) for each in [*short, cell]) > room:
                yield short, self._in_memory
                short = []
            if sizes.get(cell, 0) <= room:
                short.append(cell)
        if short:
            yield short, self._in_memory
        if long := [cell for cell in cells if sizes.get(cell, 0) > room]:
            if self._order:
                table = f"{treatment.frame} AS\nSELECT * FROM {treatment.frame}"
                self._session.execute(
                    f"CREATE OR REPLACE TEMP TABLE {table} ORDER BY __n, {self._order}"
                )
            yield long, self._by_queries

    def _in_memory(self, frame: Frame) -> Answers:
        return InMemory(self._session, frame, self._order)

    def _by_queries(self, frame: Frame) -> Answers:
        return Summariser(self._session, frame)
