"""Credentials come from the usual places; what is missing is said."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sonde.errors import BackendError, ConfigError
from sonde.lake import Lake
from sonde.store import Cache, open_store
from sonde.store import bucket as bucket_module
from sonde.store.credentials import aws_options
from tests.store.conftest import without_credentials
from tests.store.servers import gate
from tests.test_lake import contents, fill

CREDENTIALS = """
[default]
aws_access_key_id = usual
aws_secret_access_key = s1
[analysis]
aws_access_key_id = named
aws_secret_access_key = s2
aws_session_token = t2
"""
CONFIG = """
[default]
region = eu-west-1
[profile analysis]
region = eu-north-1
endpoint_url = http://127.0.0.1:9
[profile sso]
sso_session = work
[profile role]
role_arn = arn:aws:iam::1:role/analyst
source_profile = default
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What `aws configure` has written."""
    without_credentials(tmp_path, monkeypatch)
    (tmp_path / ".aws").mkdir()
    (tmp_path / ".aws" / "credentials").write_text(CREDENTIALS)
    (tmp_path / ".aws" / "config").write_text(CONFIG)
    return tmp_path


def test_of_the_usual_profile(home: Path) -> None:
    assert aws_options({}) == {
        "aws_access_key_id": "usual",
        "aws_secret_access_key": "s1",
        "aws_region": "eu-west-1",
    }


def test_of_the_profile_that_is_named(home: Path) -> None:
    assert aws_options({"AWS_PROFILE": "analysis"}) == {
        "aws_access_key_id": "named",
        "aws_secret_access_key": "s2",
        "aws_session_token": "t2",
        "aws_region": "eu-north-1",
        "aws_endpoint_url": "http://127.0.0.1:9",
    }


def test_variables_go_before_files(home: Path) -> None:
    given = {"AWS_ACCESS_KEY_ID": "mine", "AWS_DEFAULT_REGION": "us-east-2"}
    assert aws_options(given) == {}
    assert aws_options({"AWS_WEB_IDENTITY_TOKEN_FILE": "/token"}) == {"aws_region": "eu-west-1"}


def test_of_files_elsewhere(home: Path) -> None:
    elsewhere = home / "elsewhere"
    elsewhere.write_text("[default]\naws_access_key_id = other\naws_secret_access_key = s3\n")
    found = aws_options({"AWS_SHARED_CREDENTIALS_FILE": str(elsewhere)})
    assert found["aws_access_key_id"] == "other"


def test_without_any_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_credentials(tmp_path, monkeypatch)
    assert aws_options({}) == {}


@pytest.mark.parametrize(
    ("profile", "said"),
    [
        ("nobody", 'there is no profile "nobody" .*; correct AWS_PROFILE, or run `aws configure'),
        ("sso", r"gets its keys elsewhere \(sso_session\); put them into the environment first"),
        ("role", r"gets its keys elsewhere \(role_arn\)"),
    ],
)
def test_a_profile_that_is_of_no_use(home: Path, profile: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        aws_options({"AWS_PROFILE": profile})


def test_a_file_that_cannot_be_read(home: Path) -> None:
    (home / ".aws" / "config").write_text("region = eu-west-1\n")
    with pytest.raises(ConfigError, match=r"\.aws/config cannot be read"):
        aws_options({})


def test_a_lake_with_the_keys_of_a_profile(
    home: Path, s3: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both clients are given them: that of the log, and that of the files."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION"):
        monkeypatch.delenv(name)
    lake = Lake.open(s3)
    fill(lake, ("a", "1"), (1,), "f")
    assert contents(lake) == {("a", "1"): [1]}


ADDRESSES = {
    "s3://": "names no bucket; write s3://bucket/folder",
    "gs:///folder": "names no bucket; write gs://bucket/folder",
    "https://bucket.s3.amazonaws.com/lake": "in a bucket at s3://.. or gs://.., not at https://",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_none(tmp_path: Path, address: str) -> None:
    with pytest.raises(ConfigError, match=ADDRESSES[address]):
        open_store(address, Cache(tmp_path))


@pytest.mark.parametrize("missing", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"])
def test_half_of_a_key(s3: str, monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.delenv(missing)
    with pytest.raises(BackendError, match=f"there are no credentials for {s3}; set AWS_ACCESS"):
        Lake.open(s3)


def test_a_store_that_cannot_be_reached(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_PATIENCE", 1)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    said = (
        f"{s3} cannot be reached at http://127.0.0.1:9; look at the network and at "
        "AWS_ENDPOINT_URL, and run again"
    )
    with pytest.raises(BackendError) as raised:
        Lake.open(s3)
    assert str(raised.value) == said


def test_a_store_that_says_nothing(s3: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket_module, "_PATIENCE", 1)
    monkeypatch.setattr(bucket_module, "_SILENCE", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{silent.getsockname()[1]}")
        with pytest.raises(BackendError, match="cannot be reached at"):
            Lake.open(s3)


def test_a_store_that_refuses_for_now(
    s3: str, amazon: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_PATIENCE", 1)
    with gate(amazon, lambda number, method, path: 503) as between:
        monkeypatch.setenv("AWS_ENDPOINT_URL", between.address)
        with pytest.raises(BackendError, match=r"refuses requests for now at .*; run again later"):
            Lake.open(s3)
        assert len(between.asked) > 1, "it was tried again"
