"""The page of an experiment: what happened, whether to trust it, what next; then all the rest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import cached_property
from typing import Any

from sonde.health import Check, Light, State, worst
from sonde.pages import links, words
from sonde.pages.draw.figure import Figure
from sonde.pages.figures import Section, distribution, health_figures, over_time
from sonde.pages.forest import Choice, Forest, Forests
from sonde.pages.material import InForce, Material
from sonde.pages.results import EVERYONE, Cell
from sonde.pages.verdict import Kind, Verdict

_TONES = {State.FINE: "", State.LOOK: "watch", State.STOP: "bad", State.UNCHECKED: "none"}
_NAMES = {
    Light.SPLIT: "Split",
    Light.EXPOSURE: "Exposure",
    Light.BEFORE: "Before-period",
    Light.COVERAGE: "Coverage",
    Light.FRESHNESS: "Freshness",
    Light.ERRORS: "Errors",
}
_MOST_ERRORS = 20


@dataclass(frozen=True)
class ShownLight:
    """One of the six lights. tone: a class of the stylesheet."""

    name: str
    state: State
    figure: str
    note: str
    href: str

    @property
    def tone(self) -> str:
        """A class of the stylesheet."""
        return _TONES[self.state]


def lights(checks: Sequence[Check], section: str = "#health") -> list[ShownLight]:
    """The six lights, each with the check that decides it. section: a link to the details."""
    return [_light(light, [c for c in checks if c.light is light], section) for light in Light]


def _light(light: Light, checks: Sequence[Check], section: str) -> ShownLight:
    state = worst(check.state for check in checks)
    deciding = next((check for check in checks if check.state is state), None)
    if deciding is None:
        return ShownLight(_NAMES[light], state, "Not yet", "nothing was checked", section)
    return ShownLight(_NAMES[light], state, deciding.figure, _brief(deciding), section)


_BRIEF = {
    "before_period": "metrics differed already",
    "coverage": "of enrolled units have data",
    "failed_metrics": "metrics failed",
}
_LONGEST_BRIEF = 60


def _brief(check: Check) -> str:
    """A check in half a line: the rest is in the table below."""
    if check.state is not State.UNCHECKED and check.name in _BRIEF:
        return _BRIEF[check.name]
    if check.name == "sample_ratio" and "; " in check.note:
        return check.note.split("; ")[1].split(". ")[0].rstrip(".")
    if check.name == "exposure" and ": " in check.note:
        return check.note.rsplit(": ", 1)[1].split(", ")[0].rstrip(".")
    brief = check.note.split("; ")[0].split(". ")[0].rstrip(".")
    return brief if len(brief) <= _LONGEST_BRIEF else f"{brief[: _LONGEST_BRIEF - 1]}…"


@dataclass(frozen=True)
class Option:
    """An entry of a menu; without a link where there is no result."""

    name: str
    href: str
    is_chosen: bool


@dataclass(frozen=True)
class Menu:
    """What can be chosen, and what is."""

    options: Sequence[Option]

    @property
    def chosen(self) -> str:
        """The name of what is chosen."""
        return next((each.name for each in self.options if each.is_chosen), "none")


@dataclass(frozen=True)
class Progress:
    """A count on its way. share: of what was planned, in percent; None where nobody planned."""

    name: str
    value: str
    note: str
    share: float | None = None


@dataclass(frozen=True)
class ShownError:
    """What failed, for the person who can act."""

    what: str
    where: str
    why: str
    todo: str
    since: str
    sql: str | None


@dataclass(frozen=True)
class ShownCheck:
    """A line of the table of checks."""

    light: str
    name: str
    scope: str
    state: State
    figure: str
    threshold: str
    note: str
    todo: str


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
        return self._forests.segments()

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
        material, (cell, reference) = self.material, (self.choice.cell, self.choice.reference)
        bases = {"enrollments": "Enrolled units", "exposures": "Exposed units"}
        windows = offered(material)
        return [
            ("Basis", self._menu((cell._replace(basis=b), reference, bases.get(b, b))
                                 for b in material.results.bases or [cell.basis])),
            ("Baseline", self._menu((cell, b, b) for b in material.branches)),
            ("Segment", self._menu((cell._replace(segment=s), reference, material.segment_title(s))
                                   for s in material.results.segments)),
            ("Window", self._menu((cell._replace(window=w), reference, words.window(*w))
                                  for w in windows or [cell.window])),
        ]  # fmt: skip

    def _menu(self, entries: Iterable[tuple[Cell, str, str]]) -> Menu:
        return Menu([self._option(*entry) for entry in entries])

    def _option(self, cell: Cell, reference: str, name: str) -> Option:
        choice = Choice(cell, reference)
        known = cell in self.material.results.cells or choice == self.choice
        href = links.relative(path_of(self.material, choice), self.path) if known else ""
        return Option(name, href, choice == self.choice)

    @property
    def progress(self) -> list[Progress]:
        """How far the experiment has come."""
        return list(_progress(self.material, self.choice.cell))

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
            (f"{other}#errors", "Errors", len(_grouped(self.material.errors))),
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
        number = len(_grouped(self.material.errors))
        if not number:
            return "None."
        more = f" The first {_MOST_ERRORS} are shown." if number > _MOST_ERRORS else ""
        return f"{words.plural(number, 'message')}. What did not depend on it is above.{more}"

    @property
    def errors(self) -> list[ShownError]:
        """What failed."""
        found = _grouped(self.material.errors)[:_MOST_ERRORS]
        return [_shown(rows, self.material) for rows in found]


class HealthSection:
    """The numbers behind the lights."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self.figures = health_figures(material)

    @property
    def funnel(self) -> dict[str, Any] | None:
        """Units at each stage, by branch."""
        stages = _stages(self._material)
        if not stages:
            return None
        branches = _funnel(self._material)["branches"]
        rows = [(stage["name"], _told(stage["counts"], branches)) for stage in stages]
        return {"branches": branches, "rows": rows}

    @property
    def checks(self) -> list[ShownCheck]:
        """Every check, as a table."""
        return [
            ShownCheck(
                _NAMES[c.light],
                c.name.replace("_", " "),
                "everyone" if c.scope == "all" else c.scope,
                c.state,
                c.figure,
                "" if c.threshold is None else words.number(c.threshold),
                c.note,
                c.todo,
            )
            for c in self._material.checks
        ]


