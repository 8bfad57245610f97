"""A port to listen on, and the server behind it."""

from __future__ import annotations

import errno
import ipaddress
import socket

import uvicorn
from starlette.types import ASGIApp

from sonde.errors import BackendError, ConfigError


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches a host.

    >>> [is_loopback(host) for host in ("localhost", "127.0.0.1", "::1", "0.0.0.0", "::")]
    [True, True, True, False, False]
    """
    return ipaddress.ip_address(_resolved(host)).is_loopback


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens; port 0: any that is free.

    Raises ConfigError when the port is taken, with one that is not, or cannot be had.
    """
    address = _resolved(host)
    try:
        return _bound(address, port)
    except PermissionError:
        raise ConfigError(f"port {port} is the system's; choose one from 1024 on") from None
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise ConfigError(f"{host} cannot be listened on: {error.strerror}") from error
    free = _next_free(address, port)
    raise ConfigError(f"port {port} is taken; `--port {free}` is free")


def serve(app: ASGIApp, listening: socket.socket) -> None:
    """Serve until the process is interrupted or terminated; then close every connection."""
    server(app).run([listening])


def server(app: ASGIApp) -> uvicorn.Server:
    """A server, not yet running."""
    config = uvicorn.Config(
        app,
        log_config=None,
        log_level="critical",  # the application keeps the log, without addresses of private pages
        access_log=False,
        lifespan="off",
        ws="none",
        proxy_headers=False,  # who asks is the peer; what a proxy says of others is for access.py
        server_header=False,
        limit_concurrency=1000,
        timeout_graceful_shutdown=3,
    )
    return uvicorn.Server(config)


def _resolved(host: str) -> str:
    if host == "localhost":
        return "127.0.0.1"
    try:
        return str(socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError):
        raise ConfigError(f'"{host}" is not an address of this machine') from None


def _bound(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # With the protocol named, asyncio sends small packets at once (TCP_NODELAY): else each answer
    # waits 40 ms for an acknowledgement.
    listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(2048)
        listening.setblocking(False)
    except BaseException:
        listening.close()
        raise
    return listening


def _next_free(address: str, port: int) -> int:
    for each in range(port + 1, min(port + 1000, 65536)):
        try:
            _bound(address, each).close()
        except OSError:
            continue
        return each
    raise BackendError(f"no port after {port} is free; `--port 0` takes any")
