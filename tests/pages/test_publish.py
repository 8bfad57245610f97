"""Publication with real lakes: what is made again, what goes, and what is said of nothing."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import time
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path

import pytest

from sonde import publish
from sonde.errors import BackendError
from sonde.lake import Lake
from sonde.plan.steps import health_table
from sonde.project import Project
from sonde.publish import finish, publish_shared
from sonde.site import PRIVATE_SITE, SITE
from tests.commands import ended
from tests.pages import small
from tests.pages.small import EXPERIMENT, LAST_DAY, START

PRIVATE = EXPERIMENT.replace("[experiment]", '[experiment]\nis_private = true\ndataset_id = "hush"')
TWO = {"one": EXPERIMENT, "quiet": EXPERIMENT}
LISTS = ("index.html", "metrics.html", "runs.html", "api/experiments.json")
CLOCK = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?")  # may say any number


def fingerprints(folder: Path) -> dict[tuple[str, ...], str]:
    lake = Lake.open(folder / "lake")
    found = {**lake.receipts(SITE), **lake.receipts(PRIVATE_SITE)}
    return {key: receipt.path for key, receipt in found.items()}


def configure(folder: Path, slug: str, text: str) -> None:
    (folder / "metric-hub" / "jetstream" / f"{slug}.toml").write_text(text)


def plain(page: str) -> str:
    return " ".join(re.sub(r"<svg.*?</svg>|<[^>]+>", " ", page, flags=re.DOTALL).split())


def sonde(folder: Path, *words: str) -> int:
    return ended(*words, "--project", folder)


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two experiments, published; nobody may change them."""
    folder = small.write_project(tmp_path_factory.mktemp("two"), TWO)
    assert [each.problem for each in small.run(folder)] == [None, None]
    return folder


@pytest.fixture
def own(two: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(two, tmp_path / "two"))


class TestAgain:
    def test_nothing_new_is_nothing_done(self, own: Path):
        before = fingerprints(own)
        started = time.process_time()
        assert small.run(own) == []
        assert time.process_time() - started < 2
        assert fingerprints(own) == before

    def test_one_changed(self, own: Path):
        before = fingerprints(own)
        configure(
            own, "quiet", EXPERIMENT.replace("weekly = ", 'daily = ["days_of_use"]\nweekly = ')
        )
        assert [each.slug for each in small.run(own)] == ["quiet"]
        after = fingerprints(own)
        made = {key for key in before if before[key] != after[key]}
        assert made == {("public", "experiment quiet"), ("public", "all")}
        assert before.keys() == after.keys()

    def test_an_experiment_that_runs_ages(self, own: Path):
        small.run(own, LAST_DAY + timedelta(1))
        assert "Data to 29 Apr" in plain(small.text(small.site(own), "experiments/one.html"))
        history = plain(small.text(small.site(own), "experiments/one.html"))
        assert "28 Apr 2020 Keep going" in history

    def test_the_card_comes_first_and_says_what_the_page_says(self, two: Path):
        site = small.site(two)
        card = json.loads(small.text(site, "api/experiments/one.json"))
        assert card["verdict"]["headline"] in small.text(site, "experiments/one.html")
        listed = json.loads(small.text(site, "api/experiments.json"))["experiments"]
        assert [each["slug"] for each in listed] == ["quiet", "one"]
        assert "definitions" not in listed[0]


class TestPrivate:
    def test_it_goes_from_everywhere_in_one_commit(self, own: Path, monkeypatch):
        configure(own, "quiet", PRIVATE)
        seen: list[bool] = []
        commit = Lake.commit

        def watched(lake, table, *given):
            commit(lake, table, *given)
            texts = [f"{p} {t}" for p, t in small.contents(small.site(own), private=False)]
            named = [bool(re.search(r"\bquiet\b", each)) for each in texts]
            lists = any(re.search(r"\bquiet\b", small.text(small.site(own), p)) for p in LISTS)
            seen.append(any(named))
            assert lists == any(named)  # never a list of what is gone, nor pages in no list

        monkeypatch.setattr(Lake, "commit", watched)
        small.run(own)
        assert not seen[-1]
        assert sorted(seen, reverse=True) == seen

    def test_whoever_has_the_right_sees_it(self, own: Path):
        configure(own, "quiet", PRIVATE)
        small.run(own)
        site = small.site(own)
        assert "experiments/quiet.html" not in site.paths(private=False)
        assert "tag lock" in small.text(site, "experiments/quiet.html", private=True)
        index = small.text(site, "index.html", private=True)
        assert 'data-slug="quiet"' in index
        assert 'data-slug="one"' in index

    def test_and_back(self, own: Path):
        configure(own, "quiet", PRIVATE)
        small.run(own)
        configure(own, "quiet", EXPERIMENT)
        small.run(own)
        site = small.site(own)
        assert 'data-slug="quiet"' in small.text(site, "index.html")
        assert {key[0] for key in fingerprints(own)} == {"public"}
        assert "tag lock" not in small.text(site, "experiments/quiet.html")

    def test_though_its_pages_cannot_be_made(self, own: Path, monkeypatch):
        configure(own, "quiet", PRIVATE)
        monkeypatch.setattr("sonde.publish.experiment_files", failing)
        project = Project.open(own, {})
        published = list(project.publish(project.work(LAST_DAY), 1))
        assert all(each.problem for each in published)
        texts = dict(small.contents(small.site(own), private=False))
        assert not any(re.search(r"\bquiet\b", path + text) for path, text in texts.items())

    def test_though_it_is_long_over(self, own: Path):
        later = LAST_DAY + timedelta(days=400)
        small.run(own, later)
        configure(own, "quiet", PRIVATE)
        small.run(own, later)
        texts = dict(small.contents(small.site(own), private=False))
        assert not any(re.search(r"\bquiet\b", path + text) for path, text in texts.items())
        assert "experiments/quiet.html" in small.site(own).paths(private=True)


