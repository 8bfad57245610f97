"""One law for every engine: what it answers is what the arrays themselves give."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from sonde.account import Account
from sonde.metric import PreTreatment
from sonde.run.bigquery import answers
from sonde.run.bigquery.answers import ByQueries
from sonde.run.engine import Answers, DuckDB, Engine
from sonde.run.in_memory import InMemory
from sonde.run.score import Asked, Scorer
from sonde.run.summarise import Summariser
from sonde.sql.dialects import frame_column
from sonde.sql.pretreatments import Treatment
from sonde.sql.summaries import Frame
from sonde.stats.arrays import summarise
from sonde.stats.needs import (
    Clip,
    Columns,
    CountsOf,
    GridMeanOf,
    MomentsOf,
    Need,
    PairCountsOf,
    Scope,
    Summaries,
    TotalOf,
)
from sonde.stats.pretreatment import apply, pre_treatment
from sonde.stats.registry import statistic
from sonde.warehouse.bigquery import BigQuery
from sonde.warehouse.duckdb import Limits, Session
from tests.bigquery.emulator import DATASET, PROJECT, Emulator

ENGINES = ["in memory", "by queries", "in BigQuery"]
POOLED, EACH = Clip(0.9, Scope.POOLED), Clip(0.95, Scope.PER_BRANCH)
NEEDS: list[Need] = [
    MomentsOf(("m:hours",)),
    MomentsOf(("m:hours",), order=4),
    MomentsOf(("m:hours",), POOLED),
    MomentsOf(("m:clicks",), POOLED),
    MomentsOf(("m:clicks",), EACH),
    MomentsOf(("m:clicks", "c:week:hours"), EACH),
    TotalOf("m:hours"),
    TotalOf("m:clicks"),
    CountsOf("m:clicks"),
    CountsOf("m:hours"),
    PairCountsOf(("m:clicks", "m:hours")),
    GridMeanOf("c:week:hours", "m:clicks"),
    GridMeanOf("c:week:hours", "m:clicks", POOLED),
    GridMeanOf("c:week:hours", "m:clicks", EACH),
]


NAMES = ("__n", "branch", "m:clicks", "m:hours", "c:week:hours")


def rows() -> pa.Table:
    rng = np.random.default_rng(3)
    size = 400
    return pa.table(
        {
            "__n": pa.array([1] * size, pa.int32()),
            "branch": rng.choice(["a", "b", "c's"], size),
            "m:clicks": pa.array(rng.poisson(4, size)),
            "m:hours": pa.array(rng.lognormal(0, 1, size), mask=rng.random(size) < 0.1),
            "c:week:hours": pa.array(rng.lognormal(0, 1, size), mask=rng.random(size) < 0.1),
        }
    )


@pytest.fixture(scope="module")
def session():
    with Session(date(2026, 1, 1), Limits()) as opened:
        opened.register("units", rows())
        opened.execute("CREATE TEMP TABLE frame AS SELECT * FROM units")
        yield opened


@pytest.fixture(scope="module")
def bigquery(server: Emulator):
    table, client = rows(), server.client
    kinds = {"int32": "INT64", "int64": "INT64", "double": "FLOAT64", "string": "STRING"}
    columns = ", ".join(f"{frame_column(f.name)} {kinds[str(f.type)]}" for f in table.schema)
    client.create_dataset(DATASET, exists_ok=True, retry=None, timeout=10)
    server.rows(f"CREATE OR REPLACE TABLE {DATASET}.frame ({columns})")
    names = [frame_column(f.name).strip("`") for f in table.schema]
    plain = table.rename_columns(names).to_pylist()
    client.load_table_from_json(plain, f"{PROJECT}.{DATASET}.frame").result(retry=None)
    return BigQuery(Account(PROJECT, DATASET, emulator=server.url))


@pytest.fixture(params=ENGINES)
def asked(request: pytest.FixtureRequest) -> Callable[[Treatment], Answers]:
    """What finds the answers of a treatment's frame."""
    if request.param == "in BigQuery":
        return lambda t: next(ByQueries(of(request)).groups(t, [1], 1))[1](Frame(t.relation()))
    make = InMemory if request.param == "in memory" else Summariser
    return lambda t: make(request.getfixturevalue("session"), Frame(t.relation()))


