"""What a statistic says of a branch or of two: a number with limits, or why there is none."""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, TypeVar

import numpy as np


class Comparison(enum.StrEnum):
    """How a branch is set against its reference."""

    DIFFERENCE = "difference"  # branch - reference
    RELATIVE_UPLIFT = "relative_uplift"  # branch / reference - 1


class Reason(enum.StrEnum):
    """Why there is no number."""

    NO_UNITS = "no_units"
    TOO_FEW_UNITS = "too_few_units"
    NULL_VALUES = "null_values"
    NOT_FINITE = "not_finite"
    NOT_ZERO_OR_ONE = "not_zero_or_one"
    NO_VARIATION = "no_variation"
    CLIPPED_TO_CONSTANT = "clipped_to_constant"
    NO_RESIDUAL_VARIATION = "no_residual_variation"
    BASELINE_IS_ZERO = "baseline_is_zero"
    BASELINE_NEAR_ZERO = "baseline_near_zero"
    OPPOSITE_SIGNS = "opposite_signs"
    NO_LOG_SCALE = "no_log_scale"


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number about a branch, finite; None stands for limits that do not exist.

    parameter: a decile, a place on a grid. ci_width: the share of the law between the limits.
    """

    branch: str
    comparison: Comparison | None
    comparison_to_branch: str | None
    parameter: float | None
    ci_width: float | None
    point: float
    lower: float | None
    upper: float | None


@dataclass(frozen=True, slots=True)
class NotEstimable:
    """That there is no number, and why. `detail` is for the reader, in one sentence."""

    branch: str
    comparison: Comparison | None
    comparison_to_branch: str | None
    parameter: float | None
    reason: Reason
    detail: str


Outcome: TypeAlias = Estimate | NotEstimable


@dataclass(frozen=True, slots=True)
class Interval:
    """A point with its limits, of nothing in particular yet."""

    point: float
    lower: float | None = None
    upper: float | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """That there is no interval, and why."""

    reason: Reason
    detail: str


Measured: TypeAlias = Interval | Failure


class Comparable(Protocol):
    """What is known of all branches, to be asked for one or for two of them."""

    def individual(self, branch: str) -> Measured:
        """A branch on its own."""

    def difference(self, branch: str, reference: str) -> Measured:
        """Branch minus reference."""

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        """Branch divided by reference, minus 1."""


T = TypeVar("T")


def attempt(compute: Callable[..., T], *about: object) -> T | Failure:
    """What is computed, or the reason that its numbers left the range of floats."""
    with np.errstate(all="ignore"):
        return _attempt(compute, *about)


def _attempt(compute: Callable[..., T], *about: object) -> T | Failure:
    try:
        return compute(*about)
    except ArithmeticError:
        return Failure(Reason.NOT_FINITE, "numbers are too large, or too near 0, to compute")


def individual_rows(
    branches: Sequence[str],
    individual: Callable[[str], Measured],
    ci_width: float | None,
    parameter: float | None = None,
) -> list[Outcome]:
    """One outcome per branch."""
    with np.errstate(all="ignore"):
        return [
            outcome(_attempt(individual, branch), branch, parameter=parameter, ci_width=ci_width)
            for branch in branches
        ]


def comparison_rows(
    branches: Sequence[str],
    references: Sequence[str],
    comparable: Comparable,
    ci_width: float,
    parameter: float | None = None,
) -> list[Outcome]:
    """Per reference, the difference and the relative uplift of every other branch."""
    comparisons = (
        (Comparison.DIFFERENCE, comparable.difference),
        (Comparison.RELATIVE_UPLIFT, comparable.relative_uplift),
    )
    with np.errstate(all="ignore"):
        return [
            outcome(
                _attempt(compare, branch, reference),
                branch,
                comparison=comparison,
                reference=reference,
                parameter=parameter,
                ci_width=ci_width,
            )
            for reference in references
            for branch in branches
            if branch != reference
            for comparison, compare in comparisons
        ]


def outcome(
    measured: Measured,
    branch: str,
    *,
    comparison: Comparison | None = None,
    reference: str | None = None,
    parameter: float | None = None,
    ci_width: float | None = None,
) -> Outcome:
    """The interval or failure, with what it is about. A number that is not finite is a failure."""
    match measured:
        case Failure(reason, detail):
            return NotEstimable(branch, comparison, reference, parameter, reason, detail)
        case Interval(point, lower, upper):
            numbers = (point, lower or 0.0, upper or 0.0)
            if all(map(math.isfinite, numbers)):
                return Estimate(
                    branch, comparison, reference, parameter, ci_width, point, lower, upper
                )
            detail = "the computed point or limits are not finite"
            return NotEstimable(branch, comparison, reference, parameter, Reason.NOT_FINITE, detail)
