"""Small trees of configuration files, written where a test wants them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from sonde.config import Configuration

with warnings.catch_warnings():  # the public parser's schemas use what pydantic has deprecated
    warnings.simplefilter("ignore")
    import metric_config_parser.config  # noqa: F401

TREE = Path(__file__).parent / "tree"

DEFINITIONS = """
[metrics.hours]
data_source = "daily"
select_expression = "SUM(hours)"
friendly_name = "Hours"
bigger_is_better = true

[data_sources.daily]
from_expression = "garden.daily"
"""


@pytest.fixture(scope="session")
def tree() -> Path:
    """A whole repository of the metric-hub kind."""
    return TREE


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Mapping[str, str]], Path]:
    """Write files by relative path; the folder."""

    def files(texts: Mapping[str, str]) -> Path:
        for path, text in texts.items():
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        return tmp_path

    return files


@pytest.fixture
def load(write: Callable[[Mapping[str, str]], Path]) -> Callable[..., Configuration]:
    """A configuration of a few files over small shared definitions for firefox_desktop."""

    def loaded(texts: Mapping[str, str]) -> Configuration:
        return Configuration.load(
            [write({"definitions/firefox_desktop.toml": DEFINITIONS, **texts})]
        )

    return loaded
