"""Who takes workflows: an Argo server, or the cluster itself; and what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sonde.argo.connection import Connection, Words
from sonde.argo.status import Failure, State, failures_of
from sonde.errors import BackendError

PAUSE = 10.0  # seconds between two looks
_PATIENCE = 6  # looks in a row that may fail: a server restarts within a minute
# A workflow of 500 tasks has a megabyte of state; while it runs, these fields will do.
_BRIEF = "metadata.name,spec.entrypoint,status.phase,status.progress,status.message"


@dataclass(frozen=True)
class Api:
    """Where workflows are kept: what it is called, and how it is spoken to.

    path: of a namespace's workflows. body: what is sent to make one of a manifest. brief: the
    parameters that ask for what is shown while it runs, where there are such.
    """

    words: Words
    path: Callable[[str], str]
    body: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    brief: Mapping[str, str] = field(default_factory=dict)


ARGO_SERVER = Api(
    Words("the Argo server", "server", "argo auth token"),
    "/api/v1/workflows/{}".format,
    lambda manifest: {"workflow": manifest},
    {"fields": _BRIEF},
)
# A cluster keeps workflows as resources like any other. It takes them as they are: what Argo has
# against one becomes its state, as no Argo server looks at it before.
CLUSTER = Api(
    Words("the cluster", "cluster", "kubectl create token", ", or Argo Workflows is not installed"),
    "/apis/argoproj.io/v1alpha1/namespaces/{}/workflows".format,
    lambda manifest: manifest,
)


class Server:
    """The workflows of a namespace. Raises ConfigError or BackendError, in a sentence.

    ca_file: certificates to trust in place of the system's.
    """

    def __init__(
        self, api: Api, address: str, namespace: str, token: str, ca_file: str | None = None
    ) -> None:
        self._api = api
        self._path = api.path(namespace)
        self._connection = Connection(api.words, address, namespace, token, ca_file)

    def submit(self, manifest: Mapping[str, Any]) -> str:
        """Hand over a workflow; the name it was given."""
        made = self._connection.asked("POST", self._path, json=self._api.body(manifest))
        name = made.get("metadata", {}).get("name")
        if not name:
            raise self._connection.is_another()
        return str(name)

    def state(self, name: str) -> State:
        """How far a workflow is."""
        return State.of(name, self._status(name, self._api.brief))

    def failures(self, name: str) -> list[Failure]:
        """The tasks of a workflow that failed for good; the workflow itself, if none is known."""
        return failures_of(name, self._status(name, {}))

    def _status(self, name: str, fields: Mapping[str, str]) -> Mapping[str, Any]:
        found = self._connection.asked("GET", f"{self._path}/{name}", params=fields)
        status: Mapping[str, Any] = found.get("status") or {}
        return status


def watch(
    server: Server, names: Sequence[str], sleep: Callable[[float], None]
) -> Iterator[list[State]]:
    """Look at the workflows until all are over; yield what is seen each time.

    A look that fails is repeated; BackendError when that does not help.
    """
    failed = 0
    while True:
        try:
            states = [server.state(name) for name in names]
            failed = 0
        except BackendError:
            failed += 1
            if failed == _PATIENCE:
                raise
        else:
            yield states
            if all(state.is_over for state in states):
                return
        sleep(PAUSE)
