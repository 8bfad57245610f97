"""Publication: from stored results to the site, which `sonde serve` only serves.

An experiment's files are one partition of the site's table, made again only when something they
show has changed. What is shared by all is made from each experiment's card.
"""

from __future__ import annotations

import gzip
import hashlib
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from sonde.datasets import truth as planted
from sonde.errors import BackendError
from sonde.experiment import Experiment
from sonde.health import Check
from sonde.lake import Filled, Lake
from sonde.metric import AnalysisBasis
from sonde.pages.card import effect_in_words, key_effect
from sonde.pages.material import InForce, Material, Past, Truth
from sonde.pages.results import COLUMNS, Cell, Results, Window
from sonde.pages.site import About, Made, experiment_files, shared_files
from sonde.pages.suppress import Kinds
from sonde.plan.steps import (
    Estimate,
    dataset,
    enrollments_table,
    errors_table,
    fingerprint,
    health_table,
    queries_table,
    statistics_table,
)
from sonde.roles import Roles
from sonde.run.execute import Done, Report, Setting, Skipped
from sonde.run.health import checked, stored
from sonde.run.outcome import Problem
from sonde.site import PRIVATE_SITE, SITE, SITE_COLUMNS, Audience, site_table
from sonde.table import Partition, Receipt, Table
from sonde.warehouse.sources import Sources
from sonde.window import Period
from sonde.window import Window as Days

SHARED = "all"
_OWNER = "experiment "
_FAST, _SMALL = 1, 5  # levels of gzip: for tables, for pages
HISTORY_COLUMNS = pa.schema(
    [("headline", pa.string()), ("effect", pa.string()), ("units", pa.int64())]
)
RUNS_COLUMNS = pa.schema(
    [
        ("at", pa.timestamp("us", "UTC")),
        ("as_of", pa.string()),
        ("experiment", pa.string()),
        ("step", pa.string()),
        ("state", pa.string()),
        ("rows", pa.int64()),
        ("seconds", pa.float64()),
    ]
)


_RUNS = "sonde_runs"  # a source may have a table called runs


def history_table(experiment: Experiment) -> Table:
    """What each publication of an experiment said."""
    return Table(f"{dataset(experiment)}/history", ("experiment", "as_of"))


def runs_table(folder: str) -> Table:
    """What the steps of each run cost, for the experiments of a dataset."""
    return Table(f"{folder}/{_RUNS}", ("run",))


@dataclass(frozen=True)
class Subject:
    """An experiment to publish, and what is said of it outside the lake.

    problem: why it cannot be analysed, if so. settings: each value in force with its origin.
    truth: a file with planted effects, or empty.
    """

    experiment: Experiment
    roles: Roles
    as_of: date
    problem: str = ""
    settings: tuple[InForce, ...] = ()
    truth: str = ""
    minimum_units: int = 20

    @property
    def owner(self) -> str:
        """The key of its files in the site."""
        return f"{_OWNER}{self.experiment.slug}"

    @property
    def audience(self) -> Audience:
        """Who may see it."""
        return Audience.PRIVATE if self.experiment.is_private else Audience.PUBLIC


@dataclass
class Receipts:
    """The receipts of the tables that pages are made from; each table is read once."""

    lake: Lake
    _known: dict[str, dict[str, list[Receipt]]] = field(default_factory=dict)
    _site: dict[tuple[str, ...], Receipt] | None = None

    def of(self, table: Table, slug: str) -> list[Receipt]:
        """The partitions of an experiment, in order of their keys."""
        if table.path not in self._known:
            found: dict[str, list[Receipt]] = {}
            for key, receipt in sorted(self.lake.receipts(table).items()):
                found.setdefault(key[0] if key else "", []).append(receipt)
            self._known[table.path] = found
        return self._known[table.path].get(slug, [])

    def site(self) -> dict[tuple[str, ...], Receipt]:
        """What is published, by audience and owner."""
        if self._site is None:
            tables = (site_table(audience) for audience in Audience)
            self._site = {k: r for table in tables for k, r in self.lake.receipts(table).items()}
        return self._site


@dataclass(frozen=True)
class Published:
    """What came of publishing an experiment. problem: why its pages are as they were, if so."""

    slug: str
    seconds: float
    problem: Problem | None = None


