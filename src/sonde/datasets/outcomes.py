"""Each unit's outcomes in every branch of its experiment, from the same draws."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from sonde.datasets import use
from sonde.datasets.arrays import Codes, Counts, Days, Flags, Floats, Indices
from sonde.datasets.effects import Effects
from sonde.datasets.lessons import Rate
from sonde.datasets.membership import NEVER
from sonde.datasets.population import SYSTEMS
from sonde.datasets.trials import DAYS, Trial, trial
from sonde.datasets.truth import EVERYONE, LessonTruth, TrueEffect
from sonde.datasets.use import Chance, Multipliers
from sonde.metric import AnalysisBasis
from sonde.window import Window

SEGMENTS = dict(zip(("windows", "macos", "linux"), SYSTEMS, strict=True))


class Form(enum.Enum):
    """How a unit's rows become its one number."""

    TOTAL = "total"
    MEAN = "mean"


@dataclass(frozen=True)
class Measure:
    """A metric as the sources show it.

    in_clients_daily: rows come from `clients_daily`, where some come twice, and where a row of
    the enrollment date only counts if it names the experiment. rates: those that move it.
    """

    value: Callable[[Chance, Multipliers], Counts]
    rates: frozenset[Rate]
    form: Form = Form.TOTAL
    in_clients_daily: bool = True


MEASURES: Mapping[str, Measure] = {
    "active_hours": Measure(use.ticks, frozenset({Rate.HOURS})),
    "uri_count": Measure(use.pages, frozenset({Rate.PAGES})),
    "search_count": Measure(use.searches, frozenset({Rate.SEARCHES}), in_clients_daily=False),
    "ad_clicks": Measure(
        use.clicks, frozenset({Rate.SEARCHES, Rate.AD_CLICKS}), in_clients_daily=False
    ),
    "startup_time": Measure(use.startup, frozenset({Rate.STARTUP}), Form.MEAN),
}


def touched(trial: Trial, trials: Sequence[Trial]) -> tuple[str, ...]:
    """The metrics that a trial's branches change, on their own or together with another's."""
    own = [effect for effects in trial.lesson.effects.values() for effect in effects]
    shared = [
        effect
        for other in trials
        for effects in other.lesson.effects.values()
        for effect in effects
        if effect.partner is not None and effect.partner.experiment == trial.slug
    ]
    rates = {effect.rate for effect in (*own, *shared)}
    return tuple(name for name, measure in MEASURES.items() if measure.rates & rates)


