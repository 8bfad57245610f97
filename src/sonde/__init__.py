"""Experiment results from tables and metric-hub configuration."""

from sonde.errors import BackendError, ConfigError, DataError, SondeError

__all__ = ["BackendError", "ConfigError", "DataError", "SondeError"]
