"""Every experiment that the public parser resolves, resolves to the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from sonde.config import Configuration
from sonde.errors import ConfigError
from sonde.experiment import ExperimentRecord

from .conftest import TREE
from .public import PublicParser, dummy_record, plain

LIKELIEST = ("firefox_desktop", "fenix", "firefox_ios")
APPS = (*LIKELIEST, "focus_android", "klar_android", "focus_ios", "klar_ios", "monitor_cirrus")


class Both:
    """The two parsers over one tree."""

    def __init__(self, tree: Path) -> None:
        self.public = PublicParser(tree)
        self.ours = Configuration.load([tree])

    def experiments(self, slugs: list[str]) -> list[tuple[ExperimentRecord, dict]]:
        """Those experiments that the public parser resolves, with its answers."""
        found = []
        for slug in slugs:
            for app in LIKELIEST:
                record = dummy_record(slug, app)
                if (theirs := self.asked(record)) is not None:
                    found.append((record, theirs))
                    break
        return found

    def outcomes(self) -> list[ExperimentRecord]:
        """An experiment for each outcome."""
        return [
            dummy_record("no-file", file.app or "", (file.name,))
            for file in self.ours.files.of("outcomes")
        ]

    def asked(self, record: ExperimentRecord) -> dict | None:
        try:
            return self.public.resolve(record)
        except Exception:  # noqa: BLE001: it has many ways to refuse
            return None

    def differences(self, record: ExperimentRecord, theirs: dict) -> list[str]:
        """Where the answers differ, but for what docs/compatibility.md lists."""
        return list(different(plain(self.ours.resolve(record)), theirs, ""))


def different(ours, theirs, path):
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in ours.keys() | theirs.keys():
            yield from different(ours.get(key), theirs.get(key), f"{path}.{key}")
    elif ours != theirs and not is_listed(path, ours, theirs):
        yield f"{path}: {ours!r}, the public parser {theirs!r}"


def is_listed(path, ours, theirs):
    """A `false` that the public parser drops (see test_differences.py)."""
    return path.endswith(".better") and (ours, theirs) == (False, True)


@pytest.fixture(scope="module")
def own() -> Both:
    return Both(TREE)


@pytest.fixture(scope="module")
def real(shared) -> Both:
    return Both(shared("data/metric-hub"))


def test_experiments_of_the_own_tree(own):
    experiments = own.experiments(own.public.slugs)
    assert len(experiments) == len(own.public.slugs) == 7
    for record, theirs in experiments:
        assert own.differences(record, theirs) == [], record.slug


@pytest.mark.parametrize("app", APPS)
def test_defaults_of_the_own_tree(own, app):
    record = dummy_record("no-file", app)
    assert own.differences(record, own.public.resolve(record)) == []


def test_outcomes_of_the_own_tree(own):
    for record in own.outcomes():
        assert own.differences(record, own.public.resolve(record)) == [], record.outcomes


def test_the_own_tree_says_something(own):
    everything = own.public.resolve(dummy_record("everything", "firefox_desktop"))
    assert len(everything["segments"]) == 2
    assert everything["exposure_signal"]["window"] == (0, "analysis_window_end")
    assert {period: len(summaries) for period, summaries in everything["metrics"].items()} == {
        "day": 5,
        "week": 11,
        "days28": 2,
        "overall": 11,
        "preenrollment_week": 4,
        "preenrollment_days28": 3,
    }


@pytest.mark.parametrize(
    ("every", "least"), [(10, 25), pytest.param(1, 250, marks=pytest.mark.slow)]
)
def test_real_experiments(real, every, least):
    experiments = real.experiments(real.public.slugs[::every])
    assert len(experiments) > least
    differing = {record.slug: real.differences(record, theirs) for record, theirs in experiments}
    assert {slug: found for slug, found in differing.items() if found} == {}


def test_real_defaults_and_outcomes(real):
    records = [dummy_record("no-file", app) for app in APPS] + real.outcomes()
    assert len(records) > 40
    for record in records:
        theirs = real.asked(record)
        if theirs is None:
            with pytest.raises(ConfigError):
                real.ours.resolve(record)
        else:
            assert real.differences(record, theirs) == [], record.outcomes


def test_the_public_parsers_own_test_data(shared):
    folder = shared("data/metric-hub/lib/metric-config-parser/metric_config_parser/tests/data")
    both = Both(folder)
    records = [dummy_record("test", "firefox_desktop"), *both.outcomes()]
    assert len(records) == 5
    for record in records:
        assert both.differences(record, both.public.resolve(record)) == [], record.outcomes
