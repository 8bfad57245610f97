"""All configuration there is: several repositories, as they are or as they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

from sonde.config.document import Document
from sonde.config.files import File, Files, loads
from sonde.config.platforms import PLATFORMS, Platform
from sonde.config.read import read_experiment
from sonde.config.repository import Change, Repository, Snapshot, open_repository, short_name
from sonde.config.resolve import (
    Attached,
    Resolved,
    Surroundings,
    experiment_scope,
    merged,
    resolve_experiment,
)
from sonde.config.scope import Scope, value
from sonde.config.spec import Declared
from sonde.config.statistics import REGISTERED, Catalogue
from sonde.config.template import Templates
from sonde.config.verdict import Verdicts
from sonde.errors import ConfigError, ConfigErrors, Place, did_you_mean
from sonde.experiment import ExperimentRecord

Contents: TypeAlias = Mapping[tuple[int, str], bytes]  # by number of repository, and path

_UNCOMMITTED = "+uncommitted"


@dataclass(frozen=True)
class Revision:
    """A repository, the commit it was read at, and when that was made; None outside git.

    is_whole: whether the files were those of the commit, none of them changed since.
    """

    repository: str
    commit: str | None
    committed: datetime | None
    is_whole: bool = True

    @property
    def name(self) -> str:
        """What it is called, without where it lies."""
        return short_name(self.repository)

    def __str__(self) -> str:
        return f"{self.name}@{self.commit or '-'}{'' if self.is_whole else _UNCOMMITTED}"


@dataclass(frozen=True)
class Configuration:
    """Repositories of metric-hub's kind at one time. Later repositories are on top.

    catalogue: the statistics there are.
    """

    repositories: tuple[Repository, ...]
    snapshots: tuple[Snapshot, ...]
    platforms: Mapping[str, Platform] = field(default_factory=lambda: PLATFORMS)
    catalogue: Catalogue = REGISTERED

    @classmethod
    def load(
        cls,
        repos: Sequence[str | Path],
        platforms: Mapping[str, Platform] = PLATFORMS,
        catalogue: Catalogue = REGISTERED,
    ) -> Configuration:
        """Read folders or git repositories; `<url>` and `<url>/tree/<branch>/<path>` are cloned.

        platforms: the applications there are. A repository that cannot be reached is a
        BackendError; what is wrong in a file is said when the file is asked for.
        """
        repositories = tuple(open_repository(repo) for repo in repos)
        snapshots = tuple(repository.current() for repository in repositories)
        return cls(repositories, snapshots, platforms, catalogue)

    def as_of(self, moment: datetime) -> Configuration:
        """The configuration as it was committed at a moment, with a time zone.

        From each repository the last commit until then (none: its first); if that does not load,
        or has no files yet, the next that does. A folder without a history is used as it is.
        """
        if moment.tzinfo is None:
            raise ValueError("the moment needs a time zone")
        then = [repository.as_of(moment, loads) for repository in self.repositories]
        pairs = zip(then, self.snapshots, strict=True)
        return replace(self, snapshots=tuple(t if t.files else now for t, now in pairs))

    def at(self, read: str) -> Configuration:
        """The configuration that `read_at` of another called `read`.

        Raises ConfigError when it cannot be had any more. A folder without a history is used as it
        is.
        """
        names = read.split(", ") if read else []
        parted = [name.rpartition("@") for name in names]
        if [name for name, _, _ in parted] != [each.name for each in self.revisions]:
            raise ConfigError(f'repositories are no longer those of "{read}"; see config.repos')
        commits = [commit for _, _, commit in parted]
        pairs = zip(self.repositories, self.snapshots, commits, strict=True)
        return replace(self, snapshots=tuple(_found(*each) for each in pairs))

    def committed(self) -> Configuration:
        """The same without what is not committed. A folder without a history is as it is."""
        return replace(self, snapshots=tuple(s.as_committed() for s in self.snapshots))

    @property
    def read_at(self) -> str:
        """Each repository with its commit, as results name it."""
        return ", ".join(map(str, self.revisions))

    @property
    def commits(self) -> tuple[str | None, ...]:
        """The commit each repository was read at; None outside git."""
        return tuple(snapshot.commit for snapshot in self.snapshots)

    @cached_property
    def revisions(self) -> tuple[Revision, ...]:
        """What each repository was read at."""
        return tuple(
            Revision(s.name, s.commit, s.committed, s.commit is None or s.is_committed)
            for s in self.snapshots
        )

    @cached_property
    def files(self) -> Files:
        """All files, parsed when asked for."""
        return Files(self.snapshots)

    @cached_property
    def verdicts(self) -> Verdicts:
        """Which metrics decide and which guard. Raises ConfigErrors when a file is wrong."""
        return Verdicts.read(file.document for file in self.files.of("verdict"))

    @property
    def slugs(self) -> tuple[str, ...]:
        """The experiments that have a configuration file of their own."""
        return tuple(dict.fromkeys(file.name for file in self.files.of("experiment")))

    def change(self, slug: str) -> Change | None:
        """The commit that last changed an experiment's own file."""
        changes = [file.change for file in self.files.of("experiment", slug)]
        return max((c for c in changes if c), key=lambda c: c.date, default=None)

    def resolve(
        self, record: ExperimentRecord, own: Path | None = None, now: datetime | None = None
    ) -> Resolved:
        """The experiment with everything that is configured for it.

        own: a file in place of the repositories' own for this experiment. now: for templates that
        ask whether the experiment is live. All mistakes are raised together, as ConfigErrors.
        """
        layers = self._layers_of(record, own)
        around = self._around(record, now or datetime.now(UTC))
        return resolve_experiment(record, layers, self._outcomes(record, layers), around)

    def own(self, slug: str) -> Contents:
        """The experiment's own files."""
        return self._contents(self.files.of("experiment", slug))

    def deciding(self, record: ExperimentRecord) -> Contents:
        """Every file that can decide what is analysed of an experiment."""
        names = {record.slug, record.app_name, record.type, "functions"}
        purposes = ("experiment", "defaults", "definitions", "functions")
        found = [f for purpose in purposes for f in self.files.of(purpose) if f.name in names]
        return self._contents([*found, *self.files.of("outcomes", app=record.app_name)])

    def _contents(self, files: Iterable[File]) -> Contents:
        order = {id(snapshot): number for number, snapshot in enumerate(self.snapshots)}
        return {(order[id(f.snapshot)], f.path): f.snapshot.files[f.path] for f in files}

    def is_private(self, record: ExperimentRecord) -> bool:
        """Whether the configuration keeps the experiment from most readers; cheap to ask."""
        return bool(self.says(record, "is_private", False))

    def says(self, record: ExperimentRecord, key: str, otherwise: Any = None) -> Any:
        """A value of `[experiment]` for an experiment, without resolving the rest."""
        return value(merged(self._layers_of(record, None)).experiment, key, otherwise)

    def scope(self, record: ExperimentRecord) -> Scope:
        """Where the names of an experiment are looked up, its outcomes left aside."""
        around = self._around(record, datetime.now(UTC))
        return experiment_scope(record, self._layers_of(record, None), (), around)

    def _layers_of(self, record: ExperimentRecord, own: Path | None) -> tuple[Declared, ...]:
        """The platform's defaults, those of the experiment's type, and its own file."""
        mine = self.files.merged("experiment", record.slug) if own is None else _read(own)
        return (
            self._layer("defaults", record.app_name),
            self._layer("defaults", record.type),
            mine,
        )

    def _around(self, record: ExperimentRecord, now: datetime) -> Surroundings:
        return Surroundings(
            shared=self._layer("definitions", record.app_name),
            templates=self._templates,
            platforms=self.platforms,
            catalogue=self.catalogue,
            outcomes_with=lambda metric: self._outcomes_with(metric, record.app_name),
            now=now,
        )

    def _layer(self, purpose: str, name: str | None) -> Declared:
        """The merged files of one name, each set merged once."""
        key = (purpose, name or "")
        if key not in self._layers:
            self._layers[key] = self.files.merged(*key)
        return self._layers[key]

    @cached_property
    def _layers(self) -> dict[tuple[str, str], Declared]:
        return {}

    @cached_property
    def _templates(self) -> Templates:
        functions = self.files.merged("functions", "functions").spec.functions
        return Templates(
            {name: value(table, "definition", "") for name, table in functions.items()}
        )

    def _outcomes(
        self, record: ExperimentRecord, layers: Iterable[Declared]
    ) -> tuple[Attached, ...]:
        """The outcomes that the platform names, then those that only the configuration names."""
        configured = merged(layers).experiment.get("outcomes")
        names = dict.fromkeys(record.outcomes)
        names |= dict.fromkeys(configured.value if configured else ())
        found = []
        for slug in names:
            file = self.files.outcome(slug, record.app_name)
            if file is None:
                is_ours = configured is not None and slug in configured.value
                place = configured.place if configured and is_ours else None
                raise ConfigErrors([self._no_outcome(slug, record.app_name, place)])
            change = file.change
            found.append(Attached(slug, file.declared, change.commit if change else None))
        return tuple(found)

    def _no_outcome(self, slug: str, app: str | None, place: Place | None) -> ConfigError:
        elsewhere = sorted({file.app or "" for file in self.files.of("outcomes", slug)})
        if elsewhere:
            hint = f"; it is for {', '.join(elsewhere)}"
        else:
            hint = did_you_mean(slug, (file.name for file in self.files.of("outcomes", app=app)))
        return ConfigError(f'no outcome "{slug}" for {app}{hint}', place)

    def _outcomes_with(self, metric: str, app: str | None) -> list[str]:
        return [file.name for file in self.files.of("outcomes", app=app) if _defines(file, metric)]


def _defines(outcome: File, metric: str) -> bool:
    try:
        return metric in outcome.declared.spec.metrics
    except ConfigError:
        return False


def _found(repository: Repository, now: Snapshot, commit: str) -> Snapshot:
    """A repository at a commit; `-`: it was without a history, and is as it is."""
    if commit == "-":
        return now
    name = short_name(now.name)
    if commit.endswith(_UNCOMMITTED):
        raise ConfigError(f"{name} was read with changes that were not committed")
    if (then := repository.find(commit)) is None:
        raise ConfigError(
            f"{name} has no commit {commit[:10]}; if it is a shallow clone, fetch the rest "
            "(`git fetch --unshallow`)"
        )
    return then


def _read(path: Path) -> Declared:
    return read_experiment(Document(str(path), path.read_bytes()))
