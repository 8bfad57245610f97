"""Which sonde this is."""

from __future__ import annotations

from functools import cache
from importlib.metadata import version


@cache
def release() -> str:
    """The version of the package that is installed; to ask for it takes milliseconds."""
    return version("sonde")
