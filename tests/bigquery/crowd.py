"""A hundred units, with all that makes their numbers differ; the same rows for both warehouses.

Some have no rows, some no value, some are in both branches; some rows of the first day do not carry
the experiment. Values are halves and quarters: sums of them are exact, in whatever order.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
from deltalake import write_deltalake

from tests import browser
from tests.bigquery.emulator import DATASET, PROJECT, Emulator

UNITS = 100

DEFINITIONS = """
[metrics.hours]
data_source = "clients_daily"
select_expression = "SUM(active_hours_sum)"

[metrics.clicks]
data_source = "clients_daily"
# The emulator, unlike BigQuery, adds whole numbers to a NUMERIC.
select_expression = "CAST(COALESCE(SUM(clicks), 0) AS INT64)"

[metrics.used]
data_source = "clients_daily"
select_expression = "COUNT(DISTINCT submission_date) > 2"

[metrics.rows_seen]
data_source = "clients_daily"
select_expression = "COUNT(*)"

[metrics.hours_per_day]
data_source = "clients_daily"
select_expression = "SAFE_DIVIDE(SUM(active_hours_sum), COUNTIF(active_hours_sum > 0))"

[metrics.seen]
data_source = "clients_last_seen"
select_expression = "COALESCE(SUM(active_hours_sum), 0)"

[metrics.share]
depends_on = ["hours", "seen"]
analysis_bases = ["enrollments"]

[data_sources.clients_daily]
from_expression = "mozdata.telemetry.clients_daily"
experiments_column_type = "simple"

[data_sources.clients_last_seen]
from_expression = \"\"\"(
  SELECT * FROM mozdata.telemetry.clients_last_seen WHERE client_id IS NOT NULL
)\"\"\"
experiments_column_type = "none"

[segments.regular_user_v3]
data_source = "clients_last_seen"
select_expression = '{{agg_any("is_regular_user_v3")}}'

[segments.data_sources.clients_last_seen]
from_expression = "mozdata.telemetry.clients_last_seen"
"""

EXPERIMENT = """
[experiment]
segments = ["regular_user_v3"]

[experiment.exposure_signal]
name = "clicked"
friendly_name = "Clicked"
description = "Clicked more than four times on a day"
data_source = "clients_daily"
select_expression = "clicks > 4"
window_start = "enrollment_start"
window_end = "analysis_window_end"

[metrics]
weekly = ["hours", "clicks", "used", "rows_seen", "hours_per_day", "share"]

[metrics.hours.statistics.linear_model_mean.covariate_adjustment]
metric = "hours"
period = "preenrollment_week"

[metrics.hours.statistics.deciles]
[metrics.hours.statistics.bootstrap_mean]
num_samples = 100

[metrics.clicks.statistics.linear_model_mean]
[metrics.clicks.statistics.empirical_cdf]
[metrics.clicks.statistics.sum]
[metrics.used.statistics.binomial]
[metrics.rows_seen.statistics.linear_model_mean]
drop_highest = 0

[metrics.hours_per_day.statistics.linear_model_mean]
pre_treatments = ["remove_nulls", {name = "censor_highest_values", fraction = 0.9}, "log"]

[metrics.share.statistics.population_ratio]
numerator = "hours"
denominator = "seen"
"""


def tables() -> dict[str, pa.Table]:
    rng = np.random.default_rng(11)
    units = [f"u{i:03}" for i in range(UNITS)]
    enrolled = {u: browser.day(3, 30) + timedelta(days=int(rng.integers(0, 7))) for u in units}
    branches = {u: {f"branch{rng.integers(1, 3)}"} for u in units}
    for unit in units[:3]:
        branches[unit] = {"branch1", "branch2"}
    return {
        "events": _events(units, enrolled, branches, rng),
        "clients_daily": _daily(units, enrolled, rng),
        "clients_last_seen": _last_seen(units, rng),
    }


def _events(units, enrolled, branches, rng) -> pa.Table:
    rows = []
    for unit in units:
        for branch in sorted(branches[unit]):
            rows.append((enrolled[unit], unit, "enroll", {"branch": branch}))
            if rng.random() < 0.6:
                day = min(
                    enrolled[unit] + timedelta(days=int(rng.integers(0, 4))), browser.day(4, 5)
                )
                rows.append((max(day, enrolled[unit]), unit, "expose", {"branchSlug": branch}))
    return pa.table(
        {
            "submission_date": pa.array([r[0] for r in rows], pa.date32()),
            "client_id": [r[1] for r in rows],
            "profile_group_id": [r[1] for r in rows],
            "event_category": ["normandy"] * len(rows),
            "event_method": [r[2] for r in rows],
            "event_string_value": [browser.SLUG] * len(rows),
            "event_map_values": pa.array(
                [[{"key": k, "value": v} for k, v in r[3].items()] for r in rows], browser.MAP
            ),
            "sample_id": [1] * len(rows),
        }
    )


def _daily(units, enrolled, rng) -> pa.Table:
    rows = []
    for unit in units[:-9]:  # the last have no rows at all
        for n in range(20):
            day = browser.day(3, 24) + timedelta(days=n)
            if rng.random() < 0.5:
                hours = None if rng.random() < 0.2 else float(rng.integers(0, 40)) / 4
                carries = day >= enrolled[unit] and rng.random() < 0.8
                rows.append((day, unit, hours, int(rng.poisson(3)), carries))
    slug = {"key": browser.SLUG, "value": "branch1"}
    return pa.table(
        {
            "submission_date": pa.array([r[0] for r in rows], pa.date32()),
            "client_id": [r[1] for r in rows],
            "profile_group_id": [r[1] for r in rows],
            "active_hours_sum": pa.array([r[2] for r in rows], pa.float64()),
            "clicks": [r[3] for r in rows],
            "experiments": pa.array([[slug] if r[4] else [] for r in rows], browser.MAP),
        }
    )


def _last_seen(units, rng) -> pa.Table:
    rows = [
        (browser.day(3, 30) + timedelta(days=n), unit, float(rng.integers(1, 20)) / 2)
        for unit in units
        for n in range(14)
    ]
    return pa.table(
        {
            "submission_date": pa.array([r[0] for r in rows], pa.date32()),
            "client_id": [r[1] for r in rows],
            "profile_group_id": [r[1] for r in rows],
            "active_hours_sum": [r[2] for r in rows],
            "is_regular_user_v3": [r[1] > "u049" for r in rows],
        }
    )


def write_project(folder: Path, experiment: str = EXPERIMENT, more: str = "") -> Path:
    """Of one week, which is over."""
    browser.write_project(folder, experiment, DEFINITIONS, endDate="2020-04-12")
    with (folder / "sonde.toml").open("a") as file:
        file.write(more)
    return folder


def write_tables(folder: Path) -> None:
    for name, rows in tables().items():
        path = str(folder / "lake" / "telemetry" / name)
        write_deltalake(
            path, rows, partition_by=["submission_date"], mode="overwrite", schema_mode="overwrite"
        )


def fill(emulator: Emulator) -> None:
    projects = {"events": "moz-fx-data-shared-prod"}
    for name, rows in tables().items():
        emulator.fill(f"{projects.get(name, 'mozdata')}.telemetry.{name}", rows)


def warehouse(dataset: str = DATASET, more: str = "") -> str:
    """The part of sonde.toml."""
    return f'[warehouse]\nkind = "bigquery"\nproject = "{PROJECT}"\ndataset = "{dataset}"\n{more}'
