"""Branches by the law of what is resampled: in closed form where that does, else by draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy  # its parts load when they are first used: a plan needs none of them

from sonde.stats import laws
from sonde.stats.counts import Floats
from sonde.stats.estimate import Failure, Interval, Measured, Reason
from sonde.stats.laws import Law
from sonde.stats.moments import Moments


@dataclass(frozen=True)
class Resampled:
    """The law of one branch's estimator.

    draws: from that law, where its cumulants do not give its quantiles or those of a ratio to it.
    is_odd: whether they do not give its own quantiles.
    baseline: why nothing can be relative to this branch, if so.
    """

    law: Law
    is_odd: bool = False
    draws: Floats | None = None
    baseline: Failure | None = None

    def drawn(self, like: Resampled) -> Floats:
        """Draws of this; in closed form, as many evenly spread ones as there are of the other."""
        if self.draws is not None:
            return self.draws
        size = 0 if like.draws is None else len(like.draws)
        spread: Floats = self.law.at(scipy.special.ndtri((np.arange(size) + 0.5) / size))
        return spread


@dataclass(frozen=True)
class Resampling:
    """Branches by their laws, to be asked for one or for two of them."""

    branches: Mapping[str, Resampled | Failure]
    ci_width: float

    def individual(self, branch: str) -> Measured:
        """The mean and the limits of its law."""
        own = self.branches[branch]
        if isinstance(own, Failure):
            return own
        if own.is_odd and own.draws is not None:
            return self._interval(own.law.mean, own.draws)
        return laws.individual(own.law, self.ci_width)

    def difference(self, branch: str, reference: str) -> Measured:
        """The difference and the limits of its law."""
        pair = self._pair(branch, reference)
        if isinstance(pair, Failure):
            return pair
        one, other = pair
        law = one.law.minus(other.law)
        if one.is_odd or other.is_odd:
            return self._interval(law.mean, one.drawn(other) - other.drawn(one))
        return laws.individual(law, self.ci_width)

    def relative_uplift(self, branch: str, reference: str) -> Measured:
        """The relative uplift and the limits of its law."""
        pair = self._pair(branch, reference)
        if isinstance(pair, Failure):
            return pair
        one, other = pair
        if other.baseline is not None:
            return other.baseline
        if other.law.is_far_from_zero and not (one.is_odd or other.is_odd):
            return laws.relative_uplift(one.law, other.law, self.ci_width)
        inverse = 1 / other.drawn(one)
        uplifts = one.drawn(other) * inverse - 1
        return self._interval(one.law.mean * float(inverse.mean()) - 1, uplifts)

    def _pair(self, branch: str, reference: str) -> tuple[Resampled, Resampled] | Failure:
        one, other = self.branches[branch], self.branches[reference]
        if isinstance(one, Failure):
            return one
        return other if isinstance(other, Failure) else (one, other)

    def _interval(self, point: float, draws: Floats) -> Interval:
        low, high = np.quantile(draws, laws.limits(self.ci_width))
        return Interval(point, float(low), float(high))


def unusable(branch: str, nulls: int, moments: Moments) -> Failure | None:
    """Why a branch cannot be resampled, if so."""
    if nulls:
        detail = f'branch "{branch}" has {nulls} nulls; pre-treat with remove_nulls'
        return Failure(Reason.NULL_VALUES, detail)
    if moments.n == 0:
        return Failure(Reason.NO_UNITS, f'branch "{branch}" has no units')
    if not moments.is_finite:
        return Failure(Reason.NOT_FINITE, f'branch "{branch}" has infinite values')
    return None
