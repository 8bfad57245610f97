"""What several tests of the pages look at, made once."""

from __future__ import annotations

import pytest

from sonde.project import Project
from sonde.site import Site
from tests.pages.demo import published


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The demo, small, analysed and published; nobody may change it."""
    return published(tmp_path_factory.mktemp("demo") / "demo", 0.05)


@pytest.fixture(scope="session")
def demo_site(demo: Project) -> Site:
    """What it published."""
    site = Site(demo.lake)
    site.refresh()
    return site
