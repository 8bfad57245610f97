"""Making the demo's telemetry: a day at a time, and the truth about it on the way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa

from sonde.datasets import delta
from sonde.datasets.columns import ExperimentMaps
from sonde.datasets.delta import File
from sonde.datasets.effects import Effects
from sonde.datasets.events import events
from sonde.datasets.membership import memberships
from sonde.datasets.outcomes import Outcomes, lesson_truth, touched
from sonde.datasets.population import CLIENTS, Activity, activity, history, population
from sonde.datasets.rows import Post, Rows
from sonde.datasets.tables import (
    ACTIVE_USERS,
    CLIENTS_DAILY,
    EVENTS,
    LAST_SEEN,
    SEARCHES,
    Directory,
    clients_daily,
    searches,
)
from sonde.datasets.trials import DAYS, FIRST_DAY, LAST_DAY, trials
from sonde.datasets.truth import Truth
from sonde.datasets.use import chance, use
from sonde.datasets.users import LastSeen, active_users
from sonde.table import Table

SEED = 16  # with it and with 2 every lesson shows; checked by a slow test
WRITERS = 2
Progress = Callable[[float], None]


def generate(
    folder: Path, seed: int = SEED, scale: float = 1.0, progress: Progress | None = None
) -> Truth:
    """Write the demo's tables into the lake at `folder`, and say what is in them.

    scale: 1 is 120,000 clients and three million client-days. A smaller population is the
    beginning of a larger one with the same seed. The same seed and scale make the same files.
    progress: called with the fraction that is done. The tables must not exist.
    """
    clients = population(seed, round(CLIENTS * scale))
    active = activity(seed, clients)
    effects = Effects(trials(), memberships(seed, trials(), clients, active), clients)
    outcomes = [Outcomes(trial, effects) for trial in trials() if touched(trial, trials())]
    files = _write(Path(folder), _tables(seed, effects, active, outcomes), progress)
    return Truth(
        seed=seed,
        scale=scale,
        first_day=FIRST_DAY,
        last_day=LAST_DAY,
        clients=len(clients),
        rows={table.path: sum(file.rows for file in written) for table, written in files.items()},
        lessons=tuple(lesson_truth(trial, trials()) for trial in trials()),
        effects=tuple(effect for each in outcomes for effect in each.true_effects()),
    )


def days(
    seed: int, effects: Effects, activity: Activity, outcomes: Sequence[Outcomes]
) -> Iterator[Rows]:
    """What is received on each day; on the way, each day is added to the outcomes."""
    post = Post()
    for day in range(DAYS):
        clients = np.flatnonzero(activity.active[day])
        lateness = activity.lateness[day, clients]
        drawn = chance(seed, effects.population, clients, day)
        for each in outcomes:
            each.add(day, clients, drawn, lateness)
        used = use(drawn, effects.multipliers(clients, day))
        today = Rows(clients, np.full(len(clients), day, dtype=np.int16), used)
        yield post.deliver(day, today, lateness)


def _tables(
    seed: int, effects: Effects, activity: Activity, outcomes: Sequence[Outcomes]
) -> Iterator[Mapping[Table, pa.Table]]:
    """The partitions of each submission date."""
    trials, memberships = effects.trials, effects.memberships
    directory = Directory(seed, effects.population, ExperimentMaps(trials, memberships))
    last_seen = LastSeen(history(seed, effects.population))
    for day, rows in enumerate(days(seed, effects, activity, outcomes)):
        last_seen.turn(rows)
        yield {
            CLIENTS_DAILY: clients_daily(directory, day, rows),
            SEARCHES: searches(directory, rows),
            EVENTS: events(directory, day, trials, memberships),
            ACTIVE_USERS: active_users(directory, day, last_seen),
        }


def _write(
    lake: Path, days: Iterator[Mapping[Table, pa.Table]], progress: Progress | None
) -> dict[Table, list[File]]:
    """Write all partitions, while the next ones are made; then commit each table once."""
    files: dict[Table, list[File]] = {}
    pending: deque[tuple[Table, Future[File]]] = deque()
    with ThreadPoolExecutor(WRITERS) as writers:
        for day, partitions in enumerate(days):
            date = FIRST_DAY + timedelta(days=day)
            for table, rows in partitions.items():
                pending.append(
                    (table, writers.submit(delta.write_partition, lake, table, date, rows))
                )
            _collect(pending, files, keep=2 * len(partitions))
            if progress:
                progress((day + 1) / DAYS)
        _collect(pending, files, keep=0)
    delta.share(lake, ACTIVE_USERS, LAST_SEEN, files[ACTIVE_USERS])
    files[LAST_SEEN] = files[ACTIVE_USERS]
    for table, written in files.items():
        delta.commit(lake, table, written)
    return files


def _collect(
    pending: deque[tuple[Table, Future[File]]], files: dict[Table, list[File]], keep: int
) -> None:
    """Wait for writers until `keep` partitions are left: they hold memory."""
    while len(pending) > keep:
        table, file = pending.popleft()
        files.setdefault(table, []).append(file.result())
