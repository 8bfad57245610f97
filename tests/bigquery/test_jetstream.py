"""Tables of units beside those that Jetstream's own queries give, in the same emulator."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from tests import browser
from tests.bigquery import test_tables as ours
from tests.bigquery.emulator import Emulator, fill_telemetry

pytestmark = pytest.mark.slow  # the library alone takes seconds to import
WEEK = ("2020-03-30", "2020-04-12", 0, 7, 7)


@pytest.fixture(scope="module")
def queries() -> dict[str, str]:
    """mozanalysis' queries of the same experiment, by the name of our table."""
    moz, metrics, segments = (
        import_module(f"mozanalysis.{name}") for name in ("experiment", "metrics", "segments")
    )
    seen = segments.SegmentDataSource("clients_last_seen", "mozdata.telemetry.clients_last_seen")
    regular = "COALESCE(LOGICAL_OR(is_regular_user_v3), FALSE)"
    segment = segments.Segment("regular_user_v3", seen, regular)
    daily = metrics.DataSource(
        "clients_daily", "mozdata.telemetry.clients_daily", experiments_column_type="simple"
    )
    hours = metrics.Metric("active_hours", daily, metrics.agg_sum("active_hours_sum"))
    experiment = moz.Experiment(browser.SLUG, "2020-03-30")
    limits = moz.TimeLimits.for_single_analysis_window(*WEEK)
    kind = moz.EnrollmentsQueryType.NORMANDY
    return {
        "enrollments_test_experiment": experiment.build_enrollments_query(
            limits, kind, segment_list=[segment]
        ),
        **{
            f"test_experiment_{basis.value}_clients_daily_week_1": experiment.build_metrics_query(
                [hours], limits, "theirs.enrollments_test_experiment", basis
            )
            for basis in metrics.AnalysisBasis
        },
    }


@pytest.fixture(scope="module")
def made(
    server: Emulator, queries: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Emulator:
    fill_telemetry(server)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        ours.run(ours.project(Path(tmp_path_factory.mktemp("ours")), "ours"))
    server.client.create_dataset("theirs", exists_ok=True, retry=None, timeout=10)
    for name, sql in queries.items():
        server.rows(f"CREATE OR REPLACE TABLE theirs.{name} AS {sql}")
    return server


@pytest.mark.parametrize(
    "name",
    [
        "enrollments_test_experiment",
        "test_experiment_enrollments_clients_daily_week_1",
        "test_experiment_exposures_clients_daily_week_1",
    ],
)
def test_the_same_columns_and_rows(made: Emulator, name: str) -> None:
    """Ours come last."""
    mine, theirs = (rows(made, f"{dataset}.{name}") for dataset in ("ours", "theirs"))
    columns = list(theirs[0])
    added = [c for c in mine[0] if c not in columns]
    assert added in (["in_several_branches"], ["clients_daily_has_rows"])
    assert list(mine[0]) == [*columns, *added]
    assert [tuple(row[c] for c in columns) for row in mine] == [
        tuple(pytest.approx(v) if isinstance(v, float) else v for v in row.values())
        for row in theirs
    ]


def rows(emulator: Emulator, table: str) -> list[dict[str, Any]]:
    return emulator.rows(f"SELECT * FROM {table} ORDER BY analysis_id, branch")
