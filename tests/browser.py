"""Three small tables of a browser's telemetry, with results that can be worked out by hand.

Units aaaa (branch1, enrolled 2020-04-02) and bbbb (branch2, 2020-04-03) are in `test-experiment`;
cccc and dddd only look as if they were. Hours of aaaa in the week before: .7 + .6 + .5 + .4 + .3 +
.2 + .1 = 2.8; after: .1 + .1 + .6 = .8. Hours of bbbb: .2 and .3.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path

import pyarrow as pa
from deltalake import write_deltalake

SLUG = "test-experiment"
MAP = pa.list_(pa.struct([("key", pa.string()), ("value", pa.string())]))


def day(month: int, number: int) -> date:
    return date(2020, month, number)


def group(client: str) -> str:
    return client[:3] + "0"


def events() -> pa.Table:
    rows = [
        (day(4, 2), "aaaa", "normandy", "enroll", SLUG, {"branch": "branch1"}, 5),
        (day(4, 3), "bbbb", "normandy", "enroll", SLUG, {"branch": "branch2"}, 20),
        (day(4, 2), "aaaa", "normandy", "exposure", SLUG, {"branchSlug": "branch1"}, 35),
        (day(4, 3), "bbbb", "normandy", "expose", SLUG, {"branchSlug": "branch2"}, 50),
        (day(4, 3), "bbbb", "foo", None, None, {}, 65),
        (day(4, 3), "cccc", "foo", "enroll", SLUG, {"branch": "branch1"}, 80),
        (day(4, 3), "dddd", "foo", "enroll", SLUG, {"branch": "branch2"}, 95),
    ]
    return pa.table(
        {
            "submission_date": pa.array([r[0] for r in rows], pa.date32()),
            "client_id": [r[1] for r in rows],
            "profile_group_id": [group(r[1]) for r in rows],
            "event_category": [r[2] for r in rows],
            "event_method": pa.array([r[3] for r in rows], pa.string()),
            "event_string_value": pa.array([r[4] for r in rows], pa.string()),
            "event_map_values": pa.array(
                [[{"key": k, "value": v} for k, v in r[5].items()] for r in rows], MAP
            ),
            "sample_id": [r[6] for r in rows],
        }
    )


Row = tuple[date, str, float, bool]

_RECENT: list[Row] = [
    (day(4, 6), "aaaa", 0.6, True),
    (day(4, 6), "bbbb", 0.1, True),
    (day(4, 6), "cccc", 0.2, True),
    (day(4, 6), "dddd", 0.2, False),
    (day(4, 6), "eeee", 0.2, False),
    (day(4, 5), "aaaa", 0.1, True),
    (day(4, 5), "bbbb", 0.1, True),
    (day(4, 5), "cccc", 0.9, True),
    (day(4, 5), "dddd", 1.0, False),
    (day(4, 5), "eeee", 0.2, False),
    (day(4, 4), "aaaa", 0.1, True),
]


def _table(rows: list[Row]) -> dict[str, object]:
    return {
        "submission_date": pa.array([r[0] for r in rows], pa.date32()),
        "client_id": [r[1] for r in rows],
        "profile_group_id": [group(r[1]) for r in rows],
        "active_hours_sum": [r[2] for r in rows],
        "experiments": pa.array(
            [[{"key": SLUG, "value": "rollout"}] if r[3] else [] for r in rows], MAP
        ),
    }


def clients_daily() -> pa.Table:
    rows = [
        *_RECENT,
        (day(4, 4), "bbbb", 0.1, True),
        (day(4, 4), "dddd", 1.0, False),
        (day(4, 4), "eeee", 0.2, False),
        (day(4, 2), "aaaa", 0.05, False),
        (day(4, 1), "aaaa", 0.1, False),
        (day(4, 1), "bbbb", 0.2, False),
    ]
    days = [day(3, 31 - n) for n in range(7)]
    rows += [(d, "aaaa", round(0.2 + 0.1 * n, 1), False) for n, d in enumerate(days)]
    return pa.table(_table(rows))


def clients_last_seen() -> pa.Table:
    rows = [*_RECENT, (day(4, 4), "bbbb", 0.1, False)]
    rows += [(day(4, 4), "dddd", 1.0, False), (day(4, 4), "eeee", 0.2, False)]
    for d in (day(4, 2), day(4, 3)):
        rows += [(d, "aaaa", 0.1, False), (d, "bbbb", 0.1, False)]
        rows += [(d, "dddd", 1.0, False), (d, "eeee", 0.2, False)]
    regular = [r[1] in {"bbbb", "eeee"} for r in rows]
    return pa.table({**_table(rows), "is_regular_user_v3": regular})


def write_tables(lake: Path) -> None:
    """The three tables as Delta, under the names that Mozilla gives them."""
    tables = {
        "events": events(),
        "clients_daily": clients_daily(),
        "clients_last_seen": clients_last_seen(),
    }
    for name, rows in tables.items():
        write_deltalake(
            str(lake / "telemetry" / name), rows, partition_by=["submission_date"], mode="overwrite"
        )


RECORD = {
    "slug": SLUG,
    "branches": [{"slug": "branch1", "ratio": 1}, {"slug": "branch2", "ratio": 1}],
    "startDate": "2020-03-30",
    "endDate": "2020-06-01",
    "enrollmentEndDate": "2020-04-05",
    "proposedEnrollment": 7,
    "bucketConfig": {
        "randomizationUnit": "normandy_id",
        "namespace": "n",
        "start": 0,
        "count": 10000,
        "total": 10000,
    },
    "referenceBranch": "branch2",
    "appName": "firefox_desktop",
    "appId": "firefox-desktop",
    "outcomes": [],
    "segments": [],
    "isEnrollmentPaused": False,
    "isRollout": False,
}

DEFINITIONS = """
[metrics.active_hours]
data_source = "clients_daily"
select_expression = '{{agg_sum("active_hours_sum")}}'

