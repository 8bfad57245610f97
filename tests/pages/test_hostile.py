"""Names that would like to be more than text: HTML, paths, formulas, directions, length."""

from __future__ import annotations

import csv
import io
import json
import posixpath
import re
import urllib.parse
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import pytest

from sonde.experiment import (
    Branch,
    EnrollmentsQueryType,
    Experiment,
    ExperimentRecord,
    Outcome,
)
from sonde.health import Check, Light, State
from sonde.metric import AnalysisUnit, DataSource, Metric, Segment, SegmentDataSource
from sonde.pages.material import InForce, Material, Past
from sonde.pages.report import markdown
from sonde.pages.results import Results, Window
from sonde.pages.site import About, Made, experiment_files, shared_files
from sonde.roles import Roles
from sonde.serve.target import confined, segments
from sonde.site_files import as_csv, stylesheet
from sonde.table import folder_name
from sonde.window import Period

START = date(2026, 10, 1)
PLAIN = "plain"
NAMES = {
    "markup": "<img src=x onerror=alert(1)></script><script>alert(2)</script>",
    "quotes": '"\' onmouseover="alert(1)" x=\'',
    "a path": "../../../etc/passwd",
    "backwards": "abc\u202egnp.exe\u2066\u200f",
    "long": "name " * 40 + "end",
    "a formula": "=cmd|'/c calc'!A0",
    "a template": "{{ 7 * 7 }}{% raw %}${7*7}",
    "markdown": "[x](http://evil.example) `a` **b** | c\n# d",
    "entities": "&lt;b&gt; &amp;#60;",
    "control": "a\tb\x0bc\x7f",
}


def material(name: str, **changed) -> Material:
    """Everything that can be called something is called so."""
    branches = ("control" + name, "treatment" + name)
    source = DataSource(name, name)
    metrics = tuple(
        Metric(each, source, "1", friendly_name=name, description=name)
        for each in ("a" + name, "b" + name)
    )
    record = ExperimentRecord(
        slug=name,
        branches=tuple(Branch(b) for b in branches),
        reference_branch=branches[0],
        start_date=START,
        end_date=START + timedelta(28),
        name=name,
        description=name,
    )
    experiment = Experiment(
        record,
        7,
        AnalysisUnit.CLIENT,
        EnrollmentsQueryType.NORMANDY,
        {Period.WEEK: metrics, Period.OVERALL: metrics},
        segments=(Segment("s" + name, SegmentDataSource(name, name), "1", friendly_name=name),),
        outcomes=(Outcome("o" + name, name, name, ("a" + name,)),),
    )
    windows = [Window("week", 1), Window("week", 2), Window("overall", 1)]
    return Material(
        experiment,
        Roles(("a" + name,), {"b" + name: 0.02}),
        Results.of(list(rows(name, branches, windows)), {}),
        tuple(checks(name, branches)),
        START + timedelta(28),
        errors=[failure(name)],
        queries={"q": name},
        made_by={"q": name},
        settings=[InForce(name, name, name), InForce(f"{name}: x", name, name)],
        versions={name: name},
        history=[Past(START, name, name, 100)],
        **changed,
    )


def rows(name, branches, windows):
    for basis in ("enrollments", "exposures"):
        for window in windows:
            for segment in ("all", "s" + name):
                where = (basis, *window, segment)
                for branch in branches:
                    units = 500 if segment == "all" else 200
                    point = (units, units, units, None, None, None)
                    yield (*where, "identity", "count", branch, None, None, None, *point)
                for metric in ("a" + name, "b" + name):
                    yield from effects((*where, metric, "mean_lm"), branches)
                lost = (None, None, None, "not_estimable", name, "q")
                to = (branches[1], "relative_uplift", branches[0], None)
                yield (*where, "c" + name, "mean_lm", *to, *lost)


def effects(key, branches):
    ok = (None, None, "q")
    for branch in branches:
        yield (*key, branch, None, None, None, 1.0, 0.9, 1.1, *ok)
        for q in (0.1, 0.5, 0.9):
            yield (*key[:-1], "deciles", branch, None, None, q, 1.0, 0.9, 1.1, *ok)
            to = (branch, "difference", branches[0], q)
            yield (*key[:-1], "deciles", *to, 0.1, 0.0, 0.2, *ok)
    yield (*key, branches[1], "difference", branches[0], None, 0.1, 0.0, 0.2, *ok)
    yield (*key, branches[1], "relative_uplift", branches[0], None, 0.1, -0.01, 0.2, *ok)


def checks(name, branches):
    days = [(START + timedelta(n)).isoformat() for n in range(3)]
    detail = {
        "branches": list(branches),
        "design": [0.5, 0.5],
        "days": days,
        "counts": [[100, 100]] * 3,
        "shares": [[0.5, 0.5]] * 3,
        "lower": [[0.4, 0.4]] * 3,
        "upper": [[0.6, 0.6]] * 3,
        "p": [0.5] * 3,
        "words": name,
    }
    for scope in ("all", "segment s" + name):
        yield Check(
            Light.SPLIT, "sample_ratio", scope, State.LOOK, name, name, 0.5, 0.001, name, detail
        )
    steps = [{"name": "enrolled", "counts": [300, 300]}]
    funnel = {"branches": list(branches), "steps": steps}
    yield Check(Light.COVERAGE, "coverage", "all", State.FINE, name, name, detail=funnel)


