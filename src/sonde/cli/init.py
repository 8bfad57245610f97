"""`sonde init`: begin a project."""

from __future__ import annotations

from pathlib import Path

import click

from sonde.cli.options import project_option
from sonde.errors import ConfigError

_SONDE_TOML = """\
# Where this deployment lives. What to analyse stands in the configuration repositories.

[experiments]
source = "experiments.json" # or the address of an Experimenter API

[config]
repos = ["metric-hub"] # folders or git URLs in metric-hub's layout, later ones on top

[lake]
url = "lake" # results, and your tables under <dataset>/<table>

# [tables] # for tables that stand elsewhere
# "telemetry.*" = "exports/{table}/*.parquet"

# [run]
# workers = 2
# memory = "2GB"
"""

_FILES = {
    "sonde.toml": _SONDE_TOML,
    "experiments.json": "[]\n",
    "metric-hub/definitions/functions.toml": """\
[functions.agg_sum]
definition = "COALESCE(SUM({select_expr}), 0)"
friendly_name = "Sum"
description = "The sum, 0 when there is nothing to add."

[functions.agg_any]
definition = "COALESCE(LOGICAL_OR({select_expr}), FALSE)"
friendly_name = "Any"
description = "Whether any row is true, false when there is none."
""",
    "metric-hub/definitions/firefox_desktop.toml": "# [metrics.<name>] and [data_sources.<name>]\n",
    "metric-hub/jetstream/defaults/firefox_desktop.toml": "# [metrics]\n# weekly = [..]\n",
}


@click.command("init")
@project_option
def command(project: Path) -> None:
    """Write sonde.toml and an empty configuration into the working folder.

    Files that are there already are left as they are.
    """
    written = []
    for name, content in _FILES.items():
        path = project / name
        if path.exists():
            continue
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error
        written.append(name)
    click.echo("\n".join(f"wrote {name}" for name in written) or "everything is there already")
    click.echo("next: put tables under lake/<dataset>/<table>, experiments into experiments.json")
