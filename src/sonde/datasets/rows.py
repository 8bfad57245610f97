"""Days of activity as they are received: most on time, some days later."""

from __future__ import annotations

from dataclasses import dataclass

from sonde.datasets.arrays import Arrays, Codes, Days, Indices
from sonde.datasets.use import Use


@dataclass(frozen=True)
class Rows(Arrays):
    """Activity, one row per client and active day. `day` is the day of the activity."""

    clients: Indices
    day: Days
    use: Use

    def __len__(self) -> int:
        return len(self.clients)


class Post:
    """Rows on their way: given out on the day on which they are received."""

    def __init__(self) -> None:
        self._late: dict[int, list[Rows]] = {}

    def deliver(self, day: int, rows: Rows, lateness: Codes) -> Rows:
        """What is received on `day`: that day's `rows` that are not late, then late ones.

        lateness: days until each of `rows` is received.
        """
        for days in (1, 2, 3):
            self._late.setdefault(day + days, []).append(rows.take(lateness == days))
        return Rows.concatenate([rows.take(lateness == 0), *self._late.pop(day, [])])
