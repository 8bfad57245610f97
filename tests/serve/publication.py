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


def experiment_files(slug: str, **answer: Any) -> dict[str, str | bytes]:
    """The page and the API's answers of one experiment."""
    folder = folder_name(slug)
    said = json.dumps({"slug": slug, **answer})
    return {
        f"experiments/{folder}.html": f"<!doctype html><p>{slug}",
        f"api/experiments/{folder}.json": said,
        f"api/experiments/{folder}/statistics.json": json.dumps({"statistics": [], "slug": slug}),
        f"api/experiments/{folder}/errors.json": json.dumps({"errors": []}),
        f"api/experiments/{folder}/health.json": json.dumps({"checks": []}),
        f"jetstream/statistics_{folder}_weekly.json": "[]",
    }


def overview(*slugs: str) -> dict[str, str | bytes]:
    """What is made of every experiment that an audience may see."""
    return {
        "index.html": "<!doctype html><link rel=stylesheet href=assets/sonde.css>"
        + " ".join(slugs),
        "api/experiments.json": json.dumps({"experiments": [{"slug": slug} for slug in slugs]}),
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
