"""The lake in a bucket: what holds of one in a folder holds there as well."""

from __future__ import annotations

import multiprocessing
import os
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pyarrow as pa
import pytest

from sonde.errors import BackendError
from sonde.lake import Lake
from sonde.store import Cache
from sonde.table import Table, folder_name
from tests.store.servers import RESET_AFTER, RESET_BEFORE, every_tenth, gate
from tests.test_lake import TABLE, WRITERS, contents, fill, rows


def test_a_partition_is_replaced_whole_with_its_receipt(bucket: str) -> None:
    lake = Lake.open(f"{bucket}/some/lake")
    fill(lake, ("a", "1"), (1, 2), "f1")
    fill(lake, ("b", "1"), (3,), "f1")
    fill(lake, ("a", "1"), (9,), "f2")
    lake.commit(TABLE, [], [TABLE.partition("b", "1")])
    assert contents(lake) == {("a", "1"): [9]}
    assert lake.receipts(TABLE)["a", "1"].fingerprint == "f2"
    assert lake.version(TABLE) == 4
    assert lake.version(Table("results/none")) == -1
    assert lake.receipts(Table("results/none")) == {}
    assert [len(each) for each in lake.history(TABLE)] == [1, 2, 2, 1, 0]
    assert lake.tables("results") == [Table("results/estimates")]


def test_another_machine_reads_the_same(bucket: str, tmp_path: Path) -> None:
    lake = Lake.open(f"{bucket}/lake")
    fill(lake, ("a", "1"), (1, 2), "f1")
    fill(lake, ("b", "1"), (3,), "f1")
    other = Lake.open(f"{bucket}/lake", Cache(tmp_path / "another"))
    assert contents(other) == {("a", "1"): [1, 2], ("b", "1"): [3]}
    receipt = other.receipts(TABLE)["a", "1"]
    assert other.file(receipt).read_bytes() == lake.file(receipt).read_bytes()
    assert tmp_path / "another" in other.file(receipt).parents


def test_a_log_is_read_once_for_each_commit(
    s3: str, amazon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with gate(amazon, lambda number, method, path: None) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        lake, other = Lake.open(s3), Lake.open(s3)
        fill(lake, ("a", "1"), (1,), "f")
        assert lake.receipts(TABLE).keys() == other.receipts(TABLE).keys() == {("a", "1")}
        between.asked.clear()
        lake.receipts(TABLE).clear()
        assert lake.receipts(TABLE).keys() == {("a", "1")}, "what was given away is a copy"
        assert len(between.asked) == 2
        fill(other, ("b", "1"), (1,), "f")
        assert lake.receipts(TABLE).keys() == {("a", "1"), ("b", "1")}


def test_only_what_is_asked_for_is_copied(s3: str, tmp_path: Path) -> None:
    lake = Lake.open(s3)
    for key in "abc":
        fill(lake, (key, "1"), (1,), "f")
    other = Lake.open(s3, Cache(tmp_path / "another"))
    assert other.read(TABLE, {"experiment": "b"}).num_rows == 1
    assert len(list((tmp_path / "another").rglob("*.parquet"))) == 1


@pytest.mark.parametrize("name", ["../x", "a%2Fb", "ä b", "x=1"])
def test_any_name_has_a_folder(bucket: str, name: str) -> None:
    lake, table = Lake.open(bucket), Table(f"enrollments/{folder_name(name)}")
    for value in (1.0, 2.0):
        lake.commit(table, [lake.write(table.partition(), rows(value), str(value))])
    assert lake.read(table)["x"].to_pylist() == [2]
    assert lake.version(table) == 2


def test_new_columns_are_added(bucket: str) -> None:
    lake = Lake.open(bucket)
    fill(lake, ("a", "1"), (1,), "f")
    wider = pa.table({"x": [2.0], "y": ["new"]})
    lake.commit(TABLE, [lake.write(TABLE.partition("a", "2"), wider, "f", ("d",))])
    found = {row["window"]: row["y"] for row in lake.read(TABLE).to_pylist()}
    assert found == {"1": None, "2": "new"}


@pytest.mark.slow
def test_a_log_whose_beginning_is_gone(s3: str) -> None:
    """Delta removes what is older than its last checkpoints."""
    lake = Lake.open(s3)
    for number in range(22):
        fill(lake, ("a", "1"), (number,), str(number))
    for number in range(19):
        lake.store.delete(f"{TABLE.path}/_delta_log/{number:020}.json")
    assert contents(lake) == {("a", "1"): [21]}
    found = [r.fingerprint for each in lake.history(TABLE) for r in each.values()]
    assert found[:3] == ["21", "20", "19"]
    assert len(found) < 6


def test_what_is_deleted_is_gone(bucket: str) -> None:
    lake = Lake.open(bucket)
    fill(lake, ("a", "1"), (1,), "f")
    receipt = lake.receipts(TABLE)["a", "1"]
    assert not lake.is_gone(receipt)
    lake.delete(receipt)
    assert lake.is_gone(receipt)
    with pytest.raises(BackendError, match="gone: somebody removed it meanwhile; run again"):
        lake.file(receipt)


slow = pytest.mark.slow


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("s3", "distinct partitions"),
        ("gs", "same partitions"),
        pytest.param("s3", "same partitions", marks=slow),
        pytest.param("s3", "equal contents", marks=slow),
        pytest.param("gs", "distinct partitions", marks=slow),
        pytest.param("gs", "equal contents", marks=slow),
    ],
)
def test_writers_at_once_do_no_harm(request: pytest.FixtureRequest, kind: str, name: str) -> None:
    bucket: str = request.getfixturevalue(kind)
    work, partitions = WRITERS[name]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        for future in [pool.submit(_in, dict(os.environ), work, bucket, n) for n in range(2)]:
            future.result()
    lake = Lake.open(bucket)
    found, receipts = contents(lake), lake.receipts(TABLE)
    assert len(receipts) == (16 if name == "distinct partitions" else partitions)
    assert set(found) == set(receipts)
    for key, values in found.items():
        assert len(values) == receipts[key].rows, "a partition is one writer's, never two"


def _in(environment: dict[str, str], work, bucket: str, writer: int) -> None:
    os.environ.update(environment)  # the server that forks was started before the test's own
    work(bucket, writer)


REFUSALS = {
    "too many requests": (503, 429, 500),
    "no answer": (RESET_BEFORE,),
    "answers lost": (RESET_AFTER,),  # what was asked for is done, and nobody knows
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("too many requests", marks=slow),
        pytest.param("no answer", marks=slow),
        "answers lost",
    ],
)
def test_every_tenth_request_refused(
    s3: str, amazon: str, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    with gate(amazon, every_tenth(*REFUSALS[name])) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        lake = Lake.open(s3)
        for number in range(6):
            fill(lake, ("a", str(number % 2)), (number,), f"f{number}")
        assert contents(lake) == {("a", str(n)): [4 + n] for n in range(2)}
        assert between.refused >= 4
