"""How work goes to Argo Workflows: `[argo]` in sonde.toml."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True)
class Argo:
    """Where Argo is, and what a task gets. Names are those of objects in the namespace.

    server: address of the Argo server; or else cluster: that of the cluster's own API.
    ca_file: certificates to trust in place of the system's.
    image: `registry/name`. image_version: a tag or digest; None: by the experiment's date.
    parallelism: tasks at once. cpu, memory: of one task. retries: after the first try.
    hours: the longest a task may take. keep_days: how long a finished workflow is listed.
    project: folder of sonde.toml in the image. config_map: mounted there, when the image has none.
    secrets: their values become the environment of tasks. volumes: `claim:/path`.
    """

    server: str | None = None
    cluster: str | None = None
    ca_file: str | None = None
    namespace: str = "argo"
    image: str | None = None
    image_version: str | None = None
    parallelism: int = 5
    cpu: int = 2
    memory: str = "8GB"
    retries: int = 3
    hours: int = 12
    keep_days: int = 14
    service_account: str | None = None
    project: str = "/project"
    config_map: str | None = None
    secrets: tuple[str, ...] = ()
    image_pull_secrets: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine, where nobody listens between.

    >>> is_loopback("localhost"), is_loopback("127.0.0.1"), is_loopback("argo.example.org")
    (True, True, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