def failing(material, *given):
    raise ValueError(f"no page of {material.experiment.slug}")


class TestFailing:
    def test_the_old_page_stays_and_the_others_are_made(self, own: Path, monkeypatch):
        made = publish.experiment_files

        def one_fails(material, *given):
            return (failing if material.experiment.slug == "one" else made)(material, *given)

        monkeypatch.setattr(publish, "experiment_files", one_fails)
        before = fingerprints(own)
        found = {e.slug: e.problem for e in small.run(own, LAST_DAY + timedelta(1))}
        assert found["quiet"] is None
        assert found["one"] is not None
        assert "no page of one" in found["one"].message
        after = fingerprints(own)
        assert after["public", "experiment one"] == before["public", "experiment one"]
        assert after["public", "experiment quiet"] != before["public", "experiment quiet"]
        assert 'data-slug="one"' in small.text(small.site(own), "index.html")
        monkeypatch.undo()
        assert [e.slug for e in small.run(own, LAST_DAY + timedelta(1))] == ["one"]

    def test_the_command_says_so(self, own: Path, monkeypatch, capsys):
        monkeypatch.setattr("sonde.publish.experiment_files", failing)
        assert sonde(own, "run", "--date", "2020-04-29", "--workers", "1") == 3
        assert (
            "error: one: the pages are as they were: ValueError: no page of one"
            in capsys.readouterr().out
        )

    @pytest.mark.parametrize("nth", range(1, 6))
    def test_killed_in_between(self, own: Path, monkeypatch, nth: int):
        """Whichever commit does not come: what is published is whole, and the next run ends it."""
        commit, count = Lake.commit, iter(range(1, 100))

        def killed(lake, *given):
            if next(count) == nth:
                raise BackendError("killed")
            commit(lake, *given)

        project = Project.open(own, {})
        work = project.work(LAST_DAY + timedelta(1))
        list(project.run(work, 1))
        monkeypatch.setattr(Lake, "commit", killed)
        with contextlib.suppress(BackendError):
            list(project.publish(work, 1))
        monkeypatch.undo()
        for path, text in small.contents(small.site(own), private=False):
            if path.endswith(".html"):
                assert text.rstrip().endswith("</html>"), path
        small.run(own, LAST_DAY + timedelta(1))
        site = small.site(own)
        assert "Data to 29 Apr 2020" in plain(small.text(site, "experiments/one.html"))
        assert (
            json.loads(small.text(site, "api/experiments.json"))["experiments"][0]["data_through"]
            == "2020-04-29"
        )

    def test_pages_without_lists(self, own: Path):
        """Killed after the pages: the lists follow with the next run, though nothing is stale."""
        project = Project.open(own, {})
        work = project.work(LAST_DAY + timedelta(1))
        list(project.run(work, 1))
        finish(project.unpublished(work), project.setting(LAST_DAY + timedelta(1)))
        assert small.run(own, LAST_DAY + timedelta(1)) == []
        assert "2020-04-29" in small.text(small.site(own), "api/experiments.json")
        assert not publish_shared(Lake.open(own / "lake"))

    def test_checks_stay_within_the_memory_of_the_project(self, own: Path):
        """With next to none they fail, each alone, with the advice that steps give."""
        day = LAST_DAY + timedelta(1)
        project = Project.open(own, {})
        work = project.work(day)
        list(project.run(work, 1))
        subjects = project.unpublished(work)
        for each in subjects:
            table = health_table(each.experiment)
            project.lake.commit(table, [], [table.partition(each.experiment.slug)])
        problems = [
            each.problem
            for each in finish(subjects, replace(project.setting(day), memory="1KB"))
            if each.problem
        ]
        assert len(problems) == len(subjects) > 0
        for problem in problems:
            assert "the 1KB of memory it may use; raise `memory` under [run]" in problem.message
        assert [each.problem for each in small.run(own, day)] == [None] * len(subjects)


