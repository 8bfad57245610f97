"""Each experiment of the demo teaches what it is there for, at full size."""

from __future__ import annotations

import gzip
from datetime import date, timedelta
from pathlib import Path

import msgspec
import pytest

from sonde.datasets import write_project
from sonde.datasets.lessons import LESSONS
from sonde.health import State
from sonde.pages import links
from sonde.project import Project
from sonde.site import Site

pytestmark = pytest.mark.slow

BROKEN = "sync-prompt-on-exit"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder: Path = tmp_path_factory.mktemp("demo") / "demo"
    write_project(folder)
    return Project.open(folder)


@pytest.fixture(scope="module")
def early(project: Project):
    """The checks of the broken split two days after the fault began, before anything else."""
    (loss,) = (lesson.loss for lesson in LESSONS if lesson.loss is not None)
    work = project.work(loss.since + timedelta(days=1), [BROKEN])
    list(project.run(work, 2))
    list(project.publish(work, 2))
    return project.material(BROKEN, work.plan.as_of).checks


@pytest.fixture(scope="module")
def cards(project: Project, early):
    """What the portfolio says of each experiment in the end."""
    slugs = [lesson.slug for lesson in LESSONS]
    work = project.work(date(2026, 11, 19), slugs)
    list(project.run(work, 2))
    assert [each for each in project.publish(work, 2) if each.problem] == []
    site = Site(project.lake)
    site.refresh()
    found = {}
    for slug in slugs:
        file = site.get(links.api(slug), private=True)
        assert file is not None
        found[slug] = msgspec.json.decode(gzip.decompress(file.body))
    return found


def test_the_broken_split_is_red_within_two_days_and_names_the_system(early):
    stops = [check for check in early if check.name == "sample_ratio" and check.state is State.STOP]
    assert "segment windows" in {check.scope for check in stops}
    assert not {"segment macos", "segment linux"} & {check.scope for check in stops}
    assert any("Windows" in check.note for check in stops)


@pytest.mark.parametrize(
    ("slug", "kind", "words"),
    [
        (BROKEN, "broken", "Windows"),
        ("prefetch-top-sites", "stop", "Start-up time rose"),
        ("new-tab-density", "decide by segment", "macOS loses"),
        ("weekly-digest-tab", "fades", "fades"),
        ("aa-october", "a/a", "lie wholly on one side of 0"),
        ("sponsored-shortcuts", "keep going", "could be either"),
        ("search-as-you-type", "keep going", "rose by between"),
        ("vertical-tabs", "keep going", "Active hours"),
    ],
)
def test_the_lesson_is_in_the_verdict(cards, slug: str, kind: str, words: str):
    said = cards[slug]["verdict"]
    assert said["kind"] == kind
    assert words in said["sentence"]


def test_the_inconclusive_one_says_how_long_it_still_needs(cards):
    assert cards["sponsored-shortcuts"]["verdict"]["headline"] == "Keep going, 20 more days."


def test_the_clear_win_is_coloured_as_one(cards):
    effect = cards["search-as-you-type"]["key_effect"]
    assert effect["lower"] > 0
    assert effect["lower"] <= effect["truth"] <= effect["upper"]
