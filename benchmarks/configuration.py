"""CPU seconds of reading configuration: sonde and the public parser, side by side.

    python -m benchmarks.configuration [FOLDER]

FOLDER is a tree of the metric-hub kind; without one, the tree of the tests is read.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeVar

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from tests.config.history import git, make_history
    from tests.config.public import ConfigCollection, PublicParser, dummy_record

from sonde.config import Configuration, validate
from sonde.errors import ConfigError

OWN_TREE = Path(__file__).parents[1] / "tests" / "config" / "tree"
COMMITS = 1_200
Result = TypeVar("Result")


def cpu_seconds(call: Callable[[], Result]) -> tuple[float, Result]:
    """What a call costs, with the git processes it waits for; and its result."""
    before = spent()
    result = call()
    return spent() - before, result


def spent() -> float:
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in usage)


def load_all(tree: Path) -> Configuration:
    """Every file read and checked."""
    configuration = Configuration.load([tree])
    for file in configuration.files.all:
        try:
            _ = file.declared
        except ConfigError:
            continue
    return configuration


def resolve_all(slugs: list[str], resolve: Callable[[object], object]) -> int:
    """How many experiments resolve."""
    resolved = 0
    for slug in slugs:
        try:
            resolve(dummy_record(slug, "firefox_desktop"))
        except Exception:  # the public parser has many ways to refuse
            continue
        else:
            resolved += 1
    return resolved


def long_history(tree: Path, folder: Path) -> datetime:
    """The tree in a repository of many commits; a moment in their middle."""
    shutil.copytree(tree, folder, dirs_exist_ok=True)
    folder.chmod(0o755)
    files = {
        path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*.toml")
    }
    first = (0, files)
    rest = ((hour, {"jetstream/bench.toml": f"# {hour}\n"}) for hour in range(1, COMMITS))
    make_history(folder, [first, *rest])
    start = int(git(folder, "log", "--reverse", "--format=%ct").split()[0])
    return datetime.fromtimestamp(start, UTC) + timedelta(hours=COMMITS // 2)


def main() -> None:
    tree = Path(sys.argv[1]) if len(sys.argv) > 1 else OWN_TREE
    rows = []
    ours, configuration = cpu_seconds(lambda: load_all(tree))
    theirs, public = cpu_seconds(lambda: PublicParser(tree))
    files = len(configuration.files.all)
    rows.append((f"load {files} files", ours, theirs))
    ours, mine = cpu_seconds(lambda: resolve_all(public.slugs, configuration.resolve))
    theirs, other = cpu_seconds(lambda: resolve_all(public.slugs, public.resolve))
    rows.append(
        (f"resolve {mine} (public: {other}) of {len(public.slugs)} experiments", ours, theirs)
    )
    ours, errors = cpu_seconds(lambda: validate([tree]))
    rows.append((f"validate: {len(errors)} errors", ours, None))
    with tempfile.TemporaryDirectory() as folder:
        moment = long_history(tree, Path(folder) / "hub")
        hub = str(Path(folder) / "hub")
        configuration = Configuration.load([hub])
        ours, then = cpu_seconds(lambda: configuration.as_of(moment))
        collection = ConfigCollection.from_github_repo(hub, path="jetstream")
        theirs, past = cpu_seconds(lambda: collection.as_of(moment))
        assert then.commits[0] == past.repos[0].commit_hash
        rows.append((f"as of an earlier day, {COMMITS} commits", ours, theirs))
    print(f"{'CPU seconds':58}{'sonde':>10}{'public':>10}")
    for name, ours, theirs in rows:
        print(f"{name:58}{ours:10.2f}{'' if theirs is None else f'{theirs:10.2f}'}")


if __name__ == "__main__":
    main()
