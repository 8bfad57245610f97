"""What a client does on an active day, at given multipliers of its rates.

A value is a function of the day's draws and of multipliers, and does not fall as its multiplier
rises. So a unit's day as it was and the same day in another branch differ by the effect alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from sonde.datasets.arrays import Arrays, Counts, Flags, Floats, Indices
from sonde.datasets.draws import bits, logit, lower, upper
from sonde.datasets.lessons import Rate
from sonde.datasets.population import Population, day_keys

TICKS_AN_HOUR = 720  # active use is counted in ticks of five seconds
LONGEST_DAY = 20.0  # hours
IDLE = 0.05  # share of active days on which the browser is open, but not used
TWICE = 0.003  # share of rows that are received twice

Multipliers: TypeAlias = Mapping[Rate, Floats | float]


@dataclass(frozen=True)
class Chance(Arrays):
    """What chance decides about one day of some clients, whatever their branches are.

    hours, pages, searches, clicks, startup: each client's mean of the day. round_*: where a mean
    is rounded up; so a count's expectation is the mean, and zeros are common.
    """

    hours: Floats
    pages: Floats
    searches: Floats
    clicks: Floats
    startup: Floats
    round_pages: Floats
    round_searches: Floats
    round_shown: Floats
    round_clicks: Floats
    round_crashes: Floats
    twice: Flags


@dataclass(frozen=True)
class Use(Arrays):
    """What was done on one day; one array each over the same clients."""

    ticks: Counts
    pages: Counts
    searches: Counts
    tagged: Counts
    followed: Counts
    organic: Counts
    shown: Counts
    clicks: Counts
    startup: Counts
    crashes: Counts
    twice: Flags


def chance(seed: int, population: Population, clients: Indices, day: int) -> Chance:
    """Draw one day of `clients`."""
    keys = day_keys(population.key[clients], day)
    use, search = bits(seed, "use", keys), bits(seed, "search", keys)
    pages, clicks = bits(seed, "pages", keys), bits(seed, "clicks", keys)
    machine = bits(seed, "machine", keys)
    idle = lower(use) < IDLE
    hours = np.where(idle, 0.0, population.hours[clients] * np.exp(0.3 * logit(upper(use))))
    noise = np.exp(0.25 * logit(upper(pages)))
    return Chance(
        hours=hours,
        pages=population.pages[clients] * hours * noise,
        searches=population.searches[clients] * np.sqrt(hours) * -np.log(upper(search)),
        clicks=population.clicks[clients],
        startup=population.startup[clients] * np.exp(0.12 * logit(upper(machine))),
        round_pages=lower(pages),
        round_searches=lower(search),
        round_shown=upper(clicks),
        round_clicks=lower(clicks),
        round_crashes=lower(machine),
        twice=lower(bits(seed, "twice", keys)) < TWICE,
    )


def ticks(chance: Chance, multipliers: Multipliers) -> Counts:
    """Ticks of active use."""
    hours = np.minimum(chance.hours * multipliers[Rate.HOURS], LONGEST_DAY)
    return _floor(hours * TICKS_AN_HOUR)


def pages(chance: Chance, multipliers: Multipliers) -> Counts:
    """Pages opened."""
    return _floor(chance.pages * multipliers[Rate.PAGES] + chance.round_pages)


def searches(chance: Chance, multipliers: Multipliers) -> Counts:
    """Searches begun in the browser's own fields."""
    return _floor(chance.searches * multipliers[Rate.SEARCHES] + chance.round_searches)


def shown(chance: Chance, multipliers: Multipliers) -> Counts:
    """Searches that showed ads."""
    return _floor(0.4 * searches(chance, multipliers) + chance.round_shown)


def clicks(chance: Chance, multipliers: Multipliers) -> Counts:
    """Clicks on ads."""
    mean = chance.clicks * shown(chance, multipliers) * multipliers[Rate.AD_CLICKS]
    return _floor(mean + chance.round_clicks)


def startup(chance: Chance, multipliers: Multipliers) -> Counts:
    """Milliseconds from start to the first paint."""
    return _floor(chance.startup * multipliers[Rate.STARTUP])


def use(chance: Chance, multipliers: Multipliers) -> Use:
    """One day at given multipliers."""
    searched = searches(chance, multipliers)
    tagged = _floor(0.8 * searched + chance.round_clicks)
    return Use(
        ticks=ticks(chance, multipliers),
        pages=pages(chance, multipliers),
        searches=searched,
        tagged=tagged,
        followed=_floor(0.15 * tagged + chance.round_crashes),
        organic=_floor(0.2 * searched + chance.round_pages),
        shown=shown(chance, multipliers),
        clicks=clicks(chance, multipliers),
        startup=startup(chance, multipliers),
        crashes=_floor(0.02 * chance.hours + chance.round_crashes),
        twice=chance.twice,
    )


def _floor(values: Floats) -> Counts:
    return values.astype(np.int32)  # towards zero, and no value is below it
