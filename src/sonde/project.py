"""A deployment, opened: from settings to a plan, from a plan to reports."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow as pa

from sonde.account import Account
from sonde.config import Configuration, Resolved
from sonde.config.experiments import Experiments, load_experiments
from sonde.config.show import settings as settings_in_force
from sonde.errors import BackendError, ConfigError, DataError, SondeError
from sonde.experiment import Experiment, ExperimentRecord
from sonde.jetstream_tables import publish_tables
from sonde.kept import Keeper, Kept, keep
from sonde.lake import Lake
from sonde.metric import AnalysisBasis
from sonde.pages.material import InForce, Material
from sonde.pins import Pins
from sonde.plan.checks import NotAnalysable, Reason
from sonde.plan.plan import Plan, plan
from sonde.plan.select import active, candidates, effective_date, named
from sonde.plan.steps import Enroll, Estimate, Step, enrollments_table, fingerprint
from sonde.publish import Published, finish, publish_shared, shown_to_all, stale, withdraw
from sonde.run.bigquery.cost import Cost, costs
from sonde.run.bigquery.units import standing
from sonde.run.execute import Report, Setting
from sonde.run.outcome import Problem
from sonde.run.runner import Resources, Runner, engine_memory, runner
from sonde.run.schedule import each, run
from sonde.run.unit_metrics import unit_metrics
from sonde.runs import record_run
from sonde.settings import Settings, load_settings
from sonde.sql import TableName
from sonde.stored import Subject, read_material
from sonde.table import Partition, Receipt
from sonde.warehouse.bigquery import BigQuery
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.remote import RemoteTables
from sonde.warehouse.sources import Sources
from sonde.warehouse.tables import Tables
from sonde.window import Period
from sonde.wire.names import clashes, normalized
from sonde.wire.provenance import ConfigurationRead, Origin


def yesterday() -> date:
    """The last day whose data are complete, when nobody says otherwise."""
    return datetime.now(UTC).date() - timedelta(days=1)


_TOGETHER = 4  # experiments that are published in one commit


@dataclass(frozen=True)
class Selected:
    """Experiments to analyse, and those that cannot be, with the reason."""

    kept: tuple[Kept, ...]
    left_out: tuple[NotAnalysable, ...] = ()

    @property
    def resolved(self) -> tuple[Resolved, ...]:
        """The experiments, each with where its values were set."""
        return tuple(each.resolved for each in self.kept)

    @property
    def experiments(self) -> list[Experiment]:
        """The declarations."""
        return [each.experiment for each in self.resolved]


@dataclass(frozen=True)
class Work:
    """A plan set against what exists. warnings: of the configuration, each once."""

    plan: Plan
    stale: tuple[Step, ...]
    obsolete: tuple[Partition, ...] = ()
    left_out: tuple[NotAnalysable, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())
    kept: tuple[Kept, ...] = field(default=())

    @property
    def resolved(self) -> tuple[Resolved, ...]:
        """The experiments, each with where its values were set."""
        return tuple(each.resolved for each in self.kept)


@dataclass(frozen=True)
class Project:
    """Where this deployment lives, read once."""

    settings: Settings

    @classmethod
    def open(cls, folder: Path, environment: Mapping[str, str] | None = None) -> Project:
        """The project in a folder. Raises ConfigError when sonde.toml is absent or wrong."""
        return cls(load_settings(folder, os.environ if environment is None else environment))

    @cached_property
    def lake(self) -> Lake:
        """The lake; made when absent."""
        return Lake.open(self.settings.lake_url, self.settings.cache)

    @cached_property
    def configuration(self) -> Configuration:
        """The configuration as it is now."""
        return Configuration.load(self.settings.config_repos, self.settings.platforms)

    @cached_property
    def sources(self) -> Sources:
        """The tables people have."""
        return self.sources_at()

    def sources_at(self, numbers: Mapping[str, int] | None = None) -> Sources:
        """The same, some Delta tables at a commit in place of the newest, by their names."""
        settings = self.settings
        return Sources(self.lake.url, settings.tables, numbers, settings.cache)

    @cached_property
    def bigquery(self) -> BigQuery | None:
        """Where units are found and counted, unless that is in files."""
        account = self.settings.bigquery
        return None if account is None else BigQuery(account)

    @cached_property
    def tables(self) -> Tables:
        """The tables people have, wherever they are."""
        return self.sources if self.bigquery is None else RemoteTables(self.bigquery)

    @cached_property
    def pins(self) -> Pins:
        """What experiments keep, as far as it is written down."""
        is_there = Lake.exists(self.settings.lake_url, self.settings.cache)
        return Pins(self.lake if is_there else None)

    def keeper(self, as_of: date) -> Keeper:
        """Who knows by which configuration an experiment is analysed."""
        return Keeper(self.configuration, self.pins, as_of, datetime.now(UTC).date())

    def origin(self, kept: Kept) -> Origin:
        """Where declarations are read: repositories by name, each at its commit."""
        read = tuple(
            ConfigurationRead(path=each.name, revision=each.commit, committed=each.committed)
            for each in kept.revisions
        )
        return Origin(configuration=read, url=self.settings.config_url)

    def records(self) -> Experiments:
        """Every experiment the platform knows, and what is wrong with those that cannot be read."""
        return load_experiments(self.settings.experiments_source)

    def select(
        self, as_of: date, slugs: Sequence[str] = (), *, to_newest: bool = False
    ) -> Selected:
        """The experiments of a run: those named, or all that are under way.

        to_newest: they leave the configuration that they keep. Named ones that are not there raise
        ConfigError; all else that is wrong with an experiment leaves it out and is said.
        """
        records, errors = self.records()
        left_out = [NotAnalysable("?", Reason.CONFIGURATION, str(error)) for error in errors]
        chosen = named(records, slugs) if slugs else candidates(records, as_of)
        keeper = self.keeper(as_of)
        resolve = keeper.newest if to_newest else keeper.kept
        kept: list[Kept] = []
        for record in chosen:
            try:
                kept.append(resolve(record))
            except SondeError as error:
                left_out.append(NotAnalysable(record.slug, Reason.CONFIGURATION, str(error)))
        if not slugs:
            experiments = [each.resolved.experiment for each in kept]
            started = self._started(experiments)
            wanted = {e.slug for e in active(experiments, as_of, started)}
            kept = [each for each in kept if each.slug in wanted]
        return Selected(tuple(kept), tuple(left_out))

    def known_records(self) -> tuple[ExperimentRecord, ...]:
        """The records that can be read; none when the platform cannot be reached."""
        try:
            return self.records().records
        except SondeError:
            return ()

    def under_way(self) -> tuple[Kept, ...]:
        """The experiments as they are analysed now; none when the platform cannot be reached."""
        try:
            return self.select(yesterday()).kept
        except SondeError:
            return ()

    def record(self, slug: str) -> ExperimentRecord:
        """What the platform says of one experiment. Raises ConfigError when there is none."""
        (record,) = named(self.records().records, [slug])
        return record

    def newest(self, slug: str, own: Path | None = None) -> Resolved:
        """One experiment by the newest configuration, whatever it keeps.

        own: a file in place of the repositories' own for this experiment. Raises ConfigError when
        there is none, or it is wrong.
        """
        return self.configuration.resolve(self.record(slug), own)

    def kept(self, slug: str, as_of: date | None = None) -> Kept:
        """One experiment as it is analysed. Raises ConfigError as `newest` does."""
        return self.keeper(as_of or yesterday()).kept(self.record(slug))

    def experiment(self, slug: str) -> Experiment:
        """One experiment's declaration, as it is analysed."""
        return self.kept(slug).resolved.experiment

    def _started(self, experiments: Iterable[Experiment]) -> set[str]:
        return {e.slug for e in experiments if self.lake.receipts(enrollments_table(e))}

    def work(self, as_of: date, slugs: Sequence[str] = (), *, to_newest: bool = False) -> Work:
        """What is to be done as of a date. to_newest: as `select` has it."""
        bigquery = self.bigquery  # first: without credentials no experiment can be planned
        selected = self.select(as_of, slugs, to_newest=to_newest)
        steps: list[Step] = []
        left_out = list(selected.left_out)
        for kept in selected.kept:
            experiment = kept.resolved.experiment
            date_ = effective_date(experiment.record, as_of)
            revisions = None if kept.pin is None else kept.pin.revisions
            try:
                made = plan([experiment], date_, self.versions, revisions)
            except BackendError:
                raise  # it concerns all experiments, and trying again can help
            except SondeError as error:
                left_out.append(NotAnalysable(experiment.slug, Reason.CONFIGURATION, str(error)))
                continue
            steps += made.steps
            left_out += made.skipped
        whole = Plan(as_of, tuple(steps), tuple(left_out))
        receipts = self.receipts(steps)
        if bigquery is not None:
            receipts = standing(receipts, steps, bigquery)
        warnings = [str(warning) for each in selected.resolved for warning in each.warnings]
        warnings += clashes(each.slug for each in selected.experiments)
        return Work(
            whole,
            whole.stale(receipts),
            whole.obsolete(receipts),
            tuple(left_out),
            tuple(dict.fromkeys(warnings)),
            selected.kept,
        )

    def receipts(self, steps: Iterable[Step]) -> dict[Partition, Receipt]:
        """What exists in the tables that the steps write to."""
        tables = dict.fromkeys(step.output.table for step in steps)
        return {
            receipt.partition: receipt
            for table in tables
            for receipt in self.lake.receipts(table).values()
        }

    def run(self, work: Work, workers: int | None = None) -> Iterator[Report]:
        """Do the work; yield reports as they come. What is no longer asked for goes last."""
        reports: list[Report] = []
        self._check_cost(work)
        self.keep(work)
        try:
            setting = self.setting(work.plan.as_of, work.kept)
            for report in run(work.stale, setting, self.runner(workers)):
                reports.append(report)
                yield report
        finally:
            record_run(reports, work.plan.as_of, self.lake)
        by_table: dict[object, list[Partition]] = {}
        for partition in work.obsolete:
            by_table.setdefault(partition.table, []).append(partition)
        for partitions in by_table.values():
            self.lake.commit(partitions[0].table, [], partitions)

    @property
    def account(self) -> Account:
        """Who pays for what BigQuery reads. Raises ConfigError when the tables are files."""
        if self.settings.bigquery is None:
            raise ConfigError('reading files costs nothing: warehouse.kind is not "bigquery"')
        return self.settings.bigquery

    def cost(self, work: Work) -> list[Cost]:
        """What the work would read in BigQuery. Raises ConfigError as `account` does."""
        return list(costs(work.stale, BigQuery(self.account), work.plan.as_of))

    def _check_cost(self, work: Work) -> None:
        """Raise CostLimitError before anything is done, when all of it costs too much."""
        account = self.settings.bigquery
        if account is not None and account.max_bytes is not None:
            account.check(sum(each.size for each in self.cost(work)), "this run")

    def keep(self, work: Work) -> None:
        """Write down what experiments of a plan keep from now on."""
        planned = {step.slug for step in work.plan.steps}
        keep(self.lake, (each for each in work.kept if each.slug in planned))

    def keep_moved(self, work: Work) -> None:
        """Write down which experiments have moved; of the others, whoever computes them does."""
        keep(self.lake, (each for each in work.kept if each.has_moved))

    def unpublished(self, work: Work) -> list[Subject]:
        """The experiments whose pages do not show what is stored."""
        return stale(self._subjects(work), self.lake)

    def publish(self, work: Work, workers: int | None = None) -> Iterator[Published]:
        """Check the health of what is stored and publish it, for whatever has changed."""
        withdraw(list(self._private_now(work)), self.lake)
        subjects = self.unpublished(work)
        groups = [subjects[i : i + _TOGETHER] for i in range(0, len(subjects), _TOGETHER)]
        setting = self.setting(work.plan.as_of)
        if len(groups) > 1:
            made = each(groups, finish, setting, self.runner(workers))
        else:  # within the same memory, here: another process would take longer to start
            made = (finish(group, setting) for group in groups)
        for published in made:
            yield from published
        while publish_shared(self.lake):
            pass  # another process may have published meanwhile: the last to write has seen all
        yield from self._publish_tables(work)

    def _publish_tables(self, work: Work) -> Iterator[Published]:
        """Into BigQuery, if that is the warehouse; what fails, with the reason."""
        if self.bigquery is None:
            return
        for experiment in (resolved.experiment for resolved in work.resolved):
            started = time.perf_counter()
            try:
                publish_tables(experiment, work.plan.steps, self.lake, self.bigquery)
            except SondeError as error:
                seconds = time.perf_counter() - started
                yield Published(experiment.slug, seconds, Problem.of(error), "tables in BigQuery")

    def runner(self, workers: int | None = None) -> Runner:
        """Where steps are done. workers: in place of the settings' own."""
        settings = self.settings
        resources = Resources(workers or settings.workers, settings.memory, settings.scheduler)
        return runner(settings.runner, resources)

    def _private_now(self, work: Work) -> Iterator[str]:
        """The experiments that everybody sees and should not, whether this work is of them."""
        shown = shown_to_all(self.lake)
        resolved = {each.experiment.slug: each.experiment for each in work.resolved}
        yield from (slug for slug in shown & resolved.keys() if resolved[slug].is_private)
        if not shown <= resolved.keys():
            for record in self.known_records():
                if record.slug in shown - resolved.keys() and self._is_private(record):
                    yield record.slug

    def _is_private(self, record: ExperimentRecord) -> bool:
        try:
            return self.configuration.is_private(record)
        except SondeError:
            return False  # nobody knows; the run says what is wrong with it

    def _subjects(self, work: Work) -> Iterator[Subject]:
        left_out = {each.slug: each for each in work.left_out}
        for kept in work.kept:
            problem = left_out.get(kept.slug)
            if problem is None or problem.has_page:
                message = "" if problem is None else problem.message
                yield self._subject(kept, work.plan.as_of, message)

    def _subject(self, kept: Kept, as_of: date, problem: str = "") -> Subject:
        truth = self.settings.folder / "truth.json"  # a demo's
        resolved = kept.resolved
        return Subject(
            resolved.experiment,
            self.configuration.verdicts.roles(resolved.experiment),
            as_of,
            problem,
            (*_changed(kept), *(InForce(*each) for each in settings_in_force(resolved))),
            str(truth) if truth.is_file() else "",
            origin=self.origin(kept),
        )

    def material(self, slug: str, as_of: date) -> Material:
        """Everything that is stored of an experiment, as pages and reports show it."""
        subject = self._subject(self.kept(slug, as_of), as_of)
        return read_material(subject, self.lake)

    def setting(self, as_of: date, kept: Iterable[Kept] = ()) -> Setting:
        """What a step needs to know of this deployment; its memory is the runner's to say."""
        return Setting(
            lake=self.lake.url,
            sources=self.lake.url,
            as_of=as_of,
            configuration=self.configuration.read_at,
            configurations={each.slug: each.read_at for each in kept},
            tables=self.settings.tables,
            memory=self._memory_of_one(),
            windows=self.settings.windows,
            cache=self.settings.cache,
            bigquery=self.settings.bigquery,
        )

    def _memory_of_one(self) -> str:
        return engine_memory(Resources(1, self.settings.memory).megabytes_of_each)

    def unit_metrics(
        self, slug: str, as_of: date, basis: AnalysisBasis, period: Period, window: int
    ) -> pa.Table:
        """The unit metrics of one window; see `sonde.run.unit_metrics`.

        Raises DataError when the window is not due, or enrollments have not been computed.
        """
        if self.bigquery is not None:
            dataset = self.bigquery.account.dataset
            raise ConfigError(
                f"units stay in BigQuery: read the tables {normalized(slug)}_.. in {dataset}"
            )
        experiment = self.experiment(slug)
        steps = plan([experiment], as_of, self.versions).steps
        chosen = [step for step in steps if _is_of(step, basis, period, window)]
        if not chosen:
            raise DataError(
                f"{slug} has no {period.value} {window} by {basis.value} as of {as_of}; "
                "`sonde plan` says what is due"
            )
        receipt = self.lake.receipt(enrollments_table(experiment).partition())
        if receipt is None:
            raise DataError(f"{slug} has no enrollments yet; run `sonde run` first")
        folders = [self.lake.root, *self.sources.folders()]
        with (
            TemporaryDirectory(prefix="sonde-") as spill,
            Session(as_of, Limits(self._memory_of_one(), Path(spill)), folders) as session,
        ):
            return unit_metrics(chosen, session, self.sources, self.lake.file(receipt))

    def versions(self, tables: Iterable[TableName], first: date | None, last: date | None) -> str:
        """The version of some tables' rows of the days [first, last]."""
        return versions(self.tables, tables, first, last)


def versions(
    sources: Tables, tables: Iterable[TableName], first: date | None, last: date | None
) -> str:
    """The version of some tables' rows of the days [first, last]."""
    found = []
    for name in sorted(set(tables), key=str):
        table = sources.get(name)
        found.append([str(name), "absent" if table is None else table.version(first, last)])
    return fingerprint(found)


def _changed(kept: Kept) -> Iterator[InForce]:
    """What the experiment does without, as the first of its settings."""
    if kept.newer and kept.pin is not None:
        yield InForce("not applied", "; ".join(kept.newer), f"since {kept.pin.since}")


def _is_of(step: Step, basis: AnalysisBasis, period: Period, window: int) -> bool:
    match step.action:
        case Estimate(basis=b, due=due, sources=sources):
            return bool(sources) and (b, due.period, due.index) == (basis, period, window)
        case Enroll():
            return False
