"""A read-out of one file with one row per unit, by the engine and the statistics of daily runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import numpy as np

from sonde.errors import ConfigError, DataError, did_you_mean
from sonde.run.score import ALL, Asked, Row, gather, seed_of
from sonde.run.summarise import Summariser
from sonde.sql.summaries import Frame
from sonde.sql.text import identifier, quoted
from sonde.stats.needs import Columns
from sonde.stats.registry import statistic
from sonde.stats.statistic import Statistic
from sonde.warehouse.duckdb import Limits, Session

_CELL = 1  # a file is one window
_TEXTS = ("VARCHAR", "UUID", "ENUM", "BLOB")
_RATIO = ("numerator", "denominator")


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


def _value(text: str) -> object:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    return {"true": True, "false": False}.get(text, text)


@dataclass(frozen=True)
class Question:
    """What is asked of a file. covariates: metric -> column of values from before the treatment."""

    branch: str
    metrics: tuple[Wanted, ...]
    control: str | None = None
    covariates: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Readout:
    """Rows with Jetstream's fields, and the units of each branch."""

    control: str
    units: Mapping[str, int]
    rows: tuple[dict[str, Any], ...]


def analyze(paths: Sequence[Path], question: Question, limits: Limits | None = None) -> Readout:
    """Estimates of each branch, and of each against the control.

    paths: CSV or Parquet files of the same columns. Raises DataError for what is wrong with the
    file, ConfigError for what is wrong with the question.
    """
    folders = sorted({path.absolute().parent for path in paths})
    today = datetime.now(UTC).date()
    with Session(today, limits or Limits(), folders) as session:
        _open(session, paths)
        session.lock()
        return _Reading(session, question).readout()


def _open(session: Session, paths: Sequence[Path]) -> None:
    if not paths:
        raise DataError("no file of that name; give a CSV or Parquet file")
    for path in paths:
        if not path.is_file():
            raise DataError(f"there is no file {path}")
    kinds = {path.suffix.lower() for path in paths}
    if kinds == {".csv"}:
        reader, options = "read_csv", ", sample_size = -1"  # a late text must not be a surprise
    elif kinds == {".parquet"}:
        reader, options = "read_parquet", ""
    else:
        raise DataError(f"{paths[0]}: expected .csv or .parquet files, all of one kind")
    listed = ", ".join(quoted(str(path.absolute())) for path in paths)
    session.execute(f"CREATE TEMP VIEW file AS SELECT * FROM {reader}([{listed}]{options})")


class _Reading:
    """One file and one question."""

    def __init__(self, session: Session, question: Question) -> None:
        self._session = session
        self._question = question
        self._types = session.columns("file")

    def readout(self) -> Readout:
        branch = self._column(self._question.branch)
        units = self._units(branch)
        control = self._control(list(units))
        asked = [self._asked(wanted) for wanted in self._question.metrics]
        self._frame(branch, asked)
        order = [control, *(name for name in units if name != control)]
        rows = tuple(row.plain() for row in self._estimates(asked, order, control))
        return Readout(control, {name: units[name] for name in order}, rows)

    def _column(self, name: str) -> str:
        if name not in self._types:
            raise DataError(f'the file has no column "{name}"{did_you_mean(name, self._types)}')
        return identifier(name)

    def _number(self, name: str) -> str:
        """A column that statistics can use."""
        column = self._column(name)
        if self._types[name].startswith(_TEXTS):
            count, example = self._session.rows(
                f"SELECT count(*), min({column}) FROM file WHERE {column} IS NOT NULL "
                f"AND TRY_CAST({column} AS DOUBLE) IS NULL"
            )[0]
            rows = "row holds" if count == 1 else "rows hold"
            raise DataError(
                f'column "{name}" is not a number: {count:,} {rows} text, for example '
                f'"{example}"; leave missing values empty'
            )
        return column

    def _units(self, branch: str) -> dict[str, int]:
        rows = self._session.rows(
            f"SELECT CAST({branch} AS VARCHAR) AS b, count(*) FROM file "
            f"WHERE {branch} IS NOT NULL GROUP BY b ORDER BY b"
        )
        if not rows:
            raise DataError("the file has no rows with a branch")
        if len(rows) == 1:
            raise DataError(f'all rows are of one branch, "{rows[0][0]}": nothing to compare')
        return {name: int(count) for name, count in rows}

    def _control(self, branches: list[str]) -> str:
        control = self._question.control
        if control is None and "control" in branches:
            return "control"
        if control is None:
            listed = ", ".join(f'"{name}"' for name in branches)
            raise ConfigError(f"which branch is the control? give --control one of {listed}")
        if control not in branches:
            raise DataError(f'no row is of branch "{control}"{did_you_mean(control, branches)}')
        return control

    def _asked(self, wanted: Wanted) -> Asked:
        try:
            made = statistic(self._kind(wanted), wanted.params)
        except ValueError as error:
            raise ConfigError(f"--metric {wanted.name}: {error}") from error
        parts = {name: getattr(made, name, None) for name in _RATIO}
        if isinstance(parts["numerator"], str):
            for part in parts.values():
                self._number(str(part))
            columns = Columns(f"m:{parts['numerator']}")
            renamed = {name: f"m:{part}" for name, part in parts.items()}
            return Asked(
                wanted.name, cast("Statistic", replace(cast("Any", made), **renamed)), columns
            )
        self._number(wanted.name)
        covariate = self._question.covariates.get(wanted.name)
        if covariate is None:
            return Asked(wanted.name, made, Columns(f"m:{wanted.name}"))
        self._number(covariate)
        return Asked(wanted.name, made, Columns(f"m:{wanted.name}", f"c:{covariate}"))

    def _kind(self, wanted: Wanted) -> str:
        """Shares of columns that only say yes or no, means of others."""
        if wanted.statistic is not None:
            return wanted.statistic
        column = self._number(wanted.name)
        is_binary = self._types[wanted.name] == "BOOLEAN" or self._session.rows(
            f"SELECT coalesce(bool_and({column} IN (0, 1)), FALSE) FROM file"
        ) == [(True,)]
        has_covariate = wanted.name in self._question.covariates
        return "binomial" if is_binary and not has_covariate else "linear_model_mean"

    def _frame(self, branch: str, asked: Sequence[Asked]) -> None:
        names: dict[str, None] = {}
        for each in asked:
            parts = [getattr(each.statistic, name, None) for name in _RATIO]
            for name in (each.columns.value, each.columns.covariate, *parts):
                if isinstance(name, str):
                    names[name] = None
        columns = [f"{identifier(name[2:])} AS {identifier(name)}" for name in names]
        selected = ", ".join([f"{_CELL} AS __n", f"CAST({branch} AS VARCHAR) AS branch", *columns])
        self._session.execute(
            f"CREATE TEMP VIEW frame AS SELECT {selected} FROM file WHERE {branch} IS NOT NULL"
        )

    def _estimates(
        self, asked: Sequence[Asked], branches: Sequence[str], control: str
    ) -> Iterator[Row]:
        summariser = Summariser(self._session, Frame("frame"))
        gather(summariser, asked, [_CELL])
        for each in asked:
            rng = np.random.default_rng(seed_of("file", each.metric, each.statistic.name))
            outcomes = each.statistic.estimates(
                each.columns, summariser.summaries(_CELL), branches, [control], rng
            )
            for outcome in outcomes:
                yield Row(_CELL, ALL, each.metric, each.statistic.label, outcome)
