"""Our measurements of the scorecard, each in a process of its own.

    python -m benchmarks.scorecard_parts PART FILE [METRIC,.. [STATISTIC,..]]

prints a line of JSON: CPU seconds of the imports and of what follows, peak MB, what was found.
"""

from __future__ import annotations

import functools
import itertools
import json
import math
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow.parquet as pq
import scipy.special  # here: statistics load it when they first need it

from benchmarks.scorecard_units import BRANCHES, COLUMNS, METRICS
from sonde.run.summarise import Summariser
from sonde.sql.summaries import Frame
from sonde.stats.linear import LinearModel
from sonde.stats.needs import Columns, MomentsOf, Need
from sonde.stats.registry import statistic
from sonde.stats.statistic import Statistic
from sonde.warehouse.duckdb import Limits, Session

_CELL = 1
_CHUNK = 250_000

Found = dict[str, Any]
Asked = tuple[Statistic, Columns]


def spent() -> float:
    """CPU seconds so far, with those of processes that were waited for."""
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def key(metric: str, kind: str, each: Any) -> str:
    """What a number is of, alike for ours and for Jetstream's."""
    parameter = None if each.parameter is None else round(float(each.parameter), 6)
    versus = f"{each.comparison} to {each.comparison_to_branch}" if each.comparison else "-"
    return f"{metric} | {kind} | {each.branch} | {versus} | {parameter}"


def floor(path: Path) -> Found:
    """The sums of the twenty columns: nobody reads them for less."""
    connection = duckdb.connect(config={"threads": 1, "memory_limit": "1GB"})
    sums = ", ".join(
        f"sum({name}::DOUBLE)" if name.startswith("retained") else f"sum({name})"
        for name in COLUMNS
    )
    row = connection.execute(f"SELECT {sums} FROM '{path}'").fetchone()
    return dict(zip(COLUMNS, map(float, row or ()), strict=True))


def sums(path: Path) -> Found:
    """Ten adjusted comparisons of three branches from power sums alone."""
    units = _summariser(path)
    needs = {name: MomentsOf((name, f"{name}_pre")) for name in METRICS}
    units.answer({_CELL: list(needs.values())})
    found: Found = {}
    for name, need in needs.items():
        moments = units.summaries(_CELL).moments[need]
        rows = sum(each.n for each in moments.values())
        centre = math.fsum(each.n * each.means[1] for each in moments.values()) / rows
        model = LinearModel.fit(moments, 0.95, centre)
        for branch in BRANCHES[1:]:
            difference = model.difference(branch, BRANCHES[0])
            found[f"{name} {branch}"] = [difference.point, difference.lower, difference.upper]
    return found


def _summariser(path: Path) -> Summariser:
    session = Session(date.min, Limits())
    session.execute(
        f"CREATE VIEW units AS SELECT {_CELL}::INTEGER AS __n, * FROM read_parquet('{path}')"
    )
    return Summariser(session, Frame("units", places=4, cell=_CELL))


def statistics(path: Path, metrics: Sequence[str], kinds: Sequence[str]) -> Found:
    """All references. As a read-out goes about it: for all what is small, by metric what is not."""
    units = _summariser(path)
    by_metric: dict[str, list[Asked]] = {
        name: [(statistic(kind, {}), Columns(name, f"{name}_pre")) for kind in kinds]
        for name in metrics
    }
    _gather(units, itertools.chain(*by_metric.values()), units.bulky)
    found: Found = {}
    for name, asked in by_metric.items():
        _gather(units, asked, lambda _: set())
        known = units.summaries(_CELL)
        for made, columns in asked:
            rng = np.random.default_rng(0)
            for each in made.estimates(columns, known, BRANCHES, BRANCHES, rng):
                limits = [getattr(each, part, None) for part in ("point", "lower", "upper")]
                found[key(name, made.name, each)] = limits
        units.forget(units.bulky(known.counts))
    return found


def _gather(
    units: Summariser, asked: Iterable[Asked], leave: Callable[[Iterable[Need]], set[Need]]
) -> None:
    """Until all needs are answered but those to leave."""
    asked = list(asked)
    while True:
        known = units.summaries(_CELL)
        missing = [n for made, of in asked for n in known.missing(made.needs(of, known))]
        left = leave(missing)
        wanted = [need for need in dict.fromkeys(missing) if need not in left]
        if not wanted:
            return
        units.answer({_CELL: wanted})


def direct(path: Path) -> Found:
    """Adjusted differences with Student's limits, by QR of the rows, chunk by chunk."""
    file = pq.ParquetFile(path)
    found: Found = {}
    for name in METRICS:
        chunks = file.iter_batches(_CHUNK, columns=["branch", name, f"{name}_pre"])
        whole = np.linalg.qr(np.vstack([_triangle(each, name) for each in chunks]), mode="r")
        inverse = np.linalg.inv(whole[:-1, :-1])
        points, covariance = inverse @ whole[:-1, -1], inverse @ inverse.T
        freedom = file.metadata.num_rows - len(BRANCHES) - 1
        variance = whole[-1, -1] ** 2 / freedom
        student = float(scipy.special.stdtrit(freedom, 0.975))
        for i, branch in enumerate(BRANCHES[1:], 1):
            reach = student * math.sqrt(variance * covariance[i, i])
            found[f"{name} {branch}"] = [points[i], points[i] - reach, points[i] + reach]
    return found


def _triangle(chunk: Any, name: str) -> Any:
    branch = chunk["branch"].to_numpy(zero_copy_only=False)
    columns = [np.ones(len(branch)), *((branch == each) * 1.0 for each in BRANCHES[1:])]
    columns += [chunk[c].to_numpy(zero_copy_only=False) * 1.0 for c in (f"{name}_pre", name)]
    return np.linalg.qr(np.column_stack(columns), mode="r")


def main(part: str, file: str, *rest: str) -> None:
    path = Path(file)
    parts: dict[str, Callable[[], Found]] = {
        "floor": functools.partial(floor, path),
        "sums": functools.partial(sums, path),
        "statistics": functools.partial(statistics, path, *(each.split(",") for each in rest)),
        "direct": functools.partial(direct, path),
    }
    imports = spent()
    found = parts[part]()
    cpu = spent() - imports
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"imports": imports, "cpu": cpu, "peak": peak, "found": found}))


if __name__ == "__main__":
    main(*sys.argv[1:])
