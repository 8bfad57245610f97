"""Small trees of configuration files, written where a test wants them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings

from sonde.config import Configuration, Resolved
from sonde.experiment import Experiment, ExperimentRecord
from sonde.metric import Metric

with warnings.catch_warnings():  # the public parser's schemas use what pydantic has deprecated
    warnings.simplefilter("ignore")
    from .public import dummy_record

TREE = Path(__file__).parent / "tree"

RECORD = dummy_record("bloom", "firefox_desktop")
MEAN = "[metrics.hours.statistics.bootstrap_mean]\n"
DEFINITIONS = """
[metrics.hours]
data_source = "daily"
select_expression = "SUM(hours)"
friendly_name = "Hours"
bigger_is_better = true

[data_sources.daily]
from_expression = "garden.daily"
"""


settings.register_profile("no deadline", deadline=None)  # machines are shared
settings.load_profile("no deadline")


def by_name(metrics: Iterable[Metric]) -> dict[str, Metric]:
    """Metrics by their names."""
    return {metric.name: metric for metric in metrics}


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


@pytest.fixture(scope="session")
def of_tree(tree: Path) -> Callable[..., Experiment]:
    """An experiment of the whole repository, by its slug and what else is known of it."""
    configuration = Configuration.load([tree])

    def resolved(slug: str, **known: object) -> Experiment:
        record = replace(dummy_record(slug, "firefox_desktop"), **known)
        return configuration.resolve(record).experiment

    return resolved


@pytest.fixture
def load(write: Callable[[Mapping[str, str]], Path]) -> Callable[..., Configuration]:
    """A configuration of a few files over small shared definitions for firefox_desktop."""

    def loaded(texts: Mapping[str, str]) -> Configuration:
        return Configuration.load(
            [write({"definitions/firefox_desktop.toml": DEFINITIONS, **texts})]
        )

    return loaded


@pytest.fixture
def resolve(load: Callable[..., Configuration]) -> Callable[..., Resolved]:
    """Resolve the experiment `bloom` from its own file, and others given by name: a__b for a/b."""

    def resolved(own: str = "", record: ExperimentRecord = RECORD, **files: str) -> Resolved:
        texts = {path.replace("__", "/") + ".toml": text for path, text in files.items()}
        return load({"jetstream/bloom.toml": own, **texts}).resolve(record)

    return resolved
