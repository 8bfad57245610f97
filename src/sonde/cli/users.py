"""`sonde users`: who may log in."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from sonde.cli.options import project_option
from sonde.errors import ConfigError


@click.command("users")
@click.argument("action", type=click.Choice(["add", "remove"]))
@click.argument("name")
@project_option
@click.option("--private", is_flag=True, help="May see private experiments as well.")
def command(action: str, name: str, project: Path, private: bool) -> None:
    """Add or remove the user NAME in the file that serve.users of sonde.toml names.

    The password is asked for, or read from standard input. A user who is there already gets the
    new password and rights. A server that runs takes notice within a second.
    """
    from sonde.serve.users import Password, User, check_name, read_users, write_users

    path = _file(project)
    check_name(name)
    users = read_users(path) if path.exists() else {}
    if action == "add":
        users[name] = User(Password.of(_password()), private)
    elif users.pop(name, None) is None:
        raise ConfigError(f'there is no user "{name}" in {path}')
    write_users(path, users)
    click.echo(f"{path}: {len(users)} users")


def _file(project: Path) -> Path:
    from sonde.login import PasswordLogin
    from sonde.settings import load_settings

    login = load_settings(project, os.environ).login
    if not isinstance(login, PasswordLogin):
        raise ConfigError(
            'sonde.toml names no file of users; write users = "users.toml" below [serve]'
        )
    return Path(login.users)


def _password() -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt("password", hide_input=True, confirmation_prompt=True)
        return asked
    return sys.stdin.readline().rstrip("\r\n")
