"""A server over HTTPS, with a token. What it refuses is said in a sentence, by who can act."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from typing import Any, NoReturn

import requests

from sonde.argo.bearer import Bearer
from sonde.errors import BackendError, ConfigError

TOKEN = "SONDE_ARGO_TOKEN"  # noqa: S105  the name of a variable
_TIMEOUT = 60  # seconds
_MAY_PASS = {408, 409, 429}  # slow, a name that is taken by chance, too busy


@dataclass(frozen=True)
class Words:
    """How sentences name a server. key: of its address under [argo]. renewal: makes a token.

    lacking: what else may not be there, where something is not found.
    """

    who: str
    key: str
    renewal: str
    lacking: str = ""


class Connection:
    """Asks for JSON below an address. Raises ConfigError or BackendError.

    ca_file: certificates to trust in place of the system's.
    """

    def __init__(
        self, words: Words, address: str, namespace: str, token: str, ca_file: str | None
    ) -> None:
        self._words = words
        self._address = address
        self._namespace = namespace
        self._session = requests.Session()
        self._trusted = True if ca_file is None else _certificates(ca_file)
        self._session.auth = Bearer(token.removeprefix("Bearer "))

    def asked(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The answer. path: from the address on. more: as `requests` has it."""
        more |= {"timeout": _TIMEOUT, "verify": self._trusted}
        try:
            answer = self._session.request(method, f"{self._address}{path}", **more)
        except requests.exceptions.SSLError as error:
            raise ConfigError(self._not_trusted(str(error))) from error
        except requests.RequestException as error:
            raise BackendError(
                f"{self._words.who} {self._address} cannot be reached; is the address under [argo] "
                "in sonde.toml right, and is there a way to it (a tunnel, a proxy)?"
            ) from error
        if not answer.ok:
            self._refused(answer)
        try:
            found = answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise self.is_another()
        return found

    def is_another(self) -> BackendError:
        """For an answer that makes no sense."""
        return BackendError(
            f"{self._address} does not answer as {self._words.who} does; is `{self._words.key}` "
            "under [argo] right?"
        )

    def _refused(self, answer: requests.Response) -> NoReturn:
        """Say in a sentence what the server says, by who can act."""
        words, said = self._words, _reason(answer)
        match answer.status_code:
            case 401:
                raise ConfigError(
                    f"{words.who} does not know the token in {TOKEN}, or it has run out; "
                    f"make a new one (`{words.renewal}`)"
                )
            case 403:
                raise ConfigError(
                    "the token may not create and read workflows in the namespace "
                    f'"{self._namespace}"; give its account a role that may, or correct '
                    f"`namespace` under [argo]: {said}"
                )
            case 404:
                raise ConfigError(
                    f"{words.who} finds no such workflow, or no namespace "
                    f'"{self._namespace}"{words.lacking}; correct `namespace` under [argo]: {said}'
                )
            case status if 400 <= status < 500 and status not in _MAY_PASS:
                raise ConfigError(f"{words.who} does not take the workflow: {said}")
            case status:
                raise BackendError(f"{words.who} is in trouble ({status}); try later: {said}")

    def _not_trusted(self, said: str) -> str:
        if "doesn't match" in said or "not valid for" in said or "Hostname mismatch" in said:
            return (
                f"the certificate of {self._address} is for another name; write the name that it "
                f"is for as `{self._words.key}` under [argo]"
            )
        return (
            f"the certificate of {self._address} is not trusted; name the file of its authority as "
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


def _reason(answer: requests.Response) -> str:
    """The server's own words; a page for people is none."""
    try:
        said = " ".join(str(answer.json()["message"]).split())
    except (ValueError, KeyError, TypeError):
        said = ""
    return said[:300] or "no reason given"
