"""What a reader can choose to see of an experiment, and the page of each choice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sonde.pages import links, words
from sonde.pages.forest import Choice
from sonde.pages.material import Material
from sonde.pages.results import Cell, Window


@dataclass(frozen=True)
class Option:
    """An entry of a menu. why: of no link, if there is none."""

    name: str
    href: str
    is_chosen: bool
    why: str = ""


@dataclass(frozen=True)
class Menu:
    """What can be chosen, and what is."""

    options: Sequence[Option]

    @property
    def chosen(self) -> str:
        """The name of what is chosen."""
        return next((each.name for each in self.options if each.is_chosen), "none")


def default_choice(material: Material) -> Choice:
    """What a page begins with."""
    return Choice(material.cell, material.reference)


def path_of(material: Material, choice: Choice) -> str:
    """The page of a choice."""
    slug = material.experiment.slug
    if choice == default_choice(material):
        return links.experiment(slug)
    return links.chosen(slug, choice.cell, choice.reference)


def offered(material: Material) -> list[Window]:
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
                for reference in material.branches:
                    choice = Choice(Cell(basis, window, segment), reference)
                    if choice != first and _has_page(material, choice):
                        yield choice


def _has_page(material: Material, choice: Choice) -> bool:
    """Whether there is anything to see: a result, of enough units."""
    return choice == default_choice(material) or choice.cell in material.shown.cells


def menus(material: Material, chosen: Choice, page: str) -> list[tuple[str, Menu]]:
    """What can be chosen instead of one thing. page: the path that links start from."""
    cell, reference = chosen

    def menu(entries: Iterable[tuple[Cell, str, str]]) -> Menu:
        return Menu([_option(material, chosen, page, *entry) for entry in entries])

    bases = {"enrollments": "Enrolled units", "exposures": "Exposed units"}
    return [
        ("Basis", menu((cell._replace(basis=b), reference, bases.get(b, b))
                       for b in material.results.bases or [cell.basis])),
        ("Baseline", menu((cell, b, b) for b in material.branches)),
        ("Segment", menu((cell._replace(segment=s), reference, material.segment_title(s))
                         for s in material.results.segments)),
        ("Window", menu((cell._replace(window=w), reference, words.window(*w))
                        for w in offered(material) or [cell.window])),
    ]  # fmt: skip


def _option(
    material: Material, chosen: Choice, page: str, cell: Cell, reference: str, name: str
) -> Option:
    choice = Choice(cell, reference)
    is_chosen = choice == chosen
    if is_chosen or _has_page(material, choice):
        return Option(name, links.relative(path_of(material, choice), page), is_chosen)
    return Option(name, "", is_chosen, "hidden" if material.is_hidden(cell) else "no result")
