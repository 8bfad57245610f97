"""Nobody without the right reads of a private experiment, anywhere."""

from __future__ import annotations

import json
import urllib.parse

import pytest

from sonde.serve.access import OwnMachine
from sonde.serve.static import write_static
from sonde.site import Site
from sonde.table import folder_name
from sonde.wire.names import normalized
from tests.serve.conftest import serving
from tests.serve.publication import NASTY, SECRET, experiment_files


def names_it(text):
    """Whether the secret slug is in it, in any form that names of files have."""
    return SECRET in text or normalized(SECRET) in text


def whole(answer):
    """All that was sent, but the clock."""
    headers = sorted((name, value) for name, value in answer.headers.raw if name != b"date")
    return answer.status_code, headers, answer.content


def addresses(slug):
    """Every way to ask for an experiment."""
    folder, quoted = urllib.parse.quote(folder_name(slug)), urllib.parse.quote(slug, safe="")
    files = [f"/{urllib.parse.quote(path)}" for path in experiment_files(slug)]
    api = [f"/api/experiments/{quoted}{end}" for end in ("", "/statistics", "/errors", "/health")]
    return [*files, *api, f"/experiments/{quoted}", f"/experiments/{folder}", f"/{quoted}"]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_private_experiment_is_like_one_that_never_was(reader, method):
    never = "-".join(reversed(SECRET.split("-")))
    assert len(never) == len(SECRET)
    for private, absent in zip(addresses(SECRET), addresses(never), strict=True):
        for headers in ({}, {"If-None-Match": "*"}, {"Accept-Encoding": "identity"}):
            found = whole(reader.request(method, private, headers=headers))
            assert found == whole(reader.request(method, absent, headers=headers))
            assert found[0] == 404


def test_no_answer_names_it(running, reader, small_lake):
    site = Site(small_lake)
    site.refresh()
    public = [f"/{urllib.parse.quote(path)}" for path in site.paths(private=True)]
    asked = ["/", "/api/openapi.json", *public, *addresses(NASTY), *addresses(SECRET)]
    for address in asked:
        for method in ("GET", "HEAD", "POST"):
            answer = reader.request(method, address, follow_redirects=False)
            sent = str(answer.headers.raw) + answer.text
            assert not names_it(sent), address
    with_token = reader.get("/", params={"token": SECRET})
    assert SECRET not in with_token.text + str(with_token.headers.raw)


def test_the_log_never_names_it(small_lake):
    with serving(small_lake, OwnMachine) as running:
        for client in (running.reader(), running.owner()):
            with client as asking:
                for address in addresses(SECRET):
                    asking.get(address, params={"from": SECRET})
    assert sum("[private]" in line for line in running.log) >= len(experiment_files(SECRET))
    assert sum("[not found]" in line for line in running.log) >= len(addresses(SECRET))
    assert not names_it("\n".join(running.log))


def test_the_one_with_the_right_is_asked_the_same_and_sees_it(owner):
    for address in addresses(SECRET)[:-2]:
        assert owner.get(address, follow_redirects=True).status_code == 200, address


def test_no_published_file_names_it(small_lake, tmp_path):
    site = Site(small_lake)
    site.refresh()
    write_static(site, tmp_path / "public", private=False)
    files = [path for path in (tmp_path / "public").rglob("*") if path.is_file()]
    assert len(files) > 10
    for path in files:
        assert not names_it(f"{path} {path.read_text()}")
    write_static(site, tmp_path / "private", private=True)
    manifest = json.loads((tmp_path / "private" / ".sonde-site.json").read_text())
    assert any(SECRET in path for path in manifest["files"])
