"""The demo's tables, under Mozilla's names and with the columns that metric-hub reads."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa

from sonde.datasets import columns
from sonde.datasets.arrays import Codes, Counts, Days, Indices
from sonde.datasets.columns import ExperimentMaps
from sonde.datasets.population import (
    CHANNELS,
    COUNTRIES,
    ENGINES,
    SYSTEMS,
    Population,
)
from sonde.datasets.rows import Rows
from sonde.datasets.use import TICKS_AN_HOUR
from sonde.table import Table

KEYS = ("submission_date",)
# In the order of the countries.
LOCALES = (
    *("en-US", "de", "fr", "en-GB", "en-GB", "pt-BR", "pl"),
    *("it", "es-ES", "en-CA", "id", "ja", "es-MX"),
)
CLIENTS_DAILY = Table("telemetry/clients_daily", KEYS)
EVENTS = Table("telemetry/events", KEYS)
ACTIVE_USERS = Table("telemetry/desktop_active_users", KEYS)
LAST_SEEN = Table("telemetry/clients_last_seen", KEYS)
SEARCHES = Table("search/search_clients_engines_sources_daily", KEYS)
TABLES = (CLIENTS_DAILY, EVENTS, ACTIVE_USERS, LAST_SEEN, SEARCHES)


@dataclass(frozen=True)
class Version:
    """A release of the browser. Indices update within four days of `since`, a day number."""

    since: int
    name: str
    build: str
    os: str | None = None


VERSIONS = (
    Version(-10_000, "156.0", "20260914093027"),
    Version(25, "157.0", "20261012094401"),
    Version(42, "157.0.2", "20261103101552", os="Windows_NT"),
    Version(53, "158.0", "20261109092210"),
)


@dataclass(frozen=True)
class Directory:
    """What tables say of clients; arrays by client, taken for the rows of a table."""

    seed: int
    population: Population
    maps: ExperimentMaps

    def who(self, clients: Indices) -> dict[str, pa.Array]:
        """The columns that tell which client a row is of."""
        index, population = pa.array(clients), self.population
        return {
            "client_id": self._ids.take(index),
            "profile_group_id": self._groups.take(index),
            "sample_id": columns.integer(population.sample[clients]),
            "country": columns.choice(population.country[clients], COUNTRIES),
            "os": columns.choice(population.os[clients], SYSTEMS),
            "channel": columns.choice(population.channel[clients], CHANNELS),
        }

    @cached_property
    def _ids(self) -> pa.StringArray:
        return columns.identities(self.seed, "client", self.population.key)

    @cached_property
    def _groups(self) -> pa.StringArray:
        return columns.identities(self.seed, "profile group", self.population.group)


def clients_daily(directory: Directory, received: int, rows: Rows) -> pa.Table:
    """One row per client and active day received on a day; 0.3 % of them twice.

    Late activity is a row of its own: a client may have several on one submission date.
    """
    rows = Rows.concatenate([rows, rows.take(rows.use.twice)])
    clients, population, use = rows.clients, directory.population, rows.use
    system = population.os[clients]
    version = _version(population, clients, rows.day)
    pages = columns.integer(use.pages)
    return pa.table(
        {
            **directory.who(clients),
            "locale": _locale(population, clients),
            "os_version": columns.choice(system, ("10.0", "25.1.0", "6.12.0")),
            "windows_build_number": _windows_build(population, clients),
            "app_version": columns.choice(version, [each.name for each in VERSIONS]),
            "app_build_id": columns.choice(version, [each.build for each in VERSIONS]),
            "default_search_engine": columns.choice(population.engine[clients], ENGINES),
            "is_default_browser": pa.array(population.is_default[clients]),
            "scalar_parent_os_environment_is_taskbar_pinned": pa.array(
                population.is_pinned[clients]
            ),
            "fxa_configured": pa.array(population.signed_in[clients]),
            "first_seen_date": columns.day(population.first_day[clients]),
            "profile_age_in_days": columns.integer(rows.day - population.first_day[clients]),
            "client_submission_latency_mean": pa.array((received - rows.day) * 86400.0),
            "pings_aggregated_by_this_row": columns.integer(1 + use.startup % 3),
            "active_hours_sum": pa.array(use.ticks / TICKS_AN_HOUR),
            "scalar_parent_browser_engagement_total_uri_count_sum": pages,
            "scalar_parent_browser_engagement_total_uri_count_normal_and_private_mode_sum": pages,
            "search_count_all": columns.integer(use.searches),
            "first_paint_mean": pa.array(use.startup.astype(np.float64)),
            "crashes_detected_content_sum": columns.integer(use.crashes),
            "experiments": directory.maps.simple(clients, rows.day),
        }
    )


def searches(directory: Directory, rows: Rows) -> pa.Table:
    """One row per client, day, engine and source, where there was a search.

    Some clients divide their searches between the address bar and the search bar.
    """
    some = rows.take((rows.use.searches > 0) | (rows.use.organic > 0))
    divided = some.take((some.clients % 7 == 0) & (some.use.searches >= 3))
    first, second = some.use, divided.use.searches // 3
    side = np.where(some.clients % 7 == 0, first.searches // 3, 0)
    tagged = np.minimum(second, divided.use.tagged)
    clients = np.concatenate([some.clients, divided.clients])
    none = np.zeros(len(divided), dtype=np.int32)
    source = np.repeat(np.array([0, 1], dtype=np.int8), [len(some), len(divided)])
    engine = columns.choice(directory.population.engine[clients], ENGINES)

    def both(urlbar: Counts, searchbar: Counts) -> pa.Int64Array:
        return columns.integer(np.concatenate([urlbar, searchbar]))

    return pa.table(
        {
            **directory.who(clients),
            "engine": engine,
            "normalized_engine": engine,
            "source": columns.choice(source, ("urlbar", "searchbar")),
            "default_search_engine": engine,
            "default_private_search_engine": engine,
            "sap": both(first.searches - side, second),
            "tagged_sap": both(np.maximum(first.tagged - side, 0), tagged),
            "tagged_follow_on": both(first.followed, none),
            "organic": both(first.organic, none),
            "search_with_ads": both(first.shown, none),
            "ad_click": both(first.clicks, none),
            "search_with_ads_organic": both(0 * first.shown, none),
            "ad_click_organic": both(0 * first.shown, none),
        }
    )


def _version(population: Population, clients: Indices, day: Days) -> Codes:
    version = np.zeros(len(clients), dtype=np.int8)
    delay, system = population.update_delay[clients], population.os[clients]
    for number, release in enumerate(VERSIONS):
        has = release.since + delay <= day
        if release.os is not None:
            has &= system == list(SYSTEMS).index(release.os)
        version[has] = number
    return version


def _locale(population: Population, clients: Indices) -> pa.DictionaryArray:
    names, places = np.unique(LOCALES, return_inverse=True)
    return columns.choice(places.astype(np.int8)[population.country[clients]], names.tolist())


def _windows_build(population: Population, clients: Indices) -> pa.Int64Array:
    build = np.where(population.windows_11[clients], 26100, 19045)
    return pa.array(build, mask=population.os[clients] != list(SYSTEMS).index("Windows_NT"))
