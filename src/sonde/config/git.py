"""Git objects, read through git's own commands. A work tree is never touched."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sonde.errors import BackendError

_NO_PROMPT = {"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0"}
_ELSEWHERE = (  # a hook's environment points at its own repository
    "GIT_COMMON_DIR", "GIT_DIR", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_WORK_TREE",
)  # fmt: skip
_NOT_A_REPOSITORY = re.compile(r"not a git repository", re.IGNORECASE)


@dataclass(frozen=True)
class Git:
    """A repository's objects. keep: what must live as long, as a temporary folder."""

    folder: Path
    is_bare: bool = False
    keep: object = None

    def head(self) -> str | None:
        """The commit checked out; None before the first."""
        try:
            return self._run("rev-parse", "--verify", "--quiet", "HEAD^{commit}").decode().strip()
        except BackendError:
            return None

    def has(self, commit: str) -> bool:
        """Whether the commit is there; a shallow clone has the newest only."""
        try:
            self._run("cat-file", "-e", f"{commit}^{{commit}}")
        except _GitFailed:
            return False
        return True

    def commits(self, tip: str) -> list[tuple[str, int]]:
        """The states that `tip` had, newest first: hash, committer time in unix seconds.

        A branch counts from its merge on: what it was before was never in force.
        """
        arguments = ("--first-parent", "--timestamp", tip, "--")
        listed = self._run("rev-list", *arguments).decode().splitlines()
        return [(commit, int(time)) for time, commit in (line.split() for line in listed)]

    def commit_time(self, commit: str) -> int:
        """The committer time of a commit, in unix seconds."""
        return int(self._run("show", "--no-patch", "--format=%ct", commit))

    def files(self, commit: str, prefix: str) -> dict[str, str]:
        """The blobs under a folder (`""`, or ending in `/`), by path from the top."""
        arguments = ("--full-tree", "-r", "-z", commit, "--", *([prefix] if prefix else []))
        blobs = {}
        for entry in self._run("ls-tree", *arguments).decode().split("\0"):
            if entry:
                meta, path = entry.split("\t", 1)
                mode, _, blob = meta.split(" ")
                if mode.startswith("100"):  # a file, not a link or a submodule
                    blobs[path] = blob
        return blobs

    def contents(self, blobs: Iterable[str]) -> dict[str, bytes]:
        """The contents of blobs, in one go."""
        wanted = list(dict.fromkeys(blobs))
        if not wanted:
            return {}
        answer = self._run("cat-file", "--batch", given="\n".join(wanted).encode() + b"\n")
        found, position = {}, 0
        for blob in wanted:
            end = answer.index(b"\n", position)
            size = int(answer[position:end].split()[2])
            found[blob] = answer[end + 1 : end + 1 + size]
            position = end + 2 + size
        return found

    def last_change(self, commit: str, path: str) -> tuple[str, int] | None:
        """The last commit up to `commit` that changed a file: hash, committer time.

        Where a branch changed it, the merge.
        """
        first = ("--first-parent", "--timestamp", "--max-count=1")
        line = self._run("rev-list", *first, commit, "--", f":(top,literal){path}").split()
        return (line[1].decode(), int(line[0])) if line else None

    def _run(self, *arguments: str, given: bytes = b"") -> bytes:
        return _git("-C", str(self.folder), *arguments, given=given)


def enclosing(folder: Path) -> tuple[Git, str] | None:
    """The repository a folder is in, and the folder within it (`""`, or ending in `/`)."""
    try:
        answer = _git("-C", str(folder), "rev-parse", "--is-bare-repository", "--show-prefix")
    except _GitFailed as error:
        if _NOT_A_REPOSITORY.search(str(error)):
            return None
        raise
    except _GitAbsent:
        here = folder.resolve()
        if any((parent / ".git").exists() for parent in (here, *here.parents)):
            raise
        return None
    is_bare, _, prefix = answer.decode().partition("\n")
    return Git(folder, is_bare == "true"), prefix.removesuffix("\n")


def clone(url: str, branch: str | None = None) -> Git:
    """A bare copy of a repository's branch in a temporary folder, which goes when this does."""
    keep = _TemporaryFolder()
    only = ("--branch", branch) if branch else ()
    _git("clone", "--quiet", "--bare", "--single-branch", *only, "--", url, str(keep.path))
    return Git(keep.path, is_bare=True, keep=keep)


class _TemporaryFolder:
    """A folder that goes when this object goes."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="sonde-config-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


class _GitFailed(BackendError):
    """Git ran and refused."""


class _GitAbsent(BackendError):
    """There is no git."""


def _git(*arguments: str, given: bytes = b"") -> bytes:
    kept = {key: value for key, value in os.environ.items() if key not in _ELSEWHERE}
    try:
        done = subprocess.run(  # noqa: S603
            ["git", *arguments],  # noqa: S607
            input=given,
            capture_output=True,
            check=False,
            env=kept | _NO_PROMPT,
        )
    except FileNotFoundError as error:
        raise _GitAbsent("git is needed to read the history of configuration files") from error
    if done.returncode != 0:
        what = arguments[2] if arguments[0] == "-C" else arguments[0]
        raise _GitFailed(f"git {what}: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
