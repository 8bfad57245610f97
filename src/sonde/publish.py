"""Publication: from stored results to the site, which `sonde serve` only serves.

An experiment's files are one partition of the site's table, made again only when something they
show has changed. What is shared by all is made from each experiment's card.
"""

from __future__ import annotations

import gc
import gzip
import hashlib
import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from sonde.errors import BackendError
from sonde.jetstream import jetstream_files
from sonde.lake import Filled, Lake
from sonde.pages import links
from sonde.pages.card import effect_in_words, key_effect
from sonde.pages.material import Material
from sonde.pages.site import JSON, About, Made, experiment_files, shared_files
from sonde.plan.steps import (
    enrollments_table,
    errors_table,
    fingerprint,
    health_table,
    statistics_table,
)
from sonde.release import release
from sonde.run.execute import Setting
from sonde.run.health import checked
from sonde.run.health_rows import looked_at
from sonde.run.outcome import Problem
from sonde.runs import runs, runs_tables
from sonde.site import PRIVATE_SITE, SITE, Audience, site_table
from sonde.site_files import as_csv, assets, drawn_by, staged, stylesheet
from sonde.stored import (
    HISTORY_COLUMNS,
    OWNER,
    Estimates,
    Receipts,
    Subject,
    errors_of,
    estimates_of,
    history_table,
    material_of,
)
from sonde.table import Partition, Receipt
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.tables import Tables
from sonde.wire.names import normalized

SHARED = "all"


@dataclass(frozen=True)
class Published:
    """What came of publishing an experiment. problem: why its `what` are as they were, if so."""

    slug: str
    seconds: float
    problem: Problem | None = None
    what: str = "pages"


def finish(subjects: Sequence[Subject], setting: Setting) -> list[Published]:
    """Check the health of some experiments' results and publish them, in one commit a table."""
    lake = setting.open_lake()
    sources = setting.find_tables()
    receipts = Receipts(lake)
    together = _Staged(lake)
    published = []
    with (
        _rarely_collected(),
        TemporaryDirectory(prefix="sonde-") as spill,
        Session(setting.as_of, Limits(setting.memory, Path(spill)), [lake.root]) as session,
    ):
        for subject in subjects:
            started = time.perf_counter()
            problem = None
            try:
                together.add(*_made(subject, lake, sources, receipts, session))
            except BackendError:
                raise
            except Exception as error:  # whatever failed, the other experiments go on
                problem = Problem.of(error)
            slug, seconds = subject.experiment.slug, time.perf_counter() - started
            published.append(Published(slug, seconds, problem))
    together.commit()
    return published


