"""Frozen records of arrays that all have one row per thing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int32]
Flags: TypeAlias = NDArray[np.bool_]
Codes: TypeAlias = NDArray[np.int8]
Days: TypeAlias = NDArray[np.int16]
Keys: TypeAlias = NDArray[np.uint32]
Indices: TypeAlias = NDArray[np.intp]


@dataclass(frozen=True)
class Arrays:
    """Base of records whose fields are arrays of one length, or such records themselves."""

    def take(self, rows: Indices | Flags) -> Self:
        """Some of the rows."""
        return type(self)(**{name: _take(getattr(self, name), rows) for name in self._names()})

    @classmethod
    def concatenate(cls, parts: Sequence[Self]) -> Self:
        """The rows of all parts, in order."""
        return cls(
            **{name: _concatenate([getattr(p, name) for p in parts]) for name in cls._names()}
        )

    @classmethod
    def _names(cls) -> list[str]:
        return [field.name for field in fields(cls)]


def _take(values: Any, rows: Indices | Flags) -> Any:
    return values.take(rows) if isinstance(values, Arrays) else values[rows]


def _concatenate(parts: Sequence[Any]) -> Any:
    first = parts[0]
    return first.concatenate(parts) if isinstance(first, Arrays) else np.concatenate(parts)
