"""The clients of the demo's browser: who they are, and on which days they are active."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from sonde.datasets.arrays import Arrays, Codes, Days, Flags, Floats, Keys
from sonde.datasets.draws import bits, logit, uniform
from sonde.datasets.trials import DAYS, FIRST_DAY

CLIENTS = 120_000

# What clients can be, with the share of each in percent. A client holds the place in the list.
COUNTRIES = {
    "US": 24,
    "DE": 14,
    "FR": 9,
    "IN": 8,
    "GB": 7,
    "BR": 7,
    "PL": 6,
    "IT": 6,
    "ES": 5,
    "CA": 5,
    "ID": 4,
    "JP": 3,
    "MX": 2,
}
SYSTEMS = {"Windows_NT": 64, "Darwin": 25, "Linux": 11}
CHANNELS = {"release": 91, "beta": 5, "esr": 3, "nightly": 1}
ENGINES = {"google-b-d": 78, "bing": 10, "ddg": 9, "ecosia": 3}

# Activity from Monday to Sunday, relative to the client's own: at home, and at work.
AT_HOME = (1.01, 1.0, 0.99, 0.99, 1.0, 1.03, 1.06)
AT_WORK = (1.17, 1.18, 1.17, 1.16, 1.1, 0.42, 0.38)
HISTORY = 28  # days before the telemetry that tables of active users know of
LATE = 0.02  # share of active days that are received one to three days later


@dataclass(frozen=True)
class Population(Arrays):
    """Clients by number; one array each, all of one length.

    group: the number that names the profile group; a few clients share their predecessor's.
    first_day, last_day: of being there. activity: the chance to be active on a mean day.
    hours, pages, searches, clicks, startup: the client's own rate of each.
    """

    key: Keys
    group: Keys
    sample: Codes
    country: Codes
    os: Codes
    channel: Codes
    engine: Codes
    windows_11: Flags
    is_default: Flags
    is_pinned: Flags
    signed_in: Flags
    at_work: Flags
    update_delay: Days
    first_day: Days
    last_day: Days
    activity: Floats
    hours: Floats
    pages: Floats
    searches: Floats
    clicks: Floats
    startup: Floats

    def __len__(self) -> int:
        return len(self.key)


@dataclass(frozen=True)
class Activity:
    """Who is active on which day, as arrays of days by clients.

    lateness: days until an active day is received; it is 0 on days without activity.
    """

    active: Flags
    lateness: Codes

    @property
    def on_time(self) -> Flags:
        """Active, and received on the same day."""
        on_time: Flags = self.active & (self.lateness == 0)
        return on_time


def population(seed: int, count: int) -> Population:
    """Draw `count` clients. A client is the same in a smaller and in a larger population."""
    key = np.arange(count, dtype=np.uint32)

    def u(stream: str) -> Floats:
        return uniform(bits(seed, stream, key))

    new = u("new")
    first = np.where(new < 0.85, -30 - new * 1500, (new - 0.85) / 0.15 * DAYS).astype(np.int16)
    stay = np.where(u("leaves") < 0.1, 1 + np.floor(u("stay") * DAYS), 10_000).astype(np.int16)
    search = u("searches")
    return Population(
        key=key,
        group=np.where((u("group") < 0.03) & (key > 0), key - 1, key).astype(np.uint32),
        sample=(bits(seed, "sample", key) % 100).astype(np.int8),
        country=_pick(u("country"), COUNTRIES),
        os=_pick(u("os"), SYSTEMS),
        channel=_pick(u("channel"), CHANNELS),
        engine=_pick(u("engine"), ENGINES),
        windows_11=u("windows 11") < 0.6,
        is_default=u("default") < 0.55,
        is_pinned=u("pinned") < 0.35,
        signed_in=u("account") < 0.3,
        at_work=u("work") < 0.4,
        update_delay=np.floor(u("update") * 4).astype(np.int16),
        first_day=first,
        last_day=np.where(first < 0, stay, first + stay).astype(np.int16),
        activity=0.05 + 0.92 * u("activity") ** 0.97,
        hours=np.exp(-0.2 + 0.28 * logit(u("hours"))),
        pages=np.exp(2.0 + 0.26 * logit(u("pages"))),
        searches=np.where(search < 0.15, 0.0, np.exp(0.75 + 0.38 * logit(search))),
        clicks=np.exp(-1.5 + 0.25 * logit(u("clicks"))),
        startup=np.exp(6.9 + 0.16 * logit(u("startup"))),
    )


def activity(seed: int, clients: Population) -> Activity:
    """Draw the active days of all clients."""
    active = np.empty((DAYS, len(clients)), dtype=np.bool_)
    lateness = np.empty((DAYS, len(clients)), dtype=np.int8)
    for day in range(DAYS):
        keys = day_keys(clients.key, day)
        active[day] = uniform(bits(seed, "activity", keys)) < _chance(clients, day)
        late = uniform(bits(seed, "late", keys))
        days = 1 + np.floor(late * 3 / LATE)
        lateness[day] = np.where(active[day] & (late < LATE), days, 0)
    return Activity(active, lateness)


def history(seed: int, clients: Population) -> Flags:
    """Who was active on each of the days before the telemetry, as an array of days by clients."""
    return np.array(
        [
            uniform(bits(seed, "history", day_keys(clients.key, number)))
            < _chance(clients, number - HISTORY)
            for number in range(HISTORY)
        ]
    )


def _chance(clients: Population, day: int) -> Floats:
    weekday = (FIRST_DAY.weekday() + day) % 7
    there = (clients.first_day <= day) & (day <= clients.last_day)
    return there * clients.activity * np.where(clients.at_work, AT_WORK[weekday], AT_HOME[weekday])


def day_keys(keys: Keys, day: int) -> Keys:
    """Keys of a day of each client."""
    return keys * np.uint32(64) + np.uint32(day)


def _pick(u: Floats, percent: Mapping[str, int]) -> Codes:
    limits = np.cumsum(list(percent.values())) / 100
    return np.searchsorted(limits, u, side="right").astype(np.int8)
