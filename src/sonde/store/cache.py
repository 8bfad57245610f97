"""Copies of a bucket's files on the disk of this machine, for the engine to read."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from sonde.errors import BackendError

_IN_USE = 6 * 3600  # seconds: what was read lately may be read again by a query under way
_OFTEN = 3600  # seconds between two looks at the whole folder
_SWEPT = ".swept"
_PART = ".part"


@dataclass(frozen=True)
class Cache:
    """Where copies are kept. folder: None for the user's own. size: bytes that it may hold.

    Safe with several processes: a copy appears whole, under its name. When there are too many,
    those read least lately go first; what was read within some hours stays.
    """

    folder: Path | None = None
    size: int = 20 * 10**9

    @property
    def root(self) -> Path:
        """The folder, as this machine has it."""
        if self.folder is not None:
            return self.folder
        home = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
        return Path(home) / "sonde"

    def has(self, path: Path, size: int) -> bool:
        """Whether there is a whole copy. It counts as read now."""
        try:
            if path.stat().st_size != size:
                return False
            os.utime(path)
        except OSError:
            return False
        return True

    def make(self, folder: Path) -> None:
        """Make a folder for copies. They are the user's alone: not all may read the bucket."""
        if not self.root.is_dir():
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(parents=True, exist_ok=True)

    @contextmanager
    def part(self, path: Path) -> Iterator[Path]:
        """A file to write in place of a copy; it becomes the copy when the block ends well."""
        part = path.with_name(f".{uuid.uuid4().hex}{_PART}")
        self.make(path.parent)
        try:
            yield part
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Say what a person can do about a folder that cannot be written."""
        try:
            yield
        except OSError as error:
            raise BackendError(
                f"the cache {self.root} cannot be written ({error.strerror or error}); free some "
                "space, or name another folder as `cache` under [lake] in sonde.toml"
            ) from error

    def sweep(self, now: float | None = None) -> None:
        """Remove what is too much, if nobody has looked for a while."""
        now = time.time() if now is None else now
        swept = self.root / _SWEPT
        with suppress(OSError):
            if now - swept.stat().st_mtime < _OFTEN:
                return
        with suppress(OSError):
            swept.touch()
            os.utime(swept, (now, now))
        self._remove(sorted(self._copies()), now)

    def _copies(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was last read, its size, and where it is."""
        for folder, _, names in os.walk(self.root):
            for name in names:
                path = Path(folder, name)
                with suppress(OSError):
                    found = path.stat()
                    yield found.st_mtime, found.st_size, path

    def _remove(self, copies: list[tuple[float, int, Path]], now: float) -> None:
        """The oldest go, and halves that nobody finished."""
        excess = sum(size for _, size, _ in copies) - self.size
        for read, size, path in copies:
            if now - read < _IN_USE:
                return
            if excess > 0 or path.name.endswith(_PART):
                path.unlink(missing_ok=True)
                excess -= size
