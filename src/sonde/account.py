"""Who pays for queries, at what price, and how much at most."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sonde.errors import ConfigError

PRICE = 6.25  # USD per TiB read, on demand
TIB = 2**40


@dataclass(frozen=True)
class Account:
    """Who pays, and where tables are written. max_cost: of a run, in the money of the price.

    emulator: its address, to be asked in place of BigQuery, without credentials.
    """

    project: str
    dataset: str
    location: str | None = None
    price_per_tib: float = PRICE
    max_cost: float | None = None
    emulator: str | None = None

    def price(self, size: int) -> float:
        """Of reading so many bytes.

        >>> Account("p", "d").price(2**39)
        3.125
        """
        return size / TIB * self.price_per_tib

    @property
    def max_bytes(self) -> int | None:
        """What `max_cost` pays for."""
        if self.max_cost is None or self.price_per_tib == 0:
            return None
        return math.floor(self.max_cost / self.price_per_tib * TIB)

    def check(self, size: int, what: str) -> None:
        """Raise CostLimitError when reading so many bytes would cost more than is allowed."""
        if self.max_bytes is not None and size > self.max_bytes:
            raise CostLimitError(
                f"{what} would read {readable(size)} for {self.price(size):.2f}, more than "
                f"warehouse.max_cost = {self.max_cost:g} allows; raise it in sonde.toml, or run "
                "fewer experiments with --experiment"
            )


class CostLimitError(ConfigError):
    """The author of a declaration, or of the limit, can act."""


_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")


def readable(size: float) -> str:
    """A number of bytes for people.

    >>> readable(10), readable(3 * 2**39)
    ('10 B', '1.5 TiB')
    """
    place = 0
    while size >= 1024 and place < len(_UNITS) - 1:
        size, place = size / 1024, place + 1
    return f"{size:.4g} {_UNITS[place]}"
