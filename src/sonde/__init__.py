"""Experiment results from tables and metric-hub configuration."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from sonde.errors import BackendError, ConfigError, DataError, SondeError

if TYPE_CHECKING:
    from sonde.read import ExperimentResults, read_results

__all__ = [
    "BackendError",
    "ConfigError",
    "DataError",
    "ExperimentResults",
    "SondeError",
    "read_results",
]


def __getattr__(name: str) -> Any:
    """What takes long to import, when it is asked for."""
    if name in {"ExperimentResults", "read_results"}:
        return getattr(importlib.import_module("sonde.read"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
