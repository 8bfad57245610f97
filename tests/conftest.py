"""Fixtures for all tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def shared() -> Callable[[str], Path]:
    """Real files that stand beside the checkout on a developer's machine; absent: the test skips."""

    def find(relative: str) -> Path:
        path = REPOSITORY.parent / "shared" / relative
        if not path.exists():
            pytest.skip(f"real test data {relative} is not beside the checkout")
        return path

    return find
