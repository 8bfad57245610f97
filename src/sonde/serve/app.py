"""The site over HTTP: reads, never computes."""

from __future__ import annotations

import asyncio
import ipaddress
import time
import traceback
import urllib.parse
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from sonde.errors import SondeError
from sonde.serve import answers
from sonde.serve.access import Access, Reader
from sonde.serve.answers import Problem
from sonde.serve.openapi import OPENAPI
from sonde.serve.target import Candidate, candidates, segments
from sonde.site import Entry, Site, SiteFile

_LOOK_EVERY = 1.0  # seconds between two looks for new publications
_PATIENCE = 0.05  # how long the request that looks waits for what it finds
_FOR_PROGRAMS = (b"/api/", b"/jetstream/")
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class Application:
    """Answers requests from a site.

    names: under which people reach it, beside `localhost` and numeric addresses.
    log: takes one line a request. It never names what not everybody may see.
    """

    def __init__(
        self, site: Site, access: Access, names: tuple[str, ...], log: Callable[[str], None]
    ) -> None:
        self._site = site
        self._access = access
        self._names = frozenset({"localhost", *(name.lower() for name in names)})
        self._log = log
        self._looking: asyncio.Task[None] | None = None
        self._looked = time.monotonic()
        self._failing = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        started = time.perf_counter()
        found, said = await self._answer(Request(scope))
        answer = _rendered(found, scope) if isinstance(found, Problem) else found
        await answer(scope, receive, send)
        method = scope["method"] if scope["method"] in _METHODS else "[other]"
        took = (time.perf_counter() - started) * 1000
        self._log(f"{method} {said} {answer.status_code} {took:.1f} ms")

    async def _answer(self, request: Request) -> tuple[Response | Problem, str]:
        """The answer, and what the log says in place of the address."""
        try:
            return await self._admitted(request)
        except SondeError as error:
            return answers.UNAVAILABLE, f"[{type(error).__name__}]"
        except Exception as error:  # the message may name what the log must not
            return answers.INTERNAL, f"[{_where(error)}]"

    async def _admitted(self, request: Request) -> tuple[Response | Problem, str]:
        if not self._is_ours(request.headers.getlist("host")):
            return answers.OTHER_HOST, "[other host]"
        if request.method not in {"GET", "HEAD"}:
            return answers.READ_ONLY, "[read only]"
        parts = segments(request.scope["raw_path"])
        if parts is None:
            return answers.NOT_FOUND, "[not found]"
        reader = await self._access.admit(request)
        if not isinstance(reader, Reader):
            return reader, "[login]"
        await self._look()
        for candidate in candidates(parts):
            if found := await self._found(candidate, request, reader):
                return found, self._said(candidate.path)
        return (answers.NOT_FOUND if parts else answers.NOT_PUBLISHED), "[not found]"

    async def _found(
        self, candidate: Candidate, request: Request, reader: Reader
    ) -> Response | None:
        entry = self._site.entry(candidate.path, reader.private)
        file: Entry | SiteFile | None = entry or OPENAPI.get(candidate.path)
        if file is None:
            return None
        if candidate.moved_to is not None:
            query = request.scope["query_string"].decode("latin-1")
            return answers.moved(candidate.moved_to + (f"?{query}" if query else ""))
        caching = self._access.caching(reader)
        if answers.has(file, request.headers.get("if-none-match")):
            return answers.unchanged(file, caching)
        return await self._sent(file, caching, request.headers.get("accept-encoding"))

    async def _sent(
        self, found: Entry | SiteFile, caching: Mapping[str, str], accept_encoding: str | None
    ) -> Response:
        if isinstance(found, SiteFile):
            file = found
        elif self._site.at_hand(found):
            file = self._site.file(found)
        else:  # others are answered while the disk is read
            file = await asyncio.to_thread(self._site.file, found)
        if answers.accepts_gzip(accept_encoding):
            return answers.compressed(file, caching)
        return await asyncio.to_thread(answers.plain, file, caching)

    def _said(self, path: str) -> str:
        is_public = path in OPENAPI or self._site.entry(path, private=False) is not None
        return f"/{urllib.parse.quote(path)}" if is_public else "[private]"

    def _is_ours(self, hosts: list[str]) -> bool:
        """Whether the request names this server.

        A page of another site can make its own name lead here (DNS rebinding), and would read
        what it asked for; the name gives it away. It cannot do that to a numeric address.
        """
        if len(hosts) != 1:
            return False
        name = _name_of(hosts[0])
        return name in self._names or _is_address(name)

    async def _look(self) -> None:
        """Look for new publications, once a second at most, in a thread."""
        if self._looking is None and time.monotonic() - self._looked >= _LOOK_EVERY:
            self._looking = asyncio.create_task(self._refresh())
            await asyncio.wait({self._looking}, timeout=_PATIENCE)

    async def _refresh(self) -> None:
        try:
            await asyncio.to_thread(self._site.refresh)
            self._failing = False
        except Exception as error:  # what was read before goes on being served
            if not self._failing:
                self._log(f"[{_where(error)}] new publications cannot be read")
            self._failing = True
        finally:
            self._looked = time.monotonic()
            self._looking = None


def _rendered(problem: Problem, scope: Scope) -> Response:
    if scope["raw_path"].startswith(_FOR_PROGRAMS):
        return answers.problem_json(problem)
    return answers.problem_page(problem)


@lru_cache(256)
def _name_of(host: str) -> str:
    """The name in a header Host, without port.

    >>> [_name_of(host) for host in ("Sonde.example.:80", "[::1]:8000", "[::1")]
    ['sonde.example', '::1', '']
    """
    try:
        return (urllib.parse.urlsplit(f"//{host}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _where(error: Exception) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} at {Path(frame.filename).name}:{frame.lineno}"
