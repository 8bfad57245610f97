"""What the documentation says is there is there."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import click
import pytest

from sonde.cli import sonde
from sonde.config import Configuration, keys, parse_records, to_text, validate
from sonde.config.check import dummy_record
from sonde.config.document import Document
from sonde.lake import Lake
from sonde.run.runner import Resources, runner
from sonde.runs import RUNS_COLUMNS
from sonde.settings import _KEYS, _PLATFORM, read_settings
from sonde.sql import check
from sonde.stats.estimate import Reason
from sonde.stats.pretreatment import PRE_TREATMENTS
from sonde.stats.registry import STATISTICS
from tests.pages import small

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md")])
CONTEXT = click.Context(sonde, info_name="sonde")
COMMANDS = sonde.list_commands(CONTEXT)
# Announced by the command line, and not written yet: what needs them is expected to fail.
PENDING = [name for name in COMMANDS if importlib.util.find_spec(f"sonde.cli.{name}") is None]

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())


def blocks(page: Path, kind: str) -> list[str]:
    """The code blocks of a page that are of a kind."""
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)


def prose(page: Path) -> str:
    """A page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def anchors(page: Path) -> set[str]:
    """The names by which the sections of a page can be linked to."""
    headings = re.findall(r"^#+ (.+)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    pending = []
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        if linked.stem in PENDING and not linked.exists():
            pending.append(target)
            continue
        assert linked.exists(), f"{page.name} links to {target}"
        assert not anchor or anchor in anchors(linked), f"{page.name} links to {target}"
    if pending:
        pytest.xfail(f"not written yet: {pending}")


def written_commands(page: Path) -> Iterator[list[str]]:
    """Each command of sonde on a page, in words."""
    in_blocks = [line for block in blocks(page, "") for line in block.splitlines()]
    inline = re.findall(r"`(sonde [^`]+)`", prose(page))
    for line in [*in_blocks, *inline]:
        words = shlex.split(line.partition("#")[0], posix=False)
        if words[:1] == ["sonde"] and len(words) > 1 and words[1].isalpha():
            yield words[1:]


@pytest.mark.parametrize("name", ["portfolio", "experiment"])
def test_pictures_of_pages(name: str) -> None:
    """That they are there, small, and 1280 wide; what they show is the browser's matter."""
    picture = (DOCS / "images" / f"{name}.png").read_bytes()
    assert picture.startswith(b"\x89PNG\r\n")
    assert int.from_bytes(picture[16:20], "big") == 1280
    assert len(picture) < 200_000
    assert set(generator().SHOWN) == {"portfolio", "experiment"}


def test_a_page_shows_each_picture() -> None:
    said = "".join(page.read_text() for page in PAGES)
    missing = [name for name in generator().SHOWN if f"images/{name}.png)" not in said]
    assert missing == []


@each_page
def test_commands_and_their_options_exist(page: Path) -> None:
    if page.parent.name == "reference":
        pytest.skip("written from the commands themselves")
    for name, *words in written_commands(page):
        assert name in COMMANDS, f"{page.name}: sonde {name}"
        if name in PENDING:
            continue
        command = sonde.get_command(CONTEXT, name)
        assert command is not None
        known = {option for parameter in command.params for option in parameter.opts}
        for word in words:
            if word.startswith("--"):
                assert word.split("=")[0] in known, f"{page.name}: sonde {name} {word}"


def test_the_make_commands_of_the_readme_exist() -> None:
    wanted = re.findall(r"(?:^|`)make (\w+)", (ROOT / "README.md").read_text(), re.MULTILINE)
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert wanted
    assert set(wanted) <= set(targets)


def test_every_command_is_in_the_reference() -> None:
    page = (DOCS / "reference" / "commands.md").read_text()
    found = re.findall(r"^## sonde (\w+)$", page, re.MULTILINE)
    assert [*found, *PENDING] == sorted(COMMANDS, key=PENDING.__contains__)


def test_the_page_of_commands_is_up_to_date() -> None:
    if PENDING:
        pytest.xfail(f"not written yet: {PENDING}")
    page = (DOCS / "reference" / "commands.md").read_text()
    assert page == generator().commands(), "run `make docs`"


def test_the_page_of_tables_is_up_to_date() -> None:
    page = (DOCS / "reference" / "tables.md").read_text()
    assert page == generator().tables(), "run `make docs`"


def test_every_table_that_is_written_is_in_the_reference(tmp_path: Path) -> None:
    """Of a project that ran and was published: no table, and no column, is left out."""
    text = (DOCS / "reference" / "tables.md").read_text()
    column = re.compile(r"^\| `(.+?)`", re.MULTILINE)
    sections = (part.partition("\n") for part in text.split("\n## ")[1:])
    listed = {title: set(column.findall(rows)) for title, _, rows in sections}
    failing = '[experiment]\nis_private = true\ndataset_id = "hush"\n'
    failing += '[metrics]\nweekly = ["broken"]\n[metrics.broken.statistics.linear_model_mean]\n'
    small.run(small.write_project(tmp_path, {"one": small.EXPERIMENT, "two": failing}))
    lake = Lake.open(tmp_path / "lake")
    found: dict[str, set[str]] = {}
    for table in [t for folder in ("sonde", "hush", "sonde_private") for t in lake.tables(folder)]:
        title = re.sub("enrollments/.+", "enrollments/&lt;slug&gt;", table.path.partition("/")[2])
        columns = lake.read(table).column_names
        named = ("<segment>" if name in small.SEGMENTS else name for name in columns)
        found.setdefault(title, set()).update(named)
    assert found == listed


def named_tests(place: str) -> set[str]:
    """The names of the tests in a folder or file."""
    path = ROOT / place
    texts = [each.read_text() for each in ([path] if path.is_file() else path.rglob("test_*.py"))]
    return {name for text in texts for name in re.findall(r"def (test_\w+)\(", text)}


def test_every_difference_from_jetstream_has_its_test() -> None:
    sections = (DOCS / "compatibility.md").read_text().split("\n## ")[1:]
    for section in sections:
        places = re.findall(r"`(tests/[\w/.]+)`", section)
        there = {name for place in places for name in named_tests(place)}
        named = set(re.findall(r"`(test_\w+)`", section)) - {"test_parity"}
        assert named, section.splitlines()[0]
        assert named <= there, f"{section.splitlines()[0]}: {sorted(named - there)}"
        rows = [line for line in section.splitlines() if line.startswith("| ")][2:]
        assert all(re.search(r"\| `test_\w+` \|$", row) for row in rows)


def test_every_key_of_sonde_toml_is_in_the_guide() -> None:
    page = DOCS / "daily.md"
    said = set(re.findall(r"`([a-z]+\.[\w.<>]+)`", page.read_text()))
    for block in blocks(page, "toml"):
        for section, table in tomllib.loads(block).items():
            said |= {f"{section}.{key}" for key in table}
    known = {f"{key.section}.{key.name}" for key in _KEYS}
    assert known | {f"platforms.<app>.{key}" for key in _PLATFORM} <= said
    assert any(name.startswith("tables.") for name in said)


def test_the_settings_of_the_guide_are_accepted() -> None:
    text = "\n".join(blocks(DOCS / "daily.md", "toml"))
    settings = read_settings(Document("sonde.toml", text.encode()), Path("/project"), {})
    assert settings.config_repos == ("/project/metric-hub",)
    assert settings.tables["telemetry.*"] == "/data/exports/{table}/*.parquet"


def test_the_settings_of_runners_are_accepted() -> None:
    local, cluster = (
        read_settings(Document("sonde.toml", block.encode()), Path("/project"), {})
        for block in blocks(DOCS / "runners.md", "toml")
    )
    for each in (local, cluster):
        resources = Resources(each.workers, each.memory, each.scheduler)
        assert runner(each.runner, resources).__class__.__name__.lower() == each.runner


def test_the_columns_of_runs_are_in_the_guide() -> None:
    page = (DOCS / "runners.md").read_text()
    assert all(f"`{name}`" in page for name in ["run", *RUNS_COLUMNS.names])


def test_the_experiments_of_the_guide_can_be_read() -> None:
    (text,) = blocks(DOCS / "daily.md", "json")
    found = parse_records(json.loads(text))
    assert found.errors == ()
    assert [record.slug for record in found.records] == ["search-as-you-type"]


def test_the_configuration_of_the_guide_means_what_it_says(tmp_path: Path) -> None:
    """Each block names its file in the first line; together they are a repository."""
    for block in blocks(DOCS / "configuration.md", "toml"):
        path = tmp_path / block.splitlines()[0].removeprefix("# ")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block)
    assert [str(error) for error in validate([tmp_path], check_sql=check)] == []
    configuration = Configuration.load([tmp_path])
    record = dummy_record("search-as-you-type", "firefox_desktop", configuration.platforms)
    resolved = configuration.resolve(record)
    assert resolved.warnings == ()
    text = to_text(resolved)
    assert "COUNTIF(tab_count > 20)" in text
    assert "search_count (week, overall)" in text
    assert "uri_count (week)" in text


