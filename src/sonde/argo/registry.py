"""Images in a registry that speaks the OCI distribution API. It only reads."""

from __future__ import annotations

import re
import urllib.parse
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import requests

from sonde.argo.bearer import Bearer
from sonde.argo.images import DIGEST, Image, Name
from sonde.argo.settings import is_loopback
from sonde.errors import BackendError, ConfigError

USER, PASSWORD = "SONDE_REGISTRY_USER", "SONDE_REGISTRY_PASSWORD"
_TIMEOUT = 30  # seconds
_AT_ONCE = 8
_CREATED = "org.opencontainers.image.created"
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)  # what builds write to be the same each time is older
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (
    *_INDEXES,
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_ACCEPT = {"Accept": ", ".join(_MANIFESTS)}  # without it, an OCI image is not found


class Registry:
    """The images of one repository. credentials: see `USER` and `PASSWORD`."""

    def __init__(self, name: Name, environment: Mapping[str, str]) -> None:
        self.name = name
        scheme = "http" if is_loopback(name.host.partition(":")[0]) else "https"
        self._root = f"{scheme}://{name.host}/v2/{name.path}"
        self._session = requests.Session()
        user = environment.get(USER, "")
        self._login = (user, environment.get(PASSWORD, "")) if user else None

    def list_images(self) -> list[Image]:
        """All images with a tag, each with the time it was made."""
        tags = self._tags()
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            digests = dict(zip(tags, pool.map(self._digest, tags), strict=True))
            found = sorted({digest for digest in digests.values() if digest is not None})
            times = dict(zip(found, pool.map(self._time, found), strict=True))
        return [
            Image(digest, tuple(tag for tag in tags if digests[tag] == digest), times[digest])
            for digest in found
        ]

    def find(self, version: str) -> Image | None:
        """The image with a tag or digest; None when there is none."""
        if not re.fullmatch(rf"{DIGEST.pattern}|\w[\w.-]{{0,127}}", version, re.ASCII):
            return None
        digest = self._digest(version)
        return None if digest is None else Image(digest)

    def _tags(self) -> list[str]:
        """Every tag; a long list comes in pages."""
        tags: list[str] = []
        url: str | None = f"{self._root}/tags/list?n=100"
        while url is not None:
            answer = self._asked("GET", url)
            if answer is None:
                raise ConfigError(
                    f"there is no image {self.name}; push it, or correct --image "
                    "or `image` under [argo] in sonde.toml"
                )
            tags += self._json(answer).get("tags") or ()
            following = answer.links.get("next", {}).get("url")
            url = urllib.parse.urljoin(url, following) if following else None
        return tags

    def _digest(self, version: str) -> str | None:
        answer = self._asked("HEAD", f"{self._root}/manifests/{version}")
        if answer is None:
            return None
        digest = answer.headers.get("Docker-Content-Digest", "")
        if not DIGEST.fullmatch(digest):
            raise BackendError(f"{self.name.host} gives no digest of {self.name}:{version}")
        return digest

    def _time(self, digest: str) -> datetime | None:
        """When an image was made: as it says itself, else as its configuration says."""
        manifest = self._manifest(digest)
        if "manifests" in manifest:  # one for several platforms; each is built at the same time
            of_platforms = [each["digest"] for each in manifest["manifests"]]
            manifest = {**self._manifest(of_platforms[0]), **_annotations(manifest)}
        said = (manifest.get("annotations") or {}).get(_CREATED) or self._configured(manifest)
        try:
            time = datetime.fromisoformat(said)
        except (TypeError, ValueError):
            return None
        time = time if time.tzinfo else time.replace(tzinfo=UTC)
        return None if time < _UNDATED else time.astimezone(UTC)

    def _manifest(self, digest: str) -> dict[str, Any]:
        return self._json(self._asked("GET", f"{self._root}/manifests/{digest}"))

    def _configured(self, manifest: Mapping[str, Any]) -> Any:
        digest = manifest.get("config", {}).get("digest")
        return self._json(self._asked("GET", f"{self._root}/blobs/{digest}")).get("created")

    def _json(self, answer: requests.Response | None) -> dict[str, Any]:
        try:
            found = None if answer is None else answer.json()
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise BackendError(f"{self.name.host} does not answer as a registry does; is it one?")
        return found

    def _asked(self, method: str, url: str) -> requests.Response | None:
        """The answer; None: there is no such thing."""
        answer = self._sent(method, url)
        if answer.status_code == requests.codes.unauthorized and self._authorize(answer):
            answer = self._sent(method, url)
        match answer.status_code:
            case 200:
                return answer
            case 404:
                return None
            case 401 | 403:
                raise ConfigError(
                    f"the registry {self.name.host} does not let you read {self.name.path}; "
                    f"set {USER} and {PASSWORD}, or ask for the right"
                )
            case status:
                raise BackendError(f"the registry {self.name.host} answers {status}; try again")

    def _sent(self, method: str, url: str, **more: Any) -> requests.Response:
        try:
            return self._session.request(
                method, url, **{"headers": _ACCEPT, "timeout": _TIMEOUT, **more}
            )
        except requests.exceptions.SSLError as error:
            raise ConfigError(
                f"the certificate of the registry {self.name.host} is not trusted; "
                "name the file of its authority in REQUESTS_CA_BUNDLE"
            ) from error
        except requests.RequestException as error:
            raise BackendError(
                f"the registry {self.name.host} cannot be reached; "
                "is the name right, and is there a network?"
            ) from error

    def _authorize(self, refusal: requests.Response) -> bool:
        """Do what the registry asks for before it answers; whether there was anything to do."""
        kind, _, rest = refusal.headers.get("WWW-Authenticate", "").partition(" ")
        asked = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if kind.lower() == "basic" and self._login and self._session.auth != self._login:
            self._session.auth = self._login
            return True
        if kind.lower() != "bearer" or not asked.get("realm", "").startswith(self._safe()):
            return False
        wanted = {"scope": f"repository:{self.name.path}:pull", **asked}
        query = {key: wanted[key] for key in ("service", "scope") if key in wanted}
        answer = self._sent("GET", asked["realm"], params=query, auth=self._login)
        if not answer.ok:
            return False
        said = self._json(answer)
        self._session.auth = Bearer(str(said.get("token") or said.get("access_token")))
        return True

    def _safe(self) -> str:
        """How an address may begin to which a password is sent."""
        return "http" if self._root.startswith("http:") else "https:"


def _annotations(manifest: Mapping[str, Any]) -> dict[str, Any]:
    return {"annotations": manifest["annotations"]} if manifest.get("annotations") else {}
