"""A deployment whose lake is in a bucket: the same results, by every command."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sonde.lake import Lake
from sonde.project import Project
from sonde.site import Site
from tests import browser
from tests.commands import ended
from tests.kept.hub import AS_OF
from tests.serve.conftest import write_small_site
from tests.store.deployment import DATE, contents, make_project, moved

SLUG = browser.SLUG
# Sums of whole numbers: windows merged from days may add others in another order.
EXACT = browser.DEFINITIONS.replace(
    '"active_hours_sum"', '"CAST(active_hours_sum * 1000 AS INT64)"'
)
WEEKLY = browser.EXPERIMENT.replace('daily = ["active_hours"]\n', "")
TOLD = {
    "plan": ("plan", *DATE, "--format", "json"),
    "results": ("results", SLUG, "--format", "json"),
    "show": ("show", SLUG),
    "preview": ("preview", SLUG, "--start-date", "2020-04-01", "--end-date", "2020-04-05"),
    "replay": ("replay", SLUG, "--format", "json"),
}
WRITTEN = {
    "export": ("export", "{}", *DATE),
    "publish": ("publish", "{}"),
    "units": ("units", SLUG, "{}/units.parquet", *DATE, "--period", "week"),
    "report": ("report", SLUG, *DATE, "--output", "{}/report.html"),
}


def told(project: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What commands print."""
    found = {}
    for name, words in TOLD.items():
        assert ended(*words, "--project", project) == 0
        found[name] = capsys.readouterr().out.replace(str(project), "")
    return found


_AT = re.compile(rb"20\d\d-\d\d-\d\d[T ]\d\d:\d\d:\d\d[^\"<]*")
_OF_THE_RUN = {"runs.html", "runs.json", ".sonde-site.json"}  # what it cost, and digests of that


def written(project: Path) -> dict[str, bytes]:
    """The files that commands write, but for when they did and what a run cost."""
    out = project / "out"
    for name, words in WRITTEN.items():
        (out / name).mkdir(parents=True)
        filled = (word.format(out / name) for word in words)
        assert ended(*filled, "--project", project) == 0
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {
        str(path.relative_to(out)): _AT.sub(b"then", path.read_bytes())
        for path in files
        if path.name not in _OF_THE_RUN
    }


@pytest.mark.parametrize("windows", [pytest.param("direct", marks=pytest.mark.slow), "incremental"])
def test_every_command_as_with_a_folder(
    tmp_path: Path, s3: str, capsys: pytest.CaptureFixture[str], windows: str
) -> None:
    here = make_project(tmp_path / "here", definitions=EXACT, experiment=WEEKLY)
    with (here / "sonde.toml").open("a") as settings:
        settings.write(f'[run]\nwindows = "{windows}"\nworkers = 1\n')
    there = moved(here, tmp_path / "there", s3)
    for project in (here, there):
        assert ended("run", *DATE, "--project", project) == 0
        assert Project.open(project).work(AS_OF).stale == ()
    assert contents(there) == contents(here)
    capsys.readouterr()
    assert told(there, capsys) == told(here, capsys)
    assert written(there) == written(here)


def test_a_copy_that_went_is_fetched_again(tmp_path: Path, s3: str) -> None:
    """A server runs for weeks, and copies that nobody reads make room for others."""
    lake = Lake.open(s3)
    write_small_site(lake)
    site = Site(lake)
    site.refresh()
    for copy in (tmp_path / "cache").rglob("*.parquet"):
        copy.unlink()
    found = site.get("index.html", private=False)
    assert found is not None
    assert found.body


@pytest.mark.slow
def test_on_a_dask_cluster(tmp_path: Path, s3: str) -> None:
    here = make_project(tmp_path / "here")
    there = moved(here, tmp_path / "there", s3)
    with (there / "sonde.toml").open("a") as settings:
        settings.write('[run]\nrunner = "dask"\nworkers = 2\n')
    for project in (here, there):
        assert ended("run", *DATE, "--project", project) == 0
    assert contents(there) == contents(here)
