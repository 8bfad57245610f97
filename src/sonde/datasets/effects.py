"""What the planted effects make of the clients' rates on a day."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from sonde.datasets.arrays import Flags, Floats, Indices
from sonde.datasets.lessons import Effect, Rate
from sonde.datasets.membership import Membership
from sonde.datasets.population import SYSTEMS, Population
from sonde.datasets.trials import Trial, number_of
from sonde.datasets.use import Multipliers

# The branch, by number, that all units of a trial, by number, are in: instead of their own.
World = Mapping[int, int]
AS_IT_WAS: World = {}


@dataclass(frozen=True)
class Effects:
    """The trials' effects on the clients who are in them."""

    trials: Sequence[Trial]
    memberships: Sequence[Membership]
    population: Population

    def multipliers(
        self,
        clients: Indices,
        day: int,
        world: World = AS_IT_WAS,
        rates: Collection[Rate] = tuple(Rate),
    ) -> Multipliers:
        """Of `rates`, for each of `clients` on `day`; units keep the branches not in `world`."""
        factors: dict[Rate, Floats | float] = dict.fromkeys(rates, 1.0)
        for trial, branch, effect in self._planted():
            if effect.rate in factors and trial.start < day < trial.stop:
                size = self._size(trial, branch, effect, clients, day, world)
                factors[effect.rate] = factors[effect.rate] * (1.0 + size)
        return factors

    def _planted(self) -> Iterator[tuple[Trial, int, Effect]]:
        for trial in self.trials:
            for branch, effects in trial.lesson.effects.items():
                for effect in effects:
                    yield trial, trial.branches.index(branch), effect

    def _size(
        self, trial: Trial, branch: int, effect: Effect, clients: Indices, day: int, world: World
    ) -> Floats:
        under = self._under(trial.number, branch, clients, day, world)
        if effect.partner is not None:
            under = under & self._under(*number_of(effect.partner), clients, day, world)
        if effect.os is not None:
            under = under & (self.population.os[clients] == list(SYSTEMS).index(effect.os))
        size = np.where(under, effect.size, 0.0)
        if effect.half_life is not None:
            since = day - self.memberships[trial.number].enrolled[clients] - 1
            size *= np.exp2(np.maximum(since, 0) / -effect.half_life)
        return size

    def _under(self, number: int, branch: int, clients: Indices, day: int, world: World) -> Flags:
        membership = self.memberships[number]
        under = (membership.exposed[clients] < day) & (day < membership.left[clients])
        branches = world.get(number, membership.branch[clients])
        there: Flags = under & (branches == branch)
        return there
