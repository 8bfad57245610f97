"""Pre-treatments as SQL over a frame: a dropped row is a null, a null value is NaN.

`sonde.stats.pretreatment` says what each step does; this writes it for an engine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from sonde.metric import PreTreatment
from sonde.sql.dialects import DUCKDB, Dialect
from sonde.stats.pretreatment import (
    Divide,
    FillNulls,
    Keep,
    KeepAbove,
    KeepBelow,
    KeepFinite,
    KeepNotNull,
    Logarithm,
    Quantile,
    Step,
    pre_treatment,
)


class Treatment:
    """A frame with further columns: what pre-treatments make of its columns.

    frame: the name of the table.
    """

    def __init__(self, frame: str, dialect: Dialect = DUCKDB) -> None:
        self.frame = frame
        self._dialect = dialect
        self._made: dict[tuple[str, tuple[Step, ...]], str] = {}
        self._layers: list[list[str]] = []

    def column(self, name: str, chain: Sequence[PreTreatment], days: int) -> str:
        """The name of the column that the pre-treatments, in order, make of column `name`.

        days: the length of the windows. Raises ValueError for what is no pre-treatment.
        """
        steps = tuple(pre_treatment(p.name, p.args, days) for p in chain)
        if not steps:
            return name
        key = (name, steps)
        if key not in self._made:
            made = name
            for depth, step in enumerate(steps):
                source, made = made, f"{name}|{len(self._made)}_{depth}"
                has_dropped = any(isinstance(each, Keep) for each in steps[:depth])
                sql = treated(source, step, self._dialect, has_dropped=has_dropped)
                self._layer(depth).append(f"{sql} AS {self._dialect.name(made)}")
            self._made[key] = made
        return self._made[key]

    def _layer(self, depth: int) -> list[str]:
        while len(self._layers) <= depth:
            self._layers.append([])
        return self._layers[depth]

    def relation(self, segment: str = "") -> str:
        """What stands after FROM: the frame's rows for which a column holds, with all columns.

        Quantiles are over these rows only.
        """
        if not self._layers and not segment:
            return self.frame
        condition = f" WHERE {self._dialect.name(segment)}" if segment else ""
        relation = f"(SELECT * FROM {self.frame}{condition})"
        for layer in self._layers:
            relation = f"(SELECT *, {', '.join(layer)} FROM {relation})"
        return relation


def treated(
    column: str, step: Step, dialect: Dialect = DUCKDB, *, has_dropped: bool = False
) -> str:
    """One step on one column. has_dropped: whether an earlier step drops rows.

    Such a step drops rows with a null, too: from then on a null is a row that is gone.

    >>> treated("x", KeepAbove(2.0))
    'CASE WHEN CAST("x" AS DOUBLE) > 2.0::DOUBLE AND NOT isnan(CAST("x" AS DOUBLE)) THEN "x" END'
    """
    name, number, literal = dialect.name(column), dialect.number(column), dialect.literal
    is_nan = dialect.is_nan(number)
    match step:
        case KeepNotNull():
            return f"CASE WHEN NOT {is_nan} THEN {name} END"
        case KeepFinite():
            return f"CASE WHEN {dialect.is_finite(number)} THEN {name} END"
        case KeepBelow(bound):
            return f"CASE WHEN {number} < {_bound(bound, number, dialect)} THEN {name} END"
        case KeepAbove(bound):
            above = f"{number} > {_bound(bound, number, dialect)}"  # to DuckDB, NaN is, too
            return f"CASE WHEN {above} AND NOT {is_nan} THEN {name} END"
        case Divide(by):
            return f"{number} / {literal(by)}"
        case Logarithm(base):
            scale = "" if base is None else f" / {literal(math.log(base))}"
            return (
                f"CASE WHEN {number} > 0 AND NOT {is_nan} THEN ln({number}){scale} "
                f"WHEN {number} = 0 THEN {literal(-math.inf)} "
                f"WHEN {number} IS NOT NULL THEN {literal(math.nan)} END"
            )
        case FillNulls(value):
            is_null = is_nan if has_dropped else f"{name} IS NULL OR {is_nan}"
            return f"CASE WHEN {is_null} THEN {literal(value)} ELSE {number} END"
        case _:
            assert_never(step)


def _bound(bound: float | Quantile, number: str, dialect: Dialect) -> str:
    if not isinstance(bound, Quantile):
        return dialect.literal(bound)
    kept = f"CASE WHEN NOT {dialect.is_nan(number)} THEN {number} END"
    return dialect.quantile(kept, bound.fraction)
