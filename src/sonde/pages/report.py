"""An experiment as one file: HTML that opens from disk and prints, or Markdown for a message."""

from __future__ import annotations

from collections.abc import Iterator

from sonde.health import State
from sonde.pages import links, words
from sonde.pages.choices import default_choice
from sonde.pages.experiment import ExperimentPage
from sonde.pages.forest import Forest
from sonde.pages.health import lights
from sonde.pages.material import Material
from sonde.pages.render import render_alone

_MARKS = {State.FINE: "fine", State.LOOK: "**look**", State.STOP: "**stop**",
          State.UNCHECKED: "not checked"}  # fmt: skip


def html(material: Material, css: str) -> str:
    """A page with its stylesheet within it: no script, no request to anywhere."""
    page = _Alone(material, default_choice(material), links.experiment(material.experiment.slug))
    return render_alone(
        "report.html",
        {
            "it": page,
            "css": css.replace("</", "<\\/"),
            "data_to": words.day(material.as_of, year=True),
            "what": _what(page),
            "design": list(_design(material)),
            "minimum_units": material.minimum_units,
        },
    )


class _Alone(ExperimentPage):
    """The page without links to others."""

    @property
    def is_default(self) -> bool:
        """Everything is on this page."""
        return True


def _what(page: ExperimentPage) -> str:
    cell = page.choice.cell
    basis = "exposed" if cell.basis == "exposures" else "enrolled"
    window = words.window(*cell.window).lower()
    return f"Relative change against {page.reference}, {window}, {basis} units. 95 % intervals."


def _design(material: Material) -> Iterator[tuple[str, str]]:
    experiment = material.experiment
    if experiment.record.description:
        yield "Question", experiment.record.description
    ratios = " : ".join(str(branch.ratio) for branch in experiment.branches)
    yield "Branches", f"{words.listed(material.branches or ['none'])}, {ratios}"
    if experiment.start_date is not None and experiment.last_enrollment_date is not None:
        first, last = experiment.start_date, experiment.last_enrollment_date
        yield "Enrollment", f"{words.day(first, True)} to {words.day(last, True)}"
    if experiment.planned_end is not None:
        yield "End", words.day(experiment.planned_end, True)
    primary = [material.metric_title(name) for name in material.roles.primary]
    yield "Decides", words.listed(primary) if primary else "nothing is declared to decide"
    guards = [
        f"{material.metric_title(name)} {words.percent(margin)}"
        for name, margin in material.roles.guardrails.items()
    ]
    yield "Guards", words.listed(guards) if guards else "nothing is declared to guard"


def markdown(material: Material) -> str:
    """For a pull request or a mail."""
    page = _Alone(material, default_choice(material), "")
    return "\n".join(_lines(material, page)) + "\n"


def _lines(material: Material, page: ExperimentPage) -> Iterator[str]:
    private = " (private)" if page.is_private else ""
    yield f"# {_plain(page.title)}{private}"
    yield ""
    yield f"**{_plain(page.verdict.headline)}** {_plain(page.verdict.sentence)}"
    yield ""
    yield _plain(page.meta)
    yield ""
    yield "| check | state | found | |"
    yield "|---|---|---|---|"
    for light in lights(material.checks):
        cells = (light.name, _MARKS[light.state], _plain(light.figure), _plain(light.note))
        yield f"| {' | '.join(cells)} |"
    if page.withheld:
        yield ""
        yield "The split is broken: effects are withheld."
        return
    for title, forest in (("Primary metrics and guardrails", page.key_metrics),
                          (page.all_title, page.all_metrics)):  # fmt: skip
        yield from _table(title, _what(page), forest)


def _table(title: str, what: str, forest: Forest) -> Iterator[str]:
    if not forest.rows:
        return
    yield ""
    yield f"## {_plain(title)}"
    yield ""
    yield _plain(what)
    yield ""
    yield "| metric | | 95 % interval | estimate | levels | reads as |"
    yield "|---|---|---|---|---|---|"
    for row in forest.rows:
        cells = (row.name, row.note, row.value, row.small, row.levels, row.reads)
        yield f"| {' | '.join(map(_plain, cells))} |"


def _plain(text: str) -> str:
    """As text: no markup of Markdown or HTML, one line."""
    one = " ".join(text.replace(words.NBSP, " ").split())
    for sign in "\\`*_[]<>|#":
        one = one.replace(
            sign, f"\\{sign}" if sign not in "<>" else {"<": "&lt;", ">": "&gt;"}[sign]
        )
    return one
