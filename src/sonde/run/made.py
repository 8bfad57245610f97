"""Estimates as they are stored: with what they were made from, so that they can be made again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import date

import pyarrow as pa

from sonde.errors import ConfigError
from sonde.experiment import Experiment
from sonde.metric import AnalysisBasis, DataSource
from sonde.plan.steps import Estimate, Step, fingerprint
from sonde.release import release
from sonde.run.estimate import Estimated
from sonde.run.outcome import STATISTICS_COLUMNS
from sonde.sql import TableName, relation
from sonde.sql.enrollments import in_dataset
from sonde.warehouse.tables import Tables

_AS_OF, _ENROLLMENTS, _TOGETHER = b"sonde.as_of", b"sonde.enrollments", b"sonde.together"


@dataclass(frozen=True)
class MadeFrom:
    """What estimates were made from, beside the tables that they name.

    configuration: each repository with its commit. as_of: the date of the run. enrollments: the
    fingerprint of those that counted. together: the steps of the same batch, in order: the last
    bits of a sum depend on what else was computed.
    """

    configuration: str
    as_of: date
    enrollments: str
    together: tuple[str, ...] = ()

    @classmethod
    def of(cls, rows: pa.Table) -> MadeFrom | None:
        """What stored estimates say; None when there are none, or an older sonde stored them."""
        said = rows.schema.metadata or {}
        if rows.num_rows == 0 or _TOGETHER not in said:
            return None
        day = date.fromisoformat(said[_AS_OF].decode())
        together = tuple(said[_TOGETHER].decode().split())
        configuration = rows["configuration"][0].as_py() or ""
        return cls(configuration, day, said[_ENROLLMENTS].decode(), together)


def stored(estimated: Sequence[Estimated], sources: Tables, made_from: MadeFrom) -> list[pa.Table]:
    """The rows of each step of a batch."""
    together = " ".join(step_key(each.step) for each in estimated)
    said = {
        _AS_OF: made_from.as_of.isoformat(),
        _ENROLLMENTS: made_from.enrollments,
        _TOGETHER: together,
    }
    return [
        pa.Table.from_pylist(
            _rows(each, sources, made_from.configuration),
            STATISTICS_COLUMNS.with_metadata(said),
        )
        for each in estimated
    ]


def step_key(step: Step) -> str:
    """A step among those of its experiment and source."""
    return "/".join(step.output.key[1:4])


def _rows(estimated: Estimated, sources: Tables, configuration: str) -> list[dict[str, object]]:
    about = {
        "sonde": release(),
        "configuration": configuration,
        "inputs": _inputs(estimated.step, sources),
        "query_id": query_id(estimated) or None,
    }
    return [{**row.plain(), **about} for row in estimated.rows]


def query_id(estimated: Estimated) -> str:
    """The key of its SQL; empty without any."""
    return fingerprint(estimated.query)[:16] if estimated.query else ""


def inputs_of(rows: pa.Table) -> dict[str, str]:
    """The tables that stored estimates were read from, with the version of each.

    >>> inputs_of(pa.table({"inputs": ["a.b@17:c0ffee, a.c@beef"]}))
    {'a.b': '17:c0ffee', 'a.c': 'beef'}
    """
    said = rows["inputs"][0].as_py() or ""
    parts = (each.partition("@") for each in said.split(", ") if each)
    return {name: version for name, _, version in parts}


def _inputs(step: Step, sources: Tables) -> str:
    """The tables that were read, each with the version of the window's rows."""
    action = step.action
    assert isinstance(action, Estimate)
    experiment, signal = action.experiment, action.experiment.exposure_signal
    read = {}
    for source in action.sources:
        with suppress(ConfigError):  # only BigQuery runs what cannot be read here
            for name in _tables_of(experiment, source):
                read[name] = sources.find(name)
    if signal is not None and action.basis is AnalysisBasis.EXPOSURES:
        with suppress(ConfigError):  # the step's problems say what is wrong with it
            for name in _tables_of(experiment, signal.data_source):
                if (table := sources.get(name)) is not None:
                    read[name] = table
    first, last = action.due.first_data, action.due.last_data
    return ", ".join(
        f"{name}@{read[name].named_version(first, last)}" for name in sorted(read, key=str)
    )


def _tables_of(experiment: Experiment, source: DataSource) -> tuple[TableName, ...]:
    return relation(in_dataset(experiment, source.from_expression, source)).tables
