"""The demo: seeded telemetry of a browser with eight experiments, and the truth about them."""

from sonde.datasets.generate import SEED, Progress, generate
from sonde.datasets.project import TRUTH_FILE, write_project
from sonde.datasets.trials import FIRST_DAY, LAST_DAY
from sonde.datasets.truth import LessonTruth, TrueEffect, Truth

__all__ = [
    "FIRST_DAY",
    "LAST_DAY",
    "SEED",
    "TRUTH_FILE",
    "LessonTruth",
    "Progress",
    "TrueEffect",
    "Truth",
    "generate",
    "write_project",
]
