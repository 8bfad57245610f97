"""Laws of addresses."""

from __future__ import annotations

import posixpath
import urllib.parse

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.serve.target import address, candidates, confined, segments
from sonde.table import folder_name

slugs = st.text(st.characters(codec="utf-8"), min_size=1, max_size=200).filter(
    lambda slug: slug not in {".", ".."} and "\0" not in slug
)


@given(slugs)
def test_any_slug_finds_its_files(slug):
    folder, quoted = folder_name(slug), urllib.parse.quote(slug, safe="")
    for before, end, path in (
        ("experiments", "", f"experiments/{folder}.html"),
        ("metrics", "", f"metrics/{folder}.html"),
        ("api/experiments", "", f"api/experiments/{folder}.json"),
        ("api/experiments", "/statistics", f"api/experiments/{folder}/statistics.json"),
    ):
        parts = segments(f"/{before}/{quoted}{end}".encode())
        assert parts is not None
        assert path in [each.path for each in candidates(parts)]


@given(slugs)
def test_a_redirect_leads_to_the_file(slug):
    here = f"/experiments/{urllib.parse.quote(slug, safe='')}"
    parts = segments(here.encode())
    moved = [each for each in candidates(parts) if each.moved_to is not None]
    for each in moved:
        there = urllib.parse.urljoin(f"http://127.0.0.1{here}", each.moved_to)
        again = segments(urllib.parse.urlsplit(there).path.encode())
        assert next(candidates(again)).path == each.path
    assert len(moved) == 1


@given(st.binary(max_size=60).map(lambda tail: b"/" + tail))
def test_whatever_is_asked_for_stays_within_the_site(raw):
    parts = segments(raw)
    for candidate in candidates(parts) if parts is not None else ():
        assert confined(candidate.path)
        assert not posixpath.normpath(candidate.path).startswith(("..", "/"))
        if candidate.moved_to is not None:
            split = urllib.parse.urlsplit(candidate.moved_to)
            assert (split.scheme, split.netloc) == ("", "")


@given(st.lists(slugs, max_size=4).map(tuple))
def test_an_address_is_read_as_it_was_written(parts):
    assert segments(address(parts).encode()) == parts


@pytest.mark.parametrize("raw", [b"", b"experiments", b"*", b"http://x/"])
def test_other_forms_are_no_addresses(raw):
    assert segments(raw) is None
