"""Git repositories with a given history, made in one go."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path

START = datetime(2023, 1, 1, tzinfo=UTC)


def git(folder: Path, *arguments: str, given: bytes = b"") -> str:
    """Run git in a folder; its answer."""
    command = ["git", "-C", str(folder), *arguments]
    return subprocess.run(command, input=given, capture_output=True, check=True).stdout.decode()


def at(hour: int) -> datetime:
    """A moment of the history."""
    return datetime.fromtimestamp(START.timestamp() + 3600 * hour, UTC)


def make_history(
    folder: Path, commits: Iterable[tuple[int, Mapping[str, str]]], branch: str = "main"
) -> list[str]:
    """A repository whose commits, each at its hour, change files; the hashes, oldest first."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ".git").exists():
        git(folder, "init", "--quiet", "--initial-branch", branch)
    stream = []
    for hour, files in commits:
        when = int(START.timestamp()) + 3600 * hour
        stream.append(
            f"commit refs/heads/{branch}\ncommitter A <a@example.com> {when} +0200\ndata 0\n"
        )
        for path, text in files.items():
            stream.append(f"M 100644 inline {path}\ndata {len(text.encode())}\n{text}\n")
    git(folder, "fast-import", "--quiet", "--done", given="".join([*stream, "done\n"]).encode())
    git(folder, "checkout", "--quiet", "--force", branch)
    return git(folder, "rev-list", "--reverse", branch).split()
