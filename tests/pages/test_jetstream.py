"""Jetstream's files on the site: as the export writes them, less what pages do not show."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import pytest
from mozilla_nimbus_schemas.jetstream import AnalysisErrors, Metadata, Statistics

from sonde.cli import main
from sonde.jetstream import export
from sonde.project import Project
from sonde.serve.static import write_static
from sonde.site import Site
from tests.pages import small
from tests.pages.small import EXPERIMENT, LAST_DAY

PRIVATE = EXPERIMENT.replace("[experiment]", '[experiment]\nis_private = true\ndataset_id = "hush"')
BROKEN = EXPERIMENT.replace('weekly = ["active_hours"', 'weekly = ["active_hours", "broken"')
BROKEN += "\n[metrics.broken.statistics.linear_model_mean]\n"
WHOLE = EXPERIMENT.replace('["linux", "mac", "windows"]', '["windows"]')  # 140 of 200 units
HERE = "jetstream/"
WEEKLY = "statistics/statistics_one_weekly.json"
ALL = {WEEKLY, "metadata/metadata_one.json", "errors/errors_one.json"}  # overall is not over
OWN_DATES = EXPERIMENT.replace("[experiment]", "[experiment]\nenrollment_period = 5")


def published(folder: Path, private: bool = False) -> dict[str, str]:
    """Content by name, for a reader with or without the right."""
    found = small.contents(small.site(folder), private)
    return {path.removeprefix(HERE): text for path, text in found if path.startswith(HERE)}


def sonde(folder: Path, *words: str) -> None:
    main([*words, "--project", str(folder), "--date", f"{LAST_DAY}"])


def exported(folder: Path, *options: str) -> dict[str, str]:
    out = folder / "exported"
    shutil.rmtree(out, ignore_errors=True)
    sonde(folder, "export", str(out), *options)
    return {str(p.relative_to(out)): p.read_text() for p in out.glob("*/*")}


def configure(folder: Path, slug: str, text: str) -> None:
    (folder / "metric-hub" / "jetstream" / f"{slug}.toml").write_text(text)


def segments(content: str, basis: str) -> set[str]:
    rows = Statistics.model_validate_json(content).root
    return {row.segment for row in rows if row.analysis_basis.value == basis}


def without(content: str, hidden: set[str]) -> list[Mapping[str, object]]:
    """The rows that a reader who may not see some segments of enrolled units gets."""
    rows = json.loads(content)
    return [r for r in rows if r["analysis_basis"] != "enrollments" or r["segment"] not in hidden]


@pytest.fixture(scope="module")
def one(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An experiment with a small segment and a metric that fails; nobody may change it."""
    folder = small.write_project(tmp_path_factory.mktemp("one"), {"one": BROKEN})
    assert [each.problem for each in small.run(folder)] == [None]
    return folder


@pytest.fixture
def own(one: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(one, tmp_path / "own"))


class TestContent:
    def test_where_nothing_is_hidden_it_is_what_the_export_writes(self, tmp_path: Path):
        folder = small.write_project(tmp_path, {"one": WHOLE})
        small.run(folder)
        files = exported(folder)
        assert published(folder) == files
        assert files.keys() == ALL
        assert segments(files[WEEKLY], "enrollments") == {"all", "windows"}
        assert exported(folder, "--as-published") == files

    def test_the_demo(self, demo: Project, demo_site: Site, tmp_path: Path):
        kept = [demo.kept(record.slug) for record in demo.known_records()]
        declared = [each.resolved.experiment for each in kept]
        origins = {each.slug: demo.origin(each) for each in kept}
        written = export(demo.lake, declared, tmp_path, origins)
        names = {str(path.relative_to(tmp_path)) for path in written}
        found = {
            path.removeprefix(HERE): text
            for path, text in small.contents(demo_site, private=False)
            if path.startswith(HERE)
        }
        assert found.keys() == names
        for name, text in found.items():
            kept = (tmp_path / name).read_text()
            if not name.startswith("statistics/"):
                assert text == kept, name
                continue
            shown = json.loads(text)
            ours = {tuple(sorted(row.items())) for row in json.loads(kept)}
            assert {tuple(sorted(row.items())) for row in shown} <= ours
            Statistics.model_validate(shown)

    def test_a_small_segment_is_in_none(self, one: Path):
        files = published(one)
        assert files.keys() == ALL
        assert segments(files[WEEKLY], "enrollments") == {"all", "windows"}
        ours = exported(one)
        assert segments(ours[WEEKLY], "enrollments") == {"all", "linux", "mac", "windows"}
        assert json.loads(files[WEEKLY]) == without(ours[WEEKLY], {"linux", "mac"})
        assert exported(one, "--as-published") == files

    def test_they_say_what_the_api_says(self, one: Path):
        """Row for row: every number of a final window is in both."""
        site = small.site(one)
        told = json.loads(small.text(site, "api/experiments/one/statistics.json"))["statistics"]
        key = ("segment", "metric", "statistic", "branch", "comparison", "comparison_to_branch")
        api = {
            (each["analysis_basis"], str(each["window_index"]), *(each[k] for k in key)): (
                each["point"],
                each["lower"],
                each["upper"],
            )
            for each in told
            if each["analysis_period"] == "week"
            and each["metric"] != "has_data"
            and each["point"] is not None
        }
        rows = json.loads(published(one)[WEEKLY])
        file = {
            (each["analysis_basis"], each["window_index"], *(each.get(k) for k in key)): (
                each["point"],
                each.get("lower"),
                each.get("upper"),
            )
            for each in rows
        }
        assert {k: v for k, v in api.items() if k in file} == file
        assert {k[1] for k in api.keys() - file.keys()} <= {"4"}  # the week that still grows

    def test_fewer_units_than_may_be_shown(self, tmp_path: Path):
        folder = small.write_project(tmp_path, {"one": EXPERIMENT}, number=38)
        small.run(folder)
        for name, content in published(folder).items():
            if name.startswith("statistics/"):
                assert segments(content, "enrollments") == set()
                assert not re.search(r"\b(19|38)\b", content)
        assert segments(exported(folder)[WEEKLY], "enrollments") > {"all"}

    def test_readers_accept_them(self, one: Path):
        files = published(one)
        metadata = Metadata.model_validate_json(files["metadata/metadata_one.json"])
        assert metadata.metrics["active_hours"].friendly_name == "Active hours"
        assert metadata.analysis_start_time is not None
        errors = AnalysisErrors.model_validate_json(files["errors/errors_one.json"]).root
        assert {(each.experiment, each.metric) for each in errors} == {("one", "broken")}

    def test_before_there_are_results(self, tmp_path: Path):
        folder = small.write_project(tmp_path, {"one": EXPERIMENT})
        small.run(folder, small.START - timedelta(3))
        files = published(folder)
        assert files.keys() == {"metadata/metadata_one.json", "errors/errors_one.json"}
        metadata = Metadata.model_validate_json(files["metadata/metadata_one.json"])
        assert metadata.analysis_start_time is None


