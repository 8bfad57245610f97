"""A read-out of files with one row per unit, by the engine and the statistics of daily runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, cast

import numpy as np

from sonde.errors import ConfigError, DataError, did_you_mean
from sonde.run.score import ALL, Asked, Row, gather, seed_of
from sonde.run.summarise import Summariser
from sonde.sql.summaries import Frame
from sonde.sql.text import identifier
from sonde.stats.needs import Columns, Need
from sonde.stats.registry import STATISTICS, statistic
from sonde.stats.statistic import Statistic
from sonde.unit_file import UnitFile
from sonde.warehouse.duckdb import Limits, Session

_CELL = 1  # a file is one window
_PLACES = 4  # of a sample, in a file
_MOST_BRANCHES = 100
_RATIO = ("numerator", "denominator")
_PREFIX = "v:"  # of columns of the frame: a file may call its own as it likes


@dataclass(frozen=True)
class Wanted:
    """A metric to read out: a column, and what is asked of it; None: what suits the column.

    A ratio has no column of its own: it names two.
    """

    name: str
    statistic: str | None = None
    params: Mapping[str, object] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """From `NAME`, `NAME=STATISTIC` or `NAME=STATISTIC:param=value,..`.

        >>> Wanted.parse("searches=linear_model_mean:drop_highest=0").params
        {'drop_highest': 0}
        """
        name, _, asked = text.partition("=")
        kind, _, listed = asked.partition(":")
        if not name or text.endswith(("=", ":")):
            raise ConfigError(
                f'a metric is NAME, NAME=STATISTIC or NAME=STATISTIC:param=value, not "{text}"'
            )
        pairs = [pair.partition("=") for pair in listed.split(",")] if listed else []
        if any(not key or not value for key, _, value in pairs):
            raise ConfigError(f'parameters are param=value, with commas between, not "{listed}"')
        return cls(name, kind or None, {key: _value(value) for key, _, value in pairs})

    @property
    def parts(self) -> dict[str, str]:
        """The columns that a ratio divides, by the name of its parameter; empty for no ratio."""
        fields = _fields(self.statistic) if self.statistic is not None else set()
        return {
            part: str(self.params[part]) for part in _RATIO if part in fields & set(self.params)
        }

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is made of."""
        return tuple(self.parts.values()) or (self.name,)


