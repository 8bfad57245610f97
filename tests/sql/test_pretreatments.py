"""Pre-treatments as SQL do to a column what they do to an array."""

from __future__ import annotations

import math
from collections import Counter
from datetime import date

import numpy as np
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sonde.metric import PreTreatment
from sonde.sql.pretreatments import Treatment
from sonde.stats.pretreatment import Keep, Quantile, apply, pre_treatment
from sonde.warehouse.duckdb import Limits, Session

STEPS = [
    PreTreatment("remove_nulls"),
    PreTreatment("remove_indefinites"),
    PreTreatment("censor_highest_values", {"fraction": 0.8}),
    PreTreatment("censor_lowest_values", {"fraction": 0.2}),
    PreTreatment("censor_values_below_threshold", {"threshold": 1}),
    PreTreatment("censor_values_above_threshold", {"threshold": 8}),
    PreTreatment("normalize_over_analysis_period"),
    PreTreatment("log", {"base": 2}),
    PreTreatment("zero_fill"),
]
VALUES = st.none() | st.integers(-2, 16).map(float) | st.just(math.inf)


@settings(deadline=None, max_examples=150)
@given(
    chain=st.lists(st.sampled_from(STEPS), min_size=1, max_size=4),
    values=st.lists(VALUES, min_size=1, max_size=12),
)
def test_chains_do_as_on_arrays(chain: list[PreTreatment], values: list[float | None]) -> None:
    steps = [pre_treatment(each.name, each.args, 7) for each in chain]
    numbers = np.array([math.nan if each is None else each for each in values])
    for depth, step in enumerate(steps):  # between a number and infinity lies no quantile
        is_quantile = isinstance(getattr(step, "bound", None), Quantile)
        left = apply(steps[:depth], {"x": numbers}, ["x"])["x"]
        assume(not (is_quantile and np.isinf(left).any()))
    wanted = apply(steps, {"x": numbers}, ["x"])["x"].tolist()
    treatment = Treatment("frame")
    column = treatment.column("x", chain, 7)
    with Session(date(2026, 1, 1), Limits()) as session:
        session.register("given", pa.table({"x": pa.array(values, pa.float64())}))
        session.execute("CREATE TEMP TABLE frame AS SELECT 1 AS __n, x FROM given")
        rows = session.rows(f'SELECT "{column}" FROM {treatment.relation()}')
    drops = any(isinstance(step, Keep) for step in steps)
    found = [math.nan if v is None else v for (v,) in rows if v is not None or not drops]
    assert _counted(found) == _counted(wanted)


def _counted(values: list[float]) -> Counter[str]:
    return Counter("null" if math.isnan(each) else f"{each + 0.0:.9g}" for each in values)
