"""Everything that is published, as paths and texts: pages, tables, answers of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeAlias

import msgspec

from sonde.health import Check
from sonde.pages import links, words
from sonde.pages.card import card
from sonde.pages.choices import choices, path_of
from sonde.pages.experiment import ExperimentPage
from sonde.pages.material import Material
from sonde.pages.metric import MetricPage, definition, metric_names
from sonde.pages.portfolio import Card, Portfolio
from sonde.pages.render import Frame, render
from sonde.pages.report import html
from sonde.pages.results import COLUMNS

HTML, JSON, CSV = "text/html; charset=utf-8", "application/json", "text/csv; charset=utf-8"


AsCsv: TypeAlias = Callable[[Sequence[str], Sequence[tuple[Any, ...]]], bytes]


@dataclass(frozen=True)
class Made:
    """A file of the site, not yet compressed."""

    path: str
    media_type: str
    content: bytes


@dataclass(frozen=True)
class About:
    """What all pages say of the deployment. css: the stylesheet, for files that stand alone."""

    version: str
    minimum_units: int = 20
    css: str = ""

    def frame(self, path: str, title: str, section: str, when: str) -> Frame:
        """What stands around a page."""
        return Frame(path, title, section, when, self.version, self.minimum_units)


def experiment_files(
    material: Material, about: About, as_csv: AsCsv, beside: Sequence[str] = ()
) -> Iterator[Made]:
    """All files of one experiment. The first is its card, from which shared pages are made.

    as_csv: column names and rows to a CSV file. beside: paths of its Jetstream files.
    """
    slug = material.experiment.slug
    short = card(material)
    short["definitions"] = {
        name: definition(metric, material.metric_title(name))
        for name, metric in material.metrics.items()
    }
    short["files"] = beside
    yield _json(links.api(slug), short)
    when = f"Data to {words.day(material.as_of, year=True)}"
    for choice in choices(material):
        path = path_of(material, choice)
        frame = about.frame(path, material.title, "Experiments", when)
        page = ExperimentPage(material, choice, path, beside)
        yield Made(path, HTML, render("experiment.html", frame, it=page).encode())
    yield Made(links.report(slug), HTML, html(material, about.css).encode())
    rows = list(_rows(material))
    yield Made(links.table(slug), CSV, as_csv(COLUMNS, rows))
    listed = [_Listed(*row) for row in rows]
    yield _json(links.api(slug, "statistics"), {"slug": slug, "statistics": listed})
    yield _json(links.api(slug, "errors"), {"slug": slug, "errors": _errors(material)})
    checks = [_plain(check) for check in material.checks]
    yield _json(links.api(slug, "health"), {"slug": slug, "health": checks})


_Listed = msgspec.defstruct("_Listed", COLUMNS)  # an estimate as JSON has it


def shared_files(
    cards: Sequence[Card], runs: Sequence[Mapping[str, Any]], about: About
) -> Iterator[Made]:
    """Pages made of all experiments that their reader may see. runs: steps of stored runs."""
    newest = max((each["data_through"] for each in cards), default="")
    when = f"Data to {words.day(date.fromisoformat(newest), year=True)}" if newest else ""
    portfolio = Portfolio(cards)
    frame = about.frame("index.html", "Experiments", "Experiments", when)
    yield Made("index.html", HTML, render("portfolio.html", frame, it=portfolio).encode())
    listed = [{k: v for k, v in each.items() if k not in _LONG} for each in portfolio.cards]
    yield _json("api/experiments.json", {"experiments": listed})
    yield from _metric_files(portfolio.cards, when, about)
    yield _runs_file(runs, when, about)


_LONG = ("definitions", "effects", "files", "form")


def _metric_files(cards: Sequence[Card], when: str, about: About) -> Iterator[Made]:
    entries = []
    for name in metric_names(cards):
        known = [each["definitions"][name] for each in cards if name in each["definitions"]]
        page = MetricPage(name, next(iter(known), None), cards)
        path = links.metric(name)
        frame = about.frame(path, page.title, "Metrics", when)
        yield Made(path, HTML, render("metric.html", frame, it=page).encode())
        entries.append(
            {
                "href": links.quoted(path),
                "name": name,
                "title": page.title,
                "statistics": ", ".join(page.definition.get("statistics", [])),
                "experiments": len(known),
            }
        )
    title = f"{words.plural(len(entries), 'metric')} in use." if entries else "No metric yet."
    frame = about.frame("metrics.html", "Metrics", "Metrics", when)
    text = render("metrics.html", frame, title=title, metrics=entries)
    yield Made("metrics.html", HTML, text.encode())


_MOST_RUNS, _MOST_STEPS = 50, 20


def _runs_file(runs: Sequence[Mapping[str, Any]], when: str, about: About) -> Made:
    """runs: one mapping per step: run, at, as_of, step, seconds, rows, state."""
    by_run: dict[str, list[Mapping[str, Any]]] = {}
    for row in runs:
        by_run.setdefault(row["run"], []).append(row)
    newest = sorted(by_run.values(), key=lambda rows: rows[0]["at"], reverse=True)[:_MOST_RUNS]
    shown = [
        {
            "at": f"{rows[0]['at']:%Y-%m-%d %H:%M} UTC",
            "as_of": rows[0]["as_of"],
            "steps": words.count(len(rows)),
            "failed": words.count(sum(row["state"] != "done" for row in rows)),
            "rows": words.count(sum(row["rows"] for row in rows)),
            "seconds": f"{sum(row['seconds'] for row in rows):.1f}",
        }
        for rows in newest
    ]
    dear = sorted(newest[0], key=lambda row: -row["seconds"])[:_MOST_STEPS] if newest else []
    steps = [
        {**row, "seconds": f"{row['seconds']:.2f}", "rows": words.count(row["rows"])}
        for row in dear
    ]
    title = f"{words.plural(len(by_run), 'run')} that did something." if by_run else "No run yet."
    frame = about.frame("runs.html", "Runs", "Runs", when)
    return Made(
        "runs.html", HTML, render("runs.html", frame, title=title, runs=shown, dear=steps).encode()
    )


def _rows(material: Material) -> Iterator[tuple[Any, ...]]:
    """The estimates that may leave the house, in the order of `COLUMNS`."""
    for cell, keys in material.shown.cells.items():
        for key, found in keys.items():
            yield (*_where(cell), *key, None, *_values(found))
    for cell, curves in material.shown.curves.items():
        for key, points in curves.items():
            for parameter, found in points:
                yield (*_where(cell), *key, parameter, *_values(found))


def _where(cell: Any) -> tuple[Any, ...]:
    return (cell.basis, cell.window.period, cell.window.number, cell.segment)


def _values(found: Any) -> tuple[Any, ...]:
    return (found.point, found.lower, found.upper, found.reason, found.detail, found.query_id)


_ERROR_KEYS = ("timestamp", "log_level", "message", "exception_type", "metric", "statistic",
               "segment", "analysis_basis", "analysis_period", "window_index", "data_source",
               "sql")  # fmt: skip


def _errors(material: Material) -> list[dict[str, Any]]:
    return [{key: row[key] for key in _ERROR_KEYS} for row in material.errors]


def _plain(check: Check) -> dict[str, Any]:
    return {
        "light": check.light.value,
        "name": check.name,
        "scope": check.scope,
        "state": check.state.value,
        "figure": check.figure,
        "value": check.value,
        "threshold": check.threshold,
        "note": check.note,
        "todo": check.todo,
        "detail": dict(check.detail),
    }


def _json(path: str, value: Any) -> Made:
    return Made(path, JSON, msgspec.json.encode(value))
