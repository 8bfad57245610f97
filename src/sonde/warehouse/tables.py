"""What is asked of the tables people have, wherever they are."""

from __future__ import annotations

from datetime import date
from typing import Protocol

from sonde.sql import TableName


class Table(Protocol):
    """A table, as of now."""

    def version(self, first: date | None = None, last: date | None = None) -> str:
        """Changes when the rows of the days [first, last] do; None: unbounded."""

    def named_version(self, first: date | None = None, last: date | None = None) -> str:
        """The same with the number of the table's commit before it, if it has any."""

    @property
    def last(self) -> date | None:
        """The newest day of which there are rows, as far as the table says."""


class Tables(Protocol):
    """Finds tables by the names that people's SQL has for them; each is looked up once."""

    def find(self, name: TableName) -> Table:
        """The table. Raises DataError when it is not there."""

    def get(self, name: TableName) -> Table | None:
        """The table; None when it is not there."""