class Outcomes:
    """Sums of one trial's units, by week since enrollment and since exposure.

    Of each metric an array of bases, branches, units and weeks, and one with the number of rows.
    """

    def __init__(self, trial: Trial, effects: Effects) -> None:
        self.trial = trial
        self._effects = effects
        membership = effects.memberships[trial.number]
        self.units = np.flatnonzero(
            membership.counted & (membership.enrolled <= trial.last_enrollment)
        )
        self._place = np.full(len(effects.population), -1)
        self._place[self.units] = np.arange(len(self.units))
        self.anchors: dict[AnalysisBasis, Days] = {
            AnalysisBasis.ENROLLMENTS: membership.enrolled[self.units],
            AnalysisBasis.EXPOSURES: membership.exposed[self.units],
        }
        self.metrics = touched(trial, effects.trials)
        self._rates = {rate for metric in self.metrics for rate in MEASURES[metric].rates}
        shape = (len(AnalysisBasis), len(trial.branches), len(self.units), trial.weeks)
        self.sums = {metric: np.zeros(shape) for metric in self.metrics}
        self.rows = {metric: np.zeros(shape[:1] + shape[2:]) for metric in self.metrics}

    def add(self, day: int, clients: Indices, chance: Chance, lateness: Codes) -> None:
        """Add a day's activity of `clients`, as it would have been in each branch."""
        if not self.trial.start - 3 <= day < self.trial.last_enrollment + 7 * self.trial.weeks:
            return
        mine = np.flatnonzero(self._place[clients] >= 0)
        place, received = self._place[clients[mine]], day + lateness[mine].astype(np.int16)
        chance, clients = chance.take(mine), clients[mine]
        worlds = [
            self._effects.multipliers(clients, day, {self.trial.number: branch}, self._rates)
            for branch in range(len(self.trial.branches))
        ]
        for metric in self.metrics:
            measure = MEASURES[metric]
            weight = np.ones(len(clients))
            if measure.in_clients_daily:
                enrolled = self.anchors[AnalysisBasis.ENROLLMENTS][place]
                weight = (1 + chance.twice) * ~((received == enrolled) & (day < enrolled))
            values = np.array([measure.value(chance, world) for world in worlds])
            self._add(metric, place, received, weight, values)

    def _add(
        self, metric: str, place: Indices, received: Days, weight: Floats, values: Counts
    ) -> None:
        for number, basis in enumerate(AnalysisBasis):
            since = received - self.anchors[basis][place]
            within = (since >= 0) & (since < 7 * self.trial.weeks) & (received < DAYS)
            units, weeks = place[within], since[within] // 7
            self.rows[metric][number, units, weeks] += weight[within]
            self.sums[metric][number][:, units, weeks] += weight[within] * values[:, within]

    def true_effects(self) -> Iterator[TrueEffect]:
        """All that is known of the trial, by metric, basis, window, group of units and branch."""
        groups = list(self._groups())
        for metric in self.metrics:
            for basis in AnalysisBasis:
                for window in self.trial.windows():
                    values = self.values(metric, basis, window)
                    there = (self.anchors[basis] != NEVER) & ~np.isnan(values[0])
                    for segment, partner, group in groups:
                        blank = TrueEffect(
                            experiment=self.trial.slug,
                            metric=metric,
                            window=window,
                            basis=basis,
                            branch="",
                            control=self.trial.branches[0],
                            segment=segment,
                            partner=partner,
                            units=int((there & group).sum()),
                            relative=0.0,
                        )
                        yield from self._filled(blank, values[:, there & group])

    def _filled(self, blank: TrueEffect, values: Floats) -> Iterator[TrueEffect]:
        """One effect per treatment; none where there is nothing to be relative to."""
        totals = values.sum(axis=1)
        for branch, total in zip(self.trial.branches[1:], totals[1:], strict=True):
            if totals[0] > 0:
                relative = round(float(total / totals[0] - 1), 12)
                yield replace(blank, branch=branch, relative=relative)

    def values(self, metric: str, basis: AnalysisBasis, window: Window) -> Floats:
        """One number per branch and unit; NaN where a unit has no row to take a mean of."""
        weeks = slice(window.start // 7, window.stop // 7)
        number = list(AnalysisBasis).index(basis)
        sums: Floats = self.sums[metric][number, :, :, weeks].sum(axis=2)
        if MEASURES[metric].form is Form.TOTAL:
            return sums
        rows = self.rows[metric][number, :, weeks].sum(axis=1)
        means: Floats = np.divide(sums, rows, out=np.full_like(sums, np.nan), where=rows > 0)
        return means

    def _groups(self) -> Iterator[tuple[str, str | None, Flags]]:
        yield EVERYONE, None, np.ones(len(self.units), dtype=np.bool_)
        systems = self._effects.population.os[self.units]
        for segment, system in SEGMENTS.items():
            yield segment, None, systems == list(SYSTEMS).index(system)
        for slug in partners(self.trial, self._effects.trials):
            partner = trial(slug)
            membership = self._effects.memberships[partner.number]
            for number, branch in enumerate(partner.branches):
                inside = membership.counted & (membership.branch == number)
                yield EVERYONE, f"{slug}:{branch}", inside[self.units]


def partners(trial: Trial, trials: Sequence[Trial]) -> tuple[str, ...]:
    """The experiments that a trial interacts with."""
    pairs = {
        (other.slug, effect.partner.experiment)
        for other in trials
        for effects in other.lesson.effects.values()
        for effect in effects
        if effect.partner is not None
    }
    both = pairs | {(second, first) for first, second in pairs}
    return tuple(sorted(second for first, second in both if first == trial.slug))


def lesson_truth(trial: Trial, trials: Sequence[Trial]) -> LessonTruth:
    """What is planted in a trial, for people to read."""
    lesson = trial.lesson
    return LessonTruth(
        slug=trial.slug,
        name=lesson.name,
        text=lesson.text,
        metric=lesson.metric,
        planted=tuple(
            f"{branch}: {effect.describe()}"
            for branch, effects in lesson.effects.items()
            for effect in effects
        ),
        touched=touched(trial, trials),
        split_holds=lesson.loss is None,
    )
