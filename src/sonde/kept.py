"""Each experiment as it is analysed: by the configuration that it keeps from its first day."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time
from functools import cached_property

from sonde.config import Configuration, Resolved, Revision
from sonde.errors import ConfigError
from sonde.experiment import ExperimentRecord
from sonde.lake import Lake
from sonde.pins import Because, Pin, Pins, write
from sonde.plan.changes import changes, revised
from sonde.plan.steps import dataset, dataset_folder, in_force


@dataclass(frozen=True)
class Kept:
    """An experiment as it is analysed, and what is known of the configuration behind it.

    revisions: the commits of the configuration. pin: what it keeps; None: it has not begun, or its
    files are not committed. is_new: whether the pin is not written down yet. newer: what would
    change if it did not keep it, in words.
    """

    resolved: Resolved
    revisions: tuple[Revision, ...]
    pin: Pin | None = None
    is_new: bool = False
    newer: tuple[str, ...] = ()

    @property
    def slug(self) -> str:
        """The experiment."""
        return self.resolved.experiment.slug

    @property
    def read_at(self) -> str:
        """The configuration, as results name it."""
        return ", ".join(map(str, self.revisions))

    @property
    def has_moved(self) -> bool:
        """Whether it leaves what it kept, or what it would have kept from its first day."""
        return self.is_new and self.pin is not None and self.pin.because is not Because.BEGAN


@dataclass(frozen=True)
class Keeper:
    """Chooses the configuration of experiments. configuration: the newest. today: in UTC."""

    configuration: Configuration
    pins: Pins
    as_of: date
    today: date
    _then: dict[str, Configuration] = field(default_factory=dict, repr=False)

    def kept(self, record: ExperimentRecord) -> Kept:
        """The experiment by what it keeps. Raises ConfigErrors when it cannot be resolved.

        Its own file moves it to the newest. So does its record, when it names what was not there.
        """
        begun = self._begun(record)
        if begun is None:
            return Kept(self.configuration.resolve(record), self.configuration.revisions)
        pin, is_new = begun
        then = self._at(pin.configuration, record)
        if then.own(record.slug) != self.configuration.own(record.slug):
            return self._moved(record, Because.OWN_FILE)
        if then.deciding(record) == self.configuration.deciding(record):
            return _kept(self.configuration.resolve(record), then, pin, is_new)
        return self._compared(record, then, pin, is_new)

    def newest(self, record: ExperimentRecord) -> Kept:
        """The experiment by the newest configuration and revisions, from now on.

        Where those change nothing, what it keeps. Raises ConfigError when files that decide about
        it are not committed: nothing could name them.
        """
        try:
            kept = self.kept(record)
        except _GoneError:
            kept = None
        if kept is not None and not kept.newer:
            return kept
        moved = self._moved(record, Because.ASKED)
        if moved.pin is None:
            raise ConfigError(
                f"{record.slug} cannot move to files that are not committed; commit them, and run "
                "again with --newest"
            )
        return moved

    def _begun(self, record: ExperimentRecord) -> tuple[Pin, bool] | None:
        """What it keeps, and whether that is yet to be written down; None before it begins."""
        folder = dataset_folder(self.configuration.says(record, "dataset_id"))
        pin = self.pins.of(folder, record.slug)
        if pin is not None and self._is_of_these(pin):
            return pin, False
        start = self.configuration.says(record, "start_date") or record.start_date
        if start is None or start > self.as_of:
            return None
        first = self._first(record, start)
        if first is not None and pin is not None:
            first = replace(first, revisions=pin.revisions)
        return None if first is None else (first, True)

    def _first(self, record: ExperimentRecord, start: date) -> Pin | None:
        """As of the end of its first day, or of the last change of its own file since then.

        None where no commit holds the files.
        """
        first_day = datetime.combine(start, time.max, UTC)
        change = self.configuration.change(record.slug)
        moment = first_day if change is None else max(first_day, change.date.astimezone(UTC))
        then = self._as_of(moment)
        if not all(each.is_whole for each in then.revisions):
            return None
        self._then.setdefault(then.read_at, then)
        because = Because.BEGAN if moment == first_day else Because.OWN_FILE
        return Pin(then.read_at, moment.date(), because, in_force())

    def _as_of(self, moment: datetime) -> Configuration:
        key = moment.isoformat()
        if key not in self._then:
            self._then[key] = self.configuration.as_of(moment)
        return self._then[key]

    def _is_of_these(self, pin: Pin) -> bool:
        """Whether it names the repositories of the settings; others say nothing about it."""
        names = [each.rpartition("@")[0] for each in pin.configuration.split(", ")]
        return names == [each.name for each in self.configuration.revisions]

    def _at(self, read: str, record: ExperimentRecord) -> Configuration:
        if read not in self._then:
            try:
                self._then[read] = self.configuration.at(read)
            except ConfigError as error:
                raise _GoneError(
                    f"{record.slug} keeps {read}, but {error.message}; to leave it, `sonde run "
                    f"--experiment {record.slug} --newest`"
                ) from error
        return self._then[read]

    def _compared(
        self, record: ExperimentRecord, then: Configuration, pin: Pin, is_new: bool
    ) -> Kept:
        """By what it keeps. What does not touch a number, as names for people, is the newest."""
        try:
            kept = then.resolve(record)
        except ConfigError:
            return self._moved(record, Because.RECORD)
        try:
            newest = self.configuration.resolve(record)
        except ConfigError as error:
            problem = str(error).partition("\n")[0]
            same_place = self._in_the_same_place(record, kept)
            return _kept(same_place, then, pin, is_new, (f"the newest cannot be used: {problem}",))
        newer = changes(kept.experiment, newest.experiment)
        if not newer:
            return _kept(newest, then, pin, is_new)
        return _kept(self._in_the_same_place(record, kept), then, pin, is_new, newer)

    def _in_the_same_place(self, record: ExperimentRecord, kept: Resolved) -> Resolved:
        """Where results go, who may see them, and whether there are any, is never kept."""
        says = self.configuration.says
        experiment = replace(
            kept.experiment,
            is_private=says(record, "is_private", False),
            dataset_id=says(record, "dataset_id"),
            skip=says(record, "skip", False),
        )
        return replace(kept, experiment=experiment)

    def _moved(self, record: ExperimentRecord, because: Because) -> Kept:
        resolved = self.configuration.resolve(record)
        if self._committed.deciding(record) != self.configuration.deciding(record):
            return Kept(resolved, self.configuration.revisions)
        pin = Pin(self._committed.read_at, self.today, because, in_force())
        return Kept(resolved, self._committed.revisions, pin, is_new=True)

    @cached_property
    def _committed(self) -> Configuration:
        """The newest without what is not committed; a folder outside git as it is."""
        return self.configuration.committed()


def keep(lake: Lake, kept: Iterable[Kept]) -> None:
    """Write down what is not yet, in one commit a dataset."""
    by_folder: dict[str, dict[str, Pin]] = {}
    for each in kept:
        if each.is_new and each.pin is not None:
            folder = dataset(each.resolved.experiment)
            by_folder.setdefault(folder, {})[each.slug] = each.pin
    for folder, pins in by_folder.items():
        write(lake, folder, pins)


class _GoneError(ConfigError):
    """What an experiment keeps cannot be had any more."""


def _kept(
    resolved: Resolved, then: Configuration, pin: Pin, is_new: bool, newer: tuple[str, ...] = ()
) -> Kept:
    newer += revised(resolved.experiment, pin.revisions)
    return Kept(resolved, then.revisions, pin, is_new, newer)
