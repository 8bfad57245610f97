"""Whether the branches were alike before enrollment."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sonde.experiment import Experiment
from sonde.health import Check, Light, State
from sonde.pages.words import listed
from sonde.run.health_rows import EVERYONE, Row, about, compared_rows, p_of, reference_of
from sonde.run.health_split import p_words
from sonde.stats.estimate import Comparison
from sonde.stats.multiplicity import holm
from sonde.window import Period

BEFORE_LOOK = 0.05
BEFORE_STOP = 0.001


def before_checks(experiment: Experiment, rows: Sequence[Row]) -> Iterator[Check]:
    """Whether the branches were alike before enrollment."""
    compared = [
        each
        for each in compared_rows(experiment, rows, Comparison.DIFFERENCE)
        if Period(each["analysis_period"]).is_preenrollment
    ]
    if not compared:
        yield Check(
            Light.BEFORE,
            "before_period",
            EVERYONE,
            State.UNCHECKED,
            "not yet",
            _no_before(experiment),
        )
        return
    listed_at = {
        metric.name: place
        for metrics in experiment.metrics.values()
        for place, metric in enumerate(metrics)
    }
    compared.sort(key=lambda each: listed_at.get(each["metric"], len(listed_at)))
    p = [p_of(each) for each in compared]
    yield _before(experiment, compared, p, holm(p).tolist(), rows)


def _no_before(experiment: Experiment) -> str:
    asked = [p for p, metrics in experiment.metrics.items() if p.is_preenrollment and metrics]
    if not asked:
        return (
            "No metric is asked for before enrollment. List some under preenrollment_weekly in "
            "[metrics], and this is checked by the next run."
        )
    return "No estimate from before enrollment is stored yet; checked when the first one is."


def _before(
    experiment: Experiment,
    compared: Sequence[Row],
    p: Sequence[float],
    adjusted: Sequence[float],
    rows: Sequence[Row],
) -> Check:
    least = min(adjusted)
    state = State.FINE if least >= BEFORE_LOOK else State.LOOK
    state = State.STOP if least < BEFORE_STOP else state
    differ = {e["metric"] for e, q in zip(compared, adjusted, strict=True) if q < BEFORE_LOOK}
    metrics = {each["metric"] for each in compared}
    found = f"{listed(sorted(differ))} differed already" if differ else "No metric differed already"
    return Check(
        light=Light.BEFORE,
        name="before_period",
        scope=EVERYONE,
        state=state,
        figure=f"{len(differ)} of {len(metrics)}",
        note=f"{found}; the smallest p after Holm's correction over {len(compared)} is "
        f"{p_words(least).removeprefix('p = ').removeprefix('p ')}.",
        value=least,
        threshold=BEFORE_STOP,
        todo=_before_todo(state),
        detail={
            "reference": reference_of(experiment),
            "rows": _before_rows(experiment, compared, p, adjusted, rows),
        },
    )


def _before_todo(state: State) -> str:
    if state is State.STOP:
        return (
            "Do not read the effects: the branches were different before the change could act. "
            "Look at the split, at who is enrolled when, and at earlier experiments on the same "
            "units; then start again with another random split."
        )
    if state is State.LOOK:
        return (
            "Chance does this in 1 of 20 experiments. Read estimates that are adjusted for the "
            "time before enrollment (covariate_adjustment), and distrust those that are not."
        )
    return ""


def _before_rows(
    experiment: Experiment,
    compared: Sequence[Row],
    p: Sequence[float],
    adjusted: Sequence[float],
    rows: Sequence[Row],
) -> list[dict[str, object]]:
    """What the forest shows, a row a metric, period and branch."""
    relative = {about(r): r for r in compared_rows(experiment, rows, Comparison.RELATIVE_UPLIFT)}
    found = []
    for each, one, all_ in zip(compared, p, adjusted, strict=True):
        change = relative.get(about(each))
        found.append(
            {
                "metric": each["metric"],
                "period": each["analysis_period"],
                "branch": each["branch"],
                **{key: each[key] for key in ("point", "lower", "upper")},
                **{
                    f"relative_{key}": None if change is None else change[key]
                    for key in ("point", "lower", "upper")
                },
                "p": one,
                "adjusted_p": all_,
            }
        )
    return found
