"""Amounts of memory: what is read, and what Kubernetes is told."""

from __future__ import annotations

import re

import pytest

from sonde.memory import Memory


@pytest.mark.parametrize(
    ("text", "bytes_", "megabytes", "quantity"),
    [
        ("8GB", 8_000_000_000, 8000, "8G"),
        ("1.5 GB", 1_500_000_000, 1500, "1.5G"),
        ("0.5 TB", 500_000_000_000, 500_000, "0.5T"),
        ("512MiB", 536_870_912, 536, "512Mi"),
        ("512mb", 512_000_000, 512, "512M"),
        ("1.5gib", 1_610_612_736, 1610, "1.5Gi"),
        ("2TiB", 2_199_023_255_552, 2_199_023, "2Ti"),
        ("10kb", 10_000, 0, "10k"),
        ("10 KiB", 10_240, 0, "10Ki"),
    ],
)
def test_what_a_text_says(text: str, bytes_: int, megabytes: int, quantity: str) -> None:
    """The standard's prefixes: k is 1000, Ki is 1024, and so on."""
    memory = Memory.of(text)
    assert (memory.bytes, memory.megabytes, memory.quantity) == (bytes_, megabytes, quantity)


@pytest.mark.parametrize(
    "text",
    ["", "much", "8", "8G", "8Gi", "0GB", "0.0 MB", "-1GB", "1,5GB", "1.GB", "8  GB", "8GB "],
)
def test_what_none_says(text: str) -> None:
    with pytest.raises(ValueError, match=rf'"512MB" or "1.5GB", not "{re.escape(text)}"$'):
        Memory.of(text)
