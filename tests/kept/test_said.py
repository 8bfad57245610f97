"""Where a person, a program or a cluster learns what an experiment keeps."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sonde.lake import Lake
from sonde.project import Project, Work
from sonde.site import Site
from tests import browser
from tests.commands import ended
from tests.kept.hub import AS_OF, DEFINITIONS, LATER, TRIPLED, Hub, kept, make_hub
from tests.pages.small import text

DATE = ("--date", AS_OF.isoformat())


class TestSaid:
    """Where a person learns of it."""

    def test_by_validate(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        hub, first = make_hub(tmp_path, endDate=None)
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        assert ended("validate", "--project", tmp_path) == 0
        said = capsys.readouterr()
        assert said.out == "all is well\n"
        assert f"kept: {browser.SLUG}: has metric-hub@{first[:10]}" in said.err

    def test_for_programs(self, begun: tuple[Hub, str], capsys: pytest.CaptureFixture[str]) -> None:
        hub, first = begun
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        for command in ("plan", "run"):
            assert ended(command, "--project", hub.project, *DATE, "--format", "json") == 0
            assert json.loads(capsys.readouterr().out)["kept"] == [
                {
                    "experiment": browser.SLUG,
                    "configuration": f"metric-hub@{first}",
                    "since": "2020-03-30",
                    "because": "began",
                    "has_moved": False,
                    "not_applied": ['metric "active_hours"'],
                }
            ]

    def test_on_the_page(self, begun: tuple[Hub, str]) -> None:
        hub, first = begun
        list(Project.open(hub.project, {}).publish(Project.open(hub.project, {}).work(AS_OF), 1))
        assert Project.open(hub.project, {}).unpublished(work_of(hub)) == []
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        assert len(Project.open(hub.project, {}).unpublished(work_of(hub))) == 1
        list(Project.open(hub.project, {}).publish(work_of(hub), 1))
        site = Site(Lake.open(hub.project / "lake"))
        site.refresh()
        page = text(site, f"experiments/{browser.SLUG}.html")
        assert "metric &#34;active_hours&#34;" in page
        assert "since 2020-03-30" in page
        assert first in page

    def test_in_the_metadata(self, begun: tuple[Hub, str], tmp_path: Path) -> None:
        hub, first = begun
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        assert ended("export", tmp_path / "out", "--project", hub.project, *DATE) == 0
        (file,) = (tmp_path / "out" / "metadata").glob("*.json")
        (read,) = json.loads(file.read_text())["provenance"]["configuration"]
        assert (read["path"], read["revision"]) == ("metric-hub", first)

    def test_by_show_it_is_what_is_analysed(
        self, begun: tuple[Hub, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub, first = begun
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        assert ended("show", browser.SLUG, "--project", hub.project) == 0
        said = capsys.readouterr()
        assert "3 *" not in said.out
        assert f"@ {first[:10]}" in said.out
        assert "kept: " in said.err

    def test_a_preview_is_of_the_newest(
        self, begun: tuple[Hub, str], capsys: pytest.CaptureFixture[str]
    ) -> None:
        hub, _ = begun
        days = ("--start-date", "2020-04-01", "--end-date", "2020-04-06")
        assert ended("preview", browser.SLUG, "--project", hub.project, *days) == 0
        before = capsys.readouterr().out
        hub.commit(LATER, {DEFINITIONS: TRIPLED})
        assert ended("preview", browser.SLUG, "--project", hub.project, *days) == 0
        assert capsys.readouterr().out != before


def work_of(hub: Hub) -> Work:
    return Project.open(hub.project, {}).work(AS_OF)


def test_a_task_on_a_cluster_keeps_the_same(begun: tuple[Hub, str]) -> None:
    """Submitting writes down who has moved: the tasks, and the image of the next day, follow."""
    hub, first = begun
    second = hub.commit(LATER, {DEFINITIONS: TRIPLED})
    opened = Project.open(hub.project, {})
    opened.keep_moved(opened.work(AS_OF))
    assert kept(hub.project).read_at == f"metric-hub@{first}"
    opened.keep_moved(opened.work(AS_OF, to_newest=True))
    found = kept(hub.project)
    assert found.read_at == f"metric-hub@{second}"
    assert found.pin is not None
    assert found.pin.since == datetime.now(UTC).date()
