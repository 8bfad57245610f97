"""The plan: the same for the same declarations and data, and empty when all is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest

from sonde.errors import ConfigError
from sonde.experiment import Branch, EnrollmentsQueryType, Experiment, ExperimentRecord
from sonde.metric import (
    AnalysisBasis,
    AnalysisUnit,
    DataSource,
    ExperimentsColumn,
    Metric,
    StatisticDeclaration,
)
from sonde.plan.checks import Reason
from sonde.plan.plan import Plan, plan
from sonde.plan.select import active, analysis_dates, candidates, effective_date, named
from sonde.plan.steps import Enroll, Step
from sonde.sql import TableName
from sonde.table import Partition, Receipt
from sonde.window import Period

START = date(2020, 1, 1)
MEAN = StatisticDeclaration("linear_model_mean")
CLIENTS = DataSource("clients_daily", "mozdata.telemetry.clients_daily")
EVENTS = DataSource("events", "mozdata.telemetry.events", experiments_column=ExperimentsColumn.NONE)
HOURS = Metric("hours", CLIENTS, "SUM(hours)", (MEAN,))
CLICKS = Metric("clicks", EVENTS, "COUNT(*)", (MEAN,))
RATIO = Metric("ratio", statistics=(MEAN,), depends_on=(HOURS, CLICKS))


def experiment(**changes: object) -> Experiment:
    record = ExperimentRecord(
        "exp", (Branch("control"), Branch("treatment")), "control", START, date(2020, 2, 1)
    )
    whole = Experiment(
        record,
        7,
        AnalysisUnit.CLIENT,
        EnrollmentsQueryType.NORMANDY,
        {Period.DAY: (HOURS,), Period.WEEK: (HOURS, CLICKS, RATIO), Period.OVERALL: (HOURS,)},
    )
    return replace(whole, **changes)  # type: ignore[arg-type]


def still(tables: Iterable[TableName], first: date | None, last: date | None) -> str:
    """Data that never change."""
    return "v"


def planned(as_of: date, versions: object = still, **changes: object) -> Plan:
    return plan([experiment(**changes)], as_of, versions)  # type: ignore[arg-type]


def receipts(steps: Iterable[Step]) -> dict[Partition, Receipt]:
    return {
        step.output: Receipt(step.output, step.fingerprint, "f", 1, 1, 0, step.marks)
        for step in steps
    }


END = date(2020, 2, 1)


def test_the_plan_of_a_finished_project_is_empty() -> None:
    first = planned(END)
    assert first.stale({}) == first.steps
    assert first.stale(receipts(first.steps)) == ()


def test_the_same_declarations_give_the_same_plan() -> None:
    assert planned(END) == planned(END)


def test_enrollments_come_first_and_everything_reads_them() -> None:
    enroll, *estimates = planned(END).steps
    assert isinstance(enroll.action, Enroll)
    assert all(step.inputs == (enroll.output,) for step in estimates)
    assert len({step.output for step in estimates}) == len(estimates)


def test_the_next_day_adds_the_new_windows_and_renews_the_partial_ones() -> None:
    before, after = planned(date(2020, 1, 17)), planned(date(2020, 1, 18))
    stale = after.stale(receipts(before.steps))
    periods = [(s.output.key[2], s.output.key[3], s.marks[0]) for s in stale]
    assert {p for p in periods if p[2] == "complete"} == {("day", "11", "complete")}
    assert {p[0] for p in periods if p[2] == "partial"} == {"day", "week", "overall"}


def test_an_earlier_date_replaces_nothing() -> None:
    done = receipts(planned(END).steps)
    assert planned(date(2020, 1, 21)).stale(done) == ()


def test_late_rows_recompute_the_windows_that_hold_their_day() -> None:
    late = date(2020, 1, 15)

    def arrived(tables: Iterable[TableName], first: date | None, last: date | None) -> str:
        holds = (first or date.min) <= late <= (last or date.max)
        return "late" if holds else "v"

    done = receipts(planned(END).steps)
    stale = planned(END, arrived).stale(done)
    days = {int(s.output.key[3]) for s in stale if s.output.key and s.output.key[2] == "day"}
    assert days == set(range(8, 16)), "enrolled from 01-01 to 01-08: day 8 to day 15 hold 01-15"


def test_a_changed_metric_recomputes_only_its_source() -> None:
    done = receipts(planned(END).steps)
    changed = replace(CLICKS, select_expression="COUNT(x)")
    stale = planned(
        END, metrics={Period.DAY: (HOURS,), Period.WEEK: (HOURS, changed), Period.OVERALL: (HOURS,)}
    ).stale(done)
    assert {step.output.key[-1] for step in stale} == {"events"}


def test_names_for_people_recompute_nothing() -> None:
    done = receipts(planned(END).steps)
    renamed = replace(HOURS, friendly_name="Hours", description="..", bigger_is_better=False)
    metrics = {
        Period.DAY: (renamed,),
        Period.WEEK: (renamed, CLICKS, replace(RATIO, depends_on=(renamed, CLICKS))),
        Period.OVERALL: (renamed,),
    }
    assert planned(END, metrics=metrics).stale(done) == ()


def test_what_is_no_longer_asked_for_is_removed() -> None:
    done = receipts(planned(END).steps)
    fewer = planned(END, metrics={Period.DAY: (HOURS,)})
    gone = fewer.obsolete(done)
    assert {p.key[2] for p in gone} == {"week", "overall"}
    assert planned(date(2020, 1, 20)).obsolete(done) == (), "an earlier date removes nothing"


def test_results_settle_a_week_after_the_end() -> None:
    changed = {Period.OVERALL: (replace(HOURS, select_expression="SUM(x)"),)}
    done = receipts(planned(END, metrics={Period.OVERALL: (HOURS,)}).steps)
    assert planned(END + timedelta(days=7), metrics=changed).stale(done) != ()
    assert planned(END + timedelta(days=8), metrics=changed).stale(done) == ()


def test_a_ratio_reads_the_sources_of_its_parts() -> None:
    sources = {step.output.key[-1] for step in planned(END).steps if step.output.key}
    assert sources == {"population", "clients_daily", "events", "clients_daily+events"}


def test_a_basis_that_no_metric_has_is_not_computed() -> None:
    only = replace(HOURS, analysis_bases=(AnalysisBasis.EXPOSURES,))
    steps = planned(END, metrics={Period.WEEK: (only,)}).steps
    assert {step.output.key[1] for step in steps if step.output.key} == {"exposures"}


@pytest.mark.parametrize(
    ("record", "changes", "reason"),
    [
        ({"slug": ""}, {}, Reason.NO_SLUG),
        ({}, {"skip": True}, Reason.SKIPPED),
        ({"is_high_population": True}, {}, Reason.HIGH_POPULATION),
        ({"is_rollout": True}, {}, Reason.ROLLOUT),
        ({}, {"enrollment_period": 0}, Reason.NO_ENROLLMENT_PERIOD),
        ({}, {"enrollment_period": -3}, Reason.DATES_OUT_OF_ORDER),
        ({"start_date": None}, {}, Reason.NO_START_DATE),
        ({"start_date": date(2021, 1, 1), "end_date": None}, {}, Reason.NOT_STARTED),
        ({"end_date": date(2020, 1, 5)}, {}, Reason.ENROLLMENT_TOO_LONG),
        ({"end_date": date(2019, 1, 5)}, {}, Reason.DATES_OUT_OF_ORDER),
        ({"branches": ()}, {}, Reason.NO_BRANCHES),
        ({"reference_branch": "x"}, {}, Reason.NO_CONTROL),
    ],
)
def test_checks(record: dict[str, object], changes: dict[str, object], reason: Reason) -> None:
    whole = experiment(**changes)
    made = plan([replace(whole, record=replace(whole.record, **record))], END, still)  # type: ignore[arg-type]
    assert made.steps == ()
    assert [left.reason for left in made.skipped] == [reason]
    assert str(made.skipped[0]).endswith(made.skipped[0].message)


def test_a_step_is_made_by_its_statistics_too() -> None:
    done = receipts(planned(END).steps)
    narrower = replace(HOURS, statistics=(replace(MEAN, params={"drop_highest": 0.0}),))
    metrics = {**experiment().metrics, Period.OVERALL: (narrower,)}
    stale = planned(END, metrics=metrics).stale(done)
    assert {(s.output.key[2], s.output.key[-1]) for s in stale} == {("overall", "clients_daily")}


# Which experiments a run is about.

COOL = ExperimentRecord(
    "my_cool_experiment", start_date=date(2020, 1, 1), end_date=date(2021, 2, 1)
)
OTHER = ExperimentRecord(
    "distracting_experiment", start_date=date(2020, 1, 1), end_date=date(2020, 12, 31)
)


def resolved(record: ExperimentRecord) -> Experiment:
    return replace(experiment(), record=record)


def selected(as_of: date, *experiments: Experiment, started: Iterable[str] = ()) -> list[str]:
    kept = {r.slug for r in candidates([e.record for e in experiments], as_of)}
    known = [e for e in experiments if e.slug in kept]
    return [e.slug for e in active(known, as_of, set(started))]


def test_all_experiments_of_a_date() -> None:
    both = [resolved(COOL), resolved(OTHER)]
    assert selected(date(2020, 10, 28), *both) == ["my_cool_experiment", "distracting_experiment"]
    assert selected(date(2021, 1, 15), *both) == ["my_cool_experiment"]


def test_an_experiment_that_is_over_is_left_alone_unless_its_configuration_prolongs_it() -> None:
    over = resolved(COOL)
    assert selected(date(2021, 2, 15), over) == []
    prolonged = replace(over, overrides=replace(over.overrides, end_date=date(2021, 3, 1)))
    assert selected(date(2021, 2, 15), prolonged) == ["my_cool_experiment"]


def test_what_a_missed_run_left_undone_is_made_up_for() -> None:
    over = resolved(COOL)
    assert selected(date(2021, 2, 15), over, started=[COOL.slug]) == ["my_cool_experiment"]
    assert selected(date(2021, 6, 1), over, started=[COOL.slug]) == []


def test_rollouts_and_unknown_types_are_no_candidates() -> None:
    rollout = replace(COOL, is_rollout=True)
    strange = replace(COOL, type="strange")
    assert candidates([rollout, strange, COOL], date(2020, 5, 1)) == [COOL]


def test_named_experiments() -> None:
    assert named([COOL, OTHER], [OTHER.slug]) == [OTHER]
    with pytest.raises(ConfigError, match='no experiment "x"'):
        named([COOL], ["x"])


def test_dates_of_a_rerun() -> None:
    assert len(analysis_dates(date(2020, 1, 1), COOL.end_date, date(2020, 12, 31))) == 366
    assert analysis_dates(date(2020, 1, 1), COOL.end_date, date(2022, 12, 31))[-1] == date(
        2021, 2, 2
    )
    assert analysis_dates(date(2020, 5, 1), date(2020, 5, 5), date(2020, 5, 1)) == [
        date(2020, 5, 1)
    ]
    assert len(analysis_dates(date(2020, 5, 1), None, date(2020, 5, 5))) == 5


def test_a_holdback_stands_still_between_reruns() -> None:
    asked = datetime(2020, 4, 9, 5, tzinfo=UTC)
    holdback = replace(COOL, do_rerun=True, do_rerun_timestamp=asked)
    assert effective_date(COOL, date(2020, 5, 1)) == date(2020, 5, 1)
    assert effective_date(holdback, date(2020, 5, 1)) == date(2020, 4, 8)
    assert effective_date(holdback, date(2020, 4, 1)) == date(2020, 4, 1)
