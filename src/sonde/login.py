"""How people who read the pages say who they are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True)
class PasswordLogin:
    """By name and password. users: the file that `sonde users` writes."""

    users: str


@dataclass(frozen=True)
class ProxyLogin:
    """By a proxy that has checked it and writes the name into a header.

    proxies: addresses or networks whose header is believed. private_users: who may see private
    experiments.
    """

    header: str
    proxies: tuple[str, ...]
    private_users: tuple[str, ...] = ()


Login: TypeAlias = PasswordLogin | ProxyLogin
