"""Who was seen on which of the last 28 days, as the tables of active users tell it."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from sonde.datasets import columns
from sonde.datasets.arrays import Flags
from sonde.datasets.rows import Rows
from sonde.datasets.tables import Directory
from sonde.datasets.trials import FIRST_DAY

SEGMENTS = ("other", "infrequent_user", "casual_user", "regular_user", "core_user")

Bits = NDArray[np.int64]
_28_DAYS = (1 << 28) - 1
_TODAY = 1


class LastSeen:
    """Bits of the days on which each client was seen, and active. Bit 0 is the latest day.

    history: who was active on the days before the first, an array of days by clients.
    """

    def __init__(self, history: Flags) -> None:
        before = np.zeros(history.shape[1], dtype=np.int64)
        for active in history:
            before = (before << 1) | active
        self.seen: Bits = before & _28_DAYS
        self.active: Bits = self.seen

    def turn(self, received: Rows) -> None:
        """Begin the next day, on which `received` came in."""
        self.seen = (self.seen << 1) & _28_DAYS
        self.active = (self.active << 1) & _28_DAYS
        self.seen[received.clients] |= _TODAY
        used = (received.use.ticks > 0) & (received.use.pages > 0)
        self.active[received.clients[used]] |= _TODAY


def active_users(directory: Directory, day: int, last_seen: LastSeen) -> pa.Table:
    """One row per client seen within the 28 days that end on `day`."""
    clients = np.flatnonzero(last_seen.seen)
    seen, active = last_seen.seen[clients], last_seen.active[clients]
    before = np.bitwise_count(active & ~_TODAY)
    on_weekdays = np.bitwise_count(active & ~_TODAY & _weekdays(day))
    who = directory.who(clients)
    segment = np.digitize(before, (1, 7, 14, 21)).astype(np.int8)
    regular: Flags = before >= 14
    mostly_weekdays = on_weekdays * 5 >= before.astype(np.int64) * 4
    return pa.table(
        {
            "client_id": who["client_id"],
            "profile_group_id": who["profile_group_id"],
            "first_seen_date": columns.day(directory.population.first_day[clients]),
            "days_seen_bits": pa.array(seen),
            "days_active_bits": pa.array(active),
            "is_desktop": pa.array(np.ones(len(clients), dtype=np.bool_)),
            "is_dau": pa.array(active & _TODAY > 0),
            "is_wau": pa.array(active & 0b1111111 > 0),
            "is_mau": pa.array(active > 0),
            "activity_segments_v1": columns.choice(segment, SEGMENTS),
            "is_regular_user_v3": pa.array(regular),
            "is_new_or_resurrected_v3": pa.array(before == 0),
            "is_weekday_regular_v1": pa.array(regular & mostly_weekdays),
            "is_allweek_regular_v1": pa.array(regular & ~mostly_weekdays),
        }
    )


def _weekdays(day: int) -> int:
    """Bits of the Mondays to Fridays among the 28 days that end on `day`.

    >>> bin(_weekdays(0) & 0b1111111)  # the first day is a Friday
    '0b11111'
    """
    bits = 0
    for back in range(28):
        if (FIRST_DAY.weekday() + day - back) % 7 < 5:
            bits |= 1 << back
    return bits
