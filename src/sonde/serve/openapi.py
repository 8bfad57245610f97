"""What the API answers, described: a document of the program, not of a publication."""

from __future__ import annotations

import gzip
import hashlib
import importlib.resources
from collections.abc import Mapping

from sonde.site import SiteFile

PATH = "api/openapi.json"


def _document() -> SiteFile:
    text = importlib.resources.files("sonde.serve").joinpath("openapi.json").read_bytes()
    etag = hashlib.sha256(text).hexdigest()[:16]
    return SiteFile(PATH, "application/json", gzip.compress(text, mtime=0), etag)


OPENAPI: Mapping[str, SiteFile] = {PATH: _document()}
