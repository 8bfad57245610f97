"""Whether units were split over branches as designed: a test that may be looked at every day."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special  # not scipy.stats, which takes more than a second to load

from sonde.stats.counts import Floats

# How firmly a prior holds the shares to the design: about 5, 1.6, 0.5, 0.16 and 0.05 points at
# 50 : 50. A mixture of tests is a test, so large early and small late deviations are both found.
CONCENTRATIONS = (1e2, 1e3, 1e4, 1e5, 1e6)
# Half of the stake is on the whole time, the rest on a fault that begins on a later day.
_WHOLE = 0.5
_LARGEST = 690.0  # exp(-690) is about 1e-300: a float holds little less
_HALVINGS = 40  # of a unit interval: to 1e-12


@dataclass(frozen=True, eq=False)
class SampleRatio:
    """The test day by day. Arrays of one entry a day, or of (days, branches).

    shares: of all units so far; NaN before the first. log_e: the logarithm of the e-value.
    p: valid whenever one looks, 1 / (the largest e-value so far). lower, upper: the band in which
    each branch's share stays on all days with a probability of at least 1 - alpha, if the split is
    as designed; leaving it with two branches means p <= alpha. since: the day, from 0, on which
    the deviation most likely began.
    """

    shares: Floats
    log_e: Floats
    p: Floats
    lower: Floats
    upper: Floats
    since: int

    def first_below(self, alpha: float) -> int | None:
        """The first day, from 0, with p below alpha."""
        found = np.flatnonzero(self.p < alpha)
        return int(found[0]) if found.size else None


def sample_ratio(counts: npt.ArrayLike, ratios: npt.ArrayLike, alpha: float = 0.001) -> SampleRatio:
    """Test whether units come in proportion to `ratios`. counts: new units by (day, branch).

    >>> balanced = sample_ratio([[500, 510], [480, 470]], [1, 1])
    >>> float(balanced.p[-1]), balanced.first_below(0.001)
    (1.0, None)
    >>> broken = sample_ratio([[500, 510], [480, 470], [500, 300], [520, 330]], [1, 1])
    >>> broken.first_below(0.001), broken.since
    (2, 2)
    """
    made, design = _checked(counts, ratios)
    starts = _log_starts(made, design)
    cumulative = made.cumsum(axis=0)
    total = cumulative.sum(axis=1, keepdims=True)
    with np.errstate(invalid="ignore"):
        shares = cumulative / total
    log_e = _mixed(starts)
    lower, upper = band(total, design, alpha / len(design))
    return SampleRatio(
        shares=shares,
        log_e=log_e,
        p=always_valid_p(log_e),
        lower=lower,
        upper=upper,
        since=int(np.argmax(starts[-1] + _log_stakes(len(made))[0])) if len(made) else 0,
    )


def log_e_values(counts: npt.ArrayLike, ratios: npt.ArrayLike) -> Floats:
    """The logarithm of the e-value by day: (.., days, branches) -> (.., days).

    An e-value is how much a bet against the design would have multiplied its stake. The bet on
    units since a day s is a Dirichlet-multinomial Bayes factor (Lindon and Malek 2022,
    "Anytime-valid inference for multinomial count data"): with design shares t and n_i units, of
    n in all,

        B_c(n) = G(c) / G(c + n) * prod_i G(c t_i + n_i) / (G(c t_i) t_i ^ n_i)

    for the gamma function G, averaged over CONCENTRATIONS c. Half of the stake is on s = the
    first day; a share of 1 / (2 (s - 1) s) is on each day s = 2, 3, .. and untouched until then,
    so that a fault that begins late is not diluted by the good days before it. Under the design
    the sum is a martingale that starts from 1: it ever reaches 1 / alpha with a probability of at
    most alpha (Ville's inequality), however often one looks.
    """
    return _mixed(_log_starts(*_checked(counts, ratios)))


def always_valid_p(log_e: Floats) -> Floats:
    """1 / (the largest e-value so far), at most 1 and never 0, along the last axis.

    >>> always_valid_p(np.log([0.5, 20.0, 10.0])).round(3).tolist()
    [1.0, 0.05, 0.05]
    """
    best = np.maximum(np.maximum.accumulate(log_e, axis=-1), 0.0)
    p: Floats = np.exp(-np.minimum(best, _LARGEST))
    return p


def chi_square_p(counts: npt.ArrayLike, ratios: npt.ArrayLike) -> float:
    """The p-value for one look, planned beforehand: Pearson's chi-square test. NaN of no units.

    counts: by branch.

    >>> round(chi_square_p([5_000, 5_200], [1, 1]), 4)
    0.0477
    """
    made = np.asarray(counts, dtype=np.float64)
    design = _shares(ratios)
    if not made.sum():
        return float("nan")
    expected = made.sum() * design
    return _above(float(((made - expected) ** 2 / expected).sum()), len(made) - 1)


def homogeneity_p(successes: npt.ArrayLike, units: npt.ArrayLike) -> float:
    """The p-value that a share is the same in all branches: Pearson's chi-square test, one look.

    NaN where no unit, or every unit, is a success.

    >>> round(homogeneity_p([50, 70], [1_000, 1_000]), 4)
    0.0597
    """
    yes, total = np.asarray(successes, dtype=np.float64), np.asarray(units, dtype=np.float64)
    share = yes.sum() / total.sum() if total.sum() else 0.0
    if share in {0.0, 1.0}:
        return float("nan")
    held = total > 0
    yes, total = yes[held], total[held]
    statistic = (((yes - total * share) ** 2) / (total * share * (1 - share))).sum()
    return _above(float(statistic), len(total) - 1)


def _above(statistic: float, freedom: int) -> float:
    """How often a chi-square variable is larger; NaN where there is nothing to compare."""
    return float(special.chdtrc(freedom, statistic)) if freedom else float("nan")


def band(totals: npt.ArrayLike, share: npt.ArrayLike, alpha: float) -> tuple[Floats, Floats]:
    """The shares that one branch may have of so many units before it is against the design.

    Where the bet on the whole time, of this branch against the rest, stays below 2 / alpha: as
    half of the stake is on it, beyond the band the e-value is above 1 / alpha. It is narrow for
    many units, and [0, 1] for very few. totals, share: arrays that go together.

    >>> lower, upper = band([10, 1_000, 100_000], 0.5, 0.001)
    >>> np.round(upper - lower, 3).tolist()
    [1.0, 0.151, 0.015]
    """
    n, planned = np.broadcast_arrays(
        np.asarray(totals, dtype=np.float64), np.asarray(share, dtype=np.float64)
    )
    design = np.stack([planned, 1 - planned], axis=-1)
    limit = np.log(1 / (_WHOLE * alpha))

    def is_beyond(x: Floats) -> npt.NDArray[np.bool_]:
        counts = np.stack([x, 1 - x], axis=-1) * n[..., np.newaxis]
        beyond: npt.NDArray[np.bool_] = _log_bet(counts, design) >= limit
        return beyond

    # The bet is convex in the share and smallest near the design: one end to either side of it.
    outside = np.stack([np.zeros_like(n), np.ones_like(n)])
    lower, upper = _edge(is_beyond, np.stack([planned, planned]), outside)
    return lower, upper


def _edge(
    is_beyond: Callable[[Floats], npt.NDArray[np.bool_]], inside: Floats, outside: Floats
) -> Floats:
    """Where `is_beyond` begins between two ends; `outside` itself where it does not."""
    reached = is_beyond(outside)
    a, b = inside, outside
    for _ in range(_HALVINGS):
        middle = (a + b) / 2
        beyond = is_beyond(middle)
        a, b = np.where(beyond, a, middle), np.where(beyond, middle, b)
    edge: Floats = np.where(reached, a, outside)
    return edge


def _checked(counts: npt.ArrayLike, ratios: npt.ArrayLike) -> tuple[Floats, Floats]:
    made = np.asarray(counts, dtype=np.float64)
    design = _shares(ratios)
    if made.ndim < 2 or made.shape[-1] != len(design):
        raise ValueError(f"counts by day and {len(design)} branches are of shape {made.shape}")
    return made, design


def _shares(ratios: npt.ArrayLike) -> Floats:
    parts = np.asarray(ratios, dtype=np.float64)
    if parts.ndim != 1 or len(parts) < 2 or not np.all(parts > 0):
        raise ValueError(f"ratios are two or more positive numbers; not {parts.tolist()}")
    shares: Floats = parts / parts.sum()
    return shares


def _log_bet(counts: Floats, design: Floats) -> Floats:
    """The logarithm of the mean of B_c over the concentrations: (.., branches) -> (..)."""
    n = counts.sum(axis=-1)
    expected = (counts * np.log(design)).sum(axis=-1)
    bets = []
    for c in CONCENTRATIONS:
        of_branches = special.gammaln(c * design + counts) - special.gammaln(c * design)
        bets.append(
            special.gammaln(c) - special.gammaln(c + n) + of_branches.sum(axis=-1) - expected
        )
    mean: Floats = np.logaddexp.reduce(bets, axis=0) - np.log(len(CONCENTRATIONS))
    return mean


def _log_starts(counts: Floats, design: Floats) -> Floats:
    """The bet begun on each day as it stands on each day: (.., day, begun); 0 before it begins."""
    days = counts.shape[-2]
    cumulative = counts.cumsum(axis=-2)
    bets = np.zeros((*counts.shape[:-1], days))
    for begun in range(days):
        before = cumulative[..., begun - 1 : begun, :] if begun else 0.0
        bets[..., begun:, begun] = _log_bet(cumulative[..., begun:, :] - before, design)
    return bets


def _log_stakes(days: int) -> tuple[Floats, float]:
    """What is staked on each day as the first, and what is left for those yet to come."""
    later = np.arange(2, days + 1, dtype=np.float64)
    stakes = np.concatenate([[_WHOLE], (1 - _WHOLE) / (later * (later - 1))])[:days]
    return np.log(stakes), float(np.log((1 - _WHOLE) / max(days, 1)))


def _mixed(bets: Floats) -> Floats:
    days = bets.shape[-1]
    stakes, kept = _log_stakes(days)
    terms = np.concatenate([bets + stakes, np.full((*bets.shape[:-1], 1), kept)], axis=-1)
    mixed: Floats = np.logaddexp.reduce(terms, axis=-1)
    return mixed
