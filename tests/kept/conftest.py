"""An experiment that has begun."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kept.hub import Hub, make_hub, run


@pytest.fixture
def begun(tmp_path: Path) -> tuple[Hub, str]:
    """An experiment that was analysed, and the commit it began with."""
    hub, first = make_hub(tmp_path)
    run(tmp_path)
    return hub, first
