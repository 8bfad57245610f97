"""What Argo says of a workflow, read: how far it is, and which of its tasks failed. Pure."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sonde.argo.workflow import ANALYSE, PUBLISH
from sonde.errors import BackendError, ConfigError, DataError, SondeError

_OVER = {"Succeeded", "Failed", "Error"}
_DONE_OF = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class State:
    """How far a workflow is. phase: Argo's word; empty: not begun. done, total: of its tasks."""

    name: str
    phase: str
    done: int
    total: int

    @classmethod
    def of(cls, name: str, status: Mapping[str, Any]) -> State:
        """As the status of its object has it."""
        progress = _DONE_OF.fullmatch(status.get("progress", ""))
        done, total = (int(progress[1]), int(progress[2])) if progress else (0, 0)
        return cls(name, status.get("phase", ""), done, total)

    @property
    def is_over(self) -> bool:
        """Whether nothing more will happen."""
        return self.phase in _OVER


@dataclass(frozen=True)
class Failure:
    """A task that failed for good. exit_code: None where there was none, as for a lost pod."""

    what: str
    message: str
    exit_code: int | None = None

    def __str__(self) -> str:
        return f"{self.what}: {self.message}"


def failures_of(name: str, status: Mapping[str, Any]) -> list[Failure]:
    """The tasks of a workflow that failed for good; the workflow itself, if none is known."""
    found = list(_failures(_nodes(status)))
    phase = status.get("phase", "")
    if found or phase not in _OVER - {"Succeeded"}:
        return found
    return [Failure(name, status.get("message") or f"the workflow's phase is {phase}")]


def raise_worst(failures: Sequence[Failure]) -> None:
    """Raise for who can act: the owner of data first; a retry only where it can help all."""
    codes = {failure.exit_code for failure in failures}
    said = "\n".join(str(failure) for failure in failures)
    error: SondeError
    if not failures:
        return
    if 3 in codes:
        error = DataError(said)
    elif 2 in codes:
        error = ConfigError(said)
    else:
        error = BackendError(said)
    raise error


def _nodes(status: Mapping[str, Any]) -> Mapping[str, Mapping[str, Any]]:
    """The tasks' states. Where they are large, Argo packs them; its server unpacks them again.

    None where they are packed in another way than the usual one, or kept in Argo's database.
    """
    nodes: Mapping[str, Mapping[str, Any]] = status.get("nodes") or {}
    packed = status.get("compressedNodes")
    if nodes or not packed:
        return nodes
    try:
        unpacked: Mapping[str, Mapping[str, Any]] = json.loads(
            gzip.decompress(base64.b64decode(packed))
        )
    except (OSError, EOFError, ValueError):
        return {}
    return unpacked


def _failures(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[Failure]:
    """A node of the type Retry has the phase of its last try; its tries are its children."""
    for node in sorted(nodes.values(), key=lambda node: str(node.get("name"))):
        if node.get("templateName") not in {ANALYSE, PUBLISH} or node.get("type") != "Retry":
            continue
        if node.get("phase") not in _OVER - {"Succeeded"}:
            continue
        children = [nodes[child] for child in node.get("children") or () if child in nodes]
        tries = [each for each in children if each.get("templateName") == node["templateName"]]
        last = max(tries, key=_number, default=node)
        message = last.get("message") or node.get("message") or f"phase {node['phase']}"
        yield Failure(_named(node), message, _exit_code(last))


def _named(node: Mapping[str, Any]) -> str:
    inputs = (node.get("inputs") or {}).get("parameters") or ()
    return {each["name"]: each.get("value") for each in inputs}.get("slug") or "publication"


def _number(node: Mapping[str, Any]) -> int:
    """Of a try: `main.analyse(0:..)(2)` is the third."""
    found = re.search(r"\((\d+)\)$", str(node.get("name")))
    return int(found[1]) if found else 0


def _exit_code(node: Mapping[str, Any]) -> int | None:
    said = str((node.get("outputs") or {}).get("exitCode", ""))
    return int(said) if said.isdecimal() else None
