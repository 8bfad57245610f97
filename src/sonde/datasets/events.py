"""Enrollments, exposures and departures as the desktop browser reports them."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from sonde.datasets import columns
from sonde.datasets.arrays import Arrays, Codes, Flags, Indices
from sonde.datasets.draws import bits, lower
from sonde.datasets.membership import Membership
from sonde.datasets.population import day_keys
from sonde.datasets.tables import Directory
from sonde.datasets.trials import Trial
from sonde.datasets.use import TWICE


class Method(enum.IntEnum):
    """What is reported of a unit; the name in lower case is the event's method."""

    ENROLL = 0
    EXPOSE = 1
    UNENROLL = 2


@dataclass(frozen=True)
class _Events(Arrays):
    """Events of one day: whose, of which trial, of what method. Arrays of one length."""

    clients: Indices
    trial: Codes
    method: Codes


def events(
    directory: Directory, day: int, trials: Sequence[Trial], memberships: Sequence[Membership]
) -> pa.Table:
    """The events of one day, by trial and method; 0.3 % of them twice.

    A unit whose enrollment event was lost has none. Units that stay to the end of an experiment
    do not report that they leave.
    """
    happened = _Events.concatenate(list(_happened(directory, day, trials, memberships)))
    method = columns.choice(happened.method, [each.name.lower() for each in Method])
    rows = len(happened.clients)
    return pa.table(
        {
            **directory.who(happened.clients),
            "event_category": columns.constant("normandy", rows),
            "event_method": method,
            "event_object": columns.constant("nimbus_experiment", rows),
            "event_string_value": columns.choice(happened.trial, [each.slug for each in trials]),
            "event_map_values": _map(happened, trials, memberships),
            "event_process": columns.constant("parent", rows),
            "experiments": directory.maps.native(
                happened.clients, np.full(rows, day, dtype=np.int16)
            ),
        }
    )


def _happened(
    directory: Directory, day: int, trials: Sequence[Trial], memberships: Sequence[Membership]
) -> Iterator[_Events]:
    for trial, membership in zip(trials, memberships, strict=True):
        for method in Method:
            clients = np.flatnonzero(_reported(trial, membership, method, day))
            keys = day_keys(directory.population.key[clients], day)
            drawn = lower(bits(directory.seed, f"{method.name} {trial.slug}", keys))
            clients = np.concatenate([clients, clients[drawn < TWICE]])
            rows = np.ones(len(clients), dtype=np.int8)
            yield _Events(clients, trial.number * rows, method * rows)


def _reported(trial: Trial, membership: Membership, method: Method, day: int) -> Flags:
    match method:
        case Method.ENROLL:
            when = membership.enrolled
        case Method.EXPOSE:
            when = membership.exposed
        case Method.UNENROLL:
            when = membership.left
    # On the day on which an experiment stops, units leave it without a word.
    reported: Flags = (when == day) & membership.counted & (day < trial.stop)
    return reported


def _map(
    happened: _Events, trials: Sequence[Trial], memberships: Sequence[Membership]
) -> pa.ListArray:
    """Two entries an event: the branch, and a further one that depends on the method."""
    branch = np.zeros(len(happened.clients), dtype=np.int8)
    for trial, membership in zip(trials, memberships, strict=True):
        of_trial = happened.trial == trial.number
        branch[of_trial] = membership.branch[happened.clients[of_trial]]
    first_arm = np.cumsum([0, *(len(trial.branches) for trial in trials)])[:-1].astype(np.int8)
    arms = [branch for trial in trials for branch in trial.branches]
    method = happened.method
    return columns.pairs(
        [
            columns.text(method, ("branch", "branchSlug", "branch")),
            columns.text(method, ("experimentType", "featureId", "reason")),
        ],
        [
            columns.text(first_arm[happened.trial] + branch, arms),
            columns.text(method, ("nimbus", "demo", "user-opt-out")),
        ],
    )
