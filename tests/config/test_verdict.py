"""`sonde/verdict.toml`: who decides, who guards."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sonde.config import Configuration
from sonde.config.verdict import Verdicts
from sonde.errors import ConfigErrors
from sonde.experiment import ExperimentRecord, Outcome
from sonde.metric import Metric
from sonde.roles import Role
from sonde.window import Period


def repository(folder: Path, text: str) -> Configuration:
    (folder / "sonde").mkdir(parents=True)
    (folder / "sonde" / "verdict.toml").write_text(text)
    return Configuration.load([folder])


def experiment(slug="a", primary=()):
    configuration = Configuration.load([])
    record = ExperimentRecord(slug, outcomes=("speed", "use"), primary_outcomes=primary)
    resolved = configuration.resolve(replace(record, outcomes=())).experiment
    metrics = tuple(Metric(name) for name in ("startup", "hours", "clicks", "pages"))
    outcomes = (
        Outcome("speed", "Speed", "", ("startup", "pages"), ("startup",)),
        Outcome("use", "Use", "", ("hours",)),
    )
    return replace(resolved, record=record, metrics={Period.WEEK: metrics}, outcomes=outcomes)


def test_primary_outcomes_decide_when_nothing_is_said() -> None:
    roles = Verdicts().roles(experiment(primary=("use",)))
    assert (roles.primary, roles.guardrails) == (("hours",), {})
    assert Verdicts().roles(experiment()).primary == ("startup", "hours")


def test_what_the_file_says_goes_before(tmp_path: Path) -> None:
    found = repository(
        tmp_path,
        """
[guardrails]
startup = 0.02
hours = -0.05
absent = 0.5
[experiments.a]
primary = ["clicks"]
guardrails = { hours = -0.01 }
aa = true
""",
    ).verdicts
    roles = found.roles(experiment(primary=("use",)))
    assert roles.primary == ("clicks",)
    assert roles.guardrails == {"startup": 0.02, "hours": -0.01}
    assert roles.is_aa
    assert [roles.of(m) for m in ("clicks", "startup", "pages")] == [
        Role.PRIMARY,
        Role.GUARDRAIL,
        Role.OTHER,
    ]
    other = found.roles(experiment("b", primary=("use",)))
    assert other.primary == ("hours",)
    assert other.guardrails == {"startup": 0.02}  # what decides does not guard as well
    assert not other.is_aa


def test_everything_wrong_is_said_at_once(tmp_path: Path) -> None:
    configuration = repository(
        tmp_path,
        """
[guardrail]
[guardrails]
startup = 2
hours = "much"
[experiments.a]
primery = []
aa = "yes"
primary = "clicks"
""",
    )
    with pytest.raises(ConfigErrors) as caught:
        _ = configuration.verdicts
    text = str(caught.value)
    for part in (
        'unknown key "guardrail"; did you mean "guardrails"',
        "verdict.toml:4",
        "a relative change that is still acceptable",
        'unknown key "primery"; did you mean "primary"',
        "expected true or false",
        "expected a list of names of metrics",
    ):
        assert part in text
