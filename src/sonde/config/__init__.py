"""Configuration in metric-hub's language: TOML files and git history -> declarations."""

from __future__ import annotations

from sonde.config.configuration import Configuration
from sonde.config.document import Origin
from sonde.config.platforms import PLATFORMS, Platform
from sonde.config.repository import Change
from sonde.config.resolve import Resolved
from sonde.config.statistics import Catalogue

__all__ = ["PLATFORMS", "Catalogue", "Change", "Configuration", "Origin", "Platform", "Resolved"]
