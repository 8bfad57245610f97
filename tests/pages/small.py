"""A small experiment that runs in a second: 200 units, two branches, three segments."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
from deltalake import write_deltalake

from sonde.lake import Lake
from sonde.project import Project
from sonde.publish import Published
from sonde.site import Site, SiteFile
from tests.browser import MAP, RECORD

START = date(2020, 4, 1)
LAST_DAY = date(2020, 4, 28)
SEGMENTS = ("linux", "mac", "windows")


def branch_of(unit: int, branches: tuple[str, ...]) -> str:
    return branches[unit % len(branches)]


def system_of(unit: int) -> str:
    """Of 200 units 10 on Linux, 50 on a Mac, 140 on Windows; half of each in a branch."""
    return "linux" if unit < 10 else "mac" if unit < 60 else "windows"


def units(number: int) -> list[int]:
    return list(range(number))


def write_tables(
    lake: Path, slugs: tuple[str, ...], branches: tuple[str, ...], number: int = 200
) -> None:
    """Events of enrollment and a table of daily use, as Mozilla names them."""
    enrolled = [(slug, unit) for slug in slugs for unit in units(number)]
    events = pa.table(
        {
            "submission_date": pa.array([START + timedelta(u % 3) for _, u in enrolled]),
            "client_id": [f"c{u:04}" for _, u in enrolled],
            "profile_group_id": [f"g{u:04}" for _, u in enrolled],
            "event_category": ["normandy"] * len(enrolled),
            "event_method": ["enroll"] * len(enrolled),
            "event_string_value": [slug for slug, _ in enrolled],
            "event_map_values": pa.array(
                [[{"key": "branch", "value": branch_of(u, branches)}] for _, u in enrolled], MAP
            ),
            "sample_id": [u % 100 for _, u in enrolled],
        }
    )
    days = [(START + timedelta(n - 7), u) for n in range(34) for u in units(number)]
    daily = pa.table(
        {
            "submission_date": pa.array([d for d, _ in days]),
            "client_id": [f"c{u:04}" for _, u in days],
            "profile_group_id": [f"g{u:04}" for _, u in days],
            "os": [system_of(u) for _, u in days],
            "active_hours_sum": [1.0 + (u * 7919 + d.toordinal() * 31) % 100 / 50 for d, u in days],
            "experiments": pa.array([[] for _ in days], MAP),
        }
    )
    for name, rows in (("events", events), ("clients_daily", daily)):
        write_deltalake(
            str(lake / "telemetry" / name), rows, partition_by=["submission_date"], mode="overwrite"
        )


DEFINITIONS = (
    """
[metrics.active_hours]
data_source = "clients_daily"
select_expression = "COALESCE(SUM(active_hours_sum), 0)"
friendly_name = "Active hours"

[metrics.days_of_use]
data_source = "clients_daily"
select_expression = "COUNT(DISTINCT submission_date)"

[metrics.broken]
data_source = "clients_daily"
select_expression = "SUM(no_such_column)"

[data_sources.clients_daily]
from_expression = "mozdata.telemetry.clients_daily"
experiments_column_type = "none"
"""
    + "".join(
        f"""
[segments.{name}]
data_source = "clients_daily"
select_expression = "COALESCE(LOGICAL_OR(os = '{name}'), FALSE)"
"""
        for name in SEGMENTS
    )
    + """
[segments.data_sources.clients_daily]
from_expression = "mozdata.telemetry.clients_daily"
"""
)

EXPERIMENT = """
[experiment]
segments = ["linux", "mac", "windows"]

[metrics]
weekly = ["active_hours", "days_of_use"]
overall = ["active_hours", "days_of_use"]

[metrics.active_hours.statistics.linear_model_mean]
drop_highest = 0

[metrics.days_of_use.statistics.linear_model_mean]
drop_highest = 0
"""


def record(slug: str, **changed: Any) -> dict[str, Any]:
    return {
        **RECORD,
        "slug": slug,
        "startDate": START.isoformat(),
        "endDate": (START + timedelta(28)).isoformat(),
        "enrollmentEndDate": (START + timedelta(5)).isoformat(),
        "proposedEnrollment": 5,
        "referenceBranch": "control",
        "branches": [{"slug": "control", "ratio": 1}, {"slug": "treatment", "ratio": 1}],
        **changed,
    }


def write_project(
    folder: Path,
    experiments: Mapping[str, str],
    records: Mapping[str, Mapping[str, Any]] | None = None,
    number: int = 200,
    definitions: str = DEFINITIONS,
    branches: tuple[str, ...] = ("control", "treatment"),
) -> Path:
    """experiments: slug -> configuration. records: what of each record is otherwise."""
    hub = folder / "metric-hub"
    (hub / "definitions").mkdir(parents=True)
    (hub / "jetstream" / "defaults").mkdir(parents=True)
    (hub / "sonde").mkdir()
    (hub / "definitions" / "firefox_desktop.toml").write_text(definitions)
    (hub / "jetstream" / "defaults" / "firefox_desktop.toml").write_text("")
    roles = "".join(
        f'[experiments.{json.dumps(slug)}]\nprimary = ["active_hours"]\n' for slug in experiments
    )
    (hub / "sonde" / "verdict.toml").write_text(roles)
    for slug, text in experiments.items():
        (hub / "jetstream" / f"{slug}.toml").write_text(text)
    changed = records or {}
    listed = [record(slug, **changed.get(slug, {})) for slug in experiments]
    (folder / "experiments.json").write_text(json.dumps(listed))
    (folder / "sonde.toml").write_text(
        '[experiments]\nsource = "experiments.json"\n[config]\nrepos = ["metric-hub"]\n'
        '[lake]\nurl = "lake"\n'
    )
    enrolled = tuple(experiments) if number else ("another",)
    write_tables(folder / "lake", enrolled, branches, number or 10)
    return folder


def run(folder: Path, as_of: date = LAST_DAY) -> list[Published]:
    """What `sonde run` does, in this process."""
    project = Project.open(folder, {})
    work = project.work(as_of)
    list(project.run(work, 1))
    return list(project.publish(work, 1))


def site(folder: Path) -> Site:
    found = Site(Lake.open(folder / "lake"))
    found.refresh()
    return found


def contents(of: Site, private: bool) -> Iterator[tuple[str, str]]:
    """Path and text of every file that a reader can get."""
    for path in of.paths(private):
        yield path, text(of, path, private)


def text(of: Site, path: str, private: bool = False) -> str:
    found: SiteFile | None = of.get(path, private)
    assert found is not None, path
    return gzip.decompress(found.body).decode()
