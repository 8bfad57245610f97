"""The published demo as files: who reads of what, words, and the API as it is described."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sonde.experiment import Experiment
from sonde.health import State
from sonde.pages.report import markdown
from sonde.project import Project
from sonde.serve.access import OwnMachine
from sonde.serve.openapi import OPENAPI
from sonde.serve.static import write_static
from sonde.site import Site
from sonde.wire.names import normalized
from tests.commands import ended
from tests.pages import small
from tests.pages.demo import LAST_DAY
from tests.pages.test_hostile import material
from tests.serve.conftest import serving
from tests.serve.test_openapi import PATHS, conforms

PRIVATE = "sponsored-shortcuts"


@pytest.fixture(scope="module")
def experiments(demo: Project) -> dict[str, Experiment]:
    slugs = [record.slug for record in demo.records().records]
    return {slug: demo.experiment(slug) for slug in slugs}


@pytest.fixture(scope="module")
def secrets(experiments: dict[str, Experiment]) -> set[str]:
    """The private experiment's slug, its name, and what no other one has."""
    hidden = experiments[PRIVATE]
    assert hidden.is_private
    own = {PRIVATE, str(hidden.record.name)}
    others = [each for slug, each in experiments.items() if slug != PRIVATE]
    branches = {b.slug for b in hidden.branches}
    own |= branches - {b.slug for each in others for b in each.branches}
    metrics = {m.name for each in hidden.metrics.values() for m in each}
    shared = {m.name for each in others for of in each.metrics.values() for m in of}
    return own | (metrics - shared)


def named(text: str, secrets: set[str]) -> set[str]:
    searched = text.lower()
    return {secret for secret in secrets if secret.lower() in searched}


def test_no_public_file_names_it(demo_site: Site, secrets: set[str]):
    count = 0
    for path, text in small.contents(demo_site, private=False):
        assert named(path + text, secrets) == set(), path
        count += 1
    assert count > 200
    private = dict(small.contents(demo_site, private=True))
    assert named("".join(private.values()), secrets) == secrets
    assert len(private) > count


def test_no_published_folder_names_it(demo: Project, secrets: set[str], tmp_path: Path):
    assert ended("publish", tmp_path / "p", "--project", demo.settings.folder) == 0
    files = [path for path in (tmp_path / "p").rglob("*") if path.is_file()]
    assert len(files) > 200
    for path in files:
        relative = path.relative_to(tmp_path)
        assert named(f"{relative} {path.read_text()}", secrets) == set(), relative


def test_the_private_folder_is_whole(demo_site: Site, tmp_path: Path):
    write_static(demo_site, tmp_path / "p", private=True)
    assert (tmp_path / "p" / "experiments" / f"{PRIVATE}.html").is_file()


def test_no_answer_and_no_line_of_the_log_names_it(demo: Project, secrets: set[str]):
    with serving(demo.lake, OwnMachine) as running:
        with running.reader() as reader:
            for path in ("", "/statistics", "/errors", "/health"):
                answer = reader.get(f"/api/experiments/{PRIVATE}{path}")
                assert answer.status_code == 404
                assert named(answer.text, secrets) == set()
            for path in ("/", "/metrics.html", "/runs.html", "/api/experiments"):
                assert named(reader.get(path).text, secrets) == set()
            assert reader.get(f"/experiments/{PRIVATE}.html").status_code == 404
        with running.owner() as owner:
            assert owner.get(f"/experiments/{PRIVATE}.html").status_code == 200
            assert owner.get(f"/api/experiments/{PRIVATE}/statistics").status_code == 200
        time.sleep(0.1)
    assert len(running.log) > 10
    assert named("\n".join(running.log), secrets) == set()


def test_answers_are_as_described(demo: Project, demo_site: Site, experiments):
    with serving(demo.lake, OwnMachine) as running, running.owner() as owner:
        for path in PATHS:
            for slug in experiments if "{" in path else [""]:
                address = path.format(slug=slug, name=normalized(slug), period="weekly")
                answer = owner.get(address)
                assert answer.status_code == 200, (path, slug)
                conforms(sampled(answer.json()), path)
                again = owner.get(address, headers={"If-None-Match": answer.headers["etag"]})
                assert (again.status_code, again.content) == (304, b"")
    assert set(OPENAPI) == {"api/openapi.json"}


def sampled(answer: Any) -> Any:
    """Of thousands of estimates every hundredth, and one of each reason."""
    if isinstance(answer, list):  # a file of Jetstream's
        return answer[::100]
    rows = answer.get("statistics")
    if not isinstance(rows, list):
        return answer
    return {**answer, "statistics": [*rows[::100], *{r["reason"]: r for r in rows}.values()]}


