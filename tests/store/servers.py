"""Object stores on this machine, and what stands between them and sonde when things go wrong."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.request import Request, urlopen

from tests.store.moto_server import AMAZON, SIGNED


@contextmanager
def served(kind: str = AMAZON) -> Iterator[str]:
    """The address of a store in a process of its own."""
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "tests.store.moto_server", kind],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        port = int(process.stdout.readline())
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stdin.close()
        process.wait(timeout=30)
        process.stdout.close()


def make_bucket(endpoint: str, bucket: str) -> None:
    """A new bucket in a store."""
    request = Request(f"{endpoint}/{bucket}", method="PUT", headers={"Authorization": SIGNED})
    urlopen(request).close()


Verdict = Callable[[int, str, str], "int | None"]  # number, method, path -> status, or go on
RESET_BEFORE, RESET_AFTER = -1, -2  # in place of a status: the connection breaks


@dataclass
class Gate:
    """What passes to a store, and what does not. asked: method and path of each request."""

    endpoint: str
    verdict: Verdict
    body: bytes = b"<Error><Code>SlowDown</Code><Message>Reduce your rate</Message></Error>"
    asked: list[tuple[str, str]] = field(default_factory=list)
    refused: int = 0
    address: str = ""
    _counting: threading.Lock = field(default_factory=threading.Lock)

    def judge(self, method: str, path: str) -> int | None:
        """What becomes of the next request."""
        with self._counting:
            self.asked.append((method, path))
            status = self.verdict(len(self.asked), method, path)
            self.refused += status is not None
            return status


def every_tenth(*statuses: int) -> Verdict:
    """Refuses every tenth request, in one way after the other."""

    def verdict(number: int, method: str, path: str) -> int | None:
        return statuses[number // 10 % len(statuses)] if number % 10 == 0 else None

    return verdict


@contextmanager
def gate(endpoint: str, verdict: Verdict, body: bytes = Gate.body) -> Iterator[Gate]:
    """A proxy before a store. Its `address` goes in place of the store's."""
    made = Gate(endpoint, verdict, body)
    host, _, port = endpoint.removeprefix("http://").partition(":")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _do(self) -> None:
            content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status = made.judge(self.command, self.path)
            if status == RESET_BEFORE:
                self._break()
            elif status is not None and status > 0:
                self._answer(status, [("Content-Type", "application/xml")], made.body)
            else:
                answer = self._asked(content)
                self._break() if status == RESET_AFTER else self._answer(*answer)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _do  # noqa: N815

        def _asked(self, content: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
            connection = http.client.HTTPConnection(host, int(port))
            try:
                connection.request(self.command, self.path, content, dict(self.headers))
                answer = connection.getresponse()
                return answer.status, answer.getheaders(), answer.read()
            finally:
                connection.close()

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response_only(status)
            hop = {"connection", "transfer-encoding", "content-length"}
            for name, value in headers:
                if name.lower() not in hop:
                    self.send_header(name, value)
            told = {name.lower(): value for name, value in headers}
            is_head = self.command == "HEAD"
            length = told.get("content-length", "0") if is_head else str(len(content))
            self.send_header("Content-Length", length)
            self.end_headers()
            if not is_head:
                self.wfile.write(content)

        def _break(self) -> None:
            """As when a machine on the way fails: a reset, not an end."""
            self.close_connection = True
            self.connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00"
            )
            with suppress(OSError):
                self.connection.close()

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, *_: object) -> None:
            pass  # who asked has gone: killed, on purpose

    server = Server(("127.0.0.1", 0), Handler)
    made.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
