"""Which configuration and which revisions each experiment keeps: a table of the lake."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import pyarrow as pa

from sonde.lake import Lake
from sonde.plan.steps import Revisions, fingerprint
from sonde.table import Table

PINS_COLUMNS = pa.schema(
    [
        ("configuration", pa.string()),
        ("since", pa.date32()),
        ("because", pa.string()),
        ("revisions", pa.string()),
    ]
)


class Because(enum.StrEnum):
    """Why an experiment keeps this configuration and no other."""

    BEGAN = "began"
    OWN_FILE = "own file changed"
    RECORD = "record asks for it"
    ASKED = "asked for"


@dataclass(frozen=True)
class Pin:
    """What an experiment keeps.

    configuration: each repository with its commit, as results name it. since: the first day of
    enrollment, or the day on which it moved. revisions: of what computes, by name.
    """

    configuration: str
    since: date
    because: Because
    revisions: Revisions = field(default_factory=dict)

    def plain(self) -> dict[str, Any]:
        """As a row of the table."""
        return {
            "configuration": self.configuration,
            "since": self.since,
            "because": self.because.value,
            "revisions": json.dumps(dict(self.revisions), sort_keys=True),
        }


def pins_table(folder: str) -> Table:
    """What the experiments of a dataset keep."""
    return Table(f"{folder}/pins", ("experiment",))


class Pins:
    """The pins in a lake; each dataset's are read once."""

    def __init__(self, lake: Lake | None) -> None:
        self._lake = lake
        self._known: dict[str, dict[str, Pin]] = {}

    def of(self, folder: str, slug: str) -> Pin | None:
        """What an experiment of a dataset keeps, as far as it was written down."""
        if folder not in self._known:
            self._known[folder] = {} if self._lake is None else _read(self._lake, folder)
        return self._known[folder].get(slug)


def _read(lake: Lake, folder: str) -> dict[str, Pin]:
    rows = lake.read(pins_table(folder)).to_pylist()
    return {row["experiment"]: _pin(row) for row in rows}


def _pin(row: Mapping[str, Any]) -> Pin:
    because, revisions = Because(row["because"]), json.loads(row["revisions"])
    return Pin(row["configuration"], row["since"], because, revisions)


def write(lake: Lake, folder: str, pins: Mapping[str, Pin]) -> None:
    """Write down what experiments of a dataset keep, by slug, in one commit."""
    table = pins_table(folder)
    filled = [
        lake.write(
            table.partition(slug),
            pa.Table.from_pylist([pin.plain()], PINS_COLUMNS),
            fingerprint(pin.plain()),
        )
        for slug, pin in pins.items()
    ]
    lake.commit(table, filled)
