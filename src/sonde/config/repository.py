"""Where configuration files are read from: a folder, or git objects, now or at an earlier time."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Protocol

from sonde.config.git import Git, clone, enclosing
from sonde.errors import ConfigError

_FILE = r"[^/]+\.toml"
_OTHER_TOOLS = rf"(?:featmon|opmon|looker)/(?:[^/]+/)*{_FILE}"
_KINDS = rf"(?:(?:defaults|definitions|outcomes/[^/]+)/)?{_FILE}"
_WANTED = re.compile(
    rf"(?:jetstream/)?{_KINDS}|nimbus/definitions/{_FILE}|sonde/verdict\.toml|{_OTHER_TOOLS}"
)
_FOLDERS = ("", "defaults", "definitions", "outcomes/*")
_PATTERNS = (
    *(f"{top}{folder}/*.toml".lstrip("/") for top in ("", "jetstream/") for folder in _FOLDERS),
    "nimbus/definitions/*.toml",
    "sonde/verdict.toml",
    *(f"{tool}/**/*.toml" for tool in ("featmon", "opmon", "looker")),
)
_NOT_OURS = frozenset({"pyproject.toml", "sonde.toml"})
_TREE_URL = re.compile(r"(?P<url>.+?)/tree/(?P<branch>[^/]+)(?:/(?P<path>.*))?")


def short_name(repository: str) -> str:
    """A repository by its last part: where it lies on this machine is nobody's business.

    >>> short_name("https://example.org/mozilla/metric-hub/")
    'metric-hub'
    """
    return repository.rstrip("/").rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Change:
    """The commit that last changed a file."""

    commit: str
    date: datetime


@dataclass(frozen=True)
class Snapshot:
    """The configuration files of a repository at one time.

    name: what the repository is called in places. files: content by path within the repository.
    commit and history: None outside git. is_work_tree: the files may not be those of the commit.
    """

    name: str
    files: Mapping[str, bytes]
    commit: str | None = None
    history: Commits | None = field(default=None, repr=False)
    is_work_tree: bool = False

    @cached_property
    def is_committed(self) -> bool:
        """Whether the files are those of the commit; outside git there is none."""
        if self.commit is None or self.history is None:
            return False
        if not self.is_work_tree:
            return True
        return dict(self.files) == dict(self.history.at(self.commit).files)

    def as_committed(self) -> Snapshot:
        """The files of the commit; outside git, these."""
        if self.commit is None or self.history is None:
            return self
        return self.history.at(self.commit)

    @property
    def committed(self) -> datetime | None:
        """When the commit was made."""
        if self.commit is None or self.history is None:
            return None
        return datetime.fromtimestamp(self.history.git.commit_time(self.commit), UTC)

    def last_change(self, path: str) -> Change | None:
        """The last commit up to this one that changed a file."""
        if self.commit is None or self.history is None:
            return None
        return self.history.change(self.commit, path)


class Repository(Protocol):
    """Configuration files with or without a history."""

    def current(self) -> Snapshot:
        """The files as they are."""

    def as_of(self, moment: datetime, loads: Callable[[Snapshot], bool]) -> Snapshot:
        """The files as they were: of the last commit until `moment`, or else the first of all.

        Where those do not load: of the next commit that does.
        """

    def find(self, commit: str) -> Snapshot | None:
        """The files of a commit; None when there is no such commit."""


def open_repository(source: str | Path) -> Repository:
    """A folder, a git repository, or `<url>` or `<url>/tree/<branch>/<path>`, which is cloned."""
    folder = Path(source)
    if folder.is_dir():
        git, prefix = enclosing(folder) or (None, "")
        if git is not None and git.is_bare:
            return Commits(git, "HEAD", "", str(source))
        return Folder(folder, git, prefix)
    if isinstance(source, Path) or not re.match(r"[a-z+]+://|[^/]+@[^/]+:", source):
        raise ConfigError(f"no folder {source}, and it is not the URL of a git repository")
    parts = _TREE_URL.fullmatch(source.rstrip("/"))
    if parts is None:
        return Commits(clone(source), "HEAD", "", source)
    branch, path = parts["branch"], parts["path"] or ""
    prefix = f"{path}/" if path else ""
    return Commits(clone(parts["url"], branch), "HEAD", prefix, source)


@dataclass(frozen=True)
class Folder:
    """Files in a folder, which may be part of a git work tree."""

    path: Path
    git: Git | None = None
    prefix: str = ""

    def current(self) -> Snapshot:
        """The files of the work tree, committed or not."""
        found = sorted({path for pattern in _PATTERNS for path in self.path.glob(pattern)})
        files = {path.relative_to(self.path).as_posix(): path.read_bytes() for path in found}
        wanted = {path: content for path, content in files.items() if path not in _NOT_OURS}
        history = self._history
        if history is None:
            return Snapshot(str(self.path), wanted)
        return Snapshot(str(self.path), wanted, history.tip, history, is_work_tree=True)

    def as_of(self, moment: datetime, loads: Callable[[Snapshot], bool]) -> Snapshot:
        """From the history; without one, the files as they are."""
        return self.current() if self._history is None else self._history.as_of(moment, loads)

    def find(self, commit: str) -> Snapshot | None:
        """The files of a commit; None when there is no such commit."""
        return None if self._history is None else self._history.find(commit)

    @cached_property
    def _history(self) -> Commits | None:
        """What leads to the commit that is checked out; None before the first."""
        if self.git is None or (commit := self.git.head()) is None:
            return None
        return Commits(self.git, commit, self.prefix, str(self.path))


@dataclass(frozen=True)
class Commits:
    """Files within the commits that lead to `tip`. prefix: the folder of the files, or empty."""

    git: Git
    tip: str
    prefix: str
    name: str
    _contents: dict[str, bytes] = field(default_factory=dict, repr=False, compare=False)

    def current(self) -> Snapshot:
        """The files of the tip."""
        return self.at(self._line[0][0])

    def as_of(self, moment: datetime, loads: Callable[[Snapshot], bool]) -> Snapshot:
        """The files of the last commit until `moment`; see `Repository`."""
        commits = self._line
        until = moment.timestamp()
        position = next((i for i, (_, t) in enumerate(commits) if t <= until), len(commits) - 1)
        chosen = self.at(commits[position][0])
        for snapshot in self._from(chosen, [commit for commit, _ in commits[:position]]):
            if loads(snapshot):
                return snapshot
        return chosen  # none loads: what is wrong is said when it is asked for

    @cached_property
    def _line(self) -> list[tuple[str, int]]:
        return self.git.commits(self.tip)

    def _from(self, chosen: Snapshot, newer: list[str]) -> Iterator[Snapshot]:
        yield chosen
        for commit in reversed(newer):
            yield self.at(commit)

    def find(self, commit: str) -> Snapshot | None:
        """The files of a commit; None when there is no such commit."""
        return self.at(commit) if self.git.has(commit) else None

    def at(self, commit: str) -> Snapshot:
        """The files of one commit."""
        paths = {
            path.removeprefix(self.prefix): blob
            for path, blob in self.git.files(commit, self.prefix).items()
        }
        wanted = {p: b for p, b in paths.items() if _WANTED.fullmatch(p) and p not in _NOT_OURS}
        new = set(wanted.values()) - self._contents.keys()  # commits share most of their files
        self._contents.update(self.git.contents(new))
        files = {path: self._contents[blob] for path, blob in sorted(wanted.items())}
        return Snapshot(self.name, files, commit, self)

    def change(self, commit: str, path: str) -> Change | None:
        """The last commit up to `commit` that changed a file."""
        found = self.git.last_change(commit, self.prefix + path)
        return None if found is None else Change(found[0], datetime.fromtimestamp(found[1], UTC))
