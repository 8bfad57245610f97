"""When the store fails, when runs are killed, when two run at once; and what is said to people."""

from __future__ import annotations

import os
import re
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ended
from tests.run.test_crash import TWO_SOURCES
from tests.store.conftest import use_s3
from tests.store.deployment import DATE, contents, make_project, moved, started
from tests.store.servers import RESET_AFTER, RESET_BEFORE, Verdict, every_tenth, gate

RUN = ("run", *DATE)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project before its first run."""
    return make_project(tmp_path_factory.mktemp("fresh") / "project", experiment=TWO_SOURCES)


@pytest.fixture(scope="module")
def undisturbed(
    fresh: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, dict[str, Any]]:
    """The same, and what a run without trouble makes of it in a folder."""
    done = tmp_path_factory.mktemp("done") / "project"
    shutil.copytree(fresh, done)
    assert ended_well(done) == 1
    return fresh, contents(done)


def ended_well(folder: Path, most: int = 1) -> int:
    """How many runs it takes until one ends well. Others must say that trying again can help."""
    for number in range(1, most + 1):
        process = started(folder, *RUN, "--workers", "1")
        _, said = process.communicate(timeout=300)
        if process.returncode == 0:
            return number
        assert process.returncode == 75, said
        assert said.count("\n") < 4, said
    raise AssertionError(f"none of {most} runs ended well: {said}")


@pytest.mark.slow
def test_two_runs_at_once(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path, s3: str
) -> None:
    fresh, expected = undisturbed
    folder = moved(fresh, tmp_path / "there", s3)
    both = [started(folder, *RUN, "--workers", n) for n in "12"]
    said = [process.communicate(timeout=300) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert contents(folder) == expected


@pytest.mark.slow
def test_killed_with_signal_9(
    undisturbed: tuple[Path, dict[str, Any]], tmp_path: Path, s3: str
) -> None:
    """Each try lives a little longer, so that the kills fall into different steps."""
    fresh, expected = undisturbed
    folder = moved(fresh, tmp_path / "there", s3)
    killed = 0
    for attempt in range(8):
        process = started(folder, *RUN, "--workers", "1")
        time.sleep(1.5 + 0.7 * attempt)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.communicate()
    assert killed >= 3
    assert ended_well(folder) == 1
    assert contents(folder) == expected


WAYS = {
    "too many requests": (503, 429, 500),
    "no answer": (RESET_BEFORE,),
    "answers lost": (RESET_AFTER,),  # what was asked for is done, and nobody knows
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_every_tenth_request_refused(
    undisturbed: tuple[Path, dict[str, Any]],
    tmp_path: Path,
    amazon: str,
    monkeypatch: pytest.MonkeyPatch,
    way: str,
) -> None:
    fresh, expected = undisturbed
    url = use_s3(amazon, tmp_path, monkeypatch)
    folder = moved(fresh, tmp_path / "there", url)
    with gate(amazon, every_tenth(*WAYS[way])) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        ended_well(folder, most=3)
        assert between.refused > 20
    monkeypatch.setenv("AWS_ENDPOINT_URL", amazon)
    assert contents(folder) == expected


def refuse(status: int) -> Verdict:
    return lambda number, method, path: status


def refusal(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>-</Message></Error>".encode()


SAID = {
    "no bucket": (
        404,
        "NoSuchBucket",
        'there is no bucket "{bucket}" at .*; create it, or correct',
    ),
    "no rights": (403, "AccessDenied", "no right to do this .* allow s3:ListBucket"),
    "wrong key": (
        403,
        "InvalidAccessKeyId",
        "does not accept these credentials; correct them: set",
    ),
    "wrong secret": (403, "SignatureDoesNotMatch", "does not accept these credentials"),
    "expired": (400, "ExpiredToken", "have expired; renew them and run again"),
    "wrong region": (301, "PermanentRedirect", "is in another region; set AWS_REGION"),
    "wrong clock": (403, "RequestTimeTooSkewed", "clock of this machine is wrong"),
}


@pytest.mark.parametrize("name", SAID)
def test_said_in_one_sentence(
    fresh: Path,
    tmp_path: Path,
    s3: str,
    amazon: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    name: str,
) -> None:
    status, code, pattern = SAID[name]
    folder = tmp_path / "project"
    shutil.copytree(fresh, folder)
    (folder / "sonde.toml").write_text(
        (folder / "sonde.toml").read_text().replace('"lake"', f'"{s3}/lake"')
    )
    with gate(amazon, refuse(status), refusal(code)) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        assert ended(*RUN, "--project", folder) == 75
    said = capfd.readouterr().err
    assert re.search(pattern.format(bucket=s3.removeprefix("s3://")), said), said
    assert said.count("\n") == 1