@pytest.mark.parametrize(
    "table", ["EXPERIMENT", "METRIC", "AGGREGATION", "PERIOD_KEYS", "SECTIONS_OF_AN_EXPERIMENT"]
)
def test_keys_of_the_configuration_are_in_the_guide(table: str) -> None:
    page = (DOCS / "configuration.md").read_text()
    sections = ("experiment", "metrics", "data_sources", "segments", "parameters", "functions")
    wanted = sections if table == "SECTIONS_OF_AN_EXPERIMENT" else getattr(keys, table)
    without_effect = {"cumulative_window", "incremental_window", "repeat_windows", "name"}
    for key in set(wanted) - without_effect:
        assert re.search(rf"[`\[\n.]{key}\b", page), key


def test_every_statistic_and_its_parameters_are_in_the_guide() -> None:
    page = (DOCS / "statistics.md").read_text()
    lines = re.findall(r"^## (.+)$", page, re.MULTILINE)
    headings = {name for line in lines for name in line.split(", ")}
    assert set(STATISTICS) <= headings
    for name, statistic in STATISTICS.items():
        for field in dataclasses.fields(statistic):  # type: ignore[arg-type]
            assert f"`{field.name}`" in page, f"{name}: {field.name}"
    for name in PRE_TREATMENTS:
        assert f"| `{name}` |" in page
    for reason in Reason:
        assert f"`{reason.value}`" in page


def test_the_statistic_of_the_guide_exists() -> None:
    (block,) = blocks(DOCS / "statistics.md", "toml")
    for metric in tomllib.loads(block)["metrics"].values():
        for name, params in metric["statistics"].items():
            assert STATISTICS[name].from_params(params).label == "mean_lm"
