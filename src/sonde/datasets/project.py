"""Laying out a whole project around the demo's telemetry, as a user would have one."""

from __future__ import annotations

import shutil
from importlib import resources
from pathlib import Path

from sonde.datasets.generate import SEED, Progress, generate
from sonde.datasets.truth import Truth
from sonde.errors import ConfigError, Place

TRUTH_FILE = "truth.json"


def write_project(
    folder: Path | str, seed: int = SEED, scale: float = 1.0, progress: Progress | None = None
) -> Truth:
    """Fill an empty folder: settings, experiments, metric-hub configuration, tables, the truth.

    `sonde.toml`, `experiments.json`, `metric-hub/`, `lake/` and `truth.json`; the last is
    written when all the rest is there.
    """
    folder = Path(folder)
    if folder.exists() and any(folder.iterdir()):
        raise ConfigError("the folder is not empty; name a new one", Place(str(folder)))
    demo = resources.files("sonde.datasets").joinpath("demo")
    with resources.as_file(demo) as declarations:
        shutil.copytree(declarations, folder, dirs_exist_ok=True)
    truth = generate(folder / "lake", seed, scale, progress)
    truth.write(folder / TRUTH_FILE)
    return truth
