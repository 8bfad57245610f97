"""`sonde serve`: the pages and the API over HTTP."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, assert_never

import click

from sonde.cli.options import project_option
from sonde.errors import ConfigError

if TYPE_CHECKING:
    import socket

    from sonde.login import Login
    from sonde.serve.access import Access


@click.command("serve")
@project_option
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any."
)
def command(project: Path, host: str, port: int) -> None:
    """Serve what was published: pages, and the API below /api.

    Only this machine is served unless [serve] in sonde.toml says how people log in. Private
    experiments are shown to those who may see them; without a login, by the second address that is
    printed. Ctrl-C ends it.
    """
    serve_project(project, host, port)


def serve_project(project: Path, host: str, port: int) -> None:
    """Serve until somebody ends it. Says where, and raises as the command does."""
    from sonde.lake import Lake
    from sonde.serve.app import Application
    from sonde.serve.server import is_loopback, listen, serve
    from sonde.settings import load_settings
    from sonde.site import Site

    settings = load_settings(project, os.environ)
    if settings.login is None and not is_loopback(host):
        raise ConfigError(
            f"{host} can be reached by others, and there is no login; "
            "say in [serve] of sonde.toml who may read, or leave --host out"
        )
    site = Site(Lake.open(settings.lake_url, settings.cache))
    site.refresh()
    with contextlib.suppress(KeyboardInterrupt), listen(host, port) as listening:
        access = _access(settings.login, listening)
        _announce(access, listening, empty=not site.paths(private=True))
        serve(Application(site, access, settings.names, _log), listening)


def _access(login: Login | None, listening: socket.socket) -> Access:
    from sonde.login import PasswordLogin, ProxyLogin
    from sonde.serve.access import ByPassword, ByProxy, OwnMachine
    from sonde.serve.users import Users

    match login:
        case None:
            return OwnMachine(listening.getsockname()[1])
        case PasswordLogin(users=path):
            return ByPassword(Users(Path(path), time.monotonic), time.monotonic)
        case ProxyLogin():
            return ByProxy.of(login)
        case _:
            assert_never(login)


def _announce(access: Access, listening: socket.socket, empty: bool) -> None:
    from sonde.serve.access import OwnMachine

    host, port = listening.getsockname()[:2]
    address = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
    if isinstance(access, OwnMachine):
        click.echo(f"{address}  what everybody may see")
        click.echo(f"{address}?token={access.token}  private experiments as well")
    else:
        click.echo(f"{address}  to those who log in")
    if empty:
        click.echo("nothing is published yet: `sonde run` analyses and publishes", err=True)


def _log(line: str) -> None:
    click.echo(line, err=True)
