"""What is wrong in a tree of configuration: all of it, in one go.

Stricter than resolving an experiment: there an unknown key is a warning, here it is an error.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from sonde.config.configuration import Configuration
from sonde.config.files import File
from sonde.config.fragments import (
    CheckSql,
    Fragment,
    fragments_of_experiment,
    fragments_of_scope,
)
from sonde.config.metrics import has_column
from sonde.config.nimbus import nimbus_errors
from sonde.config.platforms import PLATFORMS, Platform
from sonde.config.resolve import Resolved
from sonde.config.scope import value
from sonde.config.spec import Spec
from sonde.config.statistics import REGISTERED, Catalogue
from sonde.config.template import fill
from sonde.errors import ConfigError, ConfigErrors
from sonde.experiment import ExperimentRecord

_LIKELIEST = ("firefox_desktop", "fenix", "firefox_ios")  # of experiments nothing is known about
_INNER = frozenset(
    {"defaults", "definitions", "outcomes", "nimbus", "jetstream", "opmon", "featmon", "looker"}
)


def validate(
    targets: Sequence[str | Path],
    records: Iterable[ExperimentRecord] = (),
    beneath: Sequence[str | Path] = (),
    check_sql: CheckSql | None = None,
    platforms: Mapping[str, Platform] = PLATFORMS,
    catalogue: Catalogue = REGISTERED,
) -> list[ConfigError]:
    """All that is wrong in folders, repositories, or single files, by file and line.

    A single file is seen within the repository it lies in. records: what the platform knows of the
    experiments; one without a record is taken to be on the application, and to have the outcomes,
    that leave the fewest errors. beneath: repositories that the targets build on. check_sql: says
    what is wrong with a piece of SQL.
    """
    known = {record.slug: record for record in records}
    found: dict[str, ConfigError] = {}
    for root, only in _grouped(targets).items():
        below = [each for each in beneath if not _is_same_folder(each, root)]
        configuration = Configuration.load([*below, root], platforms, catalogue)
        for error in _Checker(configuration, known, check_sql).errors(only):
            found[str(error)] = error
    return sorted(found.values(), key=_reading_order)


def dummy_record(
    slug: str, app: str, platforms: Mapping[str, Platform], outcomes: tuple[str, ...] = ()
) -> ExperimentRecord:
    """An experiment as it might be, to see whether declarations hold together."""
    return ExperimentRecord(
        slug=slug,
        reference_branch="control",
        start_date=date(2026, 1, 5),
        end_date=date(2026, 3, 2),
        proposed_enrollment=14,
        app_name=app,
        app_id=(platforms[app].app_id if app in platforms else None) or "firefox-desktop",
        outcomes=outcomes,
    )


@dataclass(frozen=True)
class _Checker:
    """Checks the files of the topmost repository of a configuration."""

    configuration: Configuration
    records: Mapping[str, ExperimentRecord]
    check_sql: CheckSql | None

    def errors(self, only: set[str]) -> Iterator[ConfigError]:
        """What is wrong in the files, or in those `only`."""
        top = self.configuration.snapshots[-1]
        for file in self.configuration.files.all:
            if file.snapshot is top and (not only or file.path in only):
                yield from self._of_file(file)

    def _of_file(self, file: File) -> Iterable[ConfigError]:
        try:
            declared = file.declared
        except ConfigError as error:
            return [error]
        findings = [finding.error for finding in declared.findings]
        return findings if any(declared.refused) else [*findings, *self._in_place(file)]

    def _in_place(self, file: File) -> Iterable[ConfigError]:
        """What is wrong with a file among the others."""
        match file.purpose:
            case "experiment" if not file.is_of_another_tool:
                return self._experiment(file)
            case "defaults" if file.name in self.configuration.platforms:
                return self._resolved(self._dummy(file.name), file)
            case "outcomes":
                return self._resolved(self._dummy(file.app or "", (file.name,)), file)
            case "definitions":
                return self._definitions(file)
            case "nimbus":
                shared = self.configuration.scope(self._dummy(file.name))
                return nimbus_errors(file.declared.spec, shared)
            case "functions":
                return _functions(file.declared.spec)
            case _:
                return ()

    def _dummy(self, app: str, outcomes: tuple[str, ...] = ()) -> ExperimentRecord:
        return dummy_record("any-experiment", app, self.configuration.platforms, outcomes)

    def _experiment(self, file: File) -> list[ConfigError]:
        if file.name in self.records:
            return self._resolved(self.records[file.name], file)
        best: ConfigErrors | None = None
        for app in _LIKELIEST:
            record = replace(self._dummy(app), slug=file.name)
            record = replace(record, outcomes=self._outcomes_needed(record, file))
            try:
                return self._warnings(self.configuration.resolve(record), file)
            except ConfigErrors as errors:
                if best is None or len(errors.errors) < len(best.errors):
                    best = errors
        return list(best.errors) if best is not None else []

    def _outcomes_needed(self, record: ExperimentRecord, file: File) -> tuple[str, ...]:
        """The outcomes that bring the metrics which the file names and nobody else defines."""
        scope = self.configuration.scope(record)
        needed: dict[str, None] = {}
        for names in file.declared.spec.periods.values():
            for name in names:
                table = scope.spec.metrics.get(name.value, {})
                is_known = has_column(table) or value(table, "depends_on")
                if not is_known and name.value not in scope.shared.spec.metrics:
                    needed |= dict.fromkeys(list(scope.outcomes_with(name.value))[:1])
        return tuple(needed)

    def _resolved(self, record: ExperimentRecord, file: File) -> list[ConfigError]:
        try:
            return self._warnings(self.configuration.resolve(record), file)
        except ConfigErrors as errors:
            return list(errors.errors)

    def _warnings(self, resolved: Resolved, file: File) -> list[ConfigError]:
        """The warnings about this file, and the mistakes in its SQL."""
        here = [error for error in resolved.warnings if _is_in(error, file)]
        return here + self._sql(fragments_of_experiment(resolved), file)

    def _definitions(self, file: File) -> list[ConfigError]:
        """Each shared declaration, looked up and filled in as an experiment would."""
        scope = self.configuration.scope(self._dummy(file.name))
        fragments = list(fragments_of_scope(scope, file.declared.spec))
        here = [error for error in scope.warnings if _is_in(error, file)]
        return [*scope.errors, *here, *self._sql(fragments, file)]

    def _sql(self, fragments: Iterable[Fragment], file: File) -> list[ConfigError]:
        errors = []
        for fragment in fragments:
            if self.check_sql is None or fragment.setting.document.file != file.document.file:
                continue
            if message := self.check_sql(fragment.text, fragment.kind):
                errors.append(ConfigError(message, fragment.setting.place))
        return errors


def _functions(spec: Spec) -> Iterator[ConfigError]:
    for table in spec.functions.values():
        definition = table["definition"]
        try:
            fill(definition.value, select_expr="x")
        except ValueError as error:
            yield ConfigError(str(error), definition.place)


def _grouped(targets: Sequence[str | Path]) -> dict[str | Path, set[str]]:
    """The files asked for, by the repository they lie in; none: all of the repository."""
    grouped: dict[str | Path, set[str]] = {}
    for target in targets:
        path = Path(target)
        if path.is_file():
            root = _root(path)
            asked = path.absolute().relative_to(root.absolute()).as_posix()
            grouped.setdefault(root, set()).add(asked)
    return grouped | {target: set() for target in targets if not Path(target).is_file()}


def _root(path: Path) -> Path:
    """The top of the repository a file lies in, told by the names of the folders above it."""
    folder = path.absolute().parent
    while folder.name in _INNER or folder.parent.name == "outcomes":
        folder = folder.parent
    here = Path.cwd()
    return folder.relative_to(here) if folder.is_relative_to(here) else folder


def _is_same_folder(one: str | Path, other: str | Path) -> bool:
    paths = (Path(one), Path(other))
    return all(path.is_dir() for path in paths) and paths[0].samefile(paths[1])


def _is_in(error: ConfigError, file: File) -> bool:
    return error.place is not None and error.place.file == file.document.file


def _reading_order(error: ConfigError) -> tuple[str, int]:
    return (error.place.file, error.place.line or 0) if error.place else ("", 0)
