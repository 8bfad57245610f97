"""Copies of a bucket's files: whole, shared, bounded."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from sonde.errors import BackendError
from sonde.store import Cache, Stored, open_bucket
from tests.store.servers import gate

DAY = 24 * 3600


def copy(cache: Cache, name: str, size: int, age: float) -> Path:
    """A copy that was read so many seconds ago."""
    path = cache.root / name
    with cache.part(path) as part:
        part.write_bytes(b"x" * size)
    os.utime(path, (time.time() - age,) * 2)
    return path


def test_those_read_least_lately_go_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path, size=250)
    oldest, older, newer = (copy(cache, str(n), 100, (9 - n) * DAY) for n in range(3))
    assert cache.has(oldest, 100), "which counts as reading it"
    cache.sweep()
    assert [path.exists() for path in (oldest, older, newer)] == [True, False, True]


def test_what_was_read_lately_stays_however_much_it_is(tmp_path: Path) -> None:
    cache = Cache(tmp_path, size=10)
    copies = [copy(cache, str(n), 100, 3600) for n in range(3)]
    cache.sweep()
    assert all(path.exists() for path in copies)


def test_halves_of_the_killed_go(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    old, new = (copy(cache, f"{age}.part", 1, age) for age in (DAY, 60))
    cache.sweep()
    assert not old.exists()
    assert new.exists(), "somebody may be writing it"


def test_the_folder_is_looked_at_once_an_hour(tmp_path: Path) -> None:
    cache = Cache(tmp_path, size=10)
    cache.sweep()
    left = copy(cache, "a", 100, DAY)
    cache.sweep()
    assert left.exists()
    cache.sweep(time.time() + 3601)
    assert not left.exists()


def test_a_copy_of_another_size_is_none(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    path = copy(cache, "a", 100, 0)
    assert cache.has(path, 100)
    assert not cache.has(path, 101)
    assert not cache.has(tmp_path / "b", 0)


def test_copies_are_the_users_alone(s3: str, tmp_path: Path) -> None:
    cache = Cache(tmp_path / "copies")
    store = open_bucket(s3, cache)
    store.make("a/b")
    assert (tmp_path / "copies").stat().st_mode & 0o777 == 0o700
    assert (store.root / "a" / "b").is_dir()


def test_a_write_that_fails_leaves_nothing(tmp_path: Path) -> None:
    cache = Cache(tmp_path)

    def fail() -> None:
        with cache.part(tmp_path / "a") as part:
            part.write_bytes(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written(s3: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    store = open_bucket(s3, Cache(tmp_path / "file" / "cache"))
    store.create("a", b"content")
    with pytest.raises(BackendError, match=r"cannot be written .*`cache` under \[lake\]"):
        store.fetch([Stored("a", 7)])


def test_each_file_is_fetched_once(
    s3: str, amazon: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    open_bucket(s3, Cache()).create("a", b"content")
    with gate(amazon, lambda number, method, path: None) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        for _ in range(3):
            store = open_bucket(s3, Cache(tmp_path / "copies"))
            store.fetch([Stored("a", 7)])
            assert (store.root / "a").read_bytes() == b"content"
        assert [method for method, _ in between.asked] == ["GET"]


def test_processes_share_a_copy(s3: str, tmp_path: Path) -> None:
    """All fetch the same at the same time; each sees whole files only."""
    content = os.urandom(3_000_000)
    store = open_bucket(s3, Cache())
    for number in range(4):
        store.create(f"files/{number}", content)
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        told = (dict(os.environ), s3, tmp_path / "copies")
        found = [pool.submit(_fetched, *told) for _ in range(3)]
        assert [each.result() for each in found] == [[content] * 4] * 3


def _fetched(environment: dict[str, str], url: str, cache: Path) -> list[bytes]:
    os.environ.update(environment)  # the server that forks was started before the test's own
    store = open_bucket(url, Cache(cache))
    files = store.files("files")
    store.fetch(files)
    return [store.path(file).read_bytes() for file in files]
