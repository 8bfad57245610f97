"""The queries that mozanalysis writes translate and run, whatever the kind of enrollment."""

from __future__ import annotations

from pathlib import Path

import mozanalysis.experiment as moz
import pytest
from mozanalysis.metrics import AnalysisBasis, DataSource, Metric
from mozanalysis.segments import Segment, SegmentDataSource

from sonde.sql import query
from tests.sql.sweep import fill_for
from tests.sql.tree import items

HUB = Path(__file__).parent / "hub"
START, END = "2024-01-05", "2024-01-20"
SEGMENT = Segment(
    name="regular",
    data_source=SegmentDataSource(name="seen", from_expr="`p.telemetry.clients_last_seen`"),
    select_expr="COALESCE(LOGICAL_OR(is_regular_user_v3), FALSE)",
)


def limits(start: int, days: int, last: int) -> moz.TimeLimits:
    return moz.TimeLimits.for_single_analysis_window(START, END, start, days, last)


@pytest.mark.parametrize("kind", list(moz.EnrollmentsQueryType), ids=lambda kind: kind.value)
def test_enrollments(duck, kind):
    experiment = moz.Experiment("some-slug", START, app_id="org_mozilla_firefox")
    text = experiment.build_enrollments_query(limits(0, 7, 7), kind, segment_list=[SEGMENT])
    fill_for(duck, text)
    duck.execute(query(text).sql).fetchall()


@pytest.mark.parametrize("basis", list(AnalysisBasis), ids=lambda basis: basis.value)
@pytest.mark.parametrize("column", ["simple", "native", "glean", "events_stream", None])
def test_metrics(duck, column, basis):
    relation = (
        "(SELECT *, DATE(submission_timestamp) AS submission_date FROM `p.app.pings`)"
        if column == "glean"
        else "`p.telemetry.rows`"
    )
    source = DataSource(name="rows", from_expr=relation, experiments_column_type=column)
    metrics = [
        Metric(name="hours", data_source=source, select_expr="COALESCE(SUM(hours), 0)"),
        Metric(name="days", data_source=source, select_expr="COUNT(DISTINCT ds.submission_date)"),
    ]
    text = moz.Experiment("some-slug", START).build_metrics_query(
        metrics, limits(0, 7, 7), "p.results.enrollments", basis
    )
    fill_for(duck, text)
    found = duck.execute(query(text).sql)
    names = [described[0] for described in found.description]
    assert {"analysis_id", "branch", "hours", "days"} <= set(names)
    assert found.fetchall()


@pytest.mark.parametrize(
    "item", [i for i in items(HUB) if i.kind == "metric" and i.source], ids=lambda i: i.name
)
def test_metrics_of_the_own_tree_in_its_queries(duck, item):
    """The way Jetstream would ask for them, joins, windows and all."""
    source = DataSource(
        name="rows",
        from_expr=item.source.relation,
        client_id_column=item.source.client_id_column,
        submission_date_column=item.source.date_column,
        experiments_column_type=None,
    )
    if not item.source.date_column.isidentifier():
        pytest.skip("monitoring alone takes an expression for the date")
    metric = Metric(name="metric", data_source=source, select_expr=item.text)
    text = moz.Experiment("some-slug", START).build_metrics_query(
        [metric], limits(0, 7, 7), "p.results.enrollments"
    )
    fill_for(duck, text)
    assert duck.execute(query(text).sql).fetchall()
