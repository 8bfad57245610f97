"""What newer declarations would change: everything but names for people."""

from __future__ import annotations

import dataclasses
from dataclasses import replace
from datetime import date
from typing import Any

import pytest

from sonde.experiment import EnrollmentsQueryType, Experiment, Outcome, Overrides
from sonde.metric import (
    AnalysisBasis,
    AnalysisUnit,
    DataSource,
    ExperimentsColumn,
    ExposureSignal,
    Metric,
    PreTreatment,
    Segment,
    SegmentDataSource,
    StatisticDeclaration,
)
from sonde.plan.changes import changes, revised
from sonde.plan.steps import in_force
from sonde.window import Period
from tests.plan.test_plan import CLICKS, CLIENTS, HOURS, RATIO, experiment

READ = SegmentDataSource("seen", "mozdata.telemetry.seen")
SEGMENT = Segment("regular", READ, "LOGICAL_OR(x)")
SIGNAL = ExposureSignal("ad", DataSource("ads", "a.ads"), "x > 0", "Ad", "Saw an ad", 0, 7)
WHOLE = experiment(segments=(SEGMENT,), exposure_signal=SIGNAL)

# Other values of each field. Of names for people, who may see it, and the record: none.
OTHER: dict[type, dict[str, Any]] = {
    Experiment: {
        "enrollment_period": 8,
        "analysis_unit": AnalysisUnit.PROFILE_GROUP,
        "enrollments_query_type": EnrollmentsQueryType.CIRRUS,
        "metrics": {Period.WEEK: (HOURS, CLICKS, RATIO)},
        "segments": (),
        "exposure_signal": None,
        "enrollment_query": "SELECT 1",
        "overrides": Overrides(start_date=date(2020, 1, 2)),
        "sample_size": 10,
    },
    Overrides: {
        "reference_branch": "treatment",
        "start_date": date(2020, 1, 2),
        "end_date": date(2020, 3, 1),
        "enrollment_period": None,
    },
    Metric: {
        "data_source": DataSource("other", "a.b"),
        "select_expression": "MAX(x)",
        "statistics": (StatisticDeclaration("binomial"),),
        "depends_on": (CLICKS,),
        "analysis_bases": (AnalysisBasis.EXPOSURES,),
        "analysis_units": (AnalysisUnit.PROFILE_GROUP,),
    },
    StatisticDeclaration: {
        "name": "binomial",
        "params": {"ci_width": 0.9},
        "pre_treatments": (PreTreatment("log"),),
    },
    DataSource: {
        "from_expression": "a.b",
        "client_id_column": "c",
        "group_id_column": "g",
        "submission_date_column": "d",
        "experiments_column": ExperimentsColumn.NONE,
        "default_dataset": "e",
        "analysis_units": (AnalysisUnit.PROFILE_GROUP,),
    },
    Segment: {"data_source": replace(READ, name="more"), "select_expression": "LOGICAL_AND(x)"},
    SegmentDataSource: {
        "from_expression": "a.b",
        "window_start": -7,
        "window_end": 7,
        "client_id_column": "c",
        "group_id_column": "g",
        "submission_date_column": "d",
        "default_dataset": "e",
    },
    ExposureSignal: {
        "data_source": DataSource("others", "a.others"),
        "select_expression": "x > 1",
        "window_start": 1,
        "window_end": 8,
    },
}
WITHOUT_EFFECT = {
    "name", "friendly_name", "description", "bigger_is_better", "type", "category", "owner",
    "deprecated", "level", "record", "outcomes", "is_private", "dataset_id", "skip",
}  # fmt: skip


def within(part: Any) -> Experiment:
    """The experiment with a part in place of its own."""
    match part:
        case Experiment():
            return part
        case Overrides():
            return replace(WHOLE, overrides=part)
        case Metric():
            return replace(WHOLE, metrics={**WHOLE.metrics, Period.DAY: (part,)})
        case StatisticDeclaration():
            return within(replace(HOURS, statistics=(part,)))
        case DataSource():
            metrics = {p: (replace(HOURS, data_source=part),) for p in (Period.DAY, Period.OVERALL)}
            hours = metrics[Period.DAY][0]
            ratio = replace(RATIO, depends_on=(hours, CLICKS))
            return replace(WHOLE, metrics={**metrics, Period.WEEK: (hours, CLICKS, ratio)})
        case Segment():
            return replace(WHOLE, segments=(part,))
        case SegmentDataSource():
            return within(replace(SEGMENT, data_source=part))
        case _:
            return replace(WHOLE, exposure_signal=part)


OF_THE_EXPERIMENT: dict[type, Any] = {
    Experiment: WHOLE,
    Overrides: WHOLE.overrides,
    Metric: HOURS,
    StatisticDeclaration: HOURS.statistics[0],
    DataSource: CLIENTS,
    Segment: SEGMENT,
    SegmentDataSource: READ,
    ExposureSignal: SIGNAL,
}


@pytest.mark.parametrize("kind", OTHER, ids=lambda kind: kind.__name__)
def test_every_field_counts_or_is_known_not_to(kind: type) -> None:
    part = OF_THE_EXPERIMENT[kind]
    fields = {field.name for field in dataclasses.fields(kind)}
    known_not_to = WITHOUT_EFFECT - {"name"} if kind is StatisticDeclaration else WITHOUT_EFFECT
    assert fields - known_not_to == OTHER[kind].keys()
    for name, value in OTHER[kind].items():
        if (kind, name) == (Overrides, "enrollment_period"):
            continue  # the experiment's own says it
        assert changes(WHOLE, within(replace(part, **{name: value}))), name
        assert changes(within(replace(part, **{name: value})), WHOLE), name


def test_nothing_has_changed() -> None:
    assert changes(WHOLE, within(WHOLE)) == ()
    assert changes(WHOLE, within(CLIENTS)) == ()


def test_names_for_people_do_not_count() -> None:
    named = replace(HOURS, friendly_name="Hours", description="..", bigger_is_better=False)
    outcome = Outcome("o", "O", "..", ("hours",))
    newest = replace(within(named), outcomes=(outcome,), is_private=True, dataset_id="d", skip=True)
    assert changes(WHOLE, newest) == ()


def test_what_has_changed_is_named_alone() -> None:
    """A source counts once, not again as a change of each of its metrics."""
    source = replace(CLIENTS, from_expression="a.b")
    assert changes(WHOLE, within(source)) == ('data source "clients_daily"',)
    fewer = {Period.WEEK: (HOURS,)}
    assert changes(WHOLE, replace(WHOLE, metrics=fewer)) == (
        'metric "hours"',
        'metric "clicks" is gone',
        'metric "ratio" is gone',
        'data source "events" is gone',
    )
    assert changes(replace(WHOLE, metrics=fewer), WHOLE)[-1] == 'data source "events" is new'


def test_revisions_of_what_is_used() -> None:
    now = in_force()
    assert revised(WHOLE, now) == ()
    then = {name: revision - 1 for name, revision in now.items()}
    said = revised(WHOLE, then)
    assert [each.partition(" (")[0] for each in said] == [
        "enrollments",
        "windows",
        'statistic "linear_model_mean"',
    ]
    assert revised(WHOLE, {}) == (), "what is not known to have been otherwise"
