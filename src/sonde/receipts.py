"""Partitions and their receipts, as the entries of a Delta log."""

from __future__ import annotations

from deltalake import DeltaTable
from deltalake.transaction import RemoveAction

from sonde.table import Partition, Receipt, Table

FINGERPRINT = "fingerprint"


def key_columns(table: Table) -> list[str]:
    """The partition columns of a table: its keys, its marks, the fingerprint."""
    return [*table.keys, *table.marks, FINGERPRINT]


def partition_values(
    partition: Partition, marks: tuple[str, ...], fingerprint: str
) -> dict[str, str | None]:
    """What the log says of a partition's file."""
    columns = key_columns(partition.table)
    return dict(zip(columns, (*partition.key, *marks, fingerprint), strict=True))


def remove_action(receipt: Receipt, now: int) -> RemoveAction:
    """The entry of the log that makes a partition's file invisible. now: in milliseconds."""
    values = partition_values(receipt.partition, receipt.marks, receipt.fingerprint)
    return RemoveAction(receipt.path, True, now, receipt.size, values)


def receipts_of(table: Table, delta: DeltaTable) -> dict[tuple[str, ...], Receipt]:
    """What exists in a table, by key."""
    columns = key_columns(table)
    actions = delta.get_add_actions(flatten=True)
    names = [
        "path",
        "num_records",
        "size_bytes",
        "modification_time",
        *(f"partition.{name}" for name in columns),
    ]
    rows = zip(*(actions[name].to_pylist() for name in names), strict=True)
    keys = len(table.keys)
    receipts = {}
    for path, count, size, modified, *values in rows:
        # An empty string is stored as null by Delta.
        texts = tuple("" if value is None else value for value in values)
        partition = Partition(table, texts[:keys])
        receipts[partition.key] = Receipt(
            partition, texts[-1], path, count, size, modified, texts[keys:-1]
        )
    return receipts
