"""A store that is a bucket: Amazon S3 or what speaks like it, or Google Cloud Storage."""

from __future__ import annotations

import hashlib
import os
import urllib.parse
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import obstore
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from obstore.exceptions import BaseError
from obstore.store import GCSStore, S3Store

from sonde.errors import BackendError, ConfigError
from sonde.store.cache import Cache
from sonde.store.credentials import aws_options
from sonde.store.failures import PassingError, failure
from sonde.store.stored import Stored

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

_TRIES = 10
_PATIENCE = 30  # seconds in which a request is tried again
_SILENCE = 120  # seconds without an answer, while a part of a file may be on its way
_AT_ONCE = 8  # transfers
_CHUNK = 8 * 2**20

T = TypeVar("T")


@dataclass(frozen=True)
class Bucket:
    """Files are copied to a folder to be read, and sent from there once written.

    url: without a slash at its end. options: beside what the environment says.
    """

    url: str
    cache: Cache
    options: dict[str, str]
    endpoint: str = ""

    is_far: ClassVar[bool] = True

    @classmethod
    def of(cls, url: str, cache: Cache) -> Bucket:
        """The files at an address. Raises ConfigError when it names no bucket."""
        kind, _, rest = url.partition("://")
        if not rest.strip("/") or rest.startswith("/"):
            raise ConfigError(f"{url} names no bucket; write {kind}://bucket/folder")
        is_google = kind == "gs"
        options = {} if is_google else aws_options(os.environ)
        variable = "GOOGLE_BASE_URL" if is_google else "AWS_ENDPOINT_URL"
        endpoint = os.environ.get(variable) or options.get("aws_endpoint_url", "")
        address = f"{'gs' if is_google else 's3'}://{'/'.join(p for p in rest.split('/') if p)}"
        return cls(address, cache, _delta_options(options, endpoint), endpoint)

    @property
    def _bucket(self) -> str:
        return self.url.partition("://")[2].partition("/")[0]

    @property
    def _prefix(self) -> str:
        return self.url.partition("://")[2].partition("/")[2]

    @cached_property
    def root(self) -> Path:
        """The folder of copies; the same for all addresses in the bucket."""
        digest = hashlib.sha256(f"{self.endpoint} {self.url[:2]}".encode()).hexdigest()[:8]
        return self.cache.root / f"{self._bucket}-{digest}" / self._prefix

    @cached_property
    def _client(self) -> S3Store | GCSStore:
        given = tuple((k, v) for k, v in self.options.items() if k.startswith("aws_"))
        return _client(self.url[:2], self._bucket, self.endpoint, given, _environment())

    def folder(self, table: str) -> str:
        """The name of a table's folder: Delta would read the `%` of its path as an escape."""
        return table.replace("%", "~")

    def make(self, name: str) -> Path:
        """The folder of copies of this name, made when absent."""
        with self.writing():
            self.cache.make(made := self.root / name)
        return made

    def address(self, name: str) -> str:
        """Where Delta finds the table in a folder of the store."""
        kind, _, _ = self.url.partition("://")
        return f"{kind}://{self._bucket}/{urllib.parse.quote(self._key(name), safe='/=')}"

    def path(self, file: Stored) -> Path:
        """Where the copy of a file is."""
        if not file.version:
            return self.root / file.name
        return self.root / f"@{hashlib.sha256(file.version.encode()).hexdigest()[:16]}" / file.name

    def fetch(self, files: Iterable[Stored]) -> None:
        """Copy the files that are not in the folder yet."""
        missing = [file for file in files if not self.cache.has(self.path(file), file.size)]
        if missing:
            self._each(self._copy, missing)
            with self.cache.failures():
                self.cache.sweep()

    def send(self, names: Iterable[str]) -> None:
        """Copy files of the folder into the bucket."""
        self._each(self._put, list(names))

    def gone(self, files: Iterable[Stored]) -> list[Stored]:
        """Those that are no longer in the bucket."""
        wanted = list(files)
        found = self._each(lambda file: self.stat(file.name), wanted)
        return [file for file, there in zip(wanted, found, strict=True) if there is None]

    def delete(self, name: str) -> None:
        """Remove a file, if it is there, with its copy."""
        for last in (False, False, True):  # its client does not: it could be asked twice
            try:
                with self.failures():
                    obstore.delete(self._client, self._key(name))
                break
            except PassingError:
                if last:
                    raise
        (self.root / name).unlink(missing_ok=True)

    def changed(self, name: str) -> int | None:
        """A digest of the names in the folder."""
        return hash(tuple(self.within(name)))

    def beginning(self, name: str) -> None:
        """Never known without asking, which takes as long as to open a table."""

    def lacks(self, name: str) -> bool:  # noqa: ARG002
        """Never known without asking."""
        return False

    def within(self, name: str) -> Sequence[str]:
        """The names of what stands directly in a folder; none when it is absent."""
        with self.failures():
            listed = obstore.list_with_delimiter(self._client, self._key(name) or None)
        keys = [*listed["common_prefixes"], *(meta["path"] for meta in listed["objects"])]
        return [key.rstrip("/").rpartition("/")[2] for key in keys]

    def files(self, name: str) -> list[Stored]:
        """All files in a folder and in the folders within, by name."""
        with self.failures():
            metas = obstore.list(self._client, self._key(name) or None).collect()
        return sorted((self._stored(meta) for meta in metas), key=lambda file: file.name)

    def stat(self, name: str) -> Stored | None:
        """What is known of a file; None when it is absent."""
        with self.failures():
            try:
                return self._stored(obstore.head(self._client, self._key(name)))
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None

    def read(self, name: str) -> bytes | None:
        """A small file that may have changed; None when it is absent."""
        with self.failures():
            try:
                return bytes(obstore.get(self._client, self._key(name)).bytes())
            except FileNotFoundError as error:
                self._check_bucket(error)
                return None

    def create(self, name: str, content: bytes) -> None:
        """Write a small file, whole or not at all."""
        with self.failures():
            obstore.put(self._client, self._key(name), content)

    def writing(self) -> AbstractContextManager[None]:
        """Raises BackendError for what the disk of copies cannot do within."""
        return self.cache.failures()

    @contextmanager
    def failures(self) -> Iterator[None]:
        """Say in one sentence what a person can do about a store that fails."""
        try:
            yield
        except (BaseError, OSError, DeltaError) as error:
            if isinstance(error, CommitFailedError | TableNotFoundError):
                raise
            raise failure(error, self.url, self.endpoint) from error

    def _key(self, name: str) -> str:
        return "/".join(part for part in (self._prefix, name) if part)

    def _stored(self, meta: Any) -> Stored:
        name = meta["path"][len(self._prefix) :].lstrip("/")
        changed = f"{meta['e_tag'] or meta['last_modified'].isoformat()} {meta['size']}"
        return Stored(name, meta["size"], changed)

    @staticmethod
    def _check_bucket(error: FileNotFoundError) -> None:
        """A file that is not there is an answer; a bucket that is not there is a failure."""
        if "NoSuchBucket" in str(error) or "bucket does not exist" in str(error):
            raise error

    def _copy(self, file: Stored) -> None:
        path = self.path(file)
        with self.cache.failures(), self.cache.part(path) as part, part.open("wb") as sink:
            for chunk in self._chunks(file):
                sink.write(chunk)

    def _chunks(self, file: Stored) -> Iterator[Any]:
        with self.failures():
            try:
                yield from obstore.get(self._client, self._key(file.name)).stream(_CHUNK)
            except FileNotFoundError as error:
                self._check_bucket(error)
                raise BackendError(
                    f"{self.url}/{file.name} is gone: somebody removed it meanwhile; run again"
                ) from error

    def _put(self, name: str) -> None:
        with self.failures():
            obstore.put(
                self._client,
                self._key(name),
                self.root / name,
                chunk_size=_CHUNK,
                max_concurrency=2,
            )

    @staticmethod
    def _each(do: Callable[[Stored], T] | Callable[[str], T], of: Sequence[Any]) -> list[T]:
        """Several at once: most of a transfer is waiting."""
        if len(of) == 1:
            return [do(of[0])]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return list(pool.map(do, of))


