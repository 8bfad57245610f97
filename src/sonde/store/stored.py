"""What a store does for those who read and write tables."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_BUCKET = re.compile(r"(s3|s3a|gs)://")


def is_bucket(url: str) -> bool:
    """Whether an address is that of a bucket.

    >>> is_bucket("s3://bucket/lake"), is_bucket("/srv/lake")
    (True, False)
    """
    return _BUCKET.match(url) is not None


@dataclass(frozen=True)
class Stored:
    """A file of a store. name: from the store's root, `/` between parts.

    version: changes when the contents do; empty: they never change.
    """

    name: str
    size: int
    version: str = ""


class Store(Protocol):
    """Files under one address. Names are relative to it.

    Files are read and written in a folder of this machine, `root`. Of a bucket it holds copies:
    `fetch` makes files be there, `send` makes them be in the bucket.
    """

    @property
    def url(self) -> str:
        """The address; `open_store` takes it."""

    @property
    def root(self) -> Path:
        """The folder where files are read and written."""

    @property
    def is_far(self) -> bool:
        """Whether each question takes the time of a request."""

    @property
    def options(self) -> dict[str, str] | None:
        """What Delta needs to know to reach the store."""

    def folder(self, table: str) -> str:
        """The name of a table's folder: its path, as far as Delta can read that."""

    def make(self, name: str) -> Path:
        """The folder of this name, made when absent, for files to be written."""

    def address(self, name: str) -> str:
        """Where Delta finds the table in a folder of the store."""

    def path(self, file: Stored) -> Path:
        """Where a file is read once it is fetched."""

    def fetch(self, files: Iterable[Stored]) -> None:
        """Make files be in the folder. Raises FileNotFoundError when one is gone."""

    def send(self, names: Iterable[str]) -> None:
        """Make files of the folder be in the store. Nobody else writes under these names."""

    def gone(self, files: Iterable[Stored]) -> list[Stored]:
        """Those that are no longer in the store."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    def changed(self, name: str) -> int | None:
        """A number that differs once files came to a folder; None: it cannot be relied on."""

    def beginning(self, name: str) -> Hashable | None:
        """What tells a file from a later one of its name; None: absent, or nobody knows."""

    def lacks(self, name: str) -> bool:
        """Whether a folder is known to be absent without asking anybody."""

    def within(self, name: str) -> Sequence[str]:
        """The names of what stands directly in a folder; none when it is absent."""

    def read(self, name: str) -> bytes | None:
        """A small file that may have changed; None when it is absent."""

    def create(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""

    def writing(self) -> AbstractContextManager[None]:
        """Raises BackendError, in one sentence, for what the disk cannot do within."""

    def failures(self) -> AbstractContextManager[None]:
        """Raises BackendError, in one sentence, for what the store or Delta cannot do within."""
