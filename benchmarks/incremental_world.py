"""The telemetry and the experiments of `benchmarks.incremental`, made from client numbers.

Each client is in two of the experiments, one of either half.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
from deltalake import write_deltalake

from sonde.experiment import Branch, EnrollmentsQueryType, Experiment, ExperimentRecord
from sonde.lake import Lake
from sonde.metric import (
    AnalysisBasis,
    AnalysisUnit,
    DataSource,
    Metric,
    StatisticDeclaration,
)
from sonde.plan.steps import enrollments_table
from sonde.window import Period

START = date(2026, 3, 2)
DAYS = 28
ENROLLING = 7  # days on which units enroll
EXPERIMENTS = 20
CLIENTS = 500_000

_SOURCE = DataSource("clients_daily", "`telemetry.clients_daily`")
METRICS = {
    "active_hours": "COALESCE(SUM(active_hours_sum), 0)",
    "searches": "COALESCE(SUM(search_count_all), 0)",
    "ad_clicks": "COALESCE(SUM(ad_clicks_count_all), 0)",
    "clicks_per_search": "SAFE_DIVIDE(SUM(ad_clicks_count_all), SUM(search_count_all))",
    "uris": "COALESCE(SUM(total_uri_count), 0)",
    "days_of_use": "COUNT(DISTINCT submission_date)",
    "days_of_much_use": "COUNTIF(active_hours_sum > 1)",
    "most_tabs": "COALESCE(MAX(max_tabs), 0)",
    "is_default": "COALESCE(LOGICAL_OR(is_default_browser), FALSE)",
    "memory": "COALESCE(AVG(memory_mb), 0)",
}


def slug(number: int) -> str:
    return f"experiment-{number:02}"


def experiments(count: int) -> list[Experiment]:
    statistic = (StatisticDeclaration("linear_model_mean", {"drop_highest": 0}),)
    metrics = tuple(
        Metric(name, _SOURCE, select, statistic, analysis_bases=(AnalysisBasis.ENROLLMENTS,))
        for name, select in METRICS.items()
    )
    return [
        Experiment(
            ExperimentRecord(
                slug(number),
                (Branch("control"), Branch("treatment-a"), Branch("treatment-b")),
                "control",
                START,
                START + timedelta(days=DAYS),
                START + timedelta(days=ENROLLING - 2),
            ),
            ENROLLING - 1,
            AnalysisUnit.CLIENT,
            EnrollmentsQueryType.NORMANDY,
            dict.fromkeys((Period.DAY, Period.WEEK, Period.OVERALL), metrics),
        )
        for number in range(count)
    ]


def write(folder: Path, clients: int, experiments: int = EXPERIMENTS) -> None:
    """Telemetry, and who is enrolled in which of the experiments."""
    half = experiments // 2
    duck = duckdb.connect()
    duck.execute(
        f"CREATE TABLE clients AS SELECT c, md5(c::VARCHAR) AS client_id, DATE '{START}'"
        f" + ((c // {half * half}) % {ENROLLING})::INTEGER AS enrolled,"
        f" c % {half} AS one, {half} + (c // {half}) % {half} AS other,"
        " ['control', 'treatment-a', 'treatment-b'][1 + (hash(c) % 3)::INTEGER] AS branch"
        f" FROM range({clients}) AS r(c)"
    )
    for rows in _days(duck):
        place = str(folder / "telemetry" / "clients_daily")
        write_deltalake(place, rows, partition_by=["submission_date"], mode="append")
    duck.execute(f"COPY clients TO '{folder}/clients.parquet' (FORMAT parquet)")


def _days(duck: duckdb.DuckDBPyConnection) -> Iterator[object]:
    for n in range(DAYS):
        chance = f"hash(c * 1000 + {n})"
        yield duck.sql(
            f"""SELECT DATE '{START + timedelta(days=n)}' AS submission_date, client_id,
  ({chance} % 40000) / 3600 AS active_hours_sum,
  CAST({chance} // 7 % 12 AS BIGINT) AS search_count_all,
  CAST({chance} // 11 % 3 AS BIGINT) AS ad_clicks_count_all,
  CAST({chance} // 13 % 300 AS BIGINT) AS total_uri_count,
  CAST({chance} // 17 % 40 AS BIGINT) AS max_tabs,
  {chance} % 5 = 0 AS is_default_browser,
  CAST({chance} // 19 % 64 * 512 AS DOUBLE) AS memory_mb,
  CAST({chance} // 23 % 100 AS INTEGER) AS sample_id,
  CAST({chance} // 29 % 10 AS INTEGER) AS crashes,
  'release' AS channel, ['DE', 'US', 'FR', 'IN'][1 + (c % 4)] AS country,
  CASE WHEN {chance} % 10 = 3 AND enrolled = DATE '{START + timedelta(days=n)}' THEN []
    ELSE [
      {{'key': printf('experiment-%02d', one), 'value': branch}},
      {{'key': printf('experiment-%02d', other), 'value': branch}}
    ] END AS experiments
FROM clients
WHERE {chance} // 31 % 100 < 60"""
        ).to_arrow_table()


def enroll(folder: Path, lake: Lake, declared: Experiment, number: int) -> None:
    """What the step of enrollments would have written."""
    rows = duckdb.sql(
        f"""SELECT client_id AS analysis_id, branch, enrolled AS enrollment_date,
  CAST(1 AS BIGINT) AS num_enrollment_events, CAST(NULL AS DATE) AS exposure_date,
  CAST(0 AS BIGINT) AS num_exposure_events, FALSE AS in_several_branches
FROM '{folder}/clients.parquet'
WHERE one = {number} OR other = {number}
ORDER BY 3, 1"""
    ).to_arrow_table()
    table = enrollments_table(declared)
    lake.commit(table, [lake.write(table.partition(), rows, "benchmark")])
