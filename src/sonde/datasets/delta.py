"""Writing the demo's tables: one Parquet file a partition, then one commit a table."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.transaction import AddAction, RemoveAction

from sonde.table import Table

FILE = "part-00000.parquet"
# Nearly every value is another: a dictionary costs time and saves nothing.
_ENCODINGS = {
    "client_id": "DELTA_LENGTH_BYTE_ARRAY",
    "profile_group_id": "DELTA_LENGTH_BYTE_ARRAY",
    "days_seen_bits": "DELTA_BINARY_PACKED",
    "days_active_bits": "DELTA_BINARY_PACKED",
}


@dataclass(frozen=True)
class File:
    """A written partition."""

    day: date
    rows: int
    size: int


def write_partition(lake: Path, table: Table, day: date, rows: pa.Table) -> File:
    """Write the rows of one submission date. Readers see them once the table is committed."""
    path = _path(lake, table, day)
    path.parent.mkdir(parents=True)
    repeating = [field for field in rows.schema if field.name not in _ENCODINGS]
    pq.write_table(
        rows,
        path,
        compression="zstd",
        compression_level=1,
        use_dictionary=[path for field in repeating for path in _leaves(field)],
        column_encoding=_ENCODINGS,
        write_statistics=False,  # no query is quicker for them, and writing them takes a fifth
        store_schema=False,
    )
    return File(day, rows.num_rows, path.stat().st_size)


def commit(lake: Path, table: Table, files: Sequence[File]) -> None:
    """Make a Delta table of written partitions."""
    written = pq.read_schema(_path(lake, table, files[0].day))
    schema = written.append(pa.field("submission_date", pa.date32()))
    keys = list(table.keys)
    delta = DeltaTable.create(lake / table.path, schema, partition_by=keys)
    actions: list[AddAction | RemoveAction] = [_add(file) for file in files]
    delta.create_write_transaction(actions, "append", schema, partition_by=keys)


def share(lake: Path, source: Table, copy: Table, files: Sequence[File]) -> None:
    """Give the files of one table to another, by hard links where the file system has them."""
    for file in files:
        target = _path(lake, copy, file.day)
        target.parent.mkdir(parents=True)
        try:
            os.link(_path(lake, source, file.day), target)
        except OSError:
            shutil.copyfile(_path(lake, source, file.day), target)


def _path(lake: Path, table: Table, day: date) -> Path:
    return lake / table.path / f"submission_date={day}" / FILE


def _add(file: File) -> AddAction:
    return AddAction(
        path=f"submission_date={file.day}/{FILE}",
        size=file.size,
        partition_values={"submission_date": str(file.day)},
        modification_time=0,  # a table made twice is the same table
        data_change=True,
        stats=json.dumps({"numRecords": file.rows}),
    )


def _leaves(field: pa.Field) -> list[str]:
    """Paths of the columns that hold a field's values; maps are lists of key and value."""
    leaves = ("key", "value", "value.branch", "value.type")
    is_map = pa.types.is_list(field.type)
    return [f"{field.name}.list.element.{leaf}" for leaf in leaves] if is_map else [field.name]
