"""Arrow columns for the demo's tables, made without a loop over rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sonde.datasets.arrays import Codes, Days, Flags, Indices, Keys
from sonde.datasets.draws import bits
from sonde.datasets.membership import Membership
from sonde.datasets.trials import FIRST_DAY, Trial

ID_LENGTH = 12  # characters; as many as DuckDB keeps within a value, so joins follow no pointers


def identities(seed: int, stream: str, keys: Keys) -> pa.StringArray:
    """An id for each key: hexadecimal, distinct for distinct keys."""
    upper = bits(seed, stream, keys).astype(np.uint64)
    value = (upper << np.uint64(16)) | (bits(seed, f"{stream}, lower", keys) & np.uint32(0xFFFF))
    digits = np.frombuffer(b"0123456789abcdef", dtype=np.uint8)
    shifts = np.arange(4 * ID_LENGTH - 4, -1, -4, dtype=np.uint64)
    letters = digits[(value[:, np.newaxis] >> shifts) & np.uint64(15)]
    offsets = np.arange(0, ID_LENGTH * len(keys) + 1, ID_LENGTH, dtype=np.int32)
    return pa.StringArray.from_buffers(len(keys), pa.py_buffer(offsets), pa.py_buffer(letters))


def choice(codes: Codes, names: Iterable[str]) -> pa.DictionaryArray:
    """Text by its place among `names`, which are all different."""
    return pa.DictionaryArray.from_arrays(pa.array(codes), pa.array(list(names)))


def text(codes: Codes, names: Iterable[str]) -> pa.StringArray:
    """Text by its place among `names`, written out: maps hold no dictionaries."""
    return pa.array(list(names)).take(pa.array(codes))


def constant(name: str, length: int) -> pa.DictionaryArray:
    """The same text in each row."""
    return choice(np.zeros(length, dtype=np.int8), [name])


def integer(values: NDArray[np.integer] | Flags) -> pa.Int64Array:
    """Whole numbers, of the only width that BigQuery has."""
    return pa.array(values.astype(np.int64))


def day(days: Days) -> pa.Date32Array:
    """Dates from day numbers."""
    first = np.datetime64(FIRST_DAY, "D").astype(np.int32)
    return pa.array((days + first).astype(np.int32), pa.date32())


def pairs(keys: Sequence[pa.StringArray], values: Sequence[pa.StringArray]) -> pa.ListArray:
    """Maps of one length: item i of row j has the key `keys[i][j]` and the value `values[i][j]`."""
    width, rows = len(keys), len(keys[0])
    order = pa.array(np.arange(rows * width).reshape(width, rows).T.ravel())
    return _maps(
        np.full(rows, width),
        pa.concat_arrays(keys).take(order),
        pa.concat_arrays(values).take(order),
    )


class ExperimentMaps:
    """Which experiments clients are in on a day: branch by slug, as maps of `experiments`."""

    def __init__(self, trials: Sequence[Trial], memberships: Sequence[Membership]) -> None:
        self._memberships = memberships
        self._slugs = [trial.slug for trial in trials]
        # Each name once, though many trials have it: a dictionary must not repeat itself.
        self._names = sorted({branch for trial in trials for branch in trial.branches})
        self._places = [
            np.array([self._names.index(branch) for branch in trial.branches], dtype=np.int8)
            for trial in trials
        ]

    def simple(self, clients: Indices, days: Days) -> pa.ListArray:
        """The value is the branch."""
        counts, slugs, branches = self._entries(clients, days)
        return _maps(counts, slugs, branches)

    def native(self, clients: Indices, days: Days) -> pa.ListArray:
        """The value is a struct with the field `branch`."""
        counts, slugs, branches = self._entries(clients, days)
        kind = constant("nimbus-nimbus", len(branches))
        arms = pa.StructArray.from_arrays([branches, kind], ["branch", "type"])
        return _maps(counts, slugs, arms)

    def _entries(
        self, clients: Indices, days: Days
    ) -> tuple[NDArray[np.int64], pa.DictionaryArray, pa.DictionaryArray]:
        present = np.empty((len(clients), len(self._memberships)), dtype=np.bool_)
        branch = np.empty((len(clients), len(self._memberships)), dtype=np.int8)
        for number, membership in enumerate(self._memberships):
            enrolled, left = membership.enrolled[clients], membership.left[clients]
            present[:, number] = (enrolled <= days) & (days < left)
            branch[:, number] = self._places[number][membership.branch[clients]]
        trial = np.nonzero(present)[1].astype(np.int8)
        branches = choice(branch[present], self._names)
        return present.sum(axis=1), choice(trial, self._slugs), branches


def _maps(counts: NDArray[np.int64], keys: pa.Array, values: pa.Array) -> pa.ListArray:
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    entries = pa.StructArray.from_arrays([keys, values], ["key", "value"])
    return pa.ListArray.from_arrays(pa.array(offsets), entries)
