"""Configuration in metric-hub's language: TOML files and git history -> declarations."""

from __future__ import annotations

from sonde.config.check import validate
from sonde.config.configuration import Configuration, Revision
from sonde.config.document import Origin
from sonde.config.experiments import Experiments, load_experiments, parse_record, parse_records
from sonde.config.platforms import PLATFORMS, Platform
from sonde.config.repository import Change
from sonde.config.resolve import Resolved
from sonde.config.show import to_json, to_text
from sonde.config.statistics import Catalogue

__all__ = [
    "PLATFORMS",
    "Catalogue",
    "Change",
    "Configuration",
    "Experiments",
    "Origin",
    "Platform",
    "Resolved",
    "Revision",
    "load_experiments",
    "parse_record",
    "parse_records",
    "to_json",
    "to_text",
    "validate",
]
