"""One emulator for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bigquery.emulator import Emulator, python

collect_ignore = ["server.py"]  # runs in the emulator's own environment


@pytest.fixture(scope="session")
def installed() -> None:
    """Skips where the emulator's environment is absent; `make test` makes it."""
    if not python().exists():
        pytest.skip("there is no .venv-bqemulator; `make .venv-bqemulator/stamp` makes it")


@pytest.fixture(scope="session")
def server(installed: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    log: Path = tmp_path_factory.mktemp("bigquery") / "log"
    with Emulator(log).running() as started:
        yield started


@pytest.fixture
def emulator(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
    return server
