"""People with a name and a password, in a file that `sonde users` writes."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import re
import secrets
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sonde.errors import ConfigError, Place, did_you_mean

LEAST_CHARACTERS = 12
_NAME = re.compile(r"[A-Za-z0-9._@+-]{1,100}")


@dataclass(frozen=True)
class Cost:
    """What one try costs (RFC 7914): 2**log_n and block for memory, and that parallel times."""

    log_n: int
    block: int
    parallel: int


# 32 MB and about a quarter of a second a try; of equal strength to 2**17 once (OWASP).
_COST = Cost(15, 8, 3)


@dataclass(frozen=True)
class Password:
    """What is kept of a password: scrypt of it, with salt and cost."""

    cost: Cost
    salt: bytes
    digest: bytes = field(repr=False)

    @classmethod
    def of(cls, password: str, cost: Cost = _COST) -> Password:
        """A fresh hash. Raises ConfigError when the password is short."""
        if len(password) < LEAST_CHARACTERS:
            raise ConfigError(f"a password needs at least {LEAST_CHARACTERS} characters")
        salt = secrets.token_bytes(16)
        return cls(cost, salt, _scrypt(password, salt, cost))

    @classmethod
    def parse(cls, text: str) -> Password:
        """From the text in the file. Raises ValueError."""
        kind, *numbers, salt, digest = text.split("$")
        cost = Cost(*map(int, numbers))
        within = 10 <= cost.log_n <= 20 and 1 <= cost.block <= 16 and 1 <= cost.parallel <= 16
        if kind != "scrypt" or not within:
            raise ValueError(text)
        decoded = [base64.b64decode(each, validate=True) for each in (salt, digest)]
        if not all(16 <= len(each) <= 64 for each in decoded):
            raise ValueError(text)
        return cls(cost, *decoded)

    def __str__(self) -> str:
        salt, digest = (base64.b64encode(each).decode() for each in (self.salt, self.digest))
        cost = f"{self.cost.log_n}${self.cost.block}${self.cost.parallel}"
        return f"scrypt${cost}${salt}${digest}"

    def matches(self, password: str) -> bool:
        """Whether this is the password. Takes its time."""
        return hmac.compare_digest(_scrypt(password, self.salt, self.cost), self.digest)


def _scrypt(password: str, salt: bytes, cost: Cost) -> bytes:
    n, r, p = 2**cost.log_n, cost.block, cost.parallel
    memory = 128 * r * (n + p + 2) + 2**20
    return hashlib.scrypt(
        password.encode("utf-8", "surrogatepass"), salt=salt, n=n, r=r, p=p, maxmem=memory, dklen=32
    )


@dataclass(frozen=True)
class User:
    """Somebody who may log in. private: and see private experiments."""

    password: Password
    private: bool = False


# In place of a user there is none of: checking them takes as long, and never succeeds.
UNKNOWN = User(Password(_COST, bytes(16), secrets.token_bytes(32)))


def read_users(path: Path) -> dict[str, User]:
    """The users of a file, by name. Raises ConfigError when it is absent or wrong."""
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text).get("users", {})
    except FileNotFoundError:
        raise ConfigError(f"there is no {path}; `sonde users add NAME` writes it") from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", Place(str(path))) from error
    except ValueError as error:
        raise ConfigError(f"is not TOML: {error}", Place(str(path))) from error
    return {
        name: _user(table, Place(str(path), key=f"users.{name}")) for name, table in tables.items()
    }


def _user(table: Any, place: Place) -> User:
    known = {"password", "private"}
    if not isinstance(table, dict):
        raise ConfigError(f"expected a table; write [{place.key}]", place)
    for key in table.keys() - known:
        raise ConfigError(f'unknown key "{key}"{did_you_mean(key, known)}', place)
    private = table.get("private", False)
    if not isinstance(private, bool):
        raise ConfigError("expected true or false for private", place)
    try:
        return User(Password.parse(table["password"]), private)
    except (KeyError, TypeError, AttributeError, ValueError, binascii.Error):
        raise ConfigError(
            "expected a password as `sonde users add` writes it, scrypt$..", place
        ) from None


def write_users(path: Path, users: Mapping[str, User]) -> None:
    """Write all users, whole or not at all, for the owner of the file only.

    Raises ConfigError when a name cannot be one, or the file cannot be written.
    """
    lines = ["# Written by `sonde users`. Passwords are hashed with scrypt."]
    for name, user in sorted(users.items()):
        check_name(name)
        private = json.dumps(user.private)
        lines += ["", f'[users."{name}"]', f'password = "{user.password}"', f"private = {private}"]
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
        part.replace(path)
    except OSError as error:
        raise ConfigError(f"cannot be written: {error.strerror}", Place(str(path))) from error


def check_name(name: str) -> None:
    """Raises ConfigError when a name cannot be a user's."""
    if not _NAME.fullmatch(name):
        raise ConfigError("a user's name is made of letters, digits and . _ @ + - (at most 100)")


@dataclass(frozen=True)
class KnownUsers:
    """The users as of one reading of their file. revision: another one for each reading."""

    by_name: Mapping[str, User]
    revision: int


class Users:
    """The users of a file as it is now, read again when it has changed."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._path = path
        self._clock = clock
        self._stamp = _stamp(path)
        self._looked = clock()
        self._known = KnownUsers(read_users(path), 0)

    def current(self) -> KnownUsers:
        """The users. A file that became wrong or absent lets nobody in."""
        now = self._clock()
        if now - self._looked >= 1:
            self._looked = now
            if (stamp := _stamp(self._path)) != self._stamp:
                self._stamp = stamp
                self._known = KnownUsers(self._read(), self._known.revision + 1)
        return self._known

    def _read(self) -> dict[str, User]:
        try:
            return read_users(self._path)
        except ConfigError:
            return {}


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