def finish(subjects: Sequence[Subject], setting: Setting) -> list[Published]:
    """Check the health of some experiments' results and publish them, in one commit a table."""
    lake = Lake.open(setting.lake)
    sources = Sources(Path(setting.sources), setting.tables)
    receipts = Receipts(lake)
    staged = _Staged(lake)
    published = []
    for subject in subjects:
        started = time.perf_counter()
        problem = None
        try:
            staged.add(*_made(subject, lake, sources, receipts))
        except BackendError:
            raise
        except Exception as error:  # whatever failed, the other experiments go on
            problem = Problem.of(error)
        slug, seconds = subject.experiment.slug, time.perf_counter() - started
        published.append(Published(slug, seconds, problem))
    staged.commit()
    return published


class _Staged:
    """Partitions that become visible together, table by table."""

    def __init__(self, lake: Lake) -> None:
        self._lake = lake
        self._filled: list[Filled] = []
        self._gone: list[Partition] = []

    def add(self, filled: Iterable[Filled], gone: Iterable[Partition]) -> None:
        self._filled += filled
        self._gone += gone

    def commit(self) -> None:
        """The pages last: they show what the other tables hold. What must go, goes before."""
        for partition in self._gone:
            if self._lake.version(partition.table) >= 0:
                self._lake.commit(partition.table, [], [partition])
        tables = {each.partition.table.path: each.partition.table for each in self._filled}
        for table in sorted(tables.values(), key=lambda table: table in {SITE, PRIVATE_SITE}):
            filled = [each for each in self._filled if each.partition.table == table]
            self._lake.commit(table, filled)


def _made(
    subject: Subject, lake: Lake, sources: Sources, receipts: Receipts
) -> tuple[list[Filled], list[Partition]]:
    """Everything that is kept of an experiment: its checks, its pages, what they said."""
    experiment, slug = subject.experiment, subject.experiment.slug
    made_from = _fingerprint(subject, receipts)
    errors = _errors(experiment, lake, receipts)
    known = [
        *receipts.of(enrollments_table(experiment), ""),
        *(
            each
            for table in (statistics_table, errors_table, health_table)
            for each in receipts.of(table(experiment), slug)
        ),
    ]
    checks, health = checked(experiment, subject.as_of, lake, sources, known, errors)
    material = _material(subject, lake, receipts, checks, errors)
    about = About(version("sonde"), subject.minimum_units, stylesheet())
    files_ = list(experiment_files(material, about, _csv))
    site = _stage(files_, _partition(subject.audience, subject.owner), made_from, lake)
    other = Audience.PUBLIC if experiment.is_private else Audience.PRIVATE
    moved = _partition(other, subject.owner)  # what is private now must not stay public
    kept = [each for each in (health, site, _remembered(material, lake)) if each is not None]
    return kept, [moved] if moved.key in receipts.site() else []


def stale(subjects: Iterable[Subject], lake: Lake) -> list[Subject]:
    """The experiments whose pages no longer show what is stored."""
    receipts = Receipts(lake)
    site = receipts.site()
    return [
        subject
        for subject in subjects
        if (had := site.get(_key(subject))) is None
        or had.fingerprint != _fingerprint(subject, receipts)
    ]


def record_run(
    reports: Sequence[Report], as_of: date, lake: Lake, at: datetime | None = None
) -> None:
    """Keep what the steps of a run cost. Rows of units are not counted: they may be few."""
    now = at or datetime.now(UTC)
    run = now.strftime("%Y%m%dT%H%M%S.%fZ")
    by_folder: dict[str, list[dict[str, Any]]] = {}
    for each in reports:
        row = {
            "at": now,
            "as_of": as_of.isoformat(),
            "experiment": each.step.slug,
            "step": str(each.step),
            "state": type(each).__name__.lower(),
            "rows": _rows_of_results(each),
            "seconds": 0.0 if isinstance(each, Skipped) else each.seconds,
        }
        by_folder.setdefault(dataset(each.step.action.experiment), []).append(row)
    for folder, rows in by_folder.items():
        table = runs_table(folder)
        made = lake.write(table.partition(run), pa.Table.from_pylist(rows, RUNS_COLUMNS), run)
        lake.commit(table, [made])


def _rows_of_results(report: Report) -> int:
    is_made = isinstance(report, Done) and isinstance(report.step.action, Estimate)
    return report.rows if isinstance(report, Done) and is_made else 0


def shown_to_all(lake: Lake) -> set[str]:
    """The slugs of the experiments with pages for everybody."""
    return {
        owner.removeprefix(_OWNER)
        for of, owner in lake.receipts(SITE)
        if of == Audience.PUBLIC.value and owner != SHARED
    }


