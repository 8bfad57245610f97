"""What several tests of the pages look at, made once."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

from sonde.project import Project
from sonde.site import Site
from tests.pages.demo import published

_QUIETLY = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium; for one module at a time, since its loop would be in the way of others."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("no chromium on PATH")
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=found, args=_QUIETLY)
        yield running
        running.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The demo, small, analysed and published, once for all of pytest's processes; nobody may
    change it."""
    base = tmp_path_factory.getbasetemp()
    root = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, done = root / "demo", root / "demo.done"
    with (root / "demo.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            published(folder, 0.05)
            done.touch()
    return Project.open(folder)


@pytest.fixture(scope="session")
def demo_site(demo: Project) -> Site:
    """What it published."""
    site = Site(demo.lake)
    site.refresh()
    return site
