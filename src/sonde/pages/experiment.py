"""The page of an experiment: what happened, whether to trust it, what next; then all the rest."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

from sonde.health import Check, Light, State
from sonde.pages import failures, links, words
from sonde.pages.choices import Menu, default_choice, menus
from sonde.pages.draw.figure import Figure
from sonde.pages.failures import ShownError
from sonde.pages.figures import Section, distribution, over_time
from sonde.pages.forest import Choice, Forest, Forests
from sonde.pages.health import HealthSection, ShownLight, lights
from sonde.pages.material import InForce, Material
from sonde.pages.progress import Progress, life, progress
from sonde.pages.results import EVERYONE
from sonde.pages.verdict import Kind, Verdict


class ExperimentPage:
    """What a template shows of an experiment, for one choice. path: of the page on the site.

    beside: paths of its Jetstream files.
    """

    def __init__(
        self, material: Material, choice: Choice, path: str, beside: Sequence[str] = ()
    ) -> None:
        self.material = material
        self.choice = choice
        self.path = path
        self.beside = beside
        self._forests = Forests(material, choice)

    @property
    def title(self) -> str:
        """The experiment's name."""
        return self.material.title

    @property
    def is_private(self) -> bool:
        """Whether only some may see it."""
        return self.material.experiment.is_private

    @property
    def is_default(self) -> bool:
        """Whether this is the page an experiment begins with."""
        return self.choice == default_choice(self.material)

    @property
    def default_href(self) -> str:
        """The page an experiment begins with."""
        return links.relative(links.experiment(self.material.experiment.slug), self.path)

    @property
    def meta(self) -> str:
        """State, branches and slug in one line."""
        experiment = self.material.experiment
        ratio = " : ".join(str(branch.ratio) for branch in experiment.branches)
        names = words.listed([branch.slug for branch in experiment.branches] or ["no branches"])
        return " · ".join([self.state, f"{names} {ratio}".strip(), experiment.slug])

    @property
    def state(self) -> str:
        """Where the experiment is in its life."""
        return life(self.material)

    @property
    def reference(self) -> str:
        """The branch that others are compared with."""
        return self.choice.reference

    @property
    def verdict(self) -> Verdict:
        """The sentence."""
        return self.material.verdict

    @property
    def verdict_tone(self) -> str:
        """A class of the stylesheet."""
        return "t-bad" if self.verdict.kind in {Kind.BROKEN, Kind.STOP, Kind.WORSE} else ""

    @property
    def actions(self) -> list[tuple[str, str]]:
        """Links at the top right."""
        slug = self.material.experiment.slug
        return [
            ("Save as one file", links.relative(links.report(slug), self.path)),
            ("JSON", links.relative(links.api(slug), self.path)),
            ("CSV", self.csv_href),
        ]

    @property
    def files(self) -> list[tuple[str, str]]:
        """Links to the Jetstream files, by name."""
        return [(path.rsplit("/", 1)[-1], links.relative(path, self.path)) for path in self.beside]

    @property
    def csv_href(self) -> str:
        """All estimates."""
        return links.relative(links.table(self.material.experiment.slug), self.path)

    @property
    def lights(self) -> list[ShownLight]:
        """The six lights."""
        section = "#health" if self.is_default else f"{self.default_href}#health"
        return lights(self.material.checks, section)

    @property
    def withheld(self) -> int:
        """How many metrics a broken split withholds."""
        if self.verdict.kind is not Kind.BROKEN:
            return 0
        return len(self.material.shown.metrics(self.choice.cell))

    @cached_property
    def diagnosis(self) -> Sequence[Check]:
        """What stands in place of withheld results: each look at the split, the worst first."""
        found = [c for c in self.material.checks if c.light is Light.SPLIT]
        order = [State.STOP, State.LOOK, State.FINE, State.UNCHECKED]
        return sorted(found, key=lambda check: order.index(check.state))

    @property
    def remedies(self) -> list[str]:
        """What to do about it, each once."""
        found = [c.todo for c in self.diagnosis if c.state is State.STOP and c.todo]
        return list(dict.fromkeys(found))

    @property
    def split_figures(self) -> list[Figure]:
        """The shares that left their band."""
        return [each for each in self.health.figures if each.title.startswith("Share in")]

    @cached_property
    def key_metrics(self) -> Forest:
        """Primary metrics and guardrails."""
        return self._forests.key_metrics()

    @cached_property
    def all_metrics(self) -> Forest:
        """All metrics."""
        return self._forests.all_metrics()

    @cached_property
    def segments(self) -> list[tuple[str, Forest]]:
        """The primary metrics by segment."""
        shared = (self.choice.cell.basis, self.choice.cell.window, self.choice.reference)
        return self.material.once(("segments", *shared), self._forests.segments)

    @property
    def value_title(self) -> str:
        """The heading of the numbers."""
        return "95 % interval"

    @property
    def has_margins(self) -> bool:
        """Whether any guardrail is drawn."""
        return bool(self.material.roles.guardrails)

    @property
    def has_truth(self) -> bool:
        """Whether the planted effect of any metric is known."""
        cell, branches = self.choice.cell, self.material.branches
        return any(
            self.material.truth(metric, cell, branch) is not None
            for metric in self.material.shown.metrics(cell)
            for branch in branches
        )

    @property
    def no_key_metrics(self) -> str:
        """What stands in place of the forest."""
        return (
            "No metric is declared to decide: name outcomes in the experiment, or primary metrics "
            "in sonde/verdict.toml."
        )

    @property
    def no_metrics(self) -> str:
        """What stands in place of the table."""
        if self.material.is_hidden(self.choice.cell):
            return f"Fewer than {self.material.minimum_units} units: nothing is shown."
        return "There is no result of this window yet."

    @property
    def warning(self) -> str:
        """What a reader should know of this choice before reading on."""
        cell = self.choice.cell
        if self.material.is_hidden(cell):
            return f"Fewer than {self.material.minimum_units} units: nothing is shown."
        if self.material.results.windows.get(cell.window) and cell in self.material.results.cells:
            return (
                f"{words.window(*cell.window)} still grows: not every unit has all of its days, or "
                "the experiment goes on."
            )
        return ""

    @property
    def all_title(self) -> str:
        """The heading of the table of all metrics."""
        cell = self.choice.cell
        number = words.plural(len(self.material.shown.metrics(cell)), "metric")
        parts = [words.window(*cell.window).lower()]
        parts += [self.material.segment_title(cell.segment)] if cell.segment != EVERYONE else []
        return f"All {number}, {', '.join(parts)}"

    @cached_property
    def menus(self) -> list[tuple[str, Menu]]:
        """What can be chosen: basis, baseline, segment, window."""
        return menus(self.material, self.choice, self.path)

    @property
    def progress(self) -> list[Progress]:
        """How far the experiment has come."""
        return list(progress(self.material, self.choice.cell))

    @property
    def contents(self) -> list[tuple[str, str, int | None]]:
        """The sections below."""
        other = "" if self.is_default else self.default_href
        number = len(self.material.shown.metrics(self.choice.cell))
        segments = len(self.material.results.segments) - 1
        found = [("#all", "All metrics", number)]
        if not self.is_default or self.over_time:
            found.append((f"{other}#time", "Over time", 0))
        if not self.is_default or self.distribution:
            found.append((f"{other}#dist", "Distribution", 0))
        if segments and self.material.roles.primary:
            found.append(("#seg", "Segments", segments))
        found += [
            (f"{other}#health", "Health", 0),
            (f"{other}#how", "How it was computed", 0),
            (f"{other}#history", "History", len(self.material.history)),
            (f"{other}#errors", "Errors", failures.count(self.material)),
        ]
        return [(href, name, number or None) for href, name, number in found]

    @cached_property
    def over_time(self) -> Section | None:
        """Charts over windows."""
        return over_time(self.material, self.choice)

    @cached_property
    def distribution(self) -> Section | None:
        """Charts of quantiles and curves."""
        return distribution(self.material, self.choice)

    @cached_property
    def health(self) -> HealthSection:
        """The checks."""
        return HealthSection(self.material)

    @property
    def settings(self) -> list[InForce]:
        """The experiment's own values, each with its origin."""
        return [each for each in self.material.settings if ": " not in each.name]

    @property
    def metric_settings(self) -> list[InForce]:
        """Those of its metrics."""
        return [each for each in self.material.settings if ": " in each.name]

    @property
    def versions(self) -> list[tuple[str, str]]:
        """What the numbers were made with."""
        return list(self.material.versions.items())

    @property
    def queries(self) -> list[tuple[str, str]]:
        """The SQL, each text once, by what it makes."""
        return sorted(
            (self.material.made_by.get(query, query), sql)
            for query, sql in self.material.queries.items()
            if query in self.material.made_by
        )

    @property
    def history(self) -> list[dict[str, str]]:
        """What earlier publications said, the newest first."""
        newest = sorted(self.material.history, key=lambda past: past.as_of, reverse=True)
        return [
            {
                "day": words.day(past.as_of, year=True),
                "headline": past.headline,
                "effect": past.effect,
                "units": words.count(past.units),
            }
            for past in newest
        ]

    @property
    def errors_lead(self) -> str:
        """How many there are."""
        return failures.lead(self.material)

    @property
    def errors(self) -> list[ShownError]:
        """What failed."""
        return failures.shown_errors(self.material)
