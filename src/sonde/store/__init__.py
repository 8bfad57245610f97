"""Where files are: in a folder, or in the bucket of an object store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sonde.store.cache import Cache
from sonde.store.failures import PassingError
from sonde.store.folder import Folder
from sonde.store.stored import Store, Stored, is_bucket

if TYPE_CHECKING:
    from sonde.store.bucket import Bucket

__all__ = [
    "Cache",
    "Folder",
    "PassingError",
    "Store",
    "Stored",
    "is_bucket",
    "open_bucket",
    "open_store",
]


def open_store(url: str, cache: Cache) -> Store:
    """The files at an address: `s3://bucket/..`, `gs://bucket/..`, or a folder.

    Asks nothing of a bucket yet. Raises ConfigError when the address is of another kind.
    """
    return open_bucket(url, cache) if is_bucket(url) else Folder.of(url)


def open_bucket(url: str, cache: Cache) -> Bucket:
    """The files at an address in a bucket."""
    from sonde.store.bucket import Bucket  # noqa: PLC0415 - its client, for those who have one

    return Bucket.of(url, cache)
