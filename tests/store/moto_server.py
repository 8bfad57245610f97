"""An object store on this machine: `python -m tests.store.moto_server amazon`, or `google`."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

AMAZON, GOOGLE = "amazon", "google"
SIGNED = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/s3/aws4_request, Signature=x"


def main(kind: str) -> None:
    """Serve until the other end of the standard input is closed; print the port."""

    from moto.server import DomainDispatcherApplication, create_backend_app  # noqa: PLC0415
    from werkzeug.serving import WSGIRequestHandler, make_server  # noqa: PLC0415 - seconds, here only

    class Silent(WSGIRequestHandler):
        protocol_version = "HTTP/1.1"

        def log(self, *_: object) -> None:
            pass

    amazon = DomainDispatcherApplication(create_backend_app)
    application = _as_google(amazon) if kind == GOOGLE else amazon
    server = make_server("127.0.0.1", 0, application, threaded=True, request_handler=Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    sys.stdin.read()


def _as_google(amazon: Callable[..., Any]) -> Callable[..., Any]:
    """Google's XML interface is Amazon's, but for how it names conditions and generations."""

    def application(environ: dict[str, str], start: Callable[..., Any]) -> Any:
        if environ.get("HTTP_X_GOOG_IF_GENERATION_MATCH") == "0":
            environ["HTTP_IF_NONE_MATCH"] = "*"
        environ["HTTP_AUTHORIZATION"] = SIGNED
        if environ["REQUEST_METHOD"] == "PUT":
            environ.setdefault("CONTENT_LENGTH", "0")

        def started(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
            return start(status, [*headers, ("x-goog-generation", "1")], *rest)

        return amazon(environ, started)

    return application


if __name__ == "__main__":
    main(sys.argv[1])
