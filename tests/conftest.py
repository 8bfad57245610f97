"""Fixtures for all tests."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # pydantic's, about the package itself
    import mozilla_nimbus_schemas.jetstream  # noqa: F401

settings.register_profile("no deadline", deadline=None)  # a first call imports; machines are shared
settings.load_profile("no deadline")

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Real files that may stand beside the checkout; where they are absent, the test skips."""

    def find(relative: str) -> Path:
        path = REPOSITORY.parent / "shared" / relative
        if not path.exists():
            pytest.skip(f"real test data {relative} is not beside the checkout")
        return path

    return find
