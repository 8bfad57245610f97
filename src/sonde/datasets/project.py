"""Laying out a whole project around the demo's telemetry, as a user would have one."""

from __future__ import annotations

import shutil
import tempfile
from importlib import resources
from pathlib import Path

from sonde.datasets.generate import SEED, Progress, generate
from sonde.datasets.truth import Truth
from sonde.errors import ConfigError, Place

TRUTH_FILE = "truth.json"


def write_project(
    folder: Path | str, seed: int = SEED, scale: float = 1.0, progress: Progress | None = None
) -> Truth:
    """Fill a new folder: settings, experiments, metric-hub configuration, tables, the truth.

    `sonde.toml`, `experiments.json`, `metric-hub/`, `lake/` and `truth.json`. The folder appears
    when all is written; what an interruption leaves is beside it, under another name.
    """
    folder = Path(folder).absolute()
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError("is there already, and not empty; name a new folder", Place(str(folder)))
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as beside:
        unfinished = Path(beside, folder.name)
        with resources.as_file(resources.files("sonde.datasets") / "demo") as declarations:
            shutil.copytree(declarations, unfinished)
        truth = generate(unfinished / "lake", seed, scale, progress)
        truth.write(unfinished / TRUTH_FILE)
        unfinished.replace(folder)
    return truth
