"""A real server on a free port of this machine, and real clients."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from sonde.lake import Lake
from sonde.serve.access import Access, OwnMachine
from sonde.serve.app import Application
from sonde.serve.server import listen, server
from sonde.site import Site
from tests.serve.publication import write_small_site


@dataclass(frozen=True)
class Serving:
    """A server that runs in a thread of the test."""

    port: int
    access: Access
    log: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def client(self, **options) -> httpx.Client:
        return httpx.Client(base_url=self.address, trust_env=False, timeout=30, **options)

    def reader(self) -> httpx.Client:
        """Somebody without any right."""
        return self.client()

    @contextlib.contextmanager
    def owner(self) -> Iterator[httpx.Client]:
        """Somebody who has opened the second address."""
        with self.client() as client:
            assert client.get("/", params={"token": self.access.token}).status_code == 303
            yield client


@contextlib.contextmanager
def serving(
    lake: Lake, access: Callable[[int], Access], names: tuple[str, ...] = ()
) -> Iterator[Serving]:
    site = Site(lake)
    site.refresh()
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    running = Serving(port, access(port))
    started = server(Application(site, running.access, names, running.log.append))
    thread = threading.Thread(target=started.run, args=([listening],))
    thread.start()
    try:
        while not started.started:
            time.sleep(0.01)
        yield running
    finally:
        started.should_exit = True
        thread.join(timeout=10)
        listening.close()
    assert not thread.is_alive()


@pytest.fixture
def lake(tmp_path):
    return Lake.open(tmp_path / "lake")


@pytest.fixture(scope="module")
def small_lake(tmp_path_factory):
    lake = Lake.open(tmp_path_factory.mktemp("site") / "lake")
    write_small_site(lake)
    return lake


@pytest.fixture(scope="module")
def running(small_lake):
    """The small site, without a login."""
    with serving(small_lake, OwnMachine) as running:
        yield running


@pytest.fixture
def reader(running):
    with running.reader() as client:
        yield client


@pytest.fixture
def owner(running):
    with running.owner() as client:
        yield client