def _environment() -> tuple[tuple[str, str], ...]:
    """What a client reads of the environment when it is made."""
    return tuple((k, v) for k, v in os.environ.items() if k.startswith(("AWS_", "GOOGLE_")))


@lru_cache(maxsize=8)
def _client(
    kind: str,
    bucket: str,
    endpoint: str,
    given: tuple[tuple[str, str], ...],
    _: tuple[tuple[str, str], ...],
) -> S3Store | GCSStore:
    """One client for all addresses in a bucket: it keeps connections and roles' credentials."""
    retry: RetryConfig = {"max_retries": _TRIES, "retry_timeout": timedelta(seconds=_PATIENCE)}
    client: ClientConfig = {
        "timeout": "15m",  # of a whole file
        "read_timeout": f"{_SILENCE}s",
        "allow_http": _is_plain(endpoint),
    }
    if kind == "gs":
        return GCSStore(bucket, client_options=client, retry_config=retry)
    config: Any = dict(given)
    return S3Store(bucket, config=config, client_options=client, retry_config=retry)


def _delta_options(options: dict[str, str], endpoint: str) -> dict[str, str]:
    """The same patience for Delta's own client."""
    return {
        **options,
        "timeout": f"{_SILENCE}s",
        "max_retries": str(_TRIES),
        "retry_timeout": f"{_PATIENCE}s",
        "allow_http": str(_is_plain(endpoint)).lower(),
    }


def _is_plain(endpoint: str) -> bool:
    return endpoint.startswith("http://")