def default_choice(material: Material) -> Choice:
    """What a page begins with."""
    return Choice(material.cell, material.reference)


def path_of(material: Material, choice: Choice) -> str:
    """The page of a choice."""
    slug = material.experiment.slug
    if choice == default_choice(material):
        return links.experiment(slug)
    return links.chosen(slug, choice.cell, choice.reference)


def offered(material: Material) -> list[Any]:
    """The windows a reader can choose; of the days, the first and the newest."""
    windows = [w for w in material.results.windows if not w.period.startswith("preenrollment")]
    days = [w for w in windows if w.period == "day"]
    kept = {*days[:1], *days[-1:]}
    return [w for w in windows if w.period != "day" or w in kept]


def choices(material: Material) -> Iterator[Choice]:
    """Every choice that has a page, the default first."""
    first = default_choice(material)
    yield first
    for window in offered(material):
        for basis in material.results.bases:
            for segment in material.results.segments:
                cell = Cell(basis, window, segment)
                if cell not in material.results.cells:
                    continue
                for reference in material.branches:
                    if (choice := Choice(cell, reference)) != first:
                        yield choice


def life(material: Material) -> str:
    """Where an experiment is in its life.

    Before its start, while units enroll, while they are watched, after its end.
    """
    experiment, as_of = material.experiment, material.as_of
    if material.has_ended:
        return "Ended"
    if experiment.start_date is None or as_of < experiment.start_date:
        return "Not started"
    last = experiment.last_enrollment_date
    return "Enrolling" if last is not None and as_of < last else "Live"


