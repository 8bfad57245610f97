"""All that the pages of one experiment are made from."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property, partial
from typing import Any, TypeVar

from sonde.experiment import Experiment
from sonde.health import Check
from sonde.metric import Metric
from sonde.pages import words
from sonde.pages.checks import Limits, shown_checks
from sonde.pages.facts import Facts, Reading
from sonde.pages.results import EVERYONE, Cell, Results, Window
from sonde.pages.suppress import Kinds, hidden_segments
from sonde.pages.verdict import Verdict, verdict
from sonde.roles import Role, Roles

# The planted relative change, where it is known: (metric, cell, branch) -> fraction.
Truth = Callable[[str, Cell, str], float | None]
_LONGEST_NAME = 120
_Made = TypeVar("_Made")


@dataclass(frozen=True)
class InForce:
    """A value in force and where it was set."""

    name: str
    value: str
    origin: str


@dataclass(frozen=True)
class Past:
    """A publication: the day its data went to, what it said, and the key effect then."""

    as_of: date
    headline: str
    effect: str
    units: int


@dataclass(frozen=True)
class Material:
    """What is known of an experiment as of a day. errors: rows of the errors table, by time.

    queries: SQL by id; made_by: what each made, in words. as_of: the last day of data that was
    asked for. problem: why it cannot be analysed, if so. made_checks: all numbers in them.
    kinds: how segments lie within each other, by basis; None where that is not known.
    """

    experiment: Experiment
    roles: Roles
    results: Results
    made_checks: tuple[Check, ...]
    as_of: date
    errors: Sequence[Mapping[str, Any]] = ()
    queries: Mapping[str, str] = field(default_factory=dict)
    made_by: Mapping[str, str] = field(default_factory=dict)
    settings: Sequence[InForce] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    history: Sequence[Past] = ()
    truth: Truth = lambda _metric, _cell, _branch: None
    minimum_units: int = 20
    kinds: Callable[[str], Kinds | None] = lambda _basis: None
    problem: str = ""
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def once(self, key: Hashable, make: Callable[[], _Made]) -> _Made:
        """What several choices of a reader share, made for the first of them."""
        if key not in self._made:
            self._made[key] = make()
        made: _Made = self._made[key]
        return made

    @property
    def title(self) -> str:
        """What people call the experiment."""
        return self.experiment.record.name or self.experiment.slug

    @cached_property
    def branches(self) -> list[str]:
        """As declared, then those that only the data know."""
        declared = [branch.slug for branch in self.experiment.branches]
        found = {key[2] for keys in self.results.cells.values() for key in keys}
        return [*declared, *sorted(found - set(declared))]

    @cached_property
    def reference(self) -> str:
        """The branch that others are compared with unless a reader chooses another."""
        declared = self.experiment.reference_branch
        if declared in self.branches:
            return str(declared)
        return "control" if "control" in self.branches else (self.branches or [""])[0]

    @cached_property
    def basis(self) -> str:
        """The basis a page begins with."""
        return "enrollments" if not self.results.bases else self.results.bases[0]

    @cached_property
    def metrics(self) -> dict[str, Metric]:
        """Every metric of any period, in the order of the configuration."""
        return {m.name: m for metrics in self.experiment.metrics.values() for m in metrics}

    def metric_title(self, name: str) -> str:
        """What people call a metric."""
        metric = self.metrics.get(name)
        title = (metric.friendly_name if metric else None) or name.replace("_", " ").capitalize()
        return title if len(title) <= _LONGEST_NAME else f"{title[: _LONGEST_NAME - 1]}…"

    def bigger_is_better(self, name: str) -> bool:
        """Which way is good."""
        metric = self.metrics.get(name)
        return True if metric is None else metric.bigger_is_better

    @cached_property
    def has_ended(self) -> bool:
        """Whether the whole period is over for everyone."""
        end = self.experiment.end_date
        return end is not None and self.as_of >= end

    @cached_property
    def window(self) -> Window:
        """The window that a page begins with: the longest that is complete for everyone.

        While there is none, the longest that has any results.
        """
        windows = [w for w in self.results.windows if not w.period.startswith("preenrollment")]
        whole = [w for w in windows if not self.results.windows[w]]
        return max(whole or windows, key=_length, default=Window("overall", 1))

    @cached_property
    def cell(self) -> Cell:
        """What a page begins with."""
        return Cell(self.basis, self.window, EVERYONE)

    @cached_property
    def hidden(self) -> Mapping[tuple[str, Window], set[str]]:
        """The segments with too few units, by basis and window."""
        pairs = {(cell.basis, cell.window) for cell in self.results.cells}
        return {
            (basis, window): hidden_segments(
                {
                    segment: self.results.units(Cell(basis, window, segment))
                    for segment in self.results.segments
                },
                self.minimum_units,
                partial(self.kinds, basis),
            )
            for basis, window in pairs
        }

    def is_hidden(self, cell: Cell) -> bool:
        """Whether a cell has too few units to be shown."""
        return cell.segment in self.hidden.get((cell.basis, cell.window), ())

    @cached_property
    def shown(self) -> Results:
        """The results without the cells that are hidden: what may leave the house."""
        cells = {*self.results.cells, *self.results.curves}
        return self.results.without(cell for cell in cells if self.is_hidden(cell))

    @cached_property
    def checks(self) -> tuple[Check, ...]:
        """The checks without numbers of few units: what may leave the house."""
        limits = Limits(
            self.minimum_units,
            lambda: self.kinds("enrollments"),
            lambda period, number: self.is_hidden(
                Cell("enrollments", Window(period, number), EVERYONE)
            ),
            lambda metric, branch, point: (metric, branch, point) in self._points,
        )
        return shown_checks(self.made_checks, limits)

    @cached_property
    def _points(self) -> set[tuple[str, str, float | None]]:
        return {
            (metric, branch, found.point)
            for cell, keys in self.shown.cells.items()
            if cell.segment == EVERYONE
            for (metric, _, branch, _, _), found in keys.items()
        }

    def reading(self, metric: str, branch: str, cell: Cell | None = None) -> Reading:
        """A metric as the verdict sees it."""
        effect = self.shown.effect(cell or self.cell, metric, branch, self.reference)
        found = effect.change.interval if effect and effect.change else None
        margin = self.roles.guardrails.get(metric)
        return Reading(
            metric,
            self.metric_title(metric),
            branch,
            found,
            self.bigger_is_better(metric),
            margin if self.roles.of(metric) is Role.GUARDRAIL else None,
        )

    @property
    def treatments(self) -> list[str]:
        """The branches that are compared with the reference."""
        return [branch for branch in self.branches if branch != self.reference]

    @cached_property
    def verdict(self) -> Verdict:
        """The sentence at the top."""
        return verdict(self.facts)

    @cached_property
    def facts(self) -> Facts:
        """What the verdict looks at."""
        experiment = self.experiment
        last = experiment.last_enrollment_date
        first = None if last is None else last + timedelta(days=self._first_window - 1)
        each = self.treatments
        return Facts(
            as_of=self.as_of,
            start=experiment.start_date,
            last_enrollment=last,
            first_result=first,
            planned_end=experiment.planned_end,
            has_ended=self.has_ended,
            is_aa=self.roles.is_aa,
            checks=self.checks,
            primary=[self.reading(m, b) for m in self.roles.primary for b in each],
            guardrails=[self.reading(m, b) for m in self.roles.guardrails for b in each],
            segments=self._segments(),
            weeks=self._weeks(),
            problem=self.problem,
            errors=len(self.errors),
            units=self._units,
            minimum_units=self.minimum_units if self.is_hidden(self.cell) else 0,
            window=words.window(*self.window).lower(),
            others=[self.reading(m, b) for m in self.shown.metrics(self.cell) for b in each],
        )

    @property
    def _units(self) -> int | None:
        units = self.shown.units(self.cell)
        return sum(units.values()) if units else None

    @property
    def _first_window(self) -> int:
        """Days until the first window that the configuration asks for is complete."""
        lengths = [p.length for p in self.experiment.metrics if p.length and not p.is_preenrollment]
        return min(lengths, default=1)

    def _segments(self) -> list[tuple[str, Reading]]:
        if not self.roles.primary or len(self.treatments) != 1:
            return []
        (branch,), metric = self.treatments, self.roles.primary[0]
        return [
            (self.segment_title(s), self.reading(metric, branch, self.cell._replace(segment=s)))
            for s in self.results.segments
            if s != EVERYONE
        ]

    def segment_title(self, name: str) -> str:
        """What people call a segment."""
        if name == EVERYONE:
            return "Everyone"
        known = {segment.name: segment.friendly_name for segment in self.experiment.segments}
        return known.get(name) or name.replace("_", " ").capitalize()

    def _weeks(self) -> tuple[Reading, Reading] | None:
        weeks = [w for w, grows in self.results.windows.items() if w.period == "week" and not grows]
        if len(weeks) < 2 or not self.roles.primary or not self.treatments:
            return None
        first, last = min(weeks), max(weeks)
        metric, branch = self.roles.primary[0], self.treatments[0]
        return (
            self.reading(metric, branch, self.cell._replace(window=first)),
            self.reading(metric, branch, self.cell._replace(window=last)),
        )


def _length(window: Window) -> tuple[int, int]:
    order = {"overall": 3, "days28": 2, "week": 1}
    return order.get(window.period, 0), window.number
