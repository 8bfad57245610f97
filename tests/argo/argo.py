"""Servers that answer as the Argo server and as Kubernetes do, and are as strict."""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.argo.schema import complaints

TOKEN = "v2:the-token"
NAMESPACE = "experiments"


class Argo:
    """What the server knows. statuses: what it answers of a workflow, one after the other."""

    def __init__(self, *statuses: dict[str, Any]) -> None:
        self.manifests: dict[str, dict[str, Any]] = {}
        self.asked: list[tuple[str, str]] = []
        self.statuses = list(statuses)
        self.trouble: list[tuple[int, Any]] = []

    def answer(
        self, method: str, path: str, headers: Any, body: bytes
    ) -> tuple[int, dict[str, Any] | str]:
        self.asked.append((method, path))
        if self.trouble:
            return self.trouble.pop(0)
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return 401, {"code": 16, "message": "token not valid for running mode"}
        parts = urlsplit(path)
        prefix, _, rest = parts.path.partition("/api/v1/workflows/")
        namespace, _, name = rest.partition("/")
        if prefix or not namespace:
            return 404, {"code": 5, "message": "Not Found"}
        if namespace == "forbidden":
            return 403, {"code": 7, "message": 'workflows.argoproj.io is forbidden: User "x"'}
        if namespace != NAMESPACE:
            return 404, {"code": 5, "message": f'namespaces "{namespace}" not found'}
        if method == "POST" and not name:
            return self._create(headers, body)
        if method == "GET" and name in self.manifests:
            return 200, self._get(name, parse_qs(parts.query))
        return 404, {"code": 5, "message": f'workflows.argoproj.io "{name}" not found'}

    def _create(self, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if headers["Content-Type"] != "application/json":
            return 415, {"code": 3, "message": "unsupported media type"}
        request = json.loads(body)
        if set(request) != {"workflow"} or (wrong := complaints(request["workflow"])):
            return 400, {"code": 3, "message": f"cannot read the workflow: {wrong}"}
        workflow = request["workflow"]
        if workflow["metadata"].get("namespace") != NAMESPACE:
            return 400, {"code": 3, "message": "the namespace is not that of the request"}
        if len(body) > 1_500_000:
            return 500, {"code": 2, "message": "etcdserver: request is too large"}
        return 200, self._kept(workflow)

    def _kept(self, workflow: dict[str, Any]) -> dict[str, Any]:
        name = f"{workflow['metadata']['generateName']}{len(self.manifests):05}"
        self.manifests[name] = workflow
        metadata = {**workflow["metadata"], "name": name, "uid": f"uid-{name}"}
        return {**workflow, "metadata": metadata}

    def _get(self, name: str, query: dict[str, list[str]]) -> dict[str, Any]:
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if "fields" not in query:
            return {**self.manifests[name], "metadata": {"name": name}, "status": status}
        wanted = query["fields"][0].split(",")
        brief = {key: value for key, value in status.items() if f"status.{key}" in wanted}
        entry = {"entrypoint": "main"} if "spec.entrypoint" in wanted else {}
        return {"metadata": {"name": name}, "spec": entry, "status": brief}


class Kubernetes(Argo):
    """The API server of a cluster on which Argo Workflows is installed, or not."""

    is_installed = True

    def answer(
        self, method: str, path: str, headers: Any, body: bytes
    ) -> tuple[int, dict[str, Any] | str]:
        self.asked.append((method, path))
        if self.trouble:
            return self.trouble.pop(0)
        if headers["Authorization"] != f"Bearer {TOKEN}":
            return _failure(401, "Unauthorized")
        of_group = re.fullmatch(
            r"/apis/argoproj\.io/v1alpha1/namespaces/([^/]+)/workflows(?:/([^/]+))?", path
        )
        if of_group is None or not self.is_installed:
            return 404, "404 page not found"
        namespace, name = of_group.groups()
        if namespace == "forbidden":
            return _failure(403, 'workflows.argoproj.io is forbidden: User "x" cannot create')
        if method == "POST" and name is None:
            return self._create_in(namespace, headers, body)
        if method == "GET" and name in self.manifests:
            return 200, self._get(name, {})
        return _failure(404, f'workflows.argoproj.io "{name}" not found')

    def _create_in(self, namespace: str, headers: Any, body: bytes) -> tuple[int, dict[str, Any]]:
        if headers["Content-Type"] != "application/json":
            return _failure(415, "the body of the request was in an unknown format")
        workflow = json.loads(body)
        if wrong := complaints(workflow):
            return _failure(422, f"Workflow.argoproj.io is invalid: {wrong}")
        if workflow["metadata"].get("namespace") != namespace:
            return _failure(400, "the namespace of the provided object does not match")
        if namespace != NAMESPACE:
            return _failure(404, f'namespaces "{namespace}" not found')
        return 201, self._kept(workflow)


def _failure(code: int, message: str) -> tuple[int, dict[str, Any]]:
    said = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return code, {**said, "message": message, "code": code}


def handler(argo: Argo) -> type[BaseHTTPRequestHandler]:
    """What a server needs to answer as `argo` does."""

    class Handler(BaseHTTPRequestHandler):
        def go(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, said = argo.answer(self.command, self.path, self.headers, body)
            content = (said if isinstance(said, str) else json.dumps(said)).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = go  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    return Handler


def node(
    name: str, phase: str, slug: str | None = None, code: str | None = None, **more: Any
) -> dict[str, Any]:
    """The state of a task, or of one of its tries."""
    made: dict[str, Any] = {
        "id": name,
        "name": name,
        "displayName": name,
        "type": "Pod",
        "phase": phase,
        "templateName": "analyse" if slug else "publish",
        "inputs": {"parameters": [{"name": "slug", "value": slug}] if slug else []},
        **more,
    }
    if code is not None:
        made["outputs"] = {"exitCode": code}
    return made
