"""Pre-treatments as SQL over a frame: a dropped row is a null, a null value is NaN.

`sonde.stats.pretreatment` says what each step does; this writes it for an engine.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import assert_never

from sonde.metric import PreTreatment
from sonde.sql.summaries import float_literal
from sonde.sql.text import identifier
from sonde.stats.pretreatment import (
    Divide,
    FillNulls,
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

    def __init__(self, frame: str) -> None:
        self.frame = frame
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
                source, made = made, f"{name}|{len(self._made)}.{depth}"
                self._layer(depth).append(f"{treated(source, step)} AS {identifier(made)}")
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
        condition = f" WHERE {identifier(segment)}" if segment else ""
        relation = f"(SELECT * FROM {self.frame}{condition})"
        for layer in self._layers:
            relation = f"(SELECT *, {', '.join(layer)} FROM {relation})"
        return relation


def treated(column: str, step: Step) -> str:
    """One step on one column.

    >>> treated("x", KeepAbove(2.0))
    'CASE WHEN CAST("x" AS DOUBLE) > 2.0::DOUBLE THEN "x" END'
    """
    name = identifier(column)
    number = f"CAST({name} AS DOUBLE)"
    match step:
        case KeepNotNull():
            return f"CASE WHEN NOT isnan({number}) THEN {name} END"
        case KeepFinite():
            return f"CASE WHEN isfinite({number}) THEN {name} END"
        case KeepBelow(bound):
            return f"CASE WHEN {number} < {_bound(bound, number)} THEN {name} END"
        case KeepAbove(bound):
            return f"CASE WHEN {number} > {_bound(bound, number)} THEN {name} END"
        case Divide(by):
            return f"{number} / {float_literal(by)}"
        case Logarithm(base):
            scale = "" if base is None else f" / {float_literal(math.log(base))}"
            return (
                f"CASE WHEN {number} > 0 AND NOT isnan({number}) THEN ln({number}){scale} "
                f"WHEN {number} = 0 THEN '-infinity'::DOUBLE "
                f"WHEN {number} IS NOT NULL THEN 'nan'::DOUBLE END"
            )
        case FillNulls(value):
            filled = float_literal(value)
            return f"CASE WHEN {name} IS NULL OR isnan({number}) THEN {filled} ELSE {number} END"
        case _:
            assert_never(step)


def _bound(bound: float | Quantile, number: str) -> str:
    if not isinstance(bound, Quantile):
        return float_literal(bound)
    return (
        f"quantile_cont(CASE WHEN NOT isnan({number}) THEN {number} END, "
        f"{float_literal(bound.fraction)}) OVER (PARTITION BY __n)"
    )
