"""The published site as the lake holds it: pages and API answers, ready to be sent."""

from __future__ import annotations

import enum
from dataclasses import dataclass

import pyarrow as pa

from sonde.table import Table


class Audience(enum.StrEnum):
    """Who may see a file. Those who may see private experiments see both kinds."""

    PUBLIC = "public"
    PRIVATE = "private"


@dataclass(frozen=True)
class SiteFile:
    """One file of the site. path: relative, with `/`. body: compressed with gzip."""

    path: str
    media_type: str
    body: bytes
    etag: str


# One partition per owner and audience. owner: `experiment <slug>`, or `all` for what is made of
# every experiment: the portfolio, metrics, runs, assets, the API's lists.
SITE = Table("sonde/site", ("audience", "owner"))
SITE_COLUMNS = pa.schema(
    [
        ("path", pa.string()),
        ("media_type", pa.string()),
        ("body", pa.binary()),
        ("etag", pa.string()),
    ]
)