class TestOnThePage:
    def test_links_lead_to_all_of_them(self, one: Path):
        page = small.text(small.site(one), "experiments/one.html")
        assert set(re.findall(r'href="\.\./jetstream/([^"]+)"', page)) == ALL

    def test_the_card_lists_them(self, one: Path):
        site = small.site(one)
        card = json.loads(small.text(site, "api/experiments/one.json"))
        assert set(card["files"]) == {HERE + name for name in ALL}
        (listed,) = json.loads(small.text(site, "api/experiments.json"))["experiments"]
        assert "files" not in listed


class TestAgain:
    @pytest.fixture
    def own(self, tmp_path: Path) -> Path:
        """An experiment in which nothing fails: what fails is tried in each run."""
        folder = small.write_project(tmp_path / "own", {"one": EXPERIMENT})
        small.run(folder)
        return folder

    def test_what_did_not_change_is_not_written_again(self, own: Path, tmp_path: Path):
        public = tmp_path / "public"
        write_static(small.site(own), public, private=False)
        before = {p: p.stat().st_mtime_ns for p in (public / "jetstream").rglob("*.json")}
        assert len(before) == len(ALL)
        assert small.run(own) == []
        configure(own, "one", OWN_DATES)  # the same dates, said in another place
        assert [each.slug for each in small.run(own)] == ["one"]
        write_static(small.site(own), public, private=False)
        changed = {p.name for p, at in before.items() if p.stat().st_mtime_ns != at}
        assert changed == {"metadata_one.json"}

    def test_the_url_of_the_configuration(self, own: Path):
        configure(own, "one", OWN_DATES)
        small.run(own)
        settings = own / "sonde.toml"
        to = settings.read_text().replace("[config]", '[config]\nurl = "https://hub.test"')
        settings.write_text(to)
        assert [each.slug for each in small.run(own)] == ["one"]
        assert "https://hub.test/one.toml" in published(own)["metadata/metadata_one.json"]


class TestPrivate:
    def test_they_exist_for_those_who_may_see_it(self, own: Path, tmp_path: Path):
        configure(own, "one", PRIVATE)
        small.run(own)
        assert published(own) == {}
        files = published(own, private=True)
        assert files.keys() == ALL
        assert segments(files[WEEKLY], "enrollments") == {"all", "windows"}
        Metadata.model_validate_json(files["metadata/metadata_one.json"])
        assert exported(own) == {}
        write_static(small.site(own), tmp_path / "public", private=False)
        assert not (tmp_path / "public" / "jetstream").exists()

    def test_they_stand_where_the_rights_of_the_lake_can_keep_them(self, tmp_path: Path):
        folder = small.write_project(tmp_path, {"one": PRIVATE})
        small.run(folder)
        for stored in (folder / "lake" / "sonde").rglob("*"):
            assert not stored.is_file() or b"statistics_one" not in stored.read_bytes(), stored


class TestNames:
    """`a-b` and `a_b` would have the same files; a reader would take one's for the other's."""

    def test_of_two_neither_has_them(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
        folder = small.write_project(tmp_path, {"a-b": EXPERIMENT, "a_b": EXPERIMENT})
        small.run(folder)
        assert published(folder) == {}
        page = small.text(small.site(folder), "experiments/a_b.html")
        assert 'href="../jetstream/' not in page
        sonde(folder, "plan")
        said = capsys.readouterr()
        assert 'would both be published as "a_b"; rename one' in said.out + said.err

    def test_nothing_tells_of_a_private_one(self, tmp_path: Path):
        folder = small.write_project(tmp_path, {"a-b": PRIVATE, "a_b": EXPERIMENT})
        small.run(folder)
        metadata = json.loads(published(folder)["metadata/metadata_a_b.json"])
        assert metadata["schema_version"] == 4
        assert published(folder) == published(folder, private=True)