def failure(name):
    about = dict.fromkeys(("metric", "statistic", "segment", "data_source", "sql"), name)
    return {
        **about,
        "timestamp": datetime(2026, 10, 2, tzinfo=UTC),
        "log_level": "ERROR",
        "message": name,
        "exception_type": name,
        "analysis_basis": "enrollments",
        "analysis_period": "week",
        "window_index": 1,
    }


def site(name: str) -> dict[str, Made]:
    about = About("1", 20, stylesheet())
    made = list(experiment_files(material(name), about, as_csv))
    card = json.loads(made[0].content)
    at = datetime(2026, 10, 2, tzinfo=UTC)
    run = {"run": "r", "at": at, "as_of": "2026-10-01", "experiment": name,
           "step": name, "state": "done", "rows": 1, "seconds": 1.0}  # fmt: skip
    made += shared_files([card], [run], about)
    assert len({each.path for each in made}) == len(made)
    return {each.path: each for each in made}


class Parsed(HTMLParser):
    """What a browser would make of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.links: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.links += [value or "" for name, value in attrs if name in {"href", "src"}]

    def handle_data(self, data):
        self.text.append(data)


def kinds(parsed: Parsed) -> set[tuple[str, tuple[str, ...]]]:
    return {each for each in parsed.elements if each[0] != "tspan"}


@pytest.fixture(scope="module")
def plain() -> dict[str, Made]:
    return site(PLAIN)


@pytest.fixture(params=NAMES.values(), ids=NAMES.keys(), scope="module")
def hostile(request) -> tuple[str, dict[str, Made]]:
    return request.param, site(request.param)


def test_no_element_and_no_attribute_comes_from_a_name(hostile, plain):
    _, made = hostile
    known = {kind for each in pages(plain) for kind in kinds(Parsed(each.content.decode()))}
    count = 0
    for each in pages(made):
        parsed = Parsed(each.content.decode())
        assert kinds(parsed) <= known, each.path
        assert not any(tag == "script" for tag, _ in parsed.elements)
        count += 1
    assert count == len(list(pages(plain)))


def pages(made: dict[str, Made]):
    return (each for each in made.values() if each.path.endswith(".html"))


def test_names_are_shown(hostile):
    name, made = hostile
    for path in ("index.html", f"experiments/{folder_name(name)}.html"):
        text = " ".join(" ".join(Parsed(made[path].content.decode()).text).split())
        assert " ".join(name.split())[:100] in text, path


def test_links_lead_to_files_of_the_site(hostile):
    _, made = hostile
    for each in pages(made):
        for link in Parsed(each.content.decode()).links:
            if link == "data:,":
                continue
            assert not urllib.parse.urlsplit(link).scheme, link
            target, _, _ = link.partition("#")
            path = posixpath.normpath(
                posixpath.join(posixpath.dirname(each.path), urllib.parse.unquote(target))
            )
            is_asset = path == "assets/sonde.css"
            assert not target or is_asset or path in made, (each.path, link)


def test_paths_stay_below_the_site(hostile):
    _, made = hostile
    for path in made:
        assert confined(path), path
        assert all(len(part) <= 255 for part in path.encode().split(b"/")), path
        asked = ("/" + urllib.parse.quote(path)).encode()
        assert segments(asked) == tuple(path.split("/"))


def test_the_csv_is_one_table_and_holds_no_formula(hostile):
    name, made = hostile
    text = made[f"experiments/{folder_name(name)}.csv"].content.decode()
    header, *lines = csv.reader(io.StringIO(text, newline=""))
    assert len(lines) > 50
    assert {len(line) for line in lines} == {len(header)}
    place = {column: n for n, column in enumerate(header)}
    for line in lines:
        for column in ("segment", "metric", "branch", "comparison_to_branch", "detail"):
            assert line[place[column]][:1] not in set("=+-@\t\r")
    assert "s" + name in {line[place["segment"]] for line in lines}
    assert {"'" + name if name[0] in "=+-@" else name, ""} == {
        each[place["detail"]] for each in lines
    }


def test_numbers_of_the_csv_are_as_they_are(plain):
    rows = list(csv.DictReader(io.StringIO(plain["experiments/plain.csv"].content.decode())))
    assert "-0.01" in {row["lower"] for row in rows}


def test_answers_hold_the_very_names(hostile):
    name, made = hostile
    folder = f"api/experiments/{folder_name(name)}"
    assert json.loads(made[f"{folder}.json"].content)["name"] == name
    found = json.loads(made[f"{folder}/statistics.json"].content)["statistics"]
    assert "s" + name in {row["segment"] for row in found}
    assert json.loads(made[f"{folder}/errors.json"].content)["errors"][0]["message"] == name


def test_markdown_is_text(hostile):
    name, _ = hostile
    text = markdown(material(name))
    bare = re.sub(r"\\.", "", text)  # what is escaped is text
    assert not re.search(r"<\w", bare)
    assert "](" not in bare
    assert "`" not in bare
    known = markdown(material(PLAIN)).splitlines()
    lines = bare.splitlines()
    assert len(lines) == len(known)
    assert [line.count("|") for line in lines] == [line.count("|") for line in known]
    assert [line.startswith("#") for line in lines] == [line.startswith("#") for line in known]
