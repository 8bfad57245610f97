"""What failed, and effects that are more likely a fault than an effect."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sonde.experiment import Experiment
from sonde.health import Check, Light, State
from sonde.metric import AnalysisBasis
from sonde.pages.words import listed, percent, plural, window
from sonde.run.health_rows import EVERYONE, Row, compared_rows
from sonde.stats.estimate import Comparison

TOO_GOOD = 0.5
TOO_GOOD_LIMIT = 0.25


def failure_checks(
    experiment: Experiment, rows: Sequence[Row], errors: Sequence[Row]
) -> Iterator[Check]:
    """Metrics that could not be computed, of those asked for."""
    asked = {metric.name for metrics in experiment.metrics.values() for metric in metrics}
    serious = [error for error in errors if error["log_level"] == "ERROR"]
    if not rows and not serious:
        note = "Nothing has been computed yet; checked with the first window."
        yield Check(Light.ERRORS, "failed_metrics", EVERYONE, State.UNCHECKED, "not yet", note)
        return
    failed = sorted({e["metric"] for e in serious if e["metric"]})
    whole = sorted({_step(e) for e in serious if not e["metric"] and not e["segment"]})
    segments = sorted({e["segment"] for e in serious if not e["metric"] and e["segment"]})
    lost = len(failed) + len(whole) + len(segments)
    state = State.LOOK if lost else State.FINE
    if not rows or "enrollments" in whole:
        state = State.STOP
    names = [*failed, *(f"all of {step}" for step in whole), *(f"segment {s}" for s in segments)]
    yield Check(
        light=Light.ERRORS,
        name="failed_metrics",
        scope=EVERYONE,
        state=state,
        figure=f"{len(failed)} of {len(asked)}" if failed or not whole else plural(lost, "failure"),
        note=f"Not computed: {listed(names)}." if names else "No metric failed.",
        value=float(lost),
        threshold=0.0,
        todo="See the errors for what failed, where, and what to write instead. The message goes "
        "with the first run that succeeds."
        if lost
        else "",
        detail={"failed": failed, "steps": whole, "segments": segments, "asked": len(asked)},
    )


def _step(error: Row) -> str:
    return str(error["data_source"] or "enrollments")


def implausible_checks(experiment: Experiment, rows: Sequence[Row]) -> Iterator[Check]:
    """Effects too good, or too bad, to be true."""
    looked = [
        row
        for basis in AnalysisBasis
        for row in compared_rows(experiment, rows, Comparison.RELATIVE_UPLIFT, basis)
        if row["analysis_period"] in {"overall", "days28", "week"}
    ]
    found: dict[str, Row] = {}
    for row in looked:
        beyond = row["lower"] > TOO_GOOD_LIMIT or row["upper"] < -TOO_GOOD_LIMIT
        if abs(row["point"]) > TOO_GOOD and beyond:
            had = found.get(row["metric"])
            if had is None or abs(row["point"]) > abs(had["point"]):
                found[row["metric"]] = row
    if not looked:
        yield Check(
            Light.ERRORS,
            "implausible_effect",
            EVERYONE,
            State.UNCHECKED,
            "not yet",
            "Nothing is compared yet; checked with the first estimate.",
        )
        return
    if not found:
        metrics = len({row["metric"] for row in looked})
        yield Check(
            Light.ERRORS,
            "implausible_effect",
            EVERYONE,
            State.FINE,
            f"0 of {metrics}",
            f"No metric changed by more than {percent(TOO_GOOD, 0, '')}.",
            0.0,
            TOO_GOOD,
        )
    for metric, row in found.items():
        yield _implausible(metric, row)


def _implausible(metric: str, row: Row) -> Check:
    limits = f"{percent(row['lower'], 0)} to {percent(row['upper'], 0)}"
    return Check(
        light=Light.ERRORS,
        name="implausible_effect",
        scope=metric,
        state=State.LOOK,
        figure=percent(row["point"], 0),
        note=f"{metric} changed by {percent(row['point'], 0)} ({limits}) in {row['branch']}, "
        f"{window(row['analysis_period'], row['window_index']).lower()}.",
        value=row["point"],
        threshold=TOO_GOOD,
        todo=(
            "Too good to be true: look for a fault first, as in events that only one branch "
            "sends, sends twice or sends under another name."
        ),
        detail={key: row[key] for key in ("analysis_basis", "branch", "point", "lower", "upper")},
    )
