"""What is sent: files of the site, redirects, and errors that say nothing about private things."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from starlette.responses import Response

from sonde.site import Entry, SiteFile

_POLICY = (
    "default-src 'none'; style-src 'self'; style-src-attr 'unsafe-inline'; img-src 'self' data:; "
    "font-src 'self'; script-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_SECURITY = {
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# A report is one file: it carries its style, and no script.
_REPORT = ".report.html"
_SECURITY_OF_REPORTS = {
    **_SECURITY,
    "Content-Security-Policy": _POLICY.replace(
        "style-src 'self'", "style-src 'self' 'unsafe-inline'"
    ).replace("script-src 'self'", "script-src 'none'"),
}
_ETAG = re.compile(r'(?:W/)?"([^"]*)"')
_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{status} · sonde</title>
<h1>{status}</h1>
<p>{message}.</p>
<p><a href="/">All experiments</a></p>
</html>
"""


def compressed(file: SiteFile, caching: Mapping[str, str]) -> Response:
    """A file as it is stored."""
    headers = {**_about(file, caching), "Content-Encoding": "gzip"}
    return Response(file.body, 200, headers, file.media_type)


def plain(file: SiteFile, caching: Mapping[str, str]) -> Response:
    """A file for those who cannot read gzip."""
    return Response(gzip.decompress(file.body), 200, _about(file, caching), file.media_type)


def unchanged(entry: Entry | SiteFile, caching: Mapping[str, str]) -> Response:
    """304: the reader has it."""
    return Response(None, 304, _about(entry, caching))


def has(entry: Entry | SiteFile, if_none_match: str | None) -> bool:
    """Whether the reader says that they have this file.

    >>> from pathlib import Path
    >>> entry = Entry("a.html", "text/html", "abc", Path())
    >>> has(entry, '"x", W/"abc"'), has(entry, "*"), has(entry, '"ab"'), has(entry, None)
    (True, True, False, False)
    """
    if if_none_match is None:
        return False
    return if_none_match.strip() == "*" or entry.etag in _ETAG.findall(if_none_match)


@lru_cache(256)
def accepts_gzip(accept_encoding: str | None) -> bool:
    """Whether a header Accept-Encoding admits gzip.

    >>> [accepts_gzip(text) for text in ("br, GZIP;q=0.5", "*", "gzip;q=0, *", "identity", None)]
    [True, True, False, False, False]
    """
    said: dict[str, bool] = {}
    for item in (accept_encoding or "").lower().split(","):
        name, *parameters = (part.strip() for part in item.split(";"))
        said[name] = not any(re.fullmatch(r"q=0(\.0*)?", each) for each in parameters)
    return said.get("gzip", said.get("*", False))


def moved(to: str, status: int = 307) -> Response:
    """Sends the reader to another address."""
    return Response(None, status, {**_SECURITY, "Cache-Control": "no-store", "Location": to})


@dataclass(frozen=True)
class Problem:
    """Why a reader does not get what they ask for. message: of our own words only."""

    status: int
    code: str
    message: str
    headers: Mapping[str, str] = field(default_factory=dict)


# The same whether there never was such a thing, or this reader may not see it.
NOT_FOUND = Problem(404, "not_found", "there is nothing at this address")
NOT_PUBLISHED = Problem(
    404, "not_published", "nothing is published yet; `sonde run` analyses and publishes"
)
READ_ONLY = Problem(
    405,
    "method_not_allowed",
    "this site can only be read, with GET or HEAD",
    {"Allow": "GET, HEAD"},
)
OTHER_HOST = Problem(
    421, "other_host", "sonde is not known by this name; serve.names in sonde.toml lists its names"
)
UNAVAILABLE = Problem(
    503, "unavailable", "the results cannot be read just now", {"Retry-After": "10"}
)
INTERNAL = Problem(500, "internal", "something went wrong here; the log of the server says where")


def problem_page(problem: Problem) -> Response:
    """A problem, for a person."""
    message = problem.message[:1].upper() + problem.message[1:]
    content = _PAGE.format(status=problem.status, message=message)
    return Response(content, problem.status, _headers(problem), "text/html")


def problem_json(problem: Problem) -> Response:
    """A problem, for a program."""
    content = json.dumps({"error": {"code": problem.code, "message": problem.message}})
    return Response(content, problem.status, _headers(problem), "application/json")


def _headers(problem: Problem) -> dict[str, str]:
    return {**_SECURITY, "Cache-Control": "no-store", **problem.headers}


def _about(file: SiteFile | Entry, caching: Mapping[str, str]) -> dict[str, str]:
    security = _SECURITY_OF_REPORTS if file.path.endswith(_REPORT) else _SECURITY
    tag = f'W/"{file.etag}"'  # weak: the same for the compressed and the plain body
    return {**security, **caching, "ETag": tag}
