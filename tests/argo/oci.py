"""A real registry of container images, and tiny images to push into it."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PROGRAM = shutil.which("docker-registry")
needs_registry = pytest.mark.skipif(
    PROGRAM is None, reason="docker-registry is not installed (Debian: apt install docker-registry)"
)
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
BYTES = "application/octet-stream"
INDEX = "application/vnd.oci.image.index.v1+json"
# Of "hunter22", by htpasswd -B.
PASSWORDS = "ann:$2y$05$OkyOOqBfOxCPzXJMTDqkXusHvlIeUIiu/KAgnvTNM5sCWoSoN2KaC\n"


@contextmanager
def registry(folder: Path, auth: str = "") -> Iterator[str]:
    """A registry that keeps images in memory; yields `host:port`."""
    assert PROGRAM is not None
    config = folder / "registry.yml"
    config.write_text(
        f"version: 0.1\nstorage: {{inmemory: {{}}}}\nhttp: {{addr: '127.0.0.1:0'}}\n{auth}"
    )
    log = folder / "registry.log"
    with (
        log.open("w") as said,
        subprocess.Popen([PROGRAM, "serve", config], stderr=said) as process,
    ):
        try:
            yield _address(process, log)
        finally:
            process.terminate()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where the registry listens, once it does."""
    for _ in range(200):
        if listening := re.search(r"listening on (127\.0\.0\.1:\d+)", log.read_text()):
            return listening[1]
        if process.poll() is not None:
            break
        time.sleep(0.05)
    pytest.fail(f"the registry does not start: {log.read_text()}")


def ask(method: str, url: str, body: bytes | None = None, **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = urllib.request.Request(url, body, named, method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.headers


def digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class Pusher:
    """Pushes images without layers: a configuration, and a manifest that names it."""

    def __init__(self, host: str, path: str) -> None:
        self.root = f"http://{host}/v2/{path}"

    def blob(self, content: bytes) -> str:
        upload = ask("POST", f"{self.root}/blobs/uploads/")["Location"]
        sign = "&" if "?" in upload else "?"
        ask("PUT", f"{upload}{sign}digest={digest(content)}", content, Content_Type=BYTES)
        return digest(content)

    def manifest(self, tag: str, kind: str, **fields: Any) -> str:
        body = json.dumps({"schemaVersion": 2, "mediaType": kind, **fields}).encode()
        headers = ask("PUT", f"{self.root}/manifests/{tag}", body, Content_Type=kind)
        assert headers["Docker-Content-Digest"] == digest(body)
        return digest(body)

    def image(
        self, tag: str, created: str | None, annotated: str | None = None, note: str = ""
    ) -> str:
        """Push an image; its digest. created: in its configuration. note: tells it from others."""
        about = {"architecture": "amd64", "os": "linux", "author": note}
        about |= {"created": created} if created else {}
        config = json.dumps(about).encode()
        fields: dict[str, Any] = {
            "config": {"mediaType": CONFIG, "digest": self.blob(config), "size": len(config)},
            "layers": [],
        }
        if annotated:
            fields["annotations"] = {"org.opencontainers.image.created": annotated}
        return self.manifest(tag, MANIFEST, **fields)

    def index(self, tag: str, of: str) -> str:
        """Push an image for several platforms, which is a list of images."""
        each = {"mediaType": MANIFEST, "digest": of, "size": 1, "platform": {"os": "linux"}}
        return self.manifest(tag, INDEX, manifests=[each])
