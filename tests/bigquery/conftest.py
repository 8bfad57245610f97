"""One emulator for all tests of a worker."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bigquery.emulator import Emulator, python

collect_ignore = ["server.py"]  # runs in the emulator's own environment


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    if not python().exists():
        pytest.skip(
            "there is no environment for bqemulator; `make .venv-bqemulator/stamp` makes it"
        )
    log: Path = tmp_path_factory.mktemp("bigquery") / "log"
    with Emulator(log).running() as started:
        yield started


@pytest.fixture
def emulator(server: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    monkeypatch.setenv("BIGQUERY_EMULATOR_HOST", server.url)
    return server
