"""`sonde demo`: known effects, made, analysed, and held against what was planted."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import click

from sonde.cli.options import format_option


@click.command("demo")
@click.option(
    "--dir",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("sonde-demo"),
    show_default=True,
    help="The demo's project; telemetry that is there already is used again.",
)
@click.option("--seed", type=int, default=None, help="Of the telemetry.")
@click.option(
    "--scale",
    type=click.FloatRange(0, 10, min_open=True),
    default=1.0,
    help="How many clients, as a share of 120,000.",
)
@click.option("--workers", type=click.IntRange(1), help="Processes; by default one per core.")
@click.option("--no-serve", is_flag=True, help="Print only; do not serve pages.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any."
)
@format_option("text", "json")
def command(
    folder: Path,
    seed: int | None,
    scale: float,
    workers: int | None,
    no_serve: bool,
    port: int,
    kind: str,
) -> None:
    """Make eight weeks of a browser's telemetry with eight experiments in it, and analyse them.

    The effects are known: they are printed beside what the analysis finds, and drawn on the pages
    that are served then.
    """
    from sonde.cli.demonstration import Demonstration
    from sonde.cli.progress import Progress, spinner

    started = time.monotonic()
    demonstration = Demonstration(folder, seed, scale)
    with spinner("making telemetry") as report:
        demonstration.make(report)
    made = time.monotonic()
    work = demonstration.work()
    with Progress(len(work.stale)) as progress:
        for each in demonstration.run(work, workers):
            progress.advance(each)
    demonstration.publish(work, workers)
    done = time.monotonic()
    found = demonstration.found()
    if kind == "json":
        click.echo(json.dumps(found.plain(), indent=1))
    else:
        click.echo(found.text(made - started, done - made, len(work.stale)))
    if not no_serve:
        from sonde.cli.serve import serve_project

        click.echo("\nserving the pages; Ctrl-C ends it:")
        serve_project(folder, "127.0.0.1", port)
    sys.exit(demonstration.exit_code)
