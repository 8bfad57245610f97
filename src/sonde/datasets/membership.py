"""Which client is in which experiment, from when to when."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sonde.datasets.arrays import Arrays, Codes, Days, Flags, Keys
from sonde.datasets.draws import bits, uniform
from sonde.datasets.lessons import Loss
from sonde.datasets.population import SYSTEMS, Activity, Population
from sonde.datasets.trials import DAYS, Trial, day_number

NEVER = 10_000
EXPOSED = 0.86  # share of the enrolled that meet the change
LEAVES = 0.015  # share that opts out


@dataclass(frozen=True)
class Membership(Arrays):
    """One trial's units, as arrays over all clients; days are `NEVER` where there is none.

    left: the first day out of the experiment. lost: in it, but the event was not received.
    """

    branch: Codes
    enrolled: Days
    exposed: Days
    left: Days
    lost: Flags

    @property
    def counted(self) -> Flags:
        """Enrolled, and known to be."""
        counted: Flags = (self.enrolled != NEVER) & ~self.lost
        return counted


def memberships(
    seed: int, trials: Sequence[Trial], clients: Population, activity: Activity
) -> tuple[Membership, ...]:
    """Draw who enrolls, when, in what branch, and who meets the change, for all trials."""
    on_time = activity.on_time
    return tuple(_membership(seed, trial, clients, on_time) for trial in trials)


def _membership(seed: int, trial: Trial, clients: Population, on_time: Flags) -> Membership:
    branch = bits(seed, f"branch {trial.slug}", clients.key) % len(trial.branches)
    enrolled = _enrollment(seed, trial, clients, on_time)
    leaves = uniform(bits(seed, f"left {trial.slug}", clients.key))
    after = np.where(leaves < LEAVES, enrolled + 1 + np.floor(leaves / LEAVES * 21), NEVER)
    return Membership(
        branch=branch.astype(np.int8),
        enrolled=enrolled,
        exposed=_exposure(seed, trial, clients, on_time, enrolled),
        left=np.minimum(after, trial.stop).astype(np.int16),
        lost=_loss(seed, trial, trial.lesson.loss, clients, branch, enrolled),
    )


def _enrollment(seed: int, trial: Trial, clients: Population, on_time: Flags) -> Days:
    """The first active day after a delay of the client's own, while the trial is enrolling."""
    record = trial.record
    bucket = bits(seed, f"bucket {record.bucket_namespace}", clients.key) % record.bucket_total
    first = record.bucket_start or 0
    eligible = (first <= bucket) & (bucket < first + (record.bucket_count or 0))
    delay = uniform(bits(seed, f"delay {trial.slug}", clients.key)) ** 1.5 * trial.enrolling
    stop = min(trial.start + trial.enrolling, DAYS)
    days = np.arange(stop - trial.start)[:, np.newaxis]
    can = on_time[trial.start : stop] & (days >= np.floor(delay)) & eligible
    return np.where(can.any(axis=0), trial.start + can.argmax(axis=0), NEVER).astype(np.int16)


def _exposure(seed: int, trial: Trial, clients: Population, on_time: Flags, enrolled: Days) -> Days:
    """Mostly the day of enrollment; for some an active day one or two days later."""
    u = uniform(bits(seed, f"exposed {trial.slug}", clients.key))
    later = enrolled + np.select([u < 0.7, u < 0.78], [0, 1], 2)
    known = np.minimum(later, DAYS - 1)
    possible = (later <= min(trial.last_enrollment, DAYS - 1)) & on_time[known, clients.key]
    exposed = np.where(possible, later, enrolled)
    return np.where(u < EXPOSED, exposed, NEVER).astype(np.int16)


def _loss(
    seed: int,
    trial: Trial,
    loss: Loss | None,
    clients: Population,
    branch: Keys,
    enrolled: Days,
) -> Flags:
    if loss is None:
        return np.zeros(len(clients), dtype=np.bool_)
    on_os = clients.os == list(SYSTEMS).index(loss.os)
    hit = (branch == trial.branches.index(loss.branch)) & on_os
    since = (enrolled >= day_number(loss.since)) & (enrolled != NEVER)
    u = uniform(bits(seed, f"lost {trial.slug}", clients.key))
    lost: Flags = hit & since & (u < 2 * loss.share * (1 - clients.activity))
    return lost