def withdraw(private: Collection[str], lake: Lake, minimum_units: int = 20) -> None:
    """Take the pages of experiments that are private now from those who may no longer see them.

    In one commit with the lists that name them, and before anything new is made: what fails later
    cannot keep them open. Whoever has the right keeps the old pages until there are new ones.
    """
    site = Receipts(lake).site()
    owners = {f"{_OWNER}{slug}" for slug in private}
    gone = [r for (of, owner), r in site.items() if of == Audience.PUBLIC and owner in owners]
    if not gone:
        return
    for receipt in gone:
        partition = _partition(Audience.PRIVATE, receipt.partition.key[1])
        if partition.key not in site:
            pages = pq.ParquetFile(lake.file(receipt)).read()
            made = lake.write(partition, pages, receipt.fingerprint)
            lake.commit(partition.table, [made])
    left = [
        receipt
        for (of, owner), receipt in sorted(site.items())
        if of == Audience.PUBLIC and owner not in {SHARED, *owners}
    ]
    lists = _shared(lake, Audience.PUBLIC, left, minimum_units)
    lake.commit(SITE, [lists], [receipt.partition for receipt in gone])


def publish_shared(lake: Lake, minimum_units: int = 20) -> bool:
    """Make what is shared by all experiments, for each audience; whether anything was new.

    While no experiment is private, all see the same, and it is made once.
    """
    site = Receipts(lake).site()
    own = {key: receipt for key, receipt in sorted(site.items()) if key[1] != SHARED}
    filled: list[Filled] = []
    gone: list[Partition] = []
    for audience in Audience:
        partition = _partition(audience, SHARED)
        seen = [
            receipt
            for (of, _), receipt in own.items()
            if audience is Audience.PRIVATE or of == audience.value
        ]
        if audience is Audience.PRIVATE and all(of == Audience.PUBLIC.value for of, _ in own):
            gone += [partition] if partition.key in site else []
            continue
        had = site.get(partition.key)
        if had is None or had.fingerprint != _shared_fingerprint(lake, seen, minimum_units):
            filled.append(_shared(lake, audience, seen, minimum_units))
    for made in filled:
        lake.commit(made.partition.table, [made])
    for partition in gone:
        lake.commit(partition.table, [], [partition])
    return bool(filled or gone)


def _shared_fingerprint(lake: Lake, seen: Sequence[Receipt], minimum_units: int) -> str:
    runs = sorted(f"{table.path}@{lake.version(table)}" for table in _runs_tables(lake))
    return fingerprint(_drawn_by(), minimum_units, [each.fingerprint for each in seen], runs)


def _shared(lake: Lake, audience: Audience, seen: Sequence[Receipt], minimum_units: int) -> Filled:
    """The files made of all experiments that an audience may see. seen: their receipts."""
    cards = [_card(lake, receipt) for receipt in seen]
    slugs = {each["slug"] for each in cards}
    steps = [row for row in _runs(lake) if row["experiment"] in slugs]
    made = list(shared_files(cards, steps, About(version("sonde"), minimum_units)))
    made += list(_assets()) if audience is Audience.PUBLIC else []
    made_from = _shared_fingerprint(lake, seen, minimum_units)
    return _stage(made, _partition(audience, SHARED), made_from, lake)


def read_material(subject: Subject, lake: Lake) -> Material:
    """Everything that is stored of an experiment."""
    receipts = Receipts(lake)
    experiment = subject.experiment
    errors = _errors(experiment, lake, receipts)
    return _material(subject, lake, receipts, stored(lake, experiment), errors)


def _material(
    subject: Subject,
    lake: Lake,
    receipts: Receipts,
    checks: tuple[Check, ...],
    errors: Sequence[Mapping[str, Any]],
) -> Material:
    experiment = subject.experiment
    found = _statistics(experiment, lake, receipts)
    return Material(
        experiment=experiment,
        roles=subject.roles,
        results=Results.of(found.rows, found.partial),
        made_checks=checks,
        as_of=subject.as_of,
        errors=errors,
        queries=_queries(experiment, lake, receipts),
        settings=subject.settings,
        versions=found.versions,
        made_by=found.made_by,
        history=_history(experiment, subject.as_of, lake, receipts),
        truth=_planted(subject) if subject.truth else _unknown,
        minimum_units=subject.minimum_units,
        kinds=_kinds(experiment, lake, receipts),
        problem=subject.problem,
    )


