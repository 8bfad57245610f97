"""The Argo server: hand over workflows, and ask what became of them."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import requests

from sonde.argo.bearer import Bearer
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
        self._session = requests.Session()
        self._trusted = True if ca_file is None else _certificates(ca_file)
        self._session.auth = Bearer(token.removeprefix("Bearer "))

    def submit(self, manifest: Mapping[str, Any]) -> str:
        """Hand over a workflow; the name it was given."""
        made = self._asked("POST", "", json={"workflow": manifest})
        name = made.get("metadata", {}).get("name")
        if not name:
            raise BackendError(self._no_argo())
        return str(name)

    def state(self, name: str) -> State:
        """How far a workflow is."""
        status = self._status(name, _BRIEF)
        progress = _DONE_OF.fullmatch(status.get("progress", ""))
        done, total = (int(progress[1]), int(progress[2])) if progress else (0, 0)
        return State(name, status.get("phase", ""), done, total)

    def failures(self, name: str) -> list[Failure]:
        """The tasks of a workflow that failed for good; the workflow itself, if none did."""
        status = self._status(name)
        found = list(_failures(status.get("nodes") or {}))
        phase = status.get("phase", "")
        if found or phase not in _OVER - {"Succeeded"}:
            return found
        return [Failure(name, status.get("message") or f"the workflow's phase is {phase}")]

    def _status(self, name: str, fields: str | None = None) -> Mapping[str, Any]:
        found = self._asked("GET", f"/{name}", params={"fields": fields} if fields else None)
        status: Mapping[str, Any] = found.get("status") or {}
        return status

    def _asked(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        url = f"{self.address}/api/v1/workflows/{self._namespace}{path}"
        more |= {"timeout": _TIMEOUT, "verify": self._trusted}
        try:
            answer = self._session.request(method, url, **more)
        except requests.exceptions.SSLError as error:
            raise ConfigError(self._not_trusted(str(error))) from error
        except requests.RequestException as error:
            raise BackendError(
                f"the Argo server {self.address} cannot be reached; is the address under [argo] in "
                "sonde.toml right, and is there a way to it (a tunnel, a proxy)?"
            ) from error
        if not answer.ok:
            self._refused(answer)
        return self._json(answer)

    def _json(self, answer: requests.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BackendError(self._no_argo())
        return found

    def _refused(self, answer: requests.Response) -> NoReturn:
        """Say in a sentence what the server says, by who can act."""
        said = _reason(answer)
        match answer.status_code:
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
            case status if 400 <= status < 500 and status not in {408, 429}:
                raise ConfigError(f"the Argo server does not take the workflow: {said}")
            case status:
                raise BackendError(f"the Argo server is in trouble ({status}); try later: {said}")

    def _no_argo(self) -> str:
        return f"{self.address} does not answer as an Argo server does; is it one?"

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


def _certificates(path: str) -> str:
    """The file, if certificates can be read from it."""
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:
        raise ConfigError(
            f"no certificates can be read from {path}; correct `ca_file` under [argo] in sonde.toml"
        ) from error
    return path


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


def _reason(answer: requests.Response) -> str:
    """The server's own words; a page for people is none."""
    try:
        said = " ".join(str(answer.json()["message"]).split())
    except (ValueError, KeyError, TypeError):
        said = ""
    return said[:300] or "no reason given"
