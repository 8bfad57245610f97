"""The unit metrics behind some estimates: one row per unit, computed anew, never kept."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from sonde.errors import DataError
from sonde.metric import AnalysisBasis, DataSource, Segment
from sonde.plan.steps import Estimate, Step, columns_of
from sonde.run.frames import Frames, UnitTable
from sonde.sql.text import identifier
from sonde.sql.units import recorded_column, sanity
from sonde.warehouse.duckdb import Session
from sonde.warehouse.sources import Sources


def unit_metrics(
    steps: Sequence[Step], session: Session, sources: Sources, enrollments: Path
) -> pa.Table:
    """Units of one window of one basis, with the metrics of all of `steps`, ordered by id.

    Columns: analysis_id, branch, enrollment_date, num_enrollment_events, one per segment,
    analysis_window_start, analysis_window_end (days since enrollment, inclusive), exposure_date,
    num_exposure_events, one per metric, and per source whether its rows contradict the
    enrollments (see `sonde.sql.units.sanity`). Raises DataError when a metric fails.
    """
    actions = [step.action for step in steps if isinstance(step.action, Estimate)]
    first = actions[0]
    experiment, due = first.experiment, first.due
    frames = Frames(session, experiment)
    frames.enroll(str(enrollments))
    by_source: dict[str, DataSource] = {s.name: s for a in actions for s in a.sources}
    metrics = {m.name: m for a in actions for wanted in a.metrics for m in columns_of(wanted)}
    days = (due.first_data, due.last_data)
    signal = None
    if first.basis is AnalysisBasis.EXPOSURES and experiment.exposure_signal is not None:
        signal = frames.signal(sources, experiment.exposure_signal, [due])
    frames.attach(sources, by_source.values(), days)
    session.lock()
    enrolled = frames.whole_windows(first.basis, [due], signal)
    anchor = first.basis if signal is None else AnalysisBasis.ENROLLMENTS
    made: dict[str, UnitTable] = {}
    for name, source in by_source.items():
        own = [m for m in metrics.values() if m.data_source and m.data_source.name == name]
        rows = frames.load(source, own, days, recorded_column(source, experiment.slug))
        made[name] = frames.units(enrolled, rows, own, [due], anchor, sanity(source))
    for problem in frames.problems:
        raise DataError(f"{problem.metric}: {problem.message}", problem.sql)
    return session.arrow(_selected(experiment.segments, enrolled, made, by_source))


def _selected(
    segments: Sequence[Segment],
    enrolled: str,
    made: dict[str, UnitTable],
    sources: dict[str, DataSource],
) -> str:
    columns = [
        "e.analysis_id",
        "CAST(e.branch AS VARCHAR) AS branch",
        "e.enrollment_date",
        "e.num_enrollment_events",
    ]
    columns += [f"e.{identifier(s.name)}" for s in segments]
    columns += ["CAST(e.analysis_window_start AS INTEGER) AS analysis_window_start"]
    columns += ["CAST(e.analysis_window_end AS INTEGER) AS analysis_window_end"]
    columns += ["e.exposure_date", "e.num_exposure_events"]
    metrics: list[str] = []
    checks: list[str] = []
    joins = ""
    for i, (name, table) in enumerate(made.items()):
        checked = sanity(sources[name])
        joins += table.join(f"t{i}")
        for column in table.columns:
            target = checks if column in checked else metrics
            target.append(f"{table.value(column, f't{i}')} AS {identifier(column)}")
    return (
        f"SELECT {', '.join([*columns, *metrics, *checks])}\nFROM {enrolled} AS e{joins}\n"
        "ORDER BY e.analysis_id, e.branch"
    )
