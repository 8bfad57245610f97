"""The lake: partitions are replaced whole, receipts are as atomic as the data."""

from __future__ import annotations

import json
import multiprocessing
import shutil
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonde.errors import BackendError
from sonde.lake import Lake
from sonde.table import Table, folder_name

TABLE = Table("results/estimates", ("experiment", "window"), ("through",))


def rows(*values: float) -> pa.Table:
    return pa.table({"x": pa.array(values, pa.float64())})


def fill(lake: Lake, key: tuple[str, str], values: tuple[float, ...], fingerprint: str) -> None:
    staged = lake.write(TABLE.partition(*key), rows(*values), fingerprint, ("2020-01-01",))
    lake.commit(TABLE, [staged])


def contents(lake: Lake) -> dict[tuple[str, str], list[float]]:
    found: dict[tuple[str, str], list[float]] = {}
    for row in lake.read(TABLE).to_pylist():
        found.setdefault((row["experiment"] or "", row["window"] or ""), []).append(row["x"])
    return found


def test_a_partition_is_replaced_whole_with_its_receipt(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    fill(lake, ("a", "1"), (1, 2), "f1")
    fill(lake, ("b", "1"), (3,), "f1")
    fill(lake, ("a", "1"), (9,), "f2")
    assert contents(lake) == {("a", "1"): [9], ("b", "1"): [3]}
    receipts = lake.receipts(TABLE)
    assert {key: r.fingerprint for key, r in receipts.items()} == {
        ("a", "1"): "f2",
        ("b", "1"): "f1",
    }
    assert receipts["a", "1"].rows == 1
    assert receipts["a", "1"].marks == ("2020-01-01",)


def test_an_empty_partition_has_a_receipt(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    fill(lake, ("a", "1"), (), "f1")
    assert lake.receipts(TABLE)["a", "1"].rows == 0
    assert contents(lake) == {}


def test_removed_partitions_are_gone(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    fill(lake, ("a", "1"), (1,), "f")
    fill(lake, ("a", "2"), (2,), "f")
    lake.commit(TABLE, [], [TABLE.partition("a", "2"), TABLE.partition("never", "there")])
    assert contents(lake) == {("a", "1"): [1]}


def test_new_columns_are_added(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    fill(lake, ("a", "1"), (1,), "f")
    wider = pa.table({"x": [2.0], "y": ["new"]})
    lake.commit(TABLE, [lake.write(TABLE.partition("a", "2"), wider, "f", ("d",))])
    assert {row["window"]: row["y"] for row in lake.read(TABLE).to_pylist()} == {
        "1": None,
        "2": "new",
    }


@settings(max_examples=25, deadline=None)
@given(key=st.text(min_size=0, max_size=60).filter(lambda s: "\x00" not in s))
def test_any_text_is_a_key(tmp_path_factory: pytest.TempPathFactory, key: str) -> None:
    try:
        key.encode()
    except UnicodeEncodeError:
        return
    lake = Lake.open(tmp_path_factory.mktemp("lake"))
    fill(lake, (key, "1"), (1,), "f")
    assert list(lake.receipts(TABLE)) == [(key, "1")]
    fill(lake, (key, "1"), (2,), "g")
    assert lake.receipts(TABLE)[key, "1"].fingerprint == "g"
    assert contents(lake) == {(key, "1"): [2]}


@given(st.text(max_size=300))
def test_a_folder_name_is_one_safe_part(name: str) -> None:
    try:
        folder = folder_name(name)
    except UnicodeEncodeError:
        return
    assert "/" not in folder
    assert folder not in {"", ".", ".."}
    assert not folder.startswith(".")
    assert len(folder.encode()) <= 120


@given(st.lists(st.text(alphabet="ab-_./%", max_size=6), unique=True, max_size=20))
def test_different_names_have_different_folders(names: list[str]) -> None:
    assert len({folder_name(name) for name in names}) == len(names)


def _distinct_partitions(root: str, writer: int) -> None:
    lake = Lake.open(root)
    for number in range(8):
        fill(lake, (f"w{writer}", str(number)), (writer,), f"f{writer}")


def _same_partitions(root: str, writer: int) -> None:
    lake = Lake.open(root)
    for number in range(6):
        fill(lake, ("shared", str(number % 2)), (writer, number), f"f{writer}.{number}")


def _equal_contents(root: str, writer: int) -> None:
    lake = Lake.open(root)
    for number in range(4):
        fill(lake, ("equal", str(number)), (number,), "same")


WRITERS = {
    "distinct partitions": (_distinct_partitions, 24),
    "same partitions": (_same_partitions, 2),
    "equal contents": (_equal_contents, 4),
}


@pytest.mark.parametrize("name", WRITERS)
def test_writers_at_once_do_no_harm(tmp_path: Path, name: str) -> None:
    work, partitions = WRITERS[name]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        for future in [pool.submit(work, str(tmp_path), writer) for writer in range(3)]:
            future.result()
    lake = Lake.open(tmp_path)
    found, receipts = contents(lake), lake.receipts(TABLE)
    assert len(receipts) == partitions
    assert set(found) == set(receipts)
    for key, values in found.items():
        assert len(values) == receipts[key].rows, "a partition is one writer's, never two"
    files = {path.name for path in lake.folder(TABLE).glob("*.parquet")}
    assert {r.path for r in receipts.values()} <= files


def test_a_failed_write_leaves_no_file(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)

    def fail() -> None:
        with lake.staging(TABLE) as path:
            path.write_bytes(b"half")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert list(lake.folder(TABLE).iterdir()) == []


def test_a_lake_of_a_newer_sonde_is_refused(tmp_path: Path) -> None:
    Lake.open(tmp_path)
    (tmp_path / "_sonde.json").write_text(json.dumps({"format": 99}))
    with pytest.raises(BackendError, match=r"newer sonde \(format 99.*upgrade"):
        Lake.open(tmp_path)


def test_a_folder_that_is_no_lake_is_refused(tmp_path: Path) -> None:
    (tmp_path / "_sonde.json").write_text("hello")
    with pytest.raises(BackendError, match="is not sonde's"):
        Lake.open(tmp_path)


def test_a_lake_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(BackendError, match="cannot be used"):
        Lake.open(tmp_path / "file" / "lake")


def test_a_table_made_anew_under_the_same_name_is_another(tmp_path: Path) -> None:
    """A process keeps the tables that it has opened."""
    lake = Lake.open(tmp_path)
    for window in "123":
        fill(lake, ("a", window), (1,), "f")
    assert len(lake.receipts(TABLE)) == 3
    shutil.rmtree(lake.folder(TABLE))
    assert lake.receipts(TABLE) == {}
    for window in "1234":
        fill(lake, ("b", window), (1,), "f")
    assert set(lake.receipts(TABLE)) == {("b", window) for window in "1234"}


def test_what_another_process_commits_is_seen(tmp_path: Path) -> None:
    lake = Lake.open(tmp_path)
    fill(lake, ("a", "1"), (1,), "f")
    assert set(lake.receipts(TABLE)) == {("a", "1")}
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        pool.submit(fill, lake, ("b", "1"), (2,), "f").result()
    assert set(lake.receipts(TABLE)) == {("a", "1"), ("b", "1")}
    assert contents(lake) == {("a", "1"): [1], ("b", "1"): [2]}