def of(request: pytest.FixtureRequest) -> BigQuery:
    found: BigQuery = request.getfixturevalue("bigquery")
    return found


@pytest.fixture
def treatment(request: pytest.FixtureRequest) -> Treatment:
    engine: Engine
    if request.node.callspec.params["asked"] == "in BigQuery":
        engine = ByQueries(of(request))
        return engine.treatment(f"`{PROJECT}.{DATASET}.frame`")
    engine = DuckDB(request.getfixturevalue("session"))
    return engine.treatment("frame")


def units() -> dict[str, dict[str, Any]]:
    """As arrays: a null is NaN; whole numbers stay whole."""
    whole = {name: column.to_numpy() for name, column in zip(NAMES, rows().columns, strict=True)}
    branches = np.array(rows()["branch"].to_pylist())
    return {
        branch: {name: whole[name][branches == branch] for name in NAMES if name != "branch"}
        for branch in sorted(set(branches))
    }


@pytest.mark.parametrize("need", NEEDS, ids=str)
def test_answers(asked: Callable[[Treatment], Answers], treatment: Treatment, need: Need) -> None:
    found = asked(treatment)
    found.answer({1: [need]})
    ours, theirs = plain(need, found.summaries(1)), plain(need, summarise(need, units()))
    assert ours.keys() == theirs.keys()
    for branch, numbers in theirs.items():
        assert ours[branch] == about(numbers)


def plain(need: Need, of: Summaries) -> dict[str, list[float]]:
    """An answer as numbers, by branch."""
    match need:
        case GridMeanOf():
            return {"all": [of.grid_means[need]]}
        case MomentsOf():
            return {b: [m.n, *m.means, *m.central] for b, m in of.moments[need].items()}
        case TotalOf():
            return {b: [total.total] for b, total in of.totals[need].items()}
        case CountsOf():
            return {b: [*c.values, *c.counts] for b, c in of.counts[need].items()}
        case PairCountsOf():
            pairs = of.pair_counts[need].items()
            return {b: [*p.first, *p.second, *p.counts] for b, p in pairs}


def about(numbers: Any) -> Any:
    return pytest.approx(numbers, rel=1e-9)


CHAINS = [
    ["remove_nulls", "log"],
    ["zero_fill", "censor_highest_values"],
    ["censor_lowest_values", "normalize_over_analysis_period"],
    ["remove_indefinites"],
]


@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_pre_treatments(
    asked: Callable[[Treatment], Answers], treatment: Treatment, chain: list[str]
) -> None:
    given = [
        PreTreatment(name, {"fraction": 0.2} if "lowest" in name else {"fraction": 0.8})
        if "est_values" in name
        else PreTreatment(name)
        for name in chain
    ]
    column = treatment.column("m:hours", given, 7)
    need = MomentsOf((column,))
    found = asked(treatment)
    found.answer({1: [need]})
    names = np.array(rows()["branch"].to_pylist())
    table = {"branch": names, "x": rows()["m:hours"].to_numpy()}
    treated = apply([pre_treatment(p.name, p.args, 7) for p in given], table, ["x"])
    for branch in sorted(set(names)):
        values = treated["x"][treated["branch"] == branch]
        values = values[~np.isnan(values)]
        moments = found.summaries(1).moments[need][branch]
        assert moments.n == len(values)
        assert list(moments.means) == about([values.mean()])


def test_too_many_values_lose_what_asks_for_them(
    bigquery: BigQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deciles need them, a mean does not."""
    monkeypatch.setattr(answers, "MOST_VALUES", 10)
    experiment: Any = SimpleNamespace(branches=[SimpleNamespace(slug="a")], segments=[])
    engine = ByQueries(bigquery)
    scorer = Scorer(engine, experiment, "seed")
    asked = [
        Asked("hours", statistic(name, {}), Columns("m:hours"))
        for name in ("deciles", "linear_model_mean")
    ]
    scored = scorer.score(engine.treatment(f"`{PROJECT}.{DATASET}.frame`"), asked, [1])
    assert {row.statistic for row in scored} == {"mean_lm"}
    (problem,) = scorer.problems
    assert (problem.metric, problem.statistic) == ("hours", "deciles")
    assert "more than 10 of them, more than is fetched from BigQuery" in problem.message
