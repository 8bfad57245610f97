"""A project whose configuration is a git repository, and commits with a given date."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from pathlib import Path

from sonde.kept import Kept
from sonde.project import Project
from tests import browser

AS_OF = date(2020, 4, 12)  # the experiment began on 2020-03-30
LATER = date(2020, 4, 5)
DEFINITIONS = "definitions/firefox_desktop.toml"
OUTCOME = "jetstream/outcomes/firefox_desktop/hours.toml"
OWN = f"jetstream/{browser.SLUG}.toml"
UNRELATED = "jetstream/another-experiment.toml"
TRIPLED = browser.DEFINITIONS.replace(
    '{{agg_sum("active_hours_sum")}}', "SUM(3 * active_hours_sum)"
)


class Hub:
    """The repository in a project's folder."""

    def __init__(self, project: Path) -> None:
        self.project = project
        self.folder = project / "metric-hub"

    def git(self, *arguments: str, day: date | None = None) -> str:
        """Run git as of a day, at noon in UTC; its answer."""
        when = datetime.combine(day or date(2020, 3, 1), time(12), UTC).isoformat()
        named = {
            f"GIT_{who}_{key}": value
            for who in ("AUTHOR", "COMMITTER")
            for key, value in (("NAME", "A"), ("EMAIL", "a@example.com"), ("DATE", when))
        }
        command = ["git", "-C", str(self.folder), *arguments]
        done = subprocess.run(command, capture_output=True, check=True, env=os.environ | named)
        return done.stdout.decode().strip()

    def write(self, files: Mapping[str, str]) -> None:
        """Change files of the work tree."""
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True, exist_ok=True)
            (self.folder / path).write_text(text)

    def commit(self, day: date, files: Mapping[str, str]) -> str:
        """Change files and commit them; the commit."""
        self.write(files)
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "x", day=day)
        return self.git("rev-parse", "HEAD")


def make_hub(folder: Path, day: date = date(2020, 3, 1), **record: object) -> tuple[Hub, str]:
    """A project with one experiment, and everything of its configuration in one commit."""
    hub = Hub(browser.write_project(folder, **record))
    hub.git("init", "--quiet", "--initial-branch", "main")
    return hub, hub.commit(day, {})


def kept(folder: Path, as_of: date = AS_OF) -> Kept:
    """The experiment as it is analysed, by whatever is on disk now."""
    return Project.open(folder, {}).kept(browser.SLUG, as_of)


def run(folder: Path, as_of: date = AS_OF, *, to_newest: bool = False) -> Project:
    """What `sonde run` does, without pages."""
    project = Project.open(folder, {})
    list(project.run(project.work(as_of, to_newest=to_newest), 1))
    return project
