"""The command line. Each command parses, calls one function, and prints."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import click

from sonde.errors import SondeError

# name: (module, what it does). Modules load when their command runs: `--help` stays fast.
_COMMANDS = {
    "analyze": ("analyze", "Read out one file with one row per unit."),
    "demo": ("demo", "Make telemetry with known effects, analyse it, and say what was found."),
    "export": ("export", "Write statistics, metadata and errors as JSON files."),
    "init": ("init", "Begin a project in the working folder."),
    "plan": ("plan", "Say what a run would do, and why."),
    "preview": ("preview", "Analyse one experiment without keeping the results."),
    "publish": ("publish", "Publish what is stored; write the pages as files."),
    "replay": ("replay", "Compute stored results again, from what they were made from."),
    "report": ("report", "Write one experiment as a file that opens from disk and prints."),
    "results": ("results", "Print the estimates of one experiment."),
    "run": ("run", "Do what is to be done: enrollments, estimates."),
    "runs": ("runs", "List the newest runs and what they cost."),
    "serve": ("serve", "Serve the pages and the API."),
    "show": ("show", "Print an experiment as it is resolved, each value with its origin."),
    "submit": ("submit", "Have Argo Workflows do what is to be done, on a cluster."),
    "units": ("units", "Write the unit metrics of one window to a file."),
    "users": ("users", "Say who may log in to `sonde serve`."),
    "validate": ("validate", "Check configuration files and report every error."),
}


class _Lazy(click.Group):
    """A group whose commands are imported when they are called."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        return sorted(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"sonde.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in sorted(_COMMANDS.items())])


@click.command(cls=_Lazy)
@click.version_option(package_name="sonde")
def sonde() -> None:
    """Experiment results you can trust, from tables and metric-hub configuration.

    Every command reads sonde.toml in the working folder, or in --project DIR.
    """


def main(arguments: list[str] | None = None) -> Any:
    """Entry point: errors that a person can act on are one sentence and an exit code."""
    try:
        sonde(args=arguments, prog_name="sonde", standalone_mode=False)
    except SondeError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as stop:
        sys.exit(stop.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.echo("stopped; what was finished is kept, the next run does the rest", err=True)
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(141)