def _value(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


def _fields(name: str) -> set[str]:
    """The parameters of a statistic; none of one that does not exist."""
    kind = STATISTICS.get(name)
    return set() if kind is None else {each.name for each in dataclasses.fields(cast("Any", kind))}


@dataclass(frozen=True)
class Question:
    """What is asked of a file. covariates: metric -> column of values from before the treatment."""

    branch: str
    metrics: tuple[Wanted, ...]
    control: str | None = None
    covariates: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for wanted in self.metrics:
            if "covariate_adjustment" in wanted.params:
                raise ConfigError(f"--metric {wanted.name}: write --covariate {wanted.name}=COLUMN")
            if wanted.statistic is not None:
                _made(wanted, wanted.statistic)
        for metric, column in self.covariates.items():
            own = [wanted for wanted in self.metrics if wanted.name == metric]
            if not own:
                raise ConfigError(f'--covariate {metric}={column}: no metric is called "{metric}"')
            if metric == column:
                raise ConfigError(f"--covariate {metric}={column}: a metric cannot adjust itself")
            if not any(_adjusts(wanted) for wanted in own):
                raise ConfigError(
                    f"--covariate {metric}={column}: {own[0].statistic} cannot be adjusted; "
                    "linear_model_mean can"
                )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns of numbers."""
        metrics = (column for wanted in self.metrics for column in wanted.columns)
        return tuple(dict.fromkeys([*metrics, *self.covariates.values()]))


def _adjusts(wanted: Wanted) -> bool:
    return wanted.statistic is None or "covariate_adjustment" in _fields(wanted.statistic)


def _made(wanted: Wanted, name: str) -> Statistic:
    try:
        return statistic(name, wanted.params)
    except ValueError as error:
        raise ConfigError(f"--metric {wanted.name}: {error}") from error


@dataclass(frozen=True)
class Result:
    """The estimates of one statistic of one metric, as rows with Jetstream's fields.

    units: those that count, by branch. covariate: the column that adjusts, if any.
    """

    metric: str
    statistic: str
    label: str
    covariate: str | None
    units: Mapping[str, int]
    rows: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class Readout:
    """All results. units: of each branch, the control first. without_branch: rows left out."""

    control: str
    units: Mapping[str, int]
    without_branch: int
    results: tuple[Result, ...]

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The rows of all results."""
        return [row for result in self.results for row in result.rows]


def analyze(paths: Sequence[Path], question: Question, limits: Limits | None = None) -> Readout:
    """Estimates of each branch, and of each against the control.

    paths: CSV or Parquet files of the same columns. Raises DataError for what is wrong with the
    file, ConfigError for what is wrong with the question.
    """
    with TemporaryDirectory(prefix="sonde-") as name:
        folder = Path(name)
        with Session(date.min, limits or Limits(spill=folder)) as session:
            file = UnitFile(session, paths)
            file.column(question.branch)
            for column in question.columns:
                file.number(column)
            if file.is_text:
                file.keep([question.branch, *question.columns], folder)
            return _Reading(session, file, question, folder).readout()


class _Reading:
    """One file and one question."""

    def __init__(self, session: Session, file: UnitFile, question: Question, folder: Path) -> None:
        self._session = session
        self._file = file
        self._question = question
        self._folder = folder
        self._is_copied = False

    def readout(self) -> Readout:
        where, without_branch = self._rows_with_branch()
        self._view(set())
        frame = Frame("frame", where, places=_PLACES, cell=_CELL)
        units = Summariser(self._session, frame).units(_CELL)
        control = self._control(list(units))
        order = [control, *(branch for branch in units if branch != control)]
        asked = [self._asked(wanted) for wanted in self._question.metrics]
        _check_once(asked)
        results = self._results(frame, asked, order)
        return Readout(control, {b: units[b] for b in order}, without_branch, results)

    def _rows_with_branch(self) -> tuple[str, int]:
        """The condition, empty where it would only cost time, and how many rows it leaves out."""
        column, relation = self._file.column(self._question.branch), self._file.relation
        first = f"SELECT {column} AS b FROM {relation} LIMIT 100000"
        if self._session.rows(f"SELECT count(DISTINCT b) FROM ({first})")[0][0] > _MOST_BRANCHES:
            raise DataError(
                f'column "{self._question.branch}" has more than {_MOST_BRANCHES} values; '
                "--branch is the column that names each unit's branch"
            )
        rows, named = self._session.rows(f"SELECT count(*), count({column}) FROM {relation}")[0]
        return ("" if rows == named else "branch IS NOT NULL"), rows - named

    def _view(self, with_nan: set[str]) -> None:
        """The frame. NaN is a missing value in a file, as null is."""
        columns = [f"{_CELL}::INTEGER AS __n"]
        columns.append(f"CAST({self._file.column(self._question.branch)} AS VARCHAR) AS branch")
        for name in self._question.columns:
            value = self._file.number(name)
            if _column(name) in with_nan:
                value = f"nullif({value}, 'nan'::DOUBLE)"
            columns.append(f"{value} AS {identifier(_column(name))}")
        self._session.execute(
            f"CREATE OR REPLACE TEMP VIEW frame AS\nSELECT {', '.join(columns)}\n"
            f"FROM {self._file.relation}"
        )

    def _control(self, branches: list[str]) -> str:
        control = self._question.control
        if not branches:
            raise DataError("no row has a branch")
        if len(branches) == 1:
            raise DataError(f'all rows are of one branch, "{branches[0]}": nothing to compare')
        if control is None and "control" in branches:
            return "control"
        if control is None:
            listed = ", ".join(f'"{name}"' for name in branches)
            raise ConfigError(f"which branch is the control? give --control one of {listed}")
        if control not in branches:
            raise DataError(f'no row is of branch "{control}"{did_you_mean(control, branches)}')
        return control

    def _asked(self, wanted: Wanted) -> Asked:
        made = _made(wanted, wanted.statistic or self._suitable(wanted.name))
        columns = [_column(name) for name in wanted.columns]
        if wanted.parts:
            renamed = dict(zip(wanted.parts, columns, strict=True))
            ratio = cast("Statistic", replace(cast("Any", made), **renamed))
            return Asked(wanted.name, ratio, Columns(columns[0]))
        covariate = self._question.covariates.get(wanted.name)
        if covariate is None or not _adjusts(wanted):
            return Asked(wanted.name, made, Columns(columns[0]))
        return Asked(wanted.name, made, Columns(columns[0], _column(covariate)))

    def _suitable(self, name: str) -> str:
        """Shares of columns that only say yes or no, means of others."""
        if name in self._question.covariates or not self._file.is_binary(name):
            return "linear_model_mean"
        return "binomial"

    def _results(
        self, frame: Frame, asked: Sequence[Asked], branches: Sequence[str]
    ) -> tuple[Result, ...]:
        summariser = Summariser(self._session, frame)
        _gather_small(summariser, asked)
        results: dict[Asked, Result] = {}
        for group in _by_column(asked):  # what takes much memory, one column at a time
            gather(summariser, group, [_CELL])
            results |= {each: self._result(summariser, each, branches) for each in group}
            known = summariser.summaries(_CELL)
            summariser.forget(summariser.bulky([*known.counts, *known.pair_counts]))
        if summariser.with_nan and not self._is_copied:
            # To look for it first, every column would be read once more.
            self._copy(summariser.with_nan)
            return self._results(frame, asked, branches)
        return tuple(results[each] for each in asked)

    def _copy(self, with_nan: set[str]) -> None:
        self._file.keep([self._question.branch, *self._question.columns], self._folder)
        self._view(with_nan)
        self._is_copied = True

    def _result(self, summariser: Summariser, asked: Asked, branches: Sequence[str]) -> Result:
        made, columns = asked.statistic, asked.columns
        rng = np.random.default_rng(seed_of("file", asked.metric, made.name))
        outcomes = made.estimates(columns, summariser.summaries(_CELL), branches, branches[:1], rng)
        parts = [getattr(made, part, None) for part in _RATIO]
        used = {name for name in (columns.value, columns.covariate, *parts) if name}
        units = summariser.units(_CELL, sorted(used))
        return Result(
            asked.metric,
            made.name,
            made.label,
            None if columns.covariate is None else columns.covariate.removeprefix(_PREFIX),
            {branch: units.get(branch, 0) for branch in branches},
            tuple(Row(_CELL, ALL, asked.metric, made.label, each).plain() for each in outcomes),
        )


def _column(name: str) -> str:
    """The frame's column of a file's column."""
    return f"{_PREFIX}{name}"


def _check_once(asked: Sequence[Asked]) -> None:
    labels = [(each.metric, each.statistic.label) for each in asked]
    for metric, label in labels:
        if labels.count((metric, label)) > 1:
            raise ConfigError(f"--metric {metric}: {label} is asked for twice")


def _by_column(asked: Iterable[Asked]) -> Iterable[list[Asked]]:
    groups: dict[str, list[Asked]] = {}
    for each in asked:
        groups.setdefault(each.columns.value, []).append(each)
    return groups.values()


def _gather_small(summariser: Summariser, asked: Sequence[Asked]) -> None:
    """Answers to all that take little memory, for all metrics at once: they share scans."""
    while True:
        known = summariser.summaries(_CELL)
        missing: dict[Need, None] = {}
        for each in asked:
            missing |= dict.fromkeys(known.missing(each.statistic.needs(each.columns, known)))
        small = [need for need in missing if need not in summariser.bulky(missing)]
        if not small:
            return
        summariser.answer({_CELL: small})
