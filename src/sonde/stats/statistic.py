"""The shape of a statistic, and how its parameters are read from a configuration."""

from __future__ import annotations

import dataclasses
import difflib
import enum
import functools
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self, TypeVar

import numpy as np

from sonde.stats.estimate import Outcome
from sonde.stats.needs import Columns, Need, Summaries


class CovariatePeriod(enum.StrEnum):
    """Periods before enrollment: the only ones a treatment cannot have changed."""

    WEEK = "preenrollment_week"
    DAYS28 = "preenrollment_days28"


@dataclass(frozen=True)
class Covariate:
    """The value of a metric, by default the same one, in a period before enrollment.

    >>> Covariate.from_params({"period": "overall"})
    Traceback (most recent call last):
    ValueError: covariate_adjustment.period must lie before enrollment: "preenrollment_week" or \
"preenrollment_days28", not 'overall'
    """

    period: CovariatePeriod
    metric: str | None = None

    @classmethod
    def from_params(cls, params: object) -> Covariate:
        """From `{period = "..", metric = ".."}`."""
        if not isinstance(params, Mapping):
            raise ValueError(f'covariate_adjustment must be like {{period = ".."}}, not {params!r}')
        check_names(params, ("period", "metric"), "covariate_adjustment")
        period, metric = params.get("period"), params.get("metric")
        if period not in set(CovariatePeriod):
            valid = " or ".join(f'"{each}"' for each in CovariatePeriod)
            raise ValueError(
                f"covariate_adjustment.period must lie before enrollment: {valid}, not {period!r}"
            )
        if not (metric is None or isinstance(metric, str)):
            raise ValueError(f"covariate_adjustment.metric must be a metric's name, not {metric!r}")
        return cls(CovariatePeriod(period), metric)

    def adjusts(self, period: str) -> bool:
        """Whether results of this period are adjusted: those of a time before enrollment are not.

        >>> week = Covariate(CovariatePeriod.WEEK)
        >>> week.adjusts("overall"), week.adjusts("preenrollment_days28")
        (True, False)
        """
        return period not in set(CovariatePeriod)


class Statistic(Protocol):
    """Summaries of branches to estimates. Statistics are frozen values; equal ones agree.

    name: in configuration. revision: raised whenever a number can change.
    """

    name: ClassVar[str]
    revision: ClassVar[int]

    @property
    def label(self) -> str:
        """The name in results."""

    @property
    def covariate(self) -> Covariate | None:
        """What results are to be adjusted by, if it can be had."""

    @classmethod
    def from_params(cls, params: Mapping[str, object]) -> Self:
        """From parameters as written. ValueError for unknown names, wrong types and values."""

    def needs(self, columns: Columns, seen: Summaries) -> tuple[Need, ...]:
        """All that must be known, given what is; once nothing is missing, `estimates` can start.

        To be asked again after each round: a few statistics need more when they see the data.
        """

    def estimates(
        self,
        columns: Columns,
        summaries: Summaries,
        branches: Sequence[str],
        references: Sequence[str],
        rng: np.random.Generator,
    ) -> Iterator[Outcome]:
        """Each of `branches` on its own, then against each of `references`.

        Branches that only `summaries` has count where a model pools, but are not reported.
        """


S = TypeVar("S")


def parse_params(statistic: type[S], params: Mapping[str, object]) -> S:
    """The statistic, a dataclass, with its fields set from `params` and the rest by default."""
    fields = {field.name: field for field in dataclasses.fields(typing.cast("Any", statistic))}
    owner = str(getattr(statistic, "name", statistic.__name__))
    check_names(params, fields, owner)
    for field in fields.values():
        if field.default is dataclasses.MISSING and field.name not in params:
            raise ValueError(f'{owner} needs the parameter "{field.name}"')
    hints = _hints(typing.cast("Any", statistic))
    values = {name: _read(name, hints[name], value) for name, value in params.items()}
    try:
        return statistic(**values)
    except ValueError as error:
        raise ValueError(f"{owner}: {error}") from error


@functools.cache
def _hints(statistic: type) -> dict[str, Any]:
    return typing.get_type_hints(statistic)


def check_names(params: Mapping[Any, object], valid: Iterable[str], owner: str) -> None:
    """ValueError, with the nearest valid name, for a name that is not valid."""
    known = sorted(valid)
    for name in params:
        if name not in known:
            raise ValueError(f'{owner} has no parameter "{name}"{nearest(str(name), known)}')


def nearest(name: str, known: Iterable[str]) -> str:
    """The end of an error message about an unknown name.

    >>> nearest("drop_higest", ["drop_highest", "num_samples"])
    '; did you mean "drop_highest"?'
    """
    names = sorted(known)
    if near := difflib.get_close_matches(name, names, n=1):
        return f'; did you mean "{near[0]}"?'
    return "; it has none" if not names else "; valid are " + ", ".join(f'"{n}"' for n in names)


def _read(name: str, hint: object, value: object) -> object:
    """The value as the field's type: whole numbers stand for floats, and for nothing else."""
    match hint, value:
        case _, bool() if hint is bool:
            return value
        case _, (int() | float()) if hint is float and not isinstance(value, bool):
            return float(value)
        case _, int() if hint is int and not isinstance(value, bool):
            return value
        case _, str() if hint in (str, str | None):
            return value
        case _, None if hint in (str | None, Covariate | None):
            return None
        case _ if hint == Covariate | None:
            return value if isinstance(value, Covariate) else Covariate.from_params(value)
    wanted = {float: "a number", int: "a whole number", bool: "true or false"}.get(
        typing.cast("type", hint), "a string"
    )
    raise ValueError(f"{name} must be {wanted}, not {value!r}")


def check_ci_width(width: float) -> None:
    """ValueError unless it is a share."""
    if not 0 < width < 1:
        raise ValueError(f"confidence_interval must lie between 0 and 1, like 0.95, not {width}")


def check_drop_highest(share: float, most: float = 1.0) -> None:
    """ValueError unless a share below `most` is clipped."""
    if not 0 <= share < most:
        raise ValueError(f"drop_highest must be at least 0 and less than {most:g}, not {share}")


def check_at_least(name: str, value: int, least: int) -> None:
    """ValueError unless the value is large enough."""
    if value < least:
        raise ValueError(f"{name} must be at least {least}, not {value}")
