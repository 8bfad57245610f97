"""The Argo server: hand over workflows, and ask what became of them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import requests
from hera.exceptions import HeraException
from hera.workflows import WorkflowsService, models
from pydantic import ValidationError

from sonde.argo.workflow import ANALYSE, PUBLISH
from sonde.errors import BackendError, ConfigError, DataError, SondeError

TOKEN = "SONDE_ARGO_TOKEN"  # noqa: S105  the name of a variable
PAUSE = 10.0  # seconds between two looks
_TIMEOUT = 60  # seconds
_PATIENCE = 6  # looks in a row that may fail: a server restarts within a minute
# A workflow of 500 tasks has a megabyte of state; while it runs, these fields will do.
_BRIEF = "metadata.name,spec.entrypoint,status.phase,status.progress,status.message"
_OVER = {"Succeeded", "Failed", "Error"}
_DONE_OF = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True)
class State:
    """How far a workflow is. phase: Argo's word; empty: not begun. done, total: of its tasks."""

    name: str
    phase: str
    done: int
    total: int

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


class Server:
    """An Argo server, spoken to with a token. Raises ConfigError or BackendError, in a sentence.

    ca_file: certificates to trust in place of the system's.
    """

    def __init__(
        self, address: str, namespace: str, token: str, ca_file: str | None = None
    ) -> None:
        self.address = address
        self._namespace = namespace
        self._service = WorkflowsService(
            host=address, token=token, namespace=namespace, session=_Session(ca_file)
        )
        self._ca_file = ca_file

    def submit(self, manifest: dict[str, Any]) -> str:
        """Hand over a workflow; the name it was given."""
        workflow = models.Workflow.model_validate(manifest)
        request = models.WorkflowCreateRequest(workflow=workflow)
        made = self._asked(lambda: self._service.create_workflow(request))
        return str(made.metadata.name)

    def state(self, name: str) -> State:
        """How far a workflow is."""
        status = self._status(name, _BRIEF)
        progress = _DONE_OF.fullmatch(status.progress or "")
        done, total = (int(progress[1]), int(progress[2])) if progress else (0, 0)
        return State(name, status.phase or "", done, total)

    def failures(self, name: str) -> list[Failure]:
        """The tasks of a workflow that failed for good; the workflow itself, if none did."""
        status = self._status(name)
        found = list(_failures(status.nodes or {}))
        if found or status.phase not in {"Failed", "Error"}:
            return found
        return [Failure(name, status.message or f"the workflow's phase is {status.phase}")]

    def _status(self, name: str, fields: str | None = None) -> models.WorkflowStatus:
        found = self._asked(lambda: self._service.get_workflow(name, fields=fields))
        return found.status or models.WorkflowStatus()

    def _asked(self, ask: Callable[[], models.Workflow]) -> models.Workflow:
        try:
            return ask()
        except HeraException as error:
            self._refused(error)
        except requests.exceptions.SSLError as error:
            raise ConfigError(self._not_trusted(str(error))) from error
        except (requests.exceptions.JSONDecodeError, ValidationError, TypeError, KeyError) as error:
            raise BackendError(
                f"{self.address} does not answer as an Argo server does; is it one?"
            ) from error
        except requests.RequestException as error:
            raise BackendError(
                f"the Argo server {self.address} cannot be reached; is the address under [argo] in "
                "sonde.toml right, and is there a way to it (a tunnel, a proxy)?"
            ) from error
        except OSError as error:  # requests looks for the file before it connects
            raise ConfigError(
                f"the certificates {self._ca_file} cannot be read; correct `ca_file` under [argo]"
            ) from error

    def _refused(self, error: HeraException) -> NoReturn:
        """Say in a sentence what the server says, by who can act."""
        said = _message(error)
        match getattr(error, "status_code", None):
            case 401:
                raise ConfigError(
                    f"the Argo server does not know the token in {TOKEN}, or it has run out; "
                    "make a new one (`argo auth token`)"
                )
            case 403:
                raise ConfigError(
                    "the token may not create and read workflows in the namespace "
                    f'"{self._namespace}"; give its account a role that may, or correct '
                    f"`namespace` under [argo]: {said}"
                )
            case 404:
                raise ConfigError(
                    f'the Argo server finds no such workflow, or no namespace "{self._namespace}"; '
                    f"correct `namespace` under [argo]: {said}"
                )
            case 400 | 409:
                raise ConfigError(f"the Argo server does not take the workflow: {said}")
            case _:
                raise BackendError(f"the Argo server is in trouble; try again later: {said}")

    def _not_trusted(self, said: str) -> str:
        if "doesn't match" in said or "not valid for" in said or "Hostname mismatch" in said:
            return (
                f"the certificate of {self.address} is for another name; write the name that it is "
                "for as `server` under [argo]"
            )
        return (
            f"the certificate of {self.address} is not trusted; name the file of its authority as "
            "`ca_file` under [argo] (SONDE_ARGO_CA_FILE)"
        )


class _Session(requests.Session):
    """Every request has a limit, and trusts what it is told to."""

    def __init__(self, ca_file: str | None) -> None:
        super().__init__()
        self._ca_file = ca_file

    def request(self, *args: Any, **more: Any) -> requests.Response:
        """One request."""
        more["timeout"] = _TIMEOUT
        if self._ca_file is not None:
            more["verify"] = self._ca_file
        return super().request(*args, **more)


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


def _failures(nodes: dict[str, models.NodeStatus]) -> Iterator[Failure]:
    """Retry nodes have the phase of their last try; their tries are not looked at."""
    for node in sorted(nodes.values(), key=lambda node: node.name):
        if node.template_name not in {ANALYSE, PUBLISH} or node.type != "Retry":
            continue
        if node.phase not in {"Failed", "Error"}:
            continue
        tries = [nodes[child] for child in node.children or () if child in nodes]
        own = [each for each in tries if each.template_name == node.template_name]
        last = max(own, key=_number, default=node)
        message = last.message or node.message or f"phase {node.phase}"
        yield Failure(_named(node), message, _exit_code(last))


def _named(node: models.NodeStatus) -> str:
    values = {each.name: each.value for each in (node.inputs and node.inputs.parameters) or ()}
    return values.get("slug") or "publication"


def _number(node: models.NodeStatus) -> int:
    """Of a try: `main.analyse(0:..)(2)` is the third."""
    found = re.search(r"\((\d+)\)$", node.name)
    return int(found[1]) if found else 0


def _exit_code(node: models.NodeStatus) -> int | None:
    said = node.outputs.exit_code if node.outputs else None
    return int(said) if said and said.lstrip("-").isdecimal() else None


def _message(error: HeraException) -> str:
    """The server's own words; a page for people is none."""
    found = re.search(r"with message: `(.*)`$", str(error), re.DOTALL)
    said = " ".join((found[1] if found else str(error)).split())
    return "(no reason given)" if not said or said.startswith("<") else said[:300]
