"""Amounts of memory as people write them: "8GB", "512MiB", "1.5 GB"."""

from __future__ import annotations

import re
from dataclasses import dataclass

_AMOUNT = re.compile(
    r"(?=.*[1-9])(?P<number>\d+(\.\d+)?) ?(?P<prefix>[KMGT])(?P<binary>i?)B", re.IGNORECASE
)
_PREFIXES = "KMGT"


@dataclass(frozen=True)
class Memory:
    """An amount. number: as it is written. prefix: one of K, M, G, T, or of Ki, Mi, Gi, Ti."""

    number: str
    prefix: str

    @classmethod
    def of(cls, text: str) -> Memory:
        """What a text says. Raises ValueError, with what to write.

        >>> Memory.of("1.5 GB").bytes, Memory.of("512mib").bytes
        (1500000000, 536870912)
        """
        match = _AMOUNT.fullmatch(text)
        if match is None:
            raise ValueError(
                f'expected an amount of memory, such as "512MB" or "1.5GB", not "{text}"'
            )
        return cls(match["number"], match["prefix"].upper() + match["binary"].lower())

    @property
    def bytes(self) -> int:
        """The same in bytes, less a part of one."""
        base = 1024 if self.prefix.endswith("i") else 1000
        return int(float(self.number) * base ** (1 + _PREFIXES.index(self.prefix[0])))

    @property
    def megabytes(self) -> int:
        """The same in MB of 1,000,000 bytes, less a part of one."""
        return self.bytes // 10**6

    @property
    def quantity(self) -> str:
        """The same as Kubernetes writes it.

        >>> Memory.of("1.5GB").quantity, Memory.of("512 MiB").quantity, Memory.of("9kb").quantity
        ('1.5G', '512Mi', '9k')
        """
        return self.number + ("k" if self.prefix == "K" else self.prefix)
