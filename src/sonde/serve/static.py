"""The site as plain files, for any web server or for opening from disk."""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from sonde.errors import BackendError, ConfigError
from sonde.serve.openapi import OPENAPI
from sonde.serve.target import confined
from sonde.site import Site, SiteFile

_OURS = ".sonde-site"
MANIFEST = f"{_OURS}.json"  # the files that were written: path to what is known of each
_FORMAT = 1


@dataclass(frozen=True)
class Published:
    """Counts of files."""

    written: int
    unchanged: int
    removed: int


@dataclass(frozen=True)
class _Known:
    """A file that an earlier publication wrote. etag "": it may not have come to that."""

    etag: str
    size: int


def write_static(site: Site, folder: Path, private: bool) -> Published:
    """Write the site into a folder; what an earlier publication wrote and is no more goes.

    private: whether for readers who may see private experiments. Each file is written whole or not
    at all; when interrupted, the next publication does the rest. Raises ConfigError when the folder
    holds something else in the place of a page.
    """
    with _disk(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            return _written(site, folder, private)


def _written(site: Site, folder: Path, private: bool) -> Published:
    known = _read_manifest(folder)
    etags = _etags(site, private)
    _check(folder, etags, known)
    stale = [path for path, etag in etags.items() if not _is_there(folder, path, etag, known)]
    if not stale and known.keys() == etags.keys():
        return Published(0, len(etags), 0)
    pending = {path: _Known("", 0) for path in stale}
    _write_manifest(folder, {**known, **pending})  # before the files: they are ours to replace
    now = {path: known[path] for path in etags if path not in pending}
    for path in sorted(stale, key=_index_last):
        now[path] = _write(folder, _file(site, path, private))
    removed = known.keys() - etags.keys()
    for path in removed:
        _remove(folder, path)
    _write_manifest(folder, now)
    return Published(len(stale), len(etags) - len(stale), len(removed))


def _etags(site: Site, private: bool) -> dict[str, str]:
    etags = {path: file.etag for path, file in OPENAPI.items()}
    for path in site.paths(private):
        if not confined(path) or path.startswith(_OURS):
            raise BackendError("the published site holds a path that would leave its folder")
        if (entry := site.entry(path, private)) is not None:
            etags[path] = entry.etag
    return etags


def _file(site: Site, path: str, private: bool) -> SiteFile:
    return site.get(path, private) or OPENAPI[path]


def _check(folder: Path, etags: Mapping[str, str], known: Mapping[str, _Known]) -> None:
    for path in {*etags, *known}:
        for parent in PurePosixPath(path).parents:
            here = folder / parent
            if here.is_symlink() and here != folder:
                raise ConfigError(f"{here} leads elsewhere; publish into a folder of its own")
            if here.exists() and not here.is_dir():
                raise _foreign(here)
        if path not in known and os.path.lexists(folder / path):
            raise _foreign(folder / path)


def _foreign(path: Path) -> ConfigError:
    return ConfigError(
        f"{path} was not written by `sonde publish`; move it away, or publish into another folder"
    )


def _is_there(folder: Path, path: str, etag: str, known: Mapping[str, _Known]) -> bool:
    before = known.get(path)
    if before is None or before.etag != etag:
        return False
    target = folder / path
    return target.is_file() and not target.is_symlink() and target.stat().st_size == before.size


def _write(folder: Path, file: SiteFile) -> _Known:
    content = gzip.decompress(file.body)
    target = folder / file.path
    target.parent.mkdir(parents=True, exist_ok=True)
    _replace(folder, target, content)
    return _Known(file.etag, len(content))


def _replace(folder: Path, target: Path, content: bytes) -> None:
    part = folder / f"{_OURS}.part"  # there is one publication at a time
    part.write_bytes(content)
    part.replace(target)


def _remove(folder: Path, path: str) -> None:
    (folder / path).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # not empty: others have files there
        for parent in PurePosixPath(path).parents[:-1]:
            (folder / parent).rmdir()


def _index_last(path: str) -> tuple[bool, str]:
    return path == "index.html", path  # it leads to the others


def _read_manifest(folder: Path) -> dict[str, _Known]:
    path = folder / MANIFEST
    try:
        content: Any = json.loads(path.read_bytes())
        if content["format"] > _FORMAT:
            raise ConfigError(f"{path} is of a newer sonde; upgrade with `pip install -U sonde`")
        files = {name: _Known(etag, size) for name, (etag, size) in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _foreign(path) from None
    if not all(map(confined, files)):
        raise _foreign(path)
    return files


def _write_manifest(folder: Path, written: Mapping[str, _Known]) -> None:
    files = {path: [each.etag, each.size] for path, each in sorted(written.items())}
    _replace(folder, folder / MANIFEST, json.dumps({"format": _FORMAT, "files": files}).encode())


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BackendError(f"something else is publishing into {folder}; run again") from None
    else:
        yield
    finally:
        os.close(handle)


@contextlib.contextmanager
def _disk(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise BackendError(f"{folder} cannot be written: {error.strerror}") from error