@contextmanager
def _rarely_collected() -> Iterator[None]:
    """Estimates live until their pages are made: to look through them for cycles after every few
    hundred new objects takes an eighth of the time of publication."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


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
    subject: Subject, lake: Lake, sources: Tables, receipts: Receipts, session: Session
) -> tuple[list[Filled], list[Partition]]:
    """Everything that is kept of an experiment: its checks, its pages, what they said."""
    experiment, slug = subject.experiment, subject.experiment.slug
    made_from = _fingerprint(subject, receipts)
    errors = errors_of(experiment, lake, receipts)
    known = [
        *receipts.of(enrollments_table(experiment), ""),
        *(
            each
            for table in (statistics_table, errors_table, health_table)
            for each in receipts.of(table(experiment), slug)
        ),
    ]
    found = estimates_of(experiment, lake, receipts)

    def statistics() -> list[dict[str, Any]]:
        return looked_at((each.keys, each.columns) for each in found.parts)

    checks, health = checked(
        experiment, subject.as_of, lake, sources, known, session, statistics, errors
    )
    material = material_of(subject, lake, receipts, found, checks, errors)
    about = About(release(), subject.minimum_units, stylesheet())
    beside = _jetstream_files(subject, material, found, errors)
    paths = [each.path for each in beside]
    files_ = [*experiment_files(material, about, as_csv, paths), *beside]
    site = staged(files_, _partition(subject.audience, subject.owner), made_from, lake)
    other = Audience.PUBLIC if experiment.is_private else Audience.PRIVATE
    moved = _partition(other, subject.owner)  # what is private now must not stay public
    kept = [each for each in (health, site, _remembered(material, lake)) if each is not None]
    return kept, [moved] if moved.key in receipts.site() else []


def _jetstream_files(
    subject: Subject, material: Material, found: Estimates, errors: Iterable[Mapping[str, Any]]
) -> list[Made]:
    if not subject.has_own_names:
        return []
    made = jetstream_files(
        subject.experiment, found.parts, errors, subject.origin, material.is_hidden
    )
    return [Made(links.jetstream(name), JSON, content) for name, content in made.items()]


def stale(subjects: Iterable[Subject], lake: Lake) -> list[Subject]:
    """The experiments whose pages no longer show what is stored."""
    receipts = Receipts(lake)
    site = receipts.site()
    return [
        subject
        for subject in _named(list(subjects), site)
        if (had := site.get(_key(subject))) is None
        or had.fingerprint != _fingerprint(subject, receipts)
    ]


def _named(subjects: Sequence[Subject], published: Iterable[tuple[str, ...]]) -> Iterator[Subject]:
    """Each, and whether another experiment, of these or published, has its names for files.

    Then neither has such files: a reader would take one's for the other's. To a public one those
    that are private are no others: what it lacks would tell of them.
    """
    audience = {o.removeprefix(OWNER): of for of, o in sorted(published) if o != SHARED}
    audience |= {each.experiment.slug: each.audience for each in subjects}
    named: dict[str, set[str]] = defaultdict(set)
    for slug in audience:
        named[normalized(slug)].add(slug)
    for each in subjects:
        slug = each.experiment.slug
        others = {audience[other] for other in named[normalized(slug)] - {slug}}
        if each.audience is Audience.PUBLIC:
            others -= {Audience.PRIVATE}
        yield replace(each, has_own_names=not others)


def shown_to_all(lake: Lake) -> set[str]:
    """The slugs of the experiments with pages for everybody."""
    return {
        owner.removeprefix(OWNER)
        for of, owner in lake.receipts(SITE)
        if of == Audience.PUBLIC.value and owner != SHARED
    }


def withdraw(private: Collection[str], lake: Lake, minimum_units: int = 20) -> None:
    """Take the pages of experiments that are private now from those who may no longer see them.

    In one commit with the lists that name them, and before anything new is made: what fails later
    cannot keep them open. Whoever has the right keeps the old pages until there are new ones.
    """
    site = Receipts(lake).site()
    owners = {f"{OWNER}{slug}" for slug in private}
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
    runs = sorted(f"{table.path}@{lake.version(table)}" for table in runs_tables(lake))
    return fingerprint(drawn_by(), minimum_units, [each.fingerprint for each in seen], runs)


def _shared(lake: Lake, audience: Audience, seen: Sequence[Receipt], minimum_units: int) -> Filled:
    """The files made of all experiments that an audience may see. seen: their receipts."""
    lake.fetch(seen)
    cards = [_card(lake, receipt) for receipt in seen]
    slugs = {each["slug"] for each in cards}
    steps = [row for row in runs(lake) if row["experiment"] in slugs]
    made = list(shared_files(cards, steps, About(release(), minimum_units)))
    made += list(assets()) if audience is Audience.PUBLIC else []
    made_from = _shared_fingerprint(lake, seen, minimum_units)
    return staged(made, _partition(audience, SHARED), made_from, lake)


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
        drawn_by(),
        hashlib.sha256(
            msgspec.json.encode((experiment, subject.roles, subject.settings), order="sorted")
        ).hexdigest(),
        [subject.problem, subject.minimum_units, subject.truth != ""],
        [subject.origin.url, subject.has_own_names],  # the commit is that of the day it is made
        None if ended else subject.as_of,
        [
            [list(r.partition.key), r.fingerprint, list(r.marks)]
            for table in tables
            for r in receipts.of(table(experiment), slug)
        ],
        receipts.lake.version(enrollments_table(experiment)),  # a table of its own: not read
    )


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


def _card(lake: Lake, receipt: Receipt) -> Mapping[str, Any]:
    """The first file of an experiment's partition."""
    body = pq.ParquetFile(lake.file(receipt)).read_row_group(0, columns=["body"])["body"][0]
    found: Mapping[str, Any] = msgspec.json.decode(gzip.decompress(body.as_py()))
    return found
