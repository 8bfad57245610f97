"""p-values of several tests together."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from sonde.stats.counts import Floats


def holm(p: npt.ArrayLike) -> Floats:
    """Adjusted p-values: below alpha, each is found at a family-wise error of at most alpha.

    Holm 1979, "A simple sequentially rejective multiple test procedure": of m p-values the k-th
    smallest is multiplied by m - k + 1, and is no smaller than those before it. Holds for any
    dependence.

    >>> holm([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.06, 0.06]
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    steps = values[order] * np.arange(len(values), 0, -1)
    return _back(np.maximum.accumulate(steps), order)


def benjamini_hochberg(p: npt.ArrayLike) -> Floats:
    """Adjusted p-values: of those below alpha, a share of at most alpha is expected to be false.

    Benjamini and Hochberg 1995, "Controlling the false discovery rate": of m p-values the k-th
    smallest is multiplied by m / k, and is no larger than those after it. Holds for independent
    tests, and for those that depend positively on each other.

    >>> benjamini_hochberg([0.01, 0.04, 0.03]).tolist()
    [0.03, 0.04, 0.04]
    """
    values = _checked(p)
    order = np.argsort(values, kind="stable")
    steps = values[order] * len(values) / np.arange(1, len(values) + 1)
    return _back(np.minimum.accumulate(steps[::-1])[::-1], order)


def _checked(p: npt.ArrayLike) -> Floats:
    values = np.asarray(p, dtype=np.float64)
    if values.ndim != 1 or not np.all((values >= 0) & (values <= 1)):
        raise ValueError("p-values are numbers from 0 to 1")
    return values


def _back(steps: Floats, order: npt.NDArray[np.intp]) -> Floats:
    adjusted = np.empty_like(steps)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted
