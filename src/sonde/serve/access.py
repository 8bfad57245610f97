"""Who reads, and whether they may see private experiments."""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import secrets
import urllib.parse
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from starlette.requests import Request
from starlette.responses import Response

from sonde.login import ProxyLogin
from sonde.serve.answers import Problem, moved
from sonde.serve.attempts import Attempts
from sonde.serve.target import address, segments
from sonde.serve.users import UNKNOWN, User, Users

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Reader:
    """Somebody who may read. private: whether also private experiments."""

    private: bool


# Also: what is in the way, or where to go first.
Admission: TypeAlias = Reader | Problem | Response


class Access(Protocol):
    """Decides who may read."""

    def caching(self, reader: Reader) -> Mapping[str, str]:
        """Headers that keep what one reader is sent from another."""

    async def admit(self, request: Request) -> Admission:
        """The reader, or what to say to them first."""


_WRONG_TOKEN = Problem(
    403, "wrong_token", "this link is of an earlier start; `sonde serve` has printed a new one"
)
_LOG_IN = Problem(
    401,
    "unauthorized",
    "log in with a name and a password",
    {"WWW-Authenticate": 'Basic realm="sonde", charset="UTF-8"'},
)
_WAIT = Problem(
    429,
    "too_many_attempts",
    "too many wrong passwords; try again in a minute",
    {"Retry-After": "60"},
)
_NOT_THE_PROXY = Problem(
    403, "not_the_proxy", "this address is for the proxy only; open sonde by its public name"
)
_NO_USER = Problem(401, "no_user", "the proxy has named no user")


@dataclass(frozen=True)
class OwnMachine:
    """Without a login, on this machine: all may read, private things need the start's token.

    port: part of the cookie's name, as a browser keeps one set of cookies for all ports of a host.
    """

    port: int
    token: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    _session: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)

    def caching(self, reader: Reader) -> Mapping[str, str]:
        """What is public may be kept by any cache, if it asks whether it is current."""
        kept = "private, no-cache" if reader.private else "no-cache"
        return {"Cache-Control": kept, "Vary": "Accept-Encoding, Cookie"}

    async def admit(self, request: Request) -> Admission:
        """The token becomes a cookie, and leaves the address."""
        text = request.scope["query_string"].decode("latin-1")
        query = urllib.parse.parse_qsl(text, keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if not given:
            return Reader(_same(request.cookies.get(self._cookie, ""), self._session))
        if not _same(given[0], self.token):
            return _WRONG_TOKEN
        rest = urllib.parse.urlencode([each for each in query if each[0] != "token"])
        # Written anew from its parts: `//other.example/` would lead elsewhere.
        here = address(segments(request.scope["raw_path"]) or ())
        answer = moved(here + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(self._cookie, self._session, httponly=True, samesite="strict")
        return answer

    @property
    def _cookie(self) -> str:
        return f"sonde-{self.port}"


_Mark: TypeAlias = tuple[bytes, int]  # of a header, and of the users' file it was held against
_MOST_KNOWN = 1000


@dataclass(frozen=True)
class ByPassword:
    """HTTP Basic. A password is checked once; the header that carried it is known from then on."""

    users: Users
    clock: Callable[[], float]
    _of_name: Attempts = field(default_factory=lambda: Attempts(5, 60))
    _of_peer: Attempts = field(default_factory=lambda: Attempts(30, 60))
    _key: bytes = field(default_factory=lambda: secrets.token_bytes(32), repr=False)
    _known: OrderedDict[_Mark, User] = field(default_factory=OrderedDict, repr=False)
    _pending: dict[_Mark, asyncio.Task[Admission]] = field(default_factory=dict, repr=False)
    _checking: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(2))

    def caching(self, reader: Reader) -> Mapping[str, str]:  # noqa: ARG002
        """Nobody reads without a login, so no shared cache may keep anything."""
        return {"Cache-Control": "private, no-cache", "Vary": "Accept-Encoding, Authorization"}

    async def admit(self, request: Request) -> Admission:
        """A user of the file; a wrong password costs time and, soon, patience."""
        header = request.headers.get("authorization", "")
        revision = self.users.current().revision
        # Of the hash only: what a client sent is not kept in memory.
        mark = hmac.digest(self._key, header.encode("utf-8", "replace"), "sha256"), revision
        if (known := self._known.get(mark)) is not None:
            return Reader(known.private)
        if (said := _basic(header)) is None:
            return _LOG_IN
        if mark not in self._pending:  # a browser asks for a page's parts all at once
            peer = request.client.host if request.client else ""
            self._pending[mark] = asyncio.create_task(self._log_in(mark, peer, *said))
        return await asyncio.shield(self._pending[mark])

    async def _log_in(self, mark: _Mark, peer: str, name: str, password: str) -> Admission:
        try:
            both, now = f"{peer} {name}", self.clock()
            if not (self._of_name.take(both, now) and self._of_peer.take(peer, now)):
                return _WAIT
            user = await self._checked(name, password)
            if user is None:
                return _LOG_IN
            self._of_name.forgive(both)
            self._of_peer.forgive(peer)
            self._known[mark] = user
            while len(self._known) > _MOST_KNOWN:
                self._known.popitem(last=False)
            return Reader(user.private)
        finally:
            del self._pending[mark]

    async def _checked(self, name: str, password: str) -> User | None:
        by_name = self.users.current().by_name
        user = by_name.get(name, UNKNOWN)
        async with self._checking:
            right = await asyncio.to_thread(user.password.matches, password)
        return user if right and name in by_name else None


@dataclass(frozen=True)
class ByProxy:
    """A proxy has checked who it is and writes the name into a header."""

    login: ProxyLogin
    networks: tuple[Network, ...]

    @classmethod
    def of(cls, login: ProxyLogin) -> ByProxy:
        """For the networks that the settings name."""
        return cls(login, tuple(map(ipaddress.ip_network, login.proxies)))

    def caching(self, reader: Reader) -> Mapping[str, str]:  # noqa: ARG002
        """Nobody reads without a login, so no shared cache may keep anything."""
        vary = f"Accept-Encoding, {self.login.header}"
        return {"Cache-Control": "private, no-cache", "Vary": vary}

    async def admit(self, request: Request) -> Admission:
        """Whoever the proxy names. Nobody, when it is not the proxy who asks."""
        peer = request.client.host if request.client else ""
        if not _within(peer, self.networks):
            return _NOT_THE_PROXY
        names = request.headers.getlist(self.login.header)
        if len(names) != 1 or not names[0].strip():  # two: who reads may have written one of them
            return _NO_USER
        return Reader(names[0].strip() in self.login.private_users)


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())


def _basic(header: str) -> tuple[str, str] | None:
    """Name and password of a header Authorization.

    >>> _basic("Basic YTpiOmM="), _basic("Bearer x"), _basic("Basic ?")
    (('a', 'b:c'), None, None)
    """
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except ValueError:  # neither base64 nor text
        return None
    name, colon, password = text.partition(":")
    return (name, password) if colon and len(password) <= 1000 else None


def _within(peer: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(peer)
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return any(address in network for network in networks)