def _told(counts: Sequence[int] | None, branches: Sequence[str]) -> list[str]:
    return ["hidden"] * len(branches) if counts is None else [words.count(n) for n in counts]


def _funnel(material: Material) -> Mapping[str, Any]:
    of_units = (c.detail for c in material.checks if c.name == "coverage")
    return next((detail for detail in of_units if detail.get("steps")), {})


def _stages(material: Material) -> list[Mapping[str, Any]]:
    """From enrolled to complete, each with its units by branch."""
    return list(_funnel(material).get("steps", ()))


def _progress(material: Material, cell: Cell) -> Iterator[Progress]:
    experiment = material.experiment
    totals = {each["name"]: sum(each["counts"]) for each in _stages(material) if each["counts"]}
    enrolled = totals.pop("enrolled", None)
    last = experiment.last_enrollment_date
    if enrolled is not None:
        still = last is not None and material.as_of < last
        note = "" if last is None else f"{'open until' if still else 'closed'} {words.day(last)}"
        yield Progress("Enrolled", words.count(enrolled), note)
    totals.pop("window complete", None)  # the window shown says it better
    for name, number in totals.items():
        share = min(100 * number / enrolled, 100.0) if enrolled else None
        note = "" if share is None else f"{words.percent(share / 100, 1, '')} of enrolled"
        yield Progress(name[:1].upper() + name[1:], words.count(number), note, share)
    units = sum(material.shown.units(cell).values())
    if units:
        yield Progress("In this window", words.count(units), words.window(*cell.window).lower())
    if experiment.start_date is not None and experiment.planned_end is not None:
        yield _days(experiment.start_date, experiment.planned_end, material.as_of)


def _days(start: date, end: date, as_of: date) -> Progress:
    whole = max((end - start).days, 1)
    gone = min(max((as_of - start).days + 1, 0), whole)
    if as_of >= end:
        return Progress(f"{words.plural(whole, 'day')}", "ended", words.day(end, True), 100.0)
    left = words.plural((end - as_of).days, "day")
    return Progress(
        f"Day {gone} of {whole}",
        f"{left} left",
        f"planned end {words.day(end)}",
        100 * gone / whole,
    )


def _grouped(errors: Sequence[Mapping[str, Any]]) -> list[list[Mapping[str, Any]]]:
    """The same message of several windows is one error; errors before warnings."""
    groups: dict[tuple[Any, ...], list[Mapping[str, Any]]] = {}
    for row in errors:
        key = (row["log_level"], row["metric"], row["statistic"], row["segment"], row["message"])
        groups.setdefault(key, []).append(row)
    return sorted(groups.values(), key=lambda rows: rows[0]["log_level"] != "ERROR")


def _place(row: Mapping[str, Any]) -> str:
    window = words.window(row["analysis_period"], row["window_index"]).lower()
    return f"{row['analysis_basis']}, {window}"


def _shown(rows: Sequence[Mapping[str, Any]], material: Material) -> ShownError:
    row = rows[0]
    parts = [material.metric_title(row["metric"])] if row["metric"] else []
    parts += [row["statistic"]] if row["statistic"] else []
    parts += [f"segment {row['segment']}"] if row["segment"] else []
    is_error = row["log_level"] == "ERROR"
    what = ", ".join(parts) or "Enrollments or a whole source"
    verb = "was not computed" if is_error else "deserves a look"
    where = sorted({_place(each) for each in rows if each["analysis_period"]})
    more = f" and {len(where) - 3} more" if len(where) > 3 else ""
    source = f"source {row['data_source']}; " if row["data_source"] else ""
    times = sorted(each["timestamp"] for each in rows)
    return ShownError(
        what=f"{what} {verb}.",
        where=f"{source}{'; '.join(where[:3])}{more}" or "the enrollment step",
        why=row["message"],
        todo=(
            "Mend the declaration or the table that the message names; the next run tries again, "
            "and the message goes with the first good result."
        ),
        since=f"{times[0]:%Y-%m-%d %H:%M} UTC" if times else "",
        sql=row["sql"],
    )
