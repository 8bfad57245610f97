"""`[argo]` in sonde.toml, and what the guides say of it."""

from __future__ import annotations

import re
import textwrap
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest

from sonde.argo.keys import KINDS
from sonde.argo.settings import Argo
from sonde.config.document import Document
from sonde.errors import ConfigError
from sonde.settings import read_settings

DOCS = Path(__file__).parents[2] / "docs"


def read(text="", **environment):
    return read_settings(Document("sonde.toml", text.encode()), Path("/srv"), environment).argo


def test_an_absent_section_means_the_defaults():
    assert read() == Argo()


def test_every_key_is_a_field():
    assert {*KINDS, "memory"} == {field.name for field in fields(Argo)}


def test_the_environment_goes_before_the_file():
    text = '[argo]\nserver = "https://a.example.org"\nparallelism = 3\nsecrets = ["one"]'
    argo = read(
        text,
        SONDE_ARGO_SERVER="https://10.0.0.1:2746/",
        SONDE_ARGO_CA_FILE="ca.pem",
        SONDE_ARGO_PARALLELISM="9",
        SONDE_ARGO_SECRETS="two, three",
    )
    assert argo.server == "https://10.0.0.1:2746"
    assert argo.ca_file == "/srv/ca.pem"
    assert argo.parallelism == 9
    assert argo.secrets == ("two", "three")


def test_the_token_is_no_typing_error():
    """Variables that look like a key, and are none, are refused."""
    read(SONDE_ARGO_TOKEN="x", SONDE_REGISTRY_USER="x", SONDE_REGISTRY_PASSWORD="x")
    with pytest.raises(ConfigError, match='did you mean "SONDE_ARGO_SERVER"'):
        read(SONDE_ARGO_SERVR="x")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_this_machine_needs_no_tls(host):
    assert read(f'[argo]\nserver = "http://{host}:2746"').server == f"http://{host}:2746"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('server = "argo.example.org"', "expected the address of the Argo server, https://"),
        ('server = "http://argo.example.org"', "clear text; write https://"),
        ('cluster = "203.0.113.10"', "the address of the cluster's API, https://203.0.113.10, not"),
        ('cluster = "http://203.0.113.10"', "clear text; write https://"),
        ('namespace = "My Namespace"', "is not a name in Kubernetes"),
        ("parallelism = 0", "expected 1 or more, not 0"),
        ("cpu = 0.5", "expected a whole number"),
        ('memory = "much"', "expected an amount of memory"),
        ("retries = -1", "expected 0 or more"),
        ('volumes = ["lake:relative"]', 'write "claim:/path/in/the/container"'),
        ('project = "./here"', "expected a path in the container"),
        ('servr = "x"', 'unknown key "servr"; did you mean "server"?'),
        ('token = "x"', "a secret does not belong in a file"),
    ],
)
def test_what_is_refused(line, message):
    with pytest.raises(ConfigError, match=r"sonde.toml:2 \[argo\.") as raised:
        read(f"[argo]\n{line}")
    assert message in str(raised.value)


def test_the_guide_has_every_key_with_its_default():
    guide = (DOCS / "argo.md").read_text()
    lines = [line.split("|")[1:-1] for line in guide.splitlines() if line.startswith("| `")]
    rows = {
        name: default
        for names, defaults, *_ in lines
        for name, default in zip(re.findall(r"`(\w+)`", names), defaults.split(", "), strict=False)
    }
    assert rows.keys() >= {field.name for field in fields(Argo)}
    for field in fields(Argo):
        if field.default not in (None, ()):
            assert rows[field.name].strip("` ") == str(field.default), field.name


def test_the_settings_of_the_guide_are_accepted():
    guide = (DOCS / "argo.md").read_text()
    (block,) = re.findall(r"^ *```toml\n(.*?)^ *```", guide, re.DOTALL | re.MULTILINE)
    text = textwrap.dedent(block)
    argo = read(text)
    given = tomllib.loads(text)["argo"]
    assert argo.server == given["server"]
    assert argo.memory == "16GB"
    assert set(given) <= {field.name for field in fields(Argo)}


# From the help of each command of mozilla-jetstream 2026.8.2.
COMMANDS = re.findall(
    r"\S+",
    """
    run run-argo rerun rerun-config-changed rerun-skip ensure-enrollments export-statistics-to-json
    export-metadata-to-json export-experiment-logs-to-json validate_config preview
""",
)
OPTIONS = re.findall(
    r"\S+",
    """
    --experiment_slug --date --config_file --config_repos --private_config_repos --project_id
    --dataset_id --bucket --recreate_enrollments --analysis_periods --metric-slug --statistics-only
    --discrete-metrics --use-glean-ids --sql-output-dir --log_to_bigquery --log-source --debug
    --argo --zone --cluster_id --cluster_ip --cluster_cert --monitor_status --return_status --image
    --image_version --memory-request --start_date --end_date --num-days --enrollment_period
    --platform --generate-population --population-sample-size --is_private --high-data-threshold
    --moderate-data-threshold --use-cloud-function --parallelism
""",
)


def test_every_command_and_option_of_jetstream_has_its_row():
    """In the first column, that of Jetstream; and none without an answer."""
    page = (DOCS / "jetstream.md").read_text()
    rows = [line.split("|")[1:-1] for line in page.splitlines() if line.startswith("| ")]
    theirs = {
        word.rstrip(",")
        for cells in rows
        for name in re.findall(r"`([^`]+)`", cells[0])
        for word in name.split()
    }
    assert set(COMMANDS) | set(OPTIONS) <= theirs
    assert all(cells[1].strip() for cells in rows)