[metrics.active_hours_doubled]
data_source = "clients_daily"
select_expression = '{{agg_sum("active_hours_sum")}} * 2'

[metrics.hours_last_seen]
data_source = "clients_last_seen"
select_expression = '{{agg_sum("active_hours_sum")}}'

[data_sources.clients_daily]
from_expression = "mozdata.telemetry.clients_daily"
experiments_column_type = "simple"

[data_sources.clients_last_seen]
from_expression = "mozdata.telemetry.clients_last_seen"
experiments_column_type = "simple"

[segments.regular_user_v3]
data_source = "clients_last_seen"
select_expression = '{{agg_any("is_regular_user_v3")}}'

[segments.data_sources.clients_last_seen]
from_expression = "mozdata.telemetry.clients_last_seen"
"""

FUNCTIONS = """
[functions.agg_sum]
definition = "COALESCE(SUM({select_expr}), 0)"

[functions.agg_any]
definition = "COALESCE(LOGICAL_OR({select_expr}), FALSE)"
"""

EXPERIMENT = """
[experiment]
segments = ["regular_user_v3"]

[metrics]
daily = ["active_hours"]
weekly = ["active_hours"]

[metrics.active_hours.statistics.linear_model_mean]
drop_highest = 0
"""


def write_project(
    folder: Path,
    experiment: str = EXPERIMENT,
    definitions: str = DEFINITIONS,
    **record: object,
) -> Path:
    """A project with the tables, one experiment and its configuration; the folder."""
    hub = folder / "metric-hub"
    (hub / "definitions").mkdir(parents=True)
    (hub / "jetstream" / "defaults").mkdir(parents=True)
    (hub / "definitions" / "firefox_desktop.toml").write_text(definitions)
    (hub / "definitions" / "functions.toml").write_text(FUNCTIONS)
    (hub / "jetstream" / "defaults" / "firefox_desktop.toml").write_text("")
    (hub / "jetstream" / f"{SLUG}.toml").write_text(experiment)
    (folder / "experiments.json").write_text(json.dumps([{**RECORD, **record}]))
    (folder / "sonde.toml").write_text(
        '[experiments]\nsource = "experiments.json"\n[config]\nrepos = ["metric-hub"]\n'
        '[lake]\nurl = "lake"\n'
    )
    write_tables(folder / "lake")
    return folder