def _kinds(experiment: Experiment, lake: Lake, receipts: Receipts) -> Callable[[str], Kinds | None]:
    """The combinations of segments that enrolled, or exposed, units are in; read when asked for."""
    enrolled = next(iter(receipts.of(enrollments_table(experiment), "")), None)
    names = [segment.name for segment in experiment.segments]

    @cache
    def kinds(basis: str) -> Kinds | None:
        if enrolled is None:
            return None
        file = pq.ParquetFile(lake.file(enrolled))
        wanted = ["branch", "exposure_date", "in_several_branches", *names]
        if not set(wanted) <= set(file.schema_arrow.names):
            return None
        rows = file.read(wanted, use_threads=False)
        rows = rows.filter(~pc.field("in_several_branches"))
        if basis == AnalysisBasis.EXPOSURES.value:
            rows = rows.filter(pc.field("exposure_date").is_valid())
        found: dict[str, set[frozenset[str]]] = {}
        for branch, *within in _distinct(rows, ["branch", *names]):
            inside = frozenset(n for n, flag in zip(names, within, strict=True) if flag)
            found.setdefault(branch, set()).add(inside)
        return found

    return kinds


def _distinct(rows: pa.Table, names: list[str]) -> Iterator[tuple[Any, ...]]:
    kinds = rows.group_by(names, use_threads=False).aggregate([])
    return zip(*(kinds[name].to_pylist() for name in names), strict=True)


def _unknown(*_: object) -> None:
    return None


def _planted(subject: Subject) -> Truth:
    """What a demo planted: the relative change in whole weeks, against the control."""
    known = planted.Truth.read(Path(subject.truth))
    slug, control = subject.experiment.slug, subject.experiment.reference_branch or "control"

    def truth(metric: str, cell: Cell, branch: str) -> float | None:
        if cell.window.period != Period.WEEK.value or branch == control:
            return None
        days = 7 * cell.window.number
        week, basis = Days(days - 7, days), AnalysisBasis(cell.basis)
        return known.relative(slug, metric, week, branch, basis, cell.segment)

    return truth


def _key(subject: Subject) -> tuple[str, str]:
    return (subject.audience.value, subject.owner)


def _partition(audience: Audience, owner: str) -> Partition:
    return site_table(audience).partition(audience.value, owner)


def _fingerprint(subject: Subject, receipts: Receipts) -> str:
    """Of all that the pages show. An experiment that has ended does not age."""
    experiment, slug = subject.experiment, subject.experiment.slug
    ended = experiment.end_date is not None and subject.as_of > experiment.end_date
    tables = (statistics_table, errors_table)  # the checks are made of these and enrollments
    return fingerprint(
        _drawn_by(),
        hashlib.sha256(
            msgspec.json.encode((experiment, subject.roles, subject.settings), order="sorted")
        ).hexdigest(),
        [subject.problem, subject.minimum_units, subject.truth != ""],
        None if ended else subject.as_of,
        [
            [list(r.partition.key), r.fingerprint, list(r.marks)]
            for table in tables
            for r in receipts.of(table(experiment), slug)
        ],
        receipts.lake.version(enrollments_table(experiment)),  # a table of its own: not read
    )


_KEYS = ("analysis_basis", "analysis_period", "window_index")
_INNER = [
    *(name for name in COLUMNS if name not in _KEYS),
    *("sonde", "configuration", "inputs"),
]


@dataclass
class _Stored:
    """What the statistics of an experiment say, and what they were made of."""

    rows: list[tuple[Any, ...]] = field(default_factory=list)
    partial: dict[Window, bool] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    made_by: dict[str, str] = field(default_factory=dict)
    inputs: set[str] = field(default_factory=set)

    def add(self, receipt: Receipt, table: pa.Table) -> None:
        _, basis, period, number, source = receipt.partition.key
        window = Window(period, int(number))
        keys = dict(zip(_KEYS, (basis, period, window.number), strict=True))
        columns = [
            [keys[name]] * table.num_rows if name in keys else table[name].to_pylist()
            for name in COLUMNS
        ]
        self.rows += zip(*columns, strict=True)
        self.partial[window] = self.partial.get(window, False) or "partial" in receipt.marks
        if table.num_rows:
            (first,) = table.slice(0, 1).to_pylist()
            self.versions["sonde"] = first["sonde"] or ""
            self.versions["Configuration"] = first["configuration"] or ""
            self.inputs |= {each.partition("@")[0] for each in (first["inputs"] or "").split(", ")}
            if first["query_id"]:
                self.made_by[first["query_id"]] = f"{source}, {period}, {basis}"


def _statistics(experiment: Experiment, lake: Lake, receipts: Receipts) -> _Stored:
    found = _Stored()
    for receipt in receipts.of(statistics_table(experiment), experiment.slug):
        found.add(receipt, pq.ParquetFile(lake.file(receipt)).read(_INNER, use_threads=False))
    if read := sorted(found.inputs - {""}):
        found.versions["Tables read"] = ", ".join(read)
    return found


