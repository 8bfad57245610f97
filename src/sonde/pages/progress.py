"""How far an experiment has come."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from sonde.pages import words
from sonde.pages.health import stages
from sonde.pages.material import Material
from sonde.pages.results import Cell


@dataclass(frozen=True)
class Progress:
    """A count on its way. share: of what was planned, in percent; None where nobody planned."""

    name: str
    value: str
    note: str
    share: float | None = None


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


def progress(material: Material, cell: Cell) -> Iterator[Progress]:
    """Units, then days. cell: what is shown."""
    experiment = material.experiment
    totals = {each["name"]: sum(each["counts"]) for each in stages(material) if each["counts"]}
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
    if experiment.start_date is not None:
        yield _days(material, experiment.start_date)


def _days(material: Material, start: date) -> Progress:
    end, as_of = material.experiment.planned_end, material.as_of
    gone = max((as_of - start).days + 1, 0)
    if end is None:
        return Progress(f"Day {gone}", "no planned end", "")
    whole = max((end - start).days, 1)
    if material.has_ended:
        return Progress(words.plural(whole, "day"), "ended", words.day(end, True), 100.0)
    planned = f"planned end {words.day(end)}"
    if as_of >= end:
        return Progress(f"Day {gone}", "not ended", planned, 100.0)
    left = words.plural((end - as_of).days, "day")
    gone = min(gone, whole)
    return Progress(f"Day {gone} of {whole}", f"{left} left", planned, 100 * gone / whole)
