"""What is done to a column before a statistic sees it: a closed set of steps.

Each is a value that an engine can write as SQL, and `apply` carries out on arrays. NaN is null; a
comparison with a null does not hold. Quantiles are interpolated linearly, over the rows of all
branches that are left at that step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, assert_never

import numpy as np
import numpy.typing as npt

from sonde.stats.counts import ValueCounts
from sonde.stats.statistic import check_names, nearest

Rows: TypeAlias = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Quantile:
    """The column's quantile at `fraction`."""

    fraction: float

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise ValueError(f"fraction must lie between 0 and 1, not {self.fraction}")


@dataclass(frozen=True)
class KeepNotNull:
    """Drop rows with a null."""


@dataclass(frozen=True)
class KeepFinite:
    """Drop rows with a null or an infinity of either sign."""


@dataclass(frozen=True)
class KeepBelow:
    """Keep rows strictly below the bound; nulls are dropped."""

    bound: float | Quantile


@dataclass(frozen=True)
class KeepAbove:
    """Keep rows strictly above the bound; nulls are dropped."""

    bound: float | Quantile


@dataclass(frozen=True)
class Divide:
    """Divide by a number."""

    by: float

    def __post_init__(self) -> None:
        if self.by == 0:
            raise ValueError("analysis_period_length must not be 0")


@dataclass(frozen=True)
class Logarithm:
    """The logarithm: of 0 minus infinity, of a negative number null. Base None: the natural one."""

    base: float | None

    def __post_init__(self) -> None:
        if self.base is not None and (self.base <= 0 or self.base == 1):
            raise ValueError(f"base must be positive and not 1, not {self.base}")


@dataclass(frozen=True)
class FillNulls:
    """Replace nulls by a number."""

    value: float


Keep: TypeAlias = KeepNotNull | KeepFinite | KeepBelow | KeepAbove
Change: TypeAlias = Divide | Logarithm | FillNulls
Step: TypeAlias = Keep | Change


def pre_treatment(name: str, args: Mapping[str, object], days: int = 1) -> Step:
    """The step that a configuration names. ValueError names what is wrong and what is valid.

    days: the length of the analysis window, for `normalize_over_analysis_period`.

    >>> pre_treatment("censor_values_above_threshold", {"threshold": 10})
    KeepBelow(bound=10.0)
    >>> pre_treatment("normalize_over_analysis_period", {}, days=7)
    Divide(by=7.0)
    """
    if name not in PRE_TREATMENTS:
        raise ValueError(f'no pre-treatment "{name}"{nearest(name, PRE_TREATMENTS)}')
    defaults, make = PRE_TREATMENTS[name]
    check_names(args, defaults, name)
    filled: dict[str, object] = {**defaults, **args}
    if "analysis_period_length" in defaults:
        filled = {"analysis_period_length": days, **args}
    try:
        return make(*(_number(each, value) for each, value in filled.items()))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def _number(name: str, value: object) -> float:
    if value is _REQUIRED:
        raise ValueError(f'the argument "{name}" is needed')
    if name == "base" and (value is None or value is False):
        return 0.0
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise ValueError(f"{name} must be a number, not {value!r}")
    return float(value)


_REQUIRED = object()

# By name: the arguments with their defaults, and what makes the step of their values.
PRE_TREATMENTS: Mapping[str, tuple[Mapping[str, object], Callable[..., Step]]] = {
    "remove_nulls": ({}, KeepNotNull),
    "remove_indefinites": ({}, KeepFinite),
    "censor_highest_values": (
        {"fraction": 1 - 1e-5},
        lambda fraction: KeepBelow(Quantile(fraction)),
    ),
    "censor_lowest_values": ({"fraction": 1e-5}, lambda fraction: KeepAbove(Quantile(fraction))),
    "censor_values_below_threshold": ({"threshold": _REQUIRED}, KeepAbove),
    "censor_values_above_threshold": ({"threshold": _REQUIRED}, KeepBelow),
    "normalize_over_analysis_period": ({"analysis_period_length": 1}, Divide),
    "log": ({"base": 10.0}, lambda base: Logarithm(base or None)),
    "zero_fill": ({}, lambda: FillNulls(0.0)),
}


def apply(steps: Sequence[Step], rows: Rows, columns: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """The rows, one array per column, after each step has been done to each of `columns`.

    columns: those that hold values; of a ratio, its numerator and denominator.

    >>> rows = {"branch": np.array(["a", "b"]), "x": np.array([1.0, np.inf])}
    >>> apply([KeepFinite(), Divide(7)], rows, ["x"])["branch"].tolist()
    ['a']
    """
    table = dict(rows)
    for step in steps:
        for column in columns:
            table = _applied(step, table, column)
    return table


def _applied(
    step: Step, table: dict[str, npt.NDArray[Any]], column: str
) -> dict[str, npt.NDArray[Any]]:
    match step:
        case KeepNotNull() | KeepFinite() | KeepBelow() | KeepAbove():
            mask = _mask(step, table[column])
            return {name: values[mask] for name, values in table.items()}
        case Divide() | Logarithm() | FillNulls():
            return {**table, column: _changed(step, table[column])}
        case _:
            assert_never(step)


def _mask(step: Keep, values: npt.NDArray[Any]) -> Any:
    match step:
        case KeepNotNull():
            return ~np.isnan(values)
        case KeepFinite():
            return np.isfinite(values)
        case KeepBelow(bound):
            return values < _bound(bound, values)
        case KeepAbove(bound):
            return values > _bound(bound, values)
        case _:
            assert_never(step)


def _changed(step: Change, values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    match step:
        case Divide(by):
            return values / by
        case Logarithm(base):
            with np.errstate(divide="ignore", invalid="ignore"):
                natural: npt.NDArray[Any] = np.log(values)
            return natural if base is None else natural / math.log(base)
        case FillNulls(value):
            return np.where(np.isnan(values), value, values)
        case _:
            assert_never(step)


def _bound(bound: float | Quantile, values: npt.NDArray[Any]) -> float:
    if not isinstance(bound, Quantile):
        return bound
    counts = ValueCounts.of(values)
    return counts.quantile(bound.fraction) if counts.n else math.nan
