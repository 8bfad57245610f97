"""The keys of `[argo]` in sonde.toml: what each may be."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from typing import Any

from sonde.argo.settings import is_loopback
from sonde.config import kinds

_OBJECT = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
_VOLUME = re.compile(rf"{_OBJECT.pattern}:/\S+")


def _address(of_what: str) -> kinds.Kind:
    """Of a server that gets a token. of_what: it, and an example."""

    def taken(value: Any) -> kinds.Taken:
        taken = kinds.name(value)
        if taken.value is None:
            return taken
        url = urllib.parse.urlsplit(taken.value)
        if url.scheme not in {"https", "http"} or not url.hostname:
            raise ValueError(f'expected the address of {of_what}, not "{taken.value}"')
        if url.scheme == "http" and not is_loopback(url.hostname):
            raise ValueError("the token would travel in clear text; write https://")
        return kinds.Taken(taken.value.rstrip("/"))

    return taken


def _object(value: Any) -> kinds.Taken:
    taken = kinds.name(value)
    if taken.value is not None:
        _check_object(taken.value)
    return taken


def _objects(value: Any) -> kinds.Taken:
    taken = kinds.names(value)
    for each in taken.value:
        _check_object(each)
    return taken


def _check_object(name: str) -> None:
    if not _OBJECT.fullmatch(name):
        raise ValueError(
            f'"{name}" is not a name in Kubernetes: small letters, digits, "-" and "."'
        )


def _volumes(value: Any) -> kinds.Taken:
    taken = kinds.names(value)
    for each in taken.value:
        if not _VOLUME.fullmatch(each):
            raise ValueError(f'"{each}" is not a volume; write "claim:/path/in/the/container"')
    return taken


def _path(value: Any) -> kinds.Taken:
    taken = kinds.name(value)
    if taken.value is not None and not taken.value.startswith("/"):
        raise ValueError(f'expected a path in the container, "/project", not "{taken.value}"')
    return taken


# Of every key but `memory`, which `[run]` has as well.
KINDS: Mapping[str, kinds.Kind] = {
    "server": _address("the Argo server, https://host:2746"),
    "cluster": _address("the cluster's API, https://203.0.113.10"),
    "ca_file": kinds.name,
    "namespace": _object,
    "image": kinds.name,
    "image_version": kinds.name,
    "parallelism": kinds.whole(1),
    "cpu": kinds.whole(1),
    "retries": kinds.whole(0),
    "hours": kinds.whole(1),
    "keep_days": kinds.whole(1),
    "service_account": _object,
    "project": _path,
    "config_map": _object,
    "secrets": _objects,
    "image_pull_secrets": _objects,
    "volumes": _volumes,
}
