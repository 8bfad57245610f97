"""A store that is a folder of this machine, or of a disk that machines share."""

from __future__ import annotations

import os
import time
from collections.abc import Hashable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError

from sonde.errors import BackendError, ConfigError
from sonde.store.stored import Stored

_TICK = 2_000_000_000


@dataclass(frozen=True)
class Folder:
    """Files are read and written where they are."""

    root: Path

    @classmethod
    def of(cls, url: str) -> Folder:
        """The folder of an address. Raises ConfigError for an address of another kind."""
        kind, sign, _ = url.partition("://")
        if sign and kind != "file":
            raise ConfigError(
                f"{url}: files can be in a folder, or in a bucket at s3://.. or gs://.., "
                f"not at {kind}://"
            )
        return cls(Path(url.removeprefix("file://")))

    @property
    def url(self) -> str:
        """The folder, as text."""
        return str(self.root)

    options = None
    is_far = False

    def folder(self, table: str) -> str:
        """The name of a table's folder: its path."""
        return table

    def make(self, name: str) -> Path:
        """The folder of this name, made when absent."""
        with self.writing():
            (made := self.root / name).mkdir(parents=True, exist_ok=True)
        return made

    def address(self, name: str) -> str:
        """Where Delta finds the table in a folder of the store."""
        return str(self.root / name)

    def path(self, file: Stored) -> Path:
        """Where a file is read."""
        return self.root / file.name

    def fetch(self, files: Iterable[Stored]) -> None:
        """Nothing: they are here."""

    def send(self, names: Iterable[str]) -> None:
        """Nothing: they are here."""

    def gone(self, files: Iterable[Stored]) -> list[Stored]:
        """Those that are no longer there."""
        return [file for file in files if not (self.root / file.name).is_file()]

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""
        (self.root / name).unlink(missing_ok=True)

    def changed(self, name: str) -> int | None:
        """When the folder last changed, in nanoseconds; None when that cannot be relied on."""
        try:
            changed = (self.root / name).stat().st_mtime_ns
        except OSError:
            return 0
        # Clocks of file systems tick slowly: another file may still come within the same tick.
        return changed if time.time_ns() - changed > _TICK else None

    def beginning(self, name: str) -> Hashable | None:
        """What tells a file from a later one of its name; None when it is absent."""
        try:
            found = (self.root / name).stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns

    def lacks(self, name: str) -> bool:
        """Whether a folder is absent."""
        return not (self.root / name).is_dir()

    def within(self, name: str) -> Sequence[str]:
        """The names of what stands directly in a folder; none when it is absent."""
        try:
            return os.listdir(self.root / name)  # noqa: PTH208 - names only, for every commit
        except (FileNotFoundError, NotADirectoryError):
            return []

    def read(self, name: str) -> bytes | None:
        """A small file that may have changed; None when it is absent."""
        try:
            return (self.root / name).read_bytes()
        except FileNotFoundError:
            return None

    def create(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(f"{path.name}.{os.getpid()}.part")
        part.write_bytes(content)
        part.replace(path)

    def writing(self) -> AbstractContextManager[None]:
        """The same as `failures`."""
        return self.failures()

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Say in one sentence what a person can do about a disk that fails."""
        try:
            yield
        except (OSError, DeltaError) as error:
            if isinstance(error, CommitFailedError | TableNotFoundError):
                raise
            text = str(error)
            if "No space left" in text or "ENOSPC" in text:
                raise BackendError(
                    f"the disk of the lake {self.root} is full; free some space and run again "
                    "(what was committed is kept, nothing is half-written)"
                ) from error
            raise BackendError(f"the lake {self.root} cannot be used: {text}") from error
