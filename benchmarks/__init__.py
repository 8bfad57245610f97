"""Measurements in CPU seconds and peak memory, each beside something else, in one run."""
