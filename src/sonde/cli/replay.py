"""`sonde replay`: a stored result computed again, and compared."""

from __future__ import annotations

import json
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sonde.cli.options import Day, format_option, project_option
from sonde.metric import AnalysisBasis
from sonde.window import Period

if TYPE_CHECKING:
    from sonde.replay import Replayed
    from sonde.table import Partition


@click.command("replay")
@click.argument("slug")
@project_option
@click.option("--period", type=click.Choice([p.value for p in Period]), help="Only this period.")
@click.option("--window", type=click.IntRange(1), help="Only the windows of this number.")
@click.option("--basis", type=click.Choice([b.value for b in AnalysisBasis]), help="Only this one.")
@click.option("--date", "through", type=Day(), help="Only results with data up to this day.")
@format_option("text", "json")
def command(
    slug: str,
    project: Path,
    period: str | None,
    window: int | None,
    basis: str | None,
    through: date | None,
    kind: str,
) -> None:
    """Compute stored results of experiment SLUG again, from what they say they were made from.

    That is the commit of the configuration, the versions of the Delta tables, and the enrollments
    of then. Nothing is written. Exit code: 0 when all numbers are the same, 1 when one differs, 3
    when something that a result was made from is gone.
    """
    from sonde.project import Project
    from sonde.replay import State, replay

    def is_wanted(partition: Partition, day: date) -> bool:
        _, of_basis, of_period, number, _ = partition.key
        return (
            basis in (None, of_basis)
            and period in (None, of_period)
            and window in (None, int(number))
            and through in (None, day)
        )

    found = []
    for replayed in replay(Project.open(project), slug, is_wanted):
        found.append(replayed)
        if kind == "text":
            for line in _lines(replayed):
                click.echo(line)
    if kind == "json":
        click.echo(json.dumps([_plain(each) for each in found], indent=2))
    else:
        counted = Counter(each.state.value for each in found)
        click.echo(", ".join(f"{number} {state}" for state, number in counted.items()))
    states = {each.state for each in found}
    sys.exit(1 if State.DIFFERENT in states else 3 if State.IMPOSSIBLE in states else 0)


def _lines(replayed: Replayed) -> list[str]:
    _, basis, period, number, source = replayed.partition.key
    head = f"{period} {number}, {basis}, {source}: {replayed.state.value}"
    return [head, *(f"  {line}" for line in replayed.said)]


def _plain(replayed: Replayed) -> dict[str, object]:
    _, basis, period, number, source = replayed.partition.key
    return {
        "analysis_basis": basis,
        "analysis_period": period,
        "window_index": int(number),
        "data_source": source,
        "state": replayed.state.value,
        "said": list(replayed.said),
    }
