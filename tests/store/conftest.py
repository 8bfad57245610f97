"""Stores for tests: one of each kind a session, a bucket of its own a test."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.store.moto_server import AMAZON, GOOGLE
from tests.store.servers import make_bucket, served

_NUMBERS = itertools.count(1)


def _new_name() -> str:
    """Without a hyphen: Google's client writes it as %2D, which moto does not read."""
    return f"bucket{next(_NUMBERS)}"


@pytest.fixture(scope="session")
def amazon() -> Iterator[str]:
    """The address of a store that speaks as Amazon's."""
    with served(AMAZON) as endpoint:
        yield endpoint


@pytest.fixture(scope="session")
def google() -> Iterator[str]:
    """The address of a store that speaks as Google's."""
    with served(GOOGLE) as endpoint:
        yield endpoint


@pytest.fixture
def s3(amazon: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a new bucket, and an environment in which it can be used."""
    return use_s3(amazon, tmp_path, monkeypatch)


def use_s3(endpoint: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket, and the environment of whoever uses it: no other credentials count."""
    without_credentials(folder, monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    bucket = _new_name()
    make_bucket(endpoint, bucket)
    return f"s3://{bucket}"


def without_credentials(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that knows of no store. Copies are kept below the folder."""
    for name in [n for n in os.environ if n.startswith(("AWS_", "GOOGLE_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))


@pytest.fixture
def gs(google: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The same of Google's kind."""
    without_credentials(tmp_path, monkeypatch)
    account = tmp_path / "account.json"
    said = {"gcs_base_url": google, "disable_oauth": True}
    said |= {"client_email": "", "private_key": "", "private_key_id": ""}
    account.write_text(json.dumps(said))
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(account))
    monkeypatch.setenv("GOOGLE_BASE_URL", google)
    bucket = _new_name()
    make_bucket(google, bucket)
    return f"gs://{bucket}"


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest) -> str:
    """A new bucket of each kind."""
    url: str = request.getfixturevalue(request.param)
    return url
