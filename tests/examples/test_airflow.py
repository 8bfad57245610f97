"""The DAGs: by their syntax tree always, and by a real Airflow where there is one.

`SONDE_AIRFLOW_PYTHON` names the interpreter of an environment of its own, made with
`pip install apache-airflow apache-airflow-providers-cncf-kubernetes`: Airflow pins too much to
stand beside sonde.
"""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
from pathlib import Path

import click
import pytest

from sonde.cli import sonde
from sonde.errors import BackendError, ConfigError, DataError

DAGS = Path(__file__).parents[2] / "examples" / "airflow"
(FILE,) = DAGS.glob("*.py")
TREE = ast.parse(FILE.read_text())
AIRFLOW = os.environ.get("SONDE_AIRFLOW_PYTHON")


class TestByItsTree:
    def test_it_compiles(self):
        compile(FILE.read_text(), str(FILE), "exec")

    def test_it_imports_airflow_and_the_standard_library_only(self):
        """A worker that hands over to pods or to Argo need not have sonde's modules."""
        modules = {node.module for node in ast.walk(TREE) if isinstance(node, ast.ImportFrom)}
        modules |= {a.name for n in ast.walk(TREE) if isinstance(n, ast.Import) for a in n.names}
        tops = {module.partition(".")[0] for module in modules if module}
        assert tops == {"__future__", "airflow", "datetime", "os", "typing"}

    def test_its_commands_exist(self):
        context = click.Context(sonde, info_name="sonde")
        texts = [
            "".join(part.value if isinstance(part, ast.Constant) else "DAY" for part in node.values)
            for node in ast.walk(TREE)
            if isinstance(node, ast.JoinedStr)
        ]
        commands = [shlex.split(text)[1:] for text in texts if text.startswith("sonde ")]
        (arguments,) = [
            [getattr(item, "value", "--date=DAY") for item in node.value.elts]
            for node in ast.walk(TREE)
            if isinstance(node, ast.keyword) and node.arg == "arguments"
        ]
        assert len(commands) == 2
        for name, *words in [*commands, arguments]:
            command = sonde.get_command(context, name)
            assert command is not None, name
            known = {option for parameter in command.params for option in parameter.opts}
            options = [str(word).partition("=")[0] for word in words]
            assert {option for option in options if option.startswith("--")} <= known
            assert "--date" in options

    def test_what_stays_wrong_is_what_sonde_says(self):
        stays = next(
            node.value
            for node in TREE.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "STAYS_WRONG"
        )
        assert ast.literal_eval(stays) == (ConfigError.exit_code, DataError.exit_code)
        assert BackendError.exit_code not in ast.literal_eval(stays)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Airflow's own folder with its database."""
    folder = tmp_path_factory.mktemp("airflow")
    python(folder, "-m", "airflow", "db", "migrate")
    return folder


def python(home: Path, *words: str, **environment: str) -> str:
    settings = {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PATH": os.environ["PATH"],
        **environment,
    }
    assert AIRFLOW is not None
    done = subprocess.run(
        [AIRFLOW, *words],
        env=settings,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def dags(home: Path, *words: str, **environment: str) -> dict:
    program = str(Path(__file__).with_name("run_dags.py"))
    said = python(home, program, str(DAGS), *words, **environment)
    return json.loads(said.strip().splitlines()[-1])


@pytest.mark.slow
@pytest.mark.skipif(AIRFLOW is None, reason="SONDE_AIRFLOW_PYTHON names no interpreter")
class TestByAirflow:
    def test_they_load(self, home):
        found = dags(home)
        assert found["errors"] == {}
        assert found["dags"] == {
            "sonde_daily": {"run": ["SondeOnWorker", 3]},
            "sonde_daily_in_a_pod": {"run": ["SondeInPod", 3]},
            "sonde_daily_on_argo": {"submit": ["SondeOnWorker", 3]},
        }

    @pytest.mark.parametrize(
        ("exit_codes", "state", "tries"),
        [
            ([0], "success", 1),
            ([75, 0], "success", 2),
            ([75] * 5, "failed", 4),  # once, and three times again
            ([3], "failed", 1),
            ([2], "failed", 1),
        ],
    )
    def test_exit_codes(self, home, tmp_path, exit_codes, state, tries):
        """A `sonde` that ends with one code after the other, and writes down what it was told."""
        (tmp_path / "codes").write_text("\n".join(map(str, exit_codes)) + "\n")
        program = tmp_path / "sonde"
        program.write_text(
            f'#!/bin/sh\necho "$@" >> {tmp_path}/told\n'
            f"code=$(head -n 1 {tmp_path}/codes)\nsed -i 1d {tmp_path}/codes\nexit $code\n"
        )
        program.chmod(0o755)
        path = f"{tmp_path}:{os.environ['PATH']}"
        found = dags(home, "sonde_daily", PATH=path, SONDE_PROJECT="/a project")
        assert found["state"] == state
        told = (tmp_path / "told").read_text().splitlines()
        assert told == ["run --project /a project --date 2026-01-04"] * tries


def test_the_guide_names_the_dags():
    guide = (DAGS.parents[1] / "docs" / "argo.md").read_text()
    for name in re.findall(r'with daily\("(\w+)"\)', FILE.read_text()):
        assert f"`{name}`" in guide
