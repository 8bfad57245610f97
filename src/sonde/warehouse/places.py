"""Where a table may be: a folder, a file or a pattern of files, on a disk or in a bucket."""

from __future__ import annotations

import glob
import re
import urllib.parse
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from sonde.errors import DataError
from sonde.store import Cache, Store, Stored, is_bucket, open_bucket

if TYPE_CHECKING:
    from sonde.store.bucket import Bucket

_KINDS = (".parquet", ".csv")  # what is looked for, in this order


@dataclass(frozen=True)
class FoundFile:
    """A file, and where it is read. version: changes with its contents.

    stored: the file of a bucket, to be fetched before it is read.
    """

    path: str
    version: str
    size: int
    stored: Stored | None = None


class Place(Protocol):
    """A place; as text, what a person would write for it."""

    @property
    def store(self) -> Store | None:
        """The bucket that files are fetched from; None: they are here."""

    def delta(self, table: str, number: int | None) -> DeltaTable | None:
        """The Delta table in it, at a commit or the newest; None when it holds none.

        Raises DataError when it cannot be read.
        """

    def part(self, path: str, size: int) -> FoundFile:
        """A file of the Delta table in it, by its path in the log."""

    def files(self) -> Sequence[FoundFile]:
        """The Parquet files, else the CSV files, of this name, in it, or that fit the pattern."""


def place(root: str, location: str, cache: Cache) -> Place:
    """The place of a location, which may be relative to a folder or an address in a bucket."""
    if is_bucket(location):
        folder, name = _parted(location)
        return BucketPlace(open_bucket(folder, cache), name)
    if is_bucket(root) and not Path(location).is_absolute():
        return BucketPlace(open_bucket(root, cache), location)
    return LocalPlace(Path(root, location))


def fixed_part(location: str | Path) -> Path | str:
    """The folder above the first part of a location that is a pattern."""
    if isinstance(location, str) and is_bucket(location):
        return _parted(location)[0]
    path = Path(location)
    for i, part in enumerate(path.parts):
        if _is_pattern(part):
            return Path(*path.parts[:i])
    return path if path.is_dir() else path.parent


def _parted(url: str) -> tuple[str, str]:
    """The folder in a bucket above the last part, or the first that is a pattern; and the rest."""
    kind, _, rest = url.partition("://")
    bucket, *parts = [part for part in rest.split("/") if part] or [""]
    patterns = [i for i, part in enumerate(parts) if _is_pattern(part)]
    cut = min([*patterns, max(len(parts) - 1, 0)])
    return f"{kind}://{'/'.join([bucket, *parts[:cut]])}", "/".join(parts[cut:])


def _is_pattern(part: str) -> bool:
    return glob.has_magic(part) or "{" in part


@dataclass(frozen=True)
class LocalPlace:
    """A place on a disk."""

    path: Path
    store = None

    def __str__(self) -> str:
        return str(self.path)

    def delta(self, table: str, number: int | None) -> DeltaTable | None:
        """The Delta table in it."""
        if not (self.path / "_delta_log").is_dir():
            return None
        try:
            return DeltaTable(str(self.path), version=number)
        except DeltaError as error:
            raise _unreadable(table, self, number, error) from error

    def part(self, path: str, size: int) -> FoundFile:
        """A file of the Delta table in it."""
        return FoundFile(str(self.path / urllib.parse.unquote(path)), path, size)

    def files(self) -> Sequence[FoundFile]:
        """The files of this name, in it, or that fit the pattern."""
        if self.path.is_dir():
            kinds = (sorted(self.path.glob(f"**/*{kind}")) for kind in _KINDS)
            return self._found(next((paths for paths in kinds if paths), []))
        suffixed = (self.path.with_name(self.path.name + kind) for kind in _KINDS)
        for path in (self.path, *suffixed):
            if path.is_file():
                return self._found([path])
        fixed = fixed_part(self.path)
        if glob.has_magic(str(self.path)) and isinstance(fixed, Path):
            return self._found(sorted(fixed.glob(str(self.path.relative_to(fixed)))))
        return []

    @staticmethod
    def _found(paths: Iterable[Path]) -> list[FoundFile]:
        stats = ((path, path.stat()) for path in paths)
        return [
            FoundFile(str(path), f"{path}:{stat.st_size}:{stat.st_mtime_ns}", stat.st_size)
            for path, stat in stats
        ]


@dataclass(frozen=True)
class BucketPlace:
    """A place in a bucket. name: relative to the store."""

    store: Bucket
    name: str

    def __str__(self) -> str:
        return f"{self.store.url}/{self.name}"

    def delta(self, table: str, number: int | None) -> DeltaTable | None:
        """The Delta table in it."""
        if _is_pattern(self.name):
            return None
        address, options = self.store.address(self.name), self.store.options
        with self.store.failures():
            try:
                return DeltaTable(address, version=number, storage_options=options)
            except TableNotFoundError:
                return None
            except DeltaError as error:
                raise _unreadable(table, self, number, error) from error

    def part(self, path: str, size: int) -> FoundFile:
        """A file of the Delta table in it."""
        stored = Stored(f"{self.name}/{urllib.parse.unquote(path)}", size)
        return FoundFile(str(self.store.path(stored)), path, size, stored)

    def files(self) -> Sequence[FoundFile]:
        """The files of this name, in it, or that fit the pattern."""
        if _is_pattern(self.name):
            fits = _pattern(self.name)
            return self._found(f for f in self.store.files("") if fits.fullmatch(f.name))
        inside = self.store.files(self.name)
        for kind in _KINDS:
            if found := self._found(file for file in inside if file.name.endswith(kind)):
                return found
        for name in (self.name, *(self.name + kind for kind in _KINDS)):
            if (file := self.store.stat(name)) is not None:
                return self._found([file])
        return []

    def _found(self, files: Iterable[Stored]) -> list[FoundFile]:
        return [
            FoundFile(
                str(self.store.path(file)),
                f"{self.store.url}/{file.name}:{file.version}",
                file.size,
                file,
            )
            for file in files
        ]


_PIECES = re.compile(r"(\*\*/|\*|\?|\[[^]]+\])")
_MEANINGS = {"**/": r"(?:.*/)?", "*": r"[^/]*", "?": r"[^/]"}


def _pattern(name: str) -> re.Pattern[str]:
    """What a pattern of files means: `*` is within a part, `**/` is any number of parts.

    >>> bool(_pattern("*/a?.parquet").fullmatch("x/ab.parquet"))
    True
    """
    pieces = (
        _MEANINGS.get(piece, piece) if i % 2 else re.escape(piece)
        for i, piece in enumerate(_PIECES.split(name))
    )
    return re.compile("".join(pieces))


def _unreadable(table: str, at: Place, number: int | None, error: Exception) -> DataError:
    if number is not None:
        return DataError(f"version {number} of table {table} is gone: {error}")
    return DataError(f"table {table} at {at} cannot be read as Delta: {error}")