def test_what_the_api_says_is_what_the_page_says(demo_site: Site):
    for each in json.loads(small.text(demo_site, "api/experiments.json", True))["experiments"]:
        page = small.text(demo_site, f"experiments/{each['slug']}.html", True)
        assert each["verdict"]["headline"] in page
        assert f'data-verdict="{each["verdict"]["kind"]}"' in page
        card = json.loads(small.text(demo_site, f"api/experiments/{each['slug']}.json", True))
        assert card.items() >= each.items()


SAID_BADLY = re.compile(
    r"\b(no effect|(in)?significan(t|ce|tly)|winners?|trend(s|ing)?)\b", re.IGNORECASE
)


def test_words_that_no_page_says(demo_site: Site):
    for path, text in small.contents(demo_site, private=True):
        if path.endswith(".html"):
            plain = re.sub(r"<style>.*?</style>|<pre.*?</pre>|<[^>]+>", " ", text, flags=re.DOTALL)
            assert not SAID_BADLY.search(" ".join(plain.split())), path
            assert not re.search(r"\b(nan|inf|None(?!\.))\b", plain), path


def test_numbers_of_the_page_are_those_of_the_csv(demo_site: Site):
    """The interval of the key metric, from the files alone."""
    card = json.loads(small.text(demo_site, "api/experiments/search-as-you-type.json"))
    key, shown = card["key_effect"], card["shown"]
    rows = json.loads(small.text(demo_site, "api/experiments/search-as-you-type/statistics.json"))[
        "statistics"
    ]
    (found,) = [
        row
        for row in rows
        if all(row[name] == value for name, value in shown.items())
        and (row["metric"], row["branch"]) == (key["metric"], key["branch"])
        and row["comparison"] == "relative_uplift"
        and row["comparison_to_branch"] == card["reference_branch"]
        and row["parameter"] is None
    ]
    assert {name: found[name] for name in ("point", "lower", "upper")} == {
        name: key[name] for name in ("point", "lower", "upper")
    }


class TestReport:
    def report(self, demo: Project, *words: str) -> int:
        folder = str(demo.settings.folder)
        return ended("report", *words, "--project", folder, "--date", LAST_DAY)

    def test_to_a_file(self, demo: Project, tmp_path: Path, capsys):
        path = tmp_path / "deep" / "report.html"
        assert self.report(demo, "search-as-you-type", "-o", str(path)) == 0
        text = path.read_text()
        assert capsys.readouterr().out == f"{path}\n"
        assert text.rstrip().endswith("</html>")
        assert "<script" not in text
        assert not re.search(r'(href|src)="(?!#|data:)', text)
        assert "tag lock" not in text

    def test_named_by_the_experiment(self, demo: Project, tmp_path: Path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        assert self.report(demo, "aa-october") == 0
        assert (tmp_path / "aa-october.html").is_file()

    def test_markdown(self, demo: Project, tmp_path: Path, capsys):
        assert self.report(demo, "search-as-you-type", "--format", "md") == 0
        said = capsys.readouterr().out
        assert said.startswith("# Search suggestions as you type\n")
        assert said.count("\n## ") == 2
        path = tmp_path / "r.md"
        assert self.report(demo, "search-as-you-type", "--format", "md", "-o", str(path)) == 0
        assert path.read_text() == said

    def test_a_broken_split_withholds_effects(self):
        made = material("plain")
        checks = [replace(check, state=State.STOP) for check in made.made_checks]
        broken = replace(made, made_checks=tuple(checks))
        assert "95 % interval" in markdown(made)
        said = markdown(broken)
        assert "Do not read these results" in said
        assert "effects are withheld" in said
        assert "95 % interval" not in said

    def test_a_private_one_says_so(self, demo: Project, tmp_path: Path, capsys):
        assert self.report(demo, PRIVATE, "--format", "md") == 0
        assert capsys.readouterr().out.splitlines()[0].endswith(" (private)")
        assert self.report(demo, PRIVATE, "-o", str(tmp_path / "r.html")) == 0
        assert "tag lock" in (tmp_path / "r.html").read_text()

    def test_none_such(self, demo: Project, capsys):
        assert self.report(demo, "search-as-you-tipe") == 2
        assert 'did you mean "search-as-you-type"' in capsys.readouterr().err

    def test_without_results(self, tmp_path: Path, capsys):
        folder = small.write_project(tmp_path / "p", {"one": small.EXPERIMENT})
        words = ["--project", str(folder), "--date", "2020-04-28"]
        assert ended("report", "one", "--format", "md", *words) == 0
        assert "There is no estimate" in capsys.readouterr().out
        assert ended("report", "one", "-o", tmp_path / "r.html", *words) == 0
        assert "nothing was checked" in (tmp_path / "r.html").read_text()
