"""Small sites, written to a lake as a publication writes them."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from sonde.lake import Lake
from sonde.site import SITE, SITE_COLUMNS, Audience, SiteFile
from sonde.table import folder_name
from sonde.window import Period
from sonde.wire.names import errors_file, metadata_file, statistics_file

MEDIA_TYPES = {
    "html": "text/html",
    "json": "application/json",
    "css": "text/css",
    "svg": "image/svg+xml",
}

# A slug that nobody may see without the right; its parts are grepped for.
SECRET = "secret-lantern-42"
NASTY = '../"<b>ש%2F x' + "y" * 190


def site_file(path: str, content: str | bytes) -> SiteFile:
    body = content if isinstance(content, bytes) else content.encode()
    etag = hashlib.sha256(body).hexdigest()[:16]
    return SiteFile(path, MEDIA_TYPES[path.rpartition(".")[2]], gzip.compress(body, mtime=0), etag)


def write_site(
    lake: Lake, owners: Mapping[tuple[Audience, str], Mapping[str, str | bytes] | None]
) -> None:
    """Replace the partitions of some owners; None: remove them."""
    filled, gone = [], []
    for (audience, owner), files in owners.items():
        partition = SITE.partition(audience, owner)
        if files is None:
            gone.append(partition)
            continue
        made = [site_file(path, content) for path, content in files.items()]
        columns = {
            name: [getattr(each, name) for each in made] for name in ("path", "media_type", "etag")
        }
        rows = pa.table({**columns, "body": [each.body for each in made]}).select(
            SITE_COLUMNS.names
        )
        mark = hashlib.sha256(repr(sorted(files.items())).encode()).hexdigest()
        filled.append(lake.write(partition, rows.cast(SITE_COLUMNS), mark))
    lake.commit(SITE, filled, gone)


def brief(slug: str) -> dict[str, Any]:
    """What lists say of an experiment."""
    light = {"state": "fine", "figure": "50.1 : 49.9", "note": "as planned"}
    lights = ("split", "exposure", "before-period", "coverage", "freshness", "errors")
    return {
        "slug": slug,
        "name": f"About {slug}",
        "application": "lantern",
        "is_private": slug == SECRET,
        "state": "Running",
        "start_date": "2026-10-01",
        "enrollment_end_date": "2026-10-08",
        "planned_end_date": None,
        "data_through": "2026-10-20",
        "branches": [{"slug": "control", "ratio": 1}, {"slug": "treatment", "ratio": 1}],
        "reference_branch": "control",
        "segments": [],
        "units": {"control": 1000, "treatment": 998},
        "verdict": {
            "kind": "keep going",
            "headline": "Keep going.",
            "sentence": "Retention is between -0.1 and +0.9 points.",
            "mark": "look",
            "rule": [{"state": "fine", "text": "the split is as planned"}],
        },
        "health": dict.fromkeys(lights, light),
        "shown": {
            "analysis_basis": "enrollments",
            "analysis_period": "overall",
            "window_index": 1,
            "segment": "all",
        },
        "key_effect": _EFFECT,
        "errors": 1,
    }


_EFFECT = {
    "metric": "retained",
    "title": "Retention",
    "branch": "treatment",
    "bigger_is_better": True,
    "margin": None,
    "point": 0.04,
    "lower": -0.01,
    "upper": 0.09,
}


def _statistic(**values: Any) -> dict[str, Any]:
    return {
        "analysis_basis": "enrollments",
        "analysis_period": "overall",
        "window_index": 1,
        "segment": "all",
        "metric": "retained",
        "statistic": "binomial",
        "branch": "treatment",
        "comparison": "relative_uplift",
        "comparison_to_branch": "control",
        "parameter": None,
        "point": 0.04,
        "lower": -0.01,
        "upper": 0.09,
        "reason": None,
        "detail": None,
        "query_id": "q1",
        **values,
    }


_ERROR = {
    "timestamp": "2026-10-21T03:00:00Z",
    "log_level": "ERROR",
    "message": "no column searches",
    "exception_type": "DataError",
    "metric": "searches",
    "statistic": None,
    "segment": None,
    "analysis_basis": "enrollments",
    "analysis_period": "overall",
    "window_index": 1,
    "data_source": "clients_daily",
    "sql": "SELECT 1",
}
_CHECK = {
    "light": "split",
    "name": "sample_ratio",
    "scope": "all",
    "state": "fine",
    "figure": "50.1 : 49.9",
    "value": 0.7,
    "threshold": 0.001,
    "note": "as planned",
    "todo": "",
    "detail": {"control": 1000},
}


def _jetstream_files(slug: str) -> dict[str, Any]:
    row = {
        "metric": "retained",
        "statistic": "binomial",
        "branch": "treatment",
        "comparison": "difference",
        "comparison_to_branch": "control",
        "ci_width": 0.95,
        "point": 0.02,
        "lower": -0.01,
        "upper": 0.05,
        "segment": "all",
        "analysis_basis": "enrollments",
        "window_index": "1",
    }
    metric = {
        "analysis_bases": ["enrollments"],
        "bigger_is_better": True,
        "description": "",
        "friendly_name": "Retained",
    }
    metadata = {
        "analysis_start_time": "2026-10-21T03:00:00Z",
        "external_config": None,
        "metrics": {"retained": metric},
        "outcomes": {},
        "version_info": None,
        "version_date": None,
        "schema_version": 4,
    }
    error = {key: _ERROR[key] for key in ("timestamp", "log_level", "message", "exception_type")}
    return {
        statistics_file(slug, Period.WEEK): [row],
        metadata_file(slug): metadata,
        errors_file(slug): [{**error, "filename": "duckdb.py", "func_name": "query"}],
    }


def experiment_files(slug: str) -> dict[str, str | bytes]:
    """The page and the API's answers of one experiment."""
    folder = folder_name(slug)
    card = {**brief(slug), "form": 1, "effects": [_EFFECT], "definitions": {"retained": {}}}
    card["files"] = [f"jetstream/{path}" for path in _jetstream_files(slug)]
    absent = _statistic(point=None, lower=None, upper=None, reason="no_units")
    answers = {
        "": card,
        "/statistics": {"slug": slug, "statistics": [_statistic(), absent]},
        "/errors": {"slug": slug, "errors": [_ERROR]},
        "/health": {"slug": slug, "health": [_CHECK]},
    }
    return {
        f"experiments/{folder}.html": f"<!doctype html><p>{slug}",
        f"experiments/{folder}.report.html": f"<!doctype html><style>p{{}}</style><p>{slug}",
        **{f"jetstream/{path}": json.dumps(a) for path, a in _jetstream_files(slug).items()},
        **{f"api/experiments/{folder}{end}.json": json.dumps(a) for end, a in answers.items()},
    }


def overview(*slugs: str) -> dict[str, str | bytes]:
    """What is made of every experiment that an audience may see."""
    head = "<!doctype html><link rel=stylesheet href=assets/sonde.css>"
    return {
        "index.html": head + " ".join(slugs),
        "api/experiments.json": json.dumps({"experiments": [brief(slug) for slug in slugs]}),
        "assets/search.json": json.dumps(slugs),
    }


def write_small_site(lake: Lake) -> None:
    """One public experiment, one with a slug that holds anything, and a private one."""
    public, private = Audience.PUBLIC, Audience.PRIVATE
    write_site(
        lake,
        {
            (public, "all"): {**overview("open", NASTY), "assets/sonde.css": "p{color:red}" * 99},
            (public, "experiment open"): experiment_files("open"),
            (public, f"experiment {NASTY}"): experiment_files(NASTY),
            (private, "all"): overview("open", NASTY, SECRET),
            (private, f"experiment {SECRET}"): experiment_files(SECRET),
        },
    )
