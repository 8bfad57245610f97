"""Other people's answers to the same questions, and exact ones."""

import csv
import math
from fractions import Fraction
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from sonde.stats.estimate import Estimate


def frame(units):
    """One row per unit, as mozanalysis takes them."""
    return pd.concat(
        [pd.DataFrame({"branch": branch, **columns}) for branch, columns in units.items()],
        ignore_index=True,
    )


def mozanalysis_rows(compared, ci_width=0.95):
    """mozanalysis' answer for one reference as {(branch, comparison): (point, lower, upper)}."""
    low, high = f"{(1 - ci_width) / 2:.3f}", f"{(1 + ci_width) / 2:.3f}"
    rows = {
        (branch, None): (one["mean"], one[low], one[high])
        for branch, one in compared["individual"].items()
    }
    kinds = {"difference": "abs_uplift", "relative_uplift": "rel_uplift"}
    for branch, both in compared["comparative"].items():
        for comparison, kind in kinds.items():
            of = both[kind]
            rows[branch, comparison] = (of["exp"], of[low], of[high])
    return rows


def rows_of(outcomes):
    """Outcomes as {(branch, comparison): (point, lower, upper)}, NaN for those not estimable."""
    return {
        (each.branch, each.comparison): (each.point, each.lower, each.upper)
        if isinstance(each, Estimate)
        else (math.nan,) * 3
        for each in outcomes
    }


def exact_linear_model(units, reference, grid_mean=None, ci_width=0.95):
    """Least squares in rational arithmetic: differences, and the log ratio by the delta method.

    units: {branch: (metric, covariate or None)}.
    """
    names = [reference, *(branch for branch in units if branch != reference)]
    design, target = [], []
    for branch in names:
        metric, covariate = units[branch]
        for i, y in enumerate(metric):
            dummies = [Fraction(branch == other) for other in names[1:]]
            row = [Fraction(1), *dummies]
            if covariate is not None:
                row.append(Fraction(float(covariate[i])))
            design.append(row)
            target.append(Fraction(float(y)))
    width = len(design[0])
    gram = [[sum(r[i] * r[j] for r in design) for j in range(width)] for i in range(width)]
    moment = [sum(r[i] * y for r, y in zip(design, target, strict=True)) for i in range(width)]
    inverse = _inverse(gram)
    beta = [sum(a * b for a, b in zip(row, moment, strict=True)) for row in inverse]
    residual = sum(
        (y - sum(a * b for a, b in zip(row, beta, strict=True))) ** 2
        for row, y in zip(design, target, strict=True)
    )
    freedom = len(target) - width
    variance = residual / freedom
    rows = {}
    t, z = stats.t.ppf((1 + ci_width) / 2, freedom), stats.norm.ppf((1 + ci_width) / 2)
    for place, branch in enumerate(names[1:], start=1):
        reach = t * math.sqrt(variance * inverse[place][place])
        point = float(beta[place])
        rows[branch, "difference"] = (point, point - reach, point + reach)
        at = [Fraction(1), *(Fraction(0) for _ in names[1:])]
        if grid_mean is not None:
            at.append(Fraction(grid_mean))
        moved = [value + (i == place) for i, value in enumerate(at)]
        low = sum(a * b for a, b in zip(at, beta, strict=True))
        high = sum(a * b for a, b in zip(moved, beta, strict=True))
        gradient = [m / high - a / low for m, a in zip(moved, at, strict=True)]
        spread = sum(
            gradient[i] * gradient[j] * inverse[i][j] for i in range(width) for j in range(width)
        )
        log_ratio, reach = math.log(high / low), z * math.sqrt(variance * spread)
        rows[branch, "relative_uplift"] = tuple(
            math.expm1(log_ratio + step) for step in (0, -reach, reach)
        )
    return rows


def _inverse(matrix):
    size = len(matrix)
    work = [[*row, *(Fraction(i == j) for j in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(i for i in range(column, size) if work[i][column] != 0)
        work[column], work[pivot] = work[pivot], work[column]
        work[column] = [value / work[column][column] for value in work[column]]
        for i in range(size):
            if i != column:
                factor = work[i][column]
                work[i] = [a - factor * b for a, b in zip(work[i], work[column], strict=True)]
    return [row[size:] for row in work]


def wine(column):
    """The wine recognition data of the UCI repository, as printed there: `ash` by cultivar."""
    return {branch: {column: np.array(WINE[branch])} for branch in WINE}


def further_wine(column):
    """The same wines' `alcohol` or `proline`, by cultivar; proline is a whole number."""
    with Path(__file__).with_name("wine.csv").open() as file:
        rows = list(csv.DictReader(file))
    kind = int if column == "proline" else float
    return {
        branch: {column: np.array([kind(r[column]) for r in rows if r["branch"] == branch])}
        for branch in ("1", "2", "3")
    }


def _numbers(text):
    return [float(number) for number in text.split()]


# Aeberhard & Forina (1991), UCI Machine Learning Repository, https://doi.org/10.24432/C5PC7J
WINE = {
    "1": _numbers(
        """2.43 2.14 2.67 2.5 2.87 2.45 2.45 2.61 2.17 2.27 2.3 2.32 2.41 2.39 2.38 2.7 2.72 2.62
        2.48 2.56 2.28 2.65 2.36 2.52 2.61 3.22 2.62 2.14 2.8 2.21 2.7 2.36 2.36 2.7 2.65 2.41 2.84
        2.55 2.1 2.51 2.31 2.12 2.59 2.29 2.1 2.44 2.28 2.12 2.4 2.27 2.04 2.6 2.42 2.68 2.25 2.46
        2.3 2.68 2.5"""
    ),
    "2": _numbers(
        """1.36 2.28 2.02 1.92 2.16 2.53 2.56 1.7 1.92 2.36 1.75 2.21 2.67 2.24 2.6 2.3 1.92 1.71
        2.23 1.95 2.4 2 2.2 2.51 2.32 2.58 2.24 2.31 2.62 2.46 2.3 2.32 2.42 2.26 2.22 2.28 2.2
        2.74 1.98 2.1 2.21 1.7 1.9 2.46 1.88 1.98 2.27 2.12 2.28 1.94 2.7 1.82 2.17 2.92 2.5 2.5
        2.2 1.99 2.19 1.98 2 2.42 3.23 2.73 2.13 2.39 2.17 2.29 2.78 2.3 2.38"""
    ),
    "3": _numbers(
        """2.32 2.4 2.4 2.36 2.25 2.2 2.54 2.64 2.19 2.61 2.7 2.35 2.72 2.35 2.2 2.15 2.23 2.48
        2.38 2.36 2.62 2.48 2.75 2.28 2.1 2.32 2.38 2.64 2.7 2.64 2.38 2.54 2.58 2.35 2.3 2.26 2.6
        2.3 2.69 2.86 2.32 2.28 2.48 2.45 2.48 2.26 2.37 2.74"""
    ),
}