def _errors(experiment: Experiment, lake: Lake, receipts: Receipts) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for receipt in receipts.of(errors_table(experiment), experiment.slug):
        step = receipt.partition.key[1]
        found += [{**row, "step": step} for row in pq.read_table(lake.file(receipt)).to_pylist()]
    return sorted(found, key=lambda row: (row["timestamp"], row["step"], row["message"]))


def _queries(experiment: Experiment, lake: Lake, receipts: Receipts) -> dict[str, str]:
    found = {}
    for receipt in receipts.of(queries_table(experiment), experiment.slug):
        (row,) = pq.ParquetFile(lake.file(receipt)).read(use_threads=False).to_pylist()
        found[receipt.partition.key[1]] = row["sql"]
    return found


def _history(
    experiment: Experiment, as_of: date, lake: Lake, receipts: Receipts
) -> tuple[Past, ...]:
    found = []
    for receipt in receipts.of(history_table(experiment), experiment.slug):
        day = date.fromisoformat(receipt.partition.key[1])
        if day < as_of:
            (row,) = pq.ParquetFile(lake.file(receipt)).read(use_threads=False).to_pylist()
            found.append(Past(day, **row))
    return tuple(found)


def _remembered(material: Material, lake: Lake) -> Filled:
    """What the pages say on this day."""
    slug = material.experiment.slug
    row = {
        "headline": material.verdict.headline,
        "effect": effect_in_words(key_effect(material)),
        "units": sum(material.shown.units(material.cell).values()),
    }
    partition = history_table(material.experiment).partition(slug, material.as_of.isoformat())
    return lake.write(partition, pa.Table.from_pylist([row], HISTORY_COLUMNS), fingerprint(row))


def _csv(names: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> bytes:
    columns = [pa.array(each) for each in zip(*rows, strict=True)] or [pa.array([])] * len(names)
    table = pa.table(dict(zip(names, map(_inert, columns), strict=True)))
    out = pa.BufferOutputStream()
    pa_csv.write_csv(table, out)
    written: bytes = out.getvalue().to_pybytes()
    return written


def _inert(column: pa.Array) -> pa.Array:
    """Names that a spreadsheet would take for formulas begin with an apostrophe.

    Who names metrics and branches is not always who opens the file. JSON has the names as they are.
    """
    if not pa.types.is_string(column.type):
        return column
    is_formula = pc.match_substring_regex(column, r"^[=+\-@\t\r]")
    return pc.if_else(is_formula, pc.binary_join_element_wise("'", column, ""), column)


def _stage(made: Sequence[Made], partition: Partition, made_from: str, lake: Lake) -> Filled:
    rows = [
        {
            "path": each.path,
            "media_type": each.media_type,
            "body": _packed(each),
            "etag": hashlib.sha256(each.content).hexdigest()[:20],
        }
        for each in made
    ]
    return lake.write(partition, pa.Table.from_pylist(rows, SITE_COLUMNS), made_from)


def _packed(made: Made) -> bytes:
    level = _SMALL if len(made.content) < 300_000 else _FAST
    return gzip.compress(made.content, level, mtime=0)


def _card(lake: Lake, receipt: Receipt) -> Mapping[str, Any]:
    """The first file of an experiment's partition."""
    body = pq.ParquetFile(lake.file(receipt)).read_row_group(0, columns=["body"])["body"][0]
    found: Mapping[str, Any] = msgspec.json.decode(gzip.decompress(body.as_py()))
    return found


def _runs(lake: Lake) -> list[dict[str, Any]]:
    return [row for table in _runs_tables(lake) for row in lake.read(table).to_pylist()]


def _runs_tables(lake: Lake) -> list[Table]:
    """Those of every dataset."""
    logs = sorted(lake.root.glob(f"*/{_RUNS}/_delta_log"))
    return [runs_table(log.parent.parent.name) for log in logs]


@cache
def _drawn_by() -> str:
    """A digest of all that draws pages: whoever changes a template need not raise a number."""
    digest = hashlib.sha256(version("sonde").encode())
    for each in _within(files("sonde.pages")):
        digest.update(each.name.encode())
        digest.update(each.read_bytes())
    return digest.hexdigest()


def _within(folder: Traversable) -> Iterator[Traversable]:
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir() and not each.name.startswith("__"):
            yield from _within(each)
        elif each.name.endswith((".py", ".html", ".css")):
            yield each


def stylesheet() -> str:
    """The look of every page."""
    return (files("sonde.pages") / "assets" / "sonde.css").read_text()


def _assets() -> Iterable[Made]:
    folder = files("sonde.pages") / "assets"
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.name.endswith(".css"):
            yield Made(f"assets/{each.name}", "text/css; charset=utf-8", each.read_bytes())
