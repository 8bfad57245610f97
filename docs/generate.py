"""Writes what the documentation takes from the program: `make docs`.

reference/commands.md, reference/tables.md, images/demo.svg and, with Chromium on PATH,
images/portfolio.png and images/experiment.png, below this folder.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import pyarrow as pa
import pyarrow.parquet as pq
from playwright.sync_api import sync_playwright
from rich.console import Console
from rich.text import Text

from sonde.cli import sonde
from sonde.experiment import EnrollmentsQueryType, Experiment, ExperimentRecord
from sonde.health import Light, State
from sonde.metric import AnalysisUnit, Segment, SegmentDataSource
from sonde.pins import PINS_COLUMNS, Because, pins_table
from sonde.plan.steps import (
    Enroll,
    dataset,
    enrollments_table,
    errors_table,
    health_table,
    queries_table,
    statistics_table,
)
from sonde.run.enroll import enroll
from sonde.run.health import HEALTH_COLUMNS
from sonde.run.outcome import ERRORS_COLUMNS, QUERIES_COLUMNS, STATISTICS_COLUMNS
from sonde.runs import RUNS_COLUMNS, runs_table
from sonde.site import SITE, SITE_COLUMNS, Audience
from sonde.sql.enrollments import EnrollmentDates
from sonde.stored import HISTORY_COLUMNS, history_table
from sonde.table import Table
from sonde.warehouse.duckdb import Limits, Session
from sonde.warehouse.sources import Sources

DOCS = Path(__file__).parent
DEMO_SCALE = 0.05
SHOWN_SCALE = 0.25  # of the pictures of pages: enough units for most lessons
SHOWN = {"portfolio": "index.html", "experiment": "experiments/search-as-you-type.html"}
_NOTE = "<!-- written by `make docs`; change the program, not this page -->\n"
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def commands() -> str:
    """The page of commands: the help of each."""
    sections = [f"# Commands\n\n{_NOTE}", _block(_help(sonde, "sonde"))]
    context = click.Context(sonde, info_name="sonde")
    for name in sonde.list_commands(context):
        command = sonde.get_command(context, name)
        assert command is not None
        sections.append(f"## sonde {name}\n\n{_block(_help(command, f'sonde {name}'))}")
    return "\n".join(sections)


def _help(command: click.Command, name: str) -> str:
    return click.Context(command, info_name=name, terminal_width=90).get_help()


def _block(text: str) -> str:
    return f"```\n{text}\n```\n"


def tables() -> str:
    """The page of tables: the columns of each, with their meaning."""
    experiment = _experiment()
    preface = (
        "All are Delta tables in `<lake>/sonde`, or in the folder of the experiment's"
        " `dataset_id`; `site` is in `<lake>/sonde` always. Key columns and `fingerprint` are"
        " partition columns, stored as text."
    )
    parts = [f"# Tables\n\n{_NOTE}\n{preface}\n"]
    for title, table, columns in (
        ("statistics", statistics_table(experiment), STATISTICS_COLUMNS),
        ("errors", errors_table(experiment), ERRORS_COLUMNS),
        ("queries", queries_table(experiment), QUERIES_COLUMNS),
        ("enrollments/&lt;slug&gt;", enrollments_table(experiment), _enrollments(experiment)),
        ("health", health_table(experiment), HEALTH_COLUMNS),
        ("history", history_table(experiment), HISTORY_COLUMNS),
        ("pins", pins_table(dataset(experiment)), PINS_COLUMNS),
        ("sonde_runs", runs_table(dataset(experiment)), RUNS_COLUMNS),
        ("site", SITE, SITE_COLUMNS),
    ):
        parts.append(f"## {title}\n\n{_ABOUT[title]}\n\n{_columns(title, table, columns)}")
    return "\n".join(parts)


def _columns(title: str, table: Table, columns: pa.Schema) -> str:
    kinds = dict.fromkeys((*table.keys, *table.marks), "key")
    kinds |= {column.name: str(column.type) for column in columns if column.name != "fingerprint"}
    lines = ["| column | type | meaning |", "|---|---|---|"]
    for name, kind in {**kinds, "fingerprint": "key"}.items():
        meaning = _MEANING.get(f"{title}.{name}") or _MEANING[name]
        lines.append(f"| `{name}` | {kind} | {meaning} |")
    return "\n".join(lines) + "\n"


def _experiment() -> Experiment:
    source = SegmentDataSource("clients_last_seen", "telemetry.clients_last_seen")
    return Experiment(
        ExperimentRecord("slug", app_id="firefox-desktop"),
        enrollment_period=7,
        analysis_unit=AnalysisUnit.CLIENT,
        enrollments_query_type=EnrollmentsQueryType.NORMANDY,
        metrics={},
        segments=(Segment("<segment>", source, "LOGICAL_OR(is_regular)"),),
        enrollment_query="SELECT '1' AS analysis_id, 'a' AS branch, "
        "DATE '2026-01-05' AS enrollment_date, 1 AS num_enrollment_events",
    )


def _enrollments(experiment: Experiment) -> pa.Schema:
    """The columns that an enrollment step writes; without tables, it writes them all the same."""
    day = date(2026, 1, 5)
    with TemporaryDirectory() as folder, Session(day, Limits("200MB"), [Path(folder)]) as session:
        path = Path(folder) / "enrollments.parquet"
        action = Enroll(experiment, EnrollmentDates(day, day))
        enroll(action, session, Sources(Path(folder)), path)
        schema: pa.Schema = pq.read_schema(path)
        return schema


def demo(scale: float) -> str:
    """What `sonde demo` prints, as SVG."""
    with TemporaryDirectory() as folder:
        said = subprocess.run(  # noqa: S603  our own command
            [sys.executable, "-m", "sonde", "demo", "--no-serve", "--scale", str(scale)],
            cwd=folder,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        ).stdout
    return picture(said.strip().splitlines(), f"sonde demo --scale {scale}")


def picture(lines: Sequence[str], command: str) -> str:
    """Lines of a terminal as SVG, without fonts from elsewhere."""
    console = Console(record=True, width=98, file=io.StringIO(), force_terminal=True)
    console.print(Text.assemble(("$ ", "green"), (command, "bold")))
    for line in lines:
        console.print(Text(line, style=_style(line)), soft_wrap=True)
    svg = _FONTS.sub("", console.export_svg(title="sonde demo", unique_id="demo"))
    return "\n".join(line.rstrip() for line in svg.splitlines()).strip() + "\n"


def _style(line: str) -> str:
    if "(missed)" in line:
        return "yellow"
    return "bold cyan" if line[:1].isalpha() and ": " in line else "default"


_ABOUT: Mapping[str, str] = {
    "statistics": "One row per estimate, or per number that cannot be had.",
    "errors": "What failed, or deserves a warning, in the latest try of each step.",
    "queries": "The SQL behind the estimates. Days and windows are parameters in it.",
    "enrollments/&lt;slug&gt;": "One row per unit and branch.",
    "health": "One row per check of an experiment, as of its latest publication;"
    " [what is checked](../health.md).",
    "history": "One row per publication of an experiment: what it said.",
    "pins": "One row per experiment that has begun: [what it keeps](../pinning.md).",
    "sonde_runs": "One row per step of each run: what it cost.",
    "site": "One row per published file. Those of private experiments, and what names them, are"
    " in a table of the same columns, `<lake>/sonde_private/site`.",
}

# By the name of the column; by `<table>.<column>` where a name means something else there.
_MEANING: Mapping[str, str] = {
    "peak_memory": "bytes; the most that the worker held while it did the step's batch",
    "bytes_read": "the size of the source files behind the step's batch",
    "experiment": "slug",
    "analysis_basis": "`enrollments` or `exposures`",
    "analysis_period": "`day`, `week`, `days28`, `overall`, `preenrollment_week`,"
    " `preenrollment_days28`",
    "window_index": "number of the window in its period, from 1",
    "data_source": "the source the metric reads, several joined by `+`; `population` where units"
    " are counted",
    "completeness": "`complete`, or `partial` while further units may come to have the window",
    "data_through": "last day of data in the result",
    "metric": "name of the metric; `identity` where units are counted",
    "statistic": "the statistic's name in results; in errors, its name in the configuration",
    "parameter": "a decile, or a place on a grid",
    "branch": "the branch",
    "comparison": "empty, `difference` or `relative_uplift`",
    "comparison_to_branch": "the branch compared with",
    "ci_width": "confidence of the interval, as 0.95",
    "point": "the estimate; empty where there is none",
    "lower": "lower limit; empty where there is none",
    "upper": "upper limit; empty where there is none",
    "segment": "name of the segment; `all` for every unit",
    "reason": "why there is no estimate, as a word",
    "detail": "the same, as a sentence",
    "sonde": "version of sonde",
    "configuration": "each configuration repository with the commit it was read at; `+uncommitted`"
    " where files were not those of the commit",
    "inputs": "each table with the commit of the Delta table, if it is one, and a digest of the"
    " files that hold the days of the window: `table@17:c0ffee`",
    "query_id": "key of the SQL in `queries`",
    "step": "the step: its basis, period, window and source, or `enrollments`",
    "sql": "the SQL statement; in errors, the one that failed",
    "timestamp": "when it was found, in UTC",
    "log_level": "`ERROR` or `WARNING`",
    "message": "what is wrong, for people",
    "exception_type": "class of the exception, if there was one",
    "exception": "the exception as Python prints it",
    "filename": "file that raised it",
    "func_name": "function that raised it",
    "analysis_id": "the unit: client id, or profile group id",
    "enrollment_date": "day of the first enrollment",
    "num_enrollment_events": "number of enrollment events",
    "<segment>": "one column per segment, by its name: whether the unit is in it",
    "exposure_date": "day of the first exposure; empty: not exposed",
    "num_exposure_events": "number of exposure events",
    "in_several_branches": "whether the unit has more than one row; such units are left out of"
    " results",
    "since": "first day of enrollment, or the day on which it moved to a newer configuration",
    "because": ", ".join(f"`{because}`" for because in Because),
    "revisions": "of what computes, by name, as JSON",
    "light": ", ".join(f"`{light}`" for light in Light),
    "name": "kind of the check, as `sample_ratio`",
    "scope": "what of the experiment: `all`, a day, `segment <name>`, `branch <name>`, a metric",
    "state": ", ".join(f"`{state}`" for state in State),
    "figure": "the number as it is printed",
    "note": "what was found, as a sentence",
    "value": "the number that is compared; empty where none is",
    "threshold": "what it is compared with",
    "todo": "what to do about it; empty when nothing is to be done",
    "health.detail": "further numbers, for charts and tables, as JSON",
    "as_of": "last day whose data were there",
    "headline": "the verdict, in words",
    "effect": "the effect on the key metric, in words",
    "units": "number of units in the window that the verdict is of",
    "run": "when the run's steps were done, in UTC, as `20260105T060000.000000Z`",
    "at": "the same, as a time",
    "sonde_runs.step": "the step, in words",
    "sonde_runs.state": "`done`, `failed` or `skipped`",
    "rows": "number of estimates that were written",
    "seconds": "how long the step took",
    "audience": ", ".join(f"`{audience}`" for audience in Audience),
    "owner": "`experiment <slug>`, or `all` for what is made of all experiments",
    "path": "path of the file within the site",
    "media_type": "its type, as `text/html`",
    "body": "its content, compressed with gzip",
    "etag": "digest of its content",
    "fingerprint": "digest of all that the rows were made from",
}


def pages() -> Iterator[tuple[Path, str]]:
    """The pages that a test compares with the program."""
    yield DOCS / "reference" / "commands.md", commands()
    yield DOCS / "reference" / "tables.md", tables()


def pictures(scale: float) -> Iterator[tuple[Path, bytes]]:
    """The first screen of some pages of the demo, as a browser draws them in daylight."""
    with TemporaryDirectory() as folder, sync_playwright() as playwright:
        _sonde("demo", "--no-serve", "--scale", str(scale), "--dir", f"{folder}/demo")
        _sonde("publish", f"{folder}/site", "--private", "--project", f"{folder}/demo")
        browser = playwright.chromium.launch(
            executable_path=_chromium(), args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(
            viewport={"width": 1280, "height": 920}, device_scale_factor=1, color_scheme="light"
        )
        for name, path in SHOWN.items():
            page.goto((Path(folder) / "site" / path).as_uri())
            yield DOCS / "images" / f"{name}.png", page.screenshot()
        browser.close()


def _chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        sys.exit("the pictures of pages need chromium on PATH")
    return found


def _sonde(*words: str) -> None:
    subprocess.run(  # noqa: S603  our own command
        [sys.executable, "-m", "sonde", *words], stdout=subprocess.DEVNULL, check=True
    )


if __name__ == "__main__":
    for path, text in (*pages(), (DOCS / "images" / "demo.svg", demo(DEMO_SCALE))):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    for path, drawn in pictures(SHOWN_SCALE):
        path.write_bytes(drawn)
