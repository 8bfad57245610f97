"""The files of one or several repositories, by what they are for; each is parsed when asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property, lru_cache, reduce

from sonde.config.document import Document, Finding
from sonde.config.merge import merge
from sonde.config.read import (
    read_definitions,
    read_experiment,
    read_functions,
    read_nimbus_definitions,
    read_outcome,
)
from sonde.config.repository import Change, Snapshot, short_name
from sonde.config.spec import Declared, Spec
from sonde.errors import ConfigError

_READERS: dict[str, Callable[[Document], Declared]] = {
    "experiment": read_experiment,
    "defaults": read_experiment,
    "outcomes": read_outcome,
    "definitions": read_definitions,
    "functions": read_functions,
    "nimbus": read_nimbus_definitions,
}

_WITH_PROJECTS = frozenset({"experiment", "defaults"})  # with [project], a monitoring tool's


@dataclass(frozen=True)
class File:
    """One file. purpose: a key of the readers, or "other" for other tools' files.

    folder: what it is within, `""` or `"jetstream/"`. app: for outcomes. name: the file's stem.
    """

    snapshot: Snapshot
    path: str
    purpose: str
    folder: str
    app: str | None
    name: str

    @cached_property
    def document(self) -> Document:
        """The file as TOML."""
        snapshot = self.snapshot
        return Document(
            f"{snapshot.name}/{self.path}",
            snapshot.files[self.path],
            snapshot.commit,
            f"{short_name(snapshot.name)}/{self.path}",
        )

    @cached_property
    def declared(self) -> Declared:
        """What it declares; files of other tools declare nothing here, but are to be TOML."""
        if self.is_of_another_tool:
            return Declared(Spec())
        return _READERS[self.purpose](self.document)

    @property
    def is_of_another_tool(self) -> bool:
        """Whether it says nothing about experiments. Raises if it is not TOML."""
        tables = self.document.tables
        return self.purpose not in _READERS or (
            self.purpose in _WITH_PROJECTS and "project" in tables
        )

    @property
    def change(self) -> Change | None:
        """The commit that last changed it, as far as there is a history."""
        return self.snapshot.last_change(self.path)


@dataclass(frozen=True)
class Files:
    """The files of several snapshots; later ones are on top."""

    snapshots: tuple[Snapshot, ...]

    @cached_property
    def all(self) -> tuple[File, ...]:
        """Every file, lowest first: a repository's root before its `jetstream` folder."""
        found = [_file(snapshot, path) for snapshot in self.snapshots for path in snapshot.files]
        order = {id(snapshot): index for index, snapshot in enumerate(self.snapshots)}
        return tuple(sorted(found, key=lambda f: (order[id(f.snapshot)], f.folder, f.path)))

    def of(self, purpose: str, name: str | None = None, app: str | None = None) -> Iterator[File]:
        """The files for a purpose, lowest first."""
        for file in self._by_purpose.get(purpose, ()):
            if name in (None, file.name) and app in (None, file.app):
                yield file

    @cached_property
    def _by_purpose(self) -> dict[str, list[File]]:
        found: dict[str, list[File]] = {}
        for file in self.all:
            found.setdefault(file.purpose, []).append(file)
        return found

    def merged(self, purpose: str, name: str) -> Declared:
        """What the files of one name declare together."""
        return joined([file.declared for file in self.of(purpose, name)])

    def outcome(self, slug: str, app: str | None) -> File | None:
        """The outcome of that name for an application: the topmost."""
        return None if app is None else next(iter([*self.of("outcomes", slug, app)][::-1]), None)


def joined(declared: Iterable[Declared]) -> Declared:
    """Declarations merged from the lowest up, their findings together."""
    parts = list(declared)
    findings: tuple[Finding, ...] = sum((part.findings for part in parts), ())
    specs = [part.spec for part in parts]  # wildcards of the lowest are kept for what is below it
    return Declared(reduce(merge, specs) if specs else Spec(), findings)


def loads(snapshot: Snapshot) -> bool:
    """Whether there are files, and every one is TOML and means something."""
    files = Files((snapshot,)).all
    return bool(files) and all(
        _is_sound(file.purpose, file.snapshot.files[file.path]) for file in files
    )


@lru_cache(maxsize=4096)
def _is_sound(purpose: str, content: bytes) -> bool:
    """Whether a file means something; commits that follow each other share most files."""
    snapshot = Snapshot("", {"": content})
    try:
        return not any(File(snapshot, "", purpose, "", None, "").declared.refused)
    except ConfigError:
        return False


def _file(snapshot: Snapshot, path: str) -> File:
    rest = path.removeprefix("jetstream/")
    folder = path.removesuffix(rest)
    parts = tuple(rest.removesuffix(".toml").split("/"))
    match parts:
        case (name,):
            purpose, app = "experiment", None
        case ("definitions", "functions" as name):
            purpose, app = "functions", None
        case ("defaults" | "definitions" as purpose, name):
            app = None
        case ("outcomes" as purpose, app, name):
            pass
        case ("nimbus", "definitions", name):
            purpose, app = "nimbus", None
        case ("sonde", "verdict" as name):
            purpose, app = "verdict", None
        case (*_, name):
            purpose, app = "other", None
    return File(snapshot, path, purpose, folder, app, name)