def one_page(tmp_path: Path, code: int, as_of: date = LAST_DAY, **how) -> str:
    """What the page of a lone experiment says; `sonde run` ended with a code."""
    text = how.pop("text", EXPERIMENT)
    changed = how.pop("record", {})
    folder = small.write_project(tmp_path / "p", {"one": text}, {"one": changed}, **how)
    assert sonde(folder, "run", "--date", as_of.isoformat(), "--workers", "1") == code
    site = small.site(folder)
    for path in ("index.html", "metrics.html", "runs.html", "experiments/one.report.html"):
        assert small.text(site, path)
    for what in ("", "/statistics", "/errors", "/health"):
        json.loads(small.text(site, f"api/experiments/one{what}.json"))
    return plain(small.text(site, "experiments/one.html"))


class TestNothingToShow:
    def test_before_its_start(self, tmp_path: Path):
        page = one_page(tmp_path, 0, START - timedelta(3))
        assert "Not analysed. Starts 2020-04-01; the data reach 2020-03-29." in page
        assert "Not started" in page

    def test_no_unit_enrolled(self, tmp_path: Path):
        page = one_page(tmp_path, 0, number=0)
        assert "No unit is enrolled" in page
        assert "No unit is enrolled yet" in page

    def test_while_units_enroll(self, tmp_path: Path):
        page = one_page(tmp_path, 0, START + timedelta(2))
        assert "Too early to say anything. Enrollment is open until" in page

    def test_all_metrics_failed(self, tmp_path: Path):
        text = EXPERIMENT.replace('"active_hours", "days_of_use"', '"broken"').replace(
            "metrics.days_of_use", "metrics.broken"
        )
        text = text.replace(
            "[metrics.active_hours.statistics.linear_model_mean]\ndrop_highest = 0", ""
        )
        page = one_page(tmp_path, 3, text=text)
        assert "There is no estimate; the errors below say why." in page
        assert "no_such_column" in page
        assert "What not" not in page

    def test_one_metric_failed(self, tmp_path: Path):
        text = EXPERIMENT.replace(
            'weekly = ["active_hours", "days_of_use"]', 'weekly = ["broken", "active_hours"]'
        )
        text += "\n[metrics.broken.statistics.linear_model_mean]\n"
        page = one_page(tmp_path, 3, text=text)
        assert "Keep going" in page
        assert "no_such_column" in page

    def test_no_control_branch(self, tmp_path: Path):
        page = one_page(tmp_path, 2, record={"referenceBranch": "nobody"})
        assert 'Not analysed. The reference branch "nobody" is none of its branches' in (
            page.replace("&#34;", '"')
        )

    def test_one_branch_only(self, tmp_path: Path):
        branches = [{"slug": "control", "ratio": 1}]
        page = one_page(tmp_path, 0, record={"branches": branches}, branches=("control",))
        assert "no branch to compare with" in page

    def test_dates_out_of_order(self, tmp_path: Path):
        page = one_page(
            tmp_path, 2, record={"endDate": "2020-03-01"}, text=EXPERIMENT, as_of=date(2020, 2, 20)
        )
        assert "Not analysed." in page

    def test_fewer_units_than_may_be_shown(self, tmp_path: Path):
        """38 units, 19 in a branch: no number of the experiment's is anywhere."""
        page = one_page(tmp_path, 0, number=38)
        assert "A branch has fewer than 20 units: nothing is shown." in page
        site = small.site(tmp_path / "p")
        for path, text in small.contents(site, private=False):
            if "assets/" in path or path == "api/experiments/one/errors.json":
                continue
            said = plain(text) if path.endswith("html") else text
            assert not re.search(r"\b(19|38)\b", CLOCK.sub("", said)), path
        rows = json.loads(small.text(site, "api/experiments/one/statistics.json"))["statistics"]
        assert {row["analysis_basis"] for row in rows} == {"exposures"}  # of which there are none
        assert {row["point"] for row in rows} == {0.0, None}

    def test_a_small_segment_is_nowhere(self, two: Path):
        """Ten units on Linux: no row, no check and no list tells of them, nor of Macs."""
        site = small.site(two)
        rows = json.loads(small.text(site, "api/experiments/one/statistics.json"))["statistics"]
        enrolled = [row for row in rows if row["analysis_basis"] == "enrollments"]
        assert {row["segment"] for row in enrolled} == {"all", "windows"}
        checks = json.loads(small.text(site, "api/experiments/one/health.json"))["health"]
        told = {check["scope"]: check["detail"] for check in checks if "segment" in check["scope"]}
        assert told["segment linux"] == told["segment mac"] == {}
        assert told["segment windows"]["units"] == 140
        assert "counts" not in told["segment windows"]
        csv = small.text(site, "experiments/one.csv").splitlines()
        assert not [line for line in csv if "linux" in line and "exposures" not in line]
        for path, text in small.contents(site, private=False):
            if re.search(r"/enrollments\..*\.(linux|mac)\.", path):
                assert "Fewer than 20 units: nothing is shown." in text
                assert not re.search(r"<b>[^<]*%</b>", text.split('id="seg"')[0]), path
