"""A table of units to read out: ten metrics of as many shapes, each with its covariate."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

SEED = 7
BRANCHES = ("control", "treatment-a", "treatment-b")
METRICS = ("active_hours", "session_len", "revenue", "searches", "ad_clicks", "pages", "days",
           "tabs", "crashes", "retained")  # fmt: skip
COLUMNS = tuple(name + part for part in ("", "_pre") for name in METRICS)
_BLOCK, _GROUP = 250_000, 125_000

Draw = Callable[[Any], Any]


def write(path: Path, rows: int) -> None:
    """Zstd Parquet, the same for the same number of rows."""
    rng = np.random.default_rng(SEED)
    writer = None
    for start in range(0, rows, _BLOCK):
        table = _block(rng, min(_BLOCK, rows - start))
        writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
        writer.write_table(table, row_group_size=_GROUP)
    if writer is not None:
        writer.close()


def _block(rng: np.random.Generator, rows: int) -> pa.Table:
    """No branch has an effect. A metric and its covariate go together by .7 of what drives both."""
    codes = pa.array(rng.integers(0, len(BRANCHES), rows).astype("int8"))
    branch = pa.DictionaryArray.from_arrays(codes, pa.array(BRANCHES)).cast(pa.string())
    now = rng.standard_normal(rows)
    before = 0.7 * now + np.sqrt(0.51) * rng.standard_normal(rows)
    columns: dict[str, Any] = {"branch": branch}
    for name, draw in _shapes(rng, rows).items():
        columns[name], columns[f"{name}_pre"] = draw(now), draw(before)
    return pa.table(columns)


def _shapes(rng: np.random.Generator, rows: int) -> dict[str, Draw]:
    return {
        "active_hours": lambda z: np.round(rng.gamma(1.0, np.exp(0.6 * z)) * 720) / 720,
        "session_len": lambda z: rng.lognormal(3 + 0.5 * z, 0.8),
        "revenue": lambda z: np.where(
            rng.random(rows) < 0.03, rng.lognormal(1 + 0.5 * z, 1.5), 0.0
        ).round(2),
        "searches": lambda z: rng.poisson(np.exp(0.5 + 0.9 * z)).astype("int64"),
        "ad_clicks": lambda z: rng.poisson(0.1 * np.exp(0.5 * z)).astype("int32"),
        "pages": lambda z: rng.poisson(20 * np.exp(0.6 * z)).astype("int32"),
        "days": lambda z: rng.binomial(28, 1 / (1 + np.exp(-z))).astype("int8"),
        "tabs": lambda z: rng.poisson(np.exp(0.5 + 0.6 * z)).astype("int64"),
        "crashes": lambda _: rng.poisson(0.02, rows).astype("int16"),
        "retained": lambda z: z + rng.standard_normal(rows) > 0,
    }
