from __future__ import annotations

import fcntl
import json
import os

import pytest

from sonde.errors import BackendError, ConfigError
from sonde.serve.static import MANIFEST, Published, write_static
from sonde.site import Audience, Site
from tests.serve.publication import SECRET, experiment_files, write_site

PUBLIC, PRIVATE = Audience.PUBLIC, Audience.PRIVATE


@pytest.fixture
def site(small_lake):
    site = Site(small_lake)
    site.refresh()
    return site


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "public"


class StoppingSite(Site):
    """Somebody presses Ctrl-C after some files."""

    def __init__(self, lake, files):
        super().__init__(lake)
        self.left = files

    def get(self, path, private):
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt
        return super().get(path, private)


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MANIFEST
    }


def published(lake, owners):
    write_site(lake, owners)
    site = Site(lake)
    site.refresh()
    return site


class TestWriting:
    def test_every_file_of_the_site_as_it_reads(self, site, folder):
        done = write_static(site, folder, private=False)
        found = contents(folder)
        assert set(found) == {*site.paths(private=False), "api/openapi.json"}
        assert done == Published(len(found), 0, 0)
        assert found["assets/sonde.css"] == b"p{color:red}" * 99
        assert json.loads(found["api/experiments/open.json"])["slug"] == "open"
        beside = {path.name for path in folder.iterdir()} - {path.split("/")[0] for path in found}
        assert beside == {MANIFEST}

    def test_the_private_site(self, site, folder):
        write_static(site, folder, private=True)
        found = contents(folder)
        assert SECRET.encode() in found["index.html"]
        assert f"experiments/{SECRET}.html" in found
        assert "experiments/open.html" in found

    def test_again_nothing_is_written(self, site, folder):
        write_static(site, folder, private=False)
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        done = write_static(site, folder, private=False)
        assert done == Published(0, len(contents(folder)), 0)
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    def test_only_what_changed_is_written(self, lake, folder):
        first = {(PUBLIC, "all"): {"a.html": "1", "b.html": "1", "c/d.html": "1"}}
        write_static(published(lake, first), folder, private=False)
        kept = (folder / "a.html").stat().st_ino
        second = {(PUBLIC, "all"): {"a.html": "1", "b.html": "2"}}
        done = write_static(published(lake, second), folder, private=False)
        assert done == Published(1, 2, 1)
        assert (folder / "a.html").stat().st_ino == kept
        assert (folder / "b.html").read_text() == "2"
        assert not (folder / "c").exists()

    def test_what_somebody_removed_or_cut_is_written_again(self, site, folder):
        write_static(site, folder, private=False)
        (folder / "index.html").unlink()
        (folder / "assets" / "sonde.css").write_text("cut")
        assert write_static(site, folder, private=False).written == 2
        assert (folder / "assets" / "sonde.css").read_text() == "p{color:red}" * 99

    def test_private_pages_go_when_the_public_site_takes_their_place(self, site, folder):
        write_static(site, folder, private=True)
        done = write_static(site, folder, private=False)
        assert done.removed == len(experiment_files(SECRET))
        assert all(SECRET not in path for path in contents(folder))
        assert SECRET not in (folder / MANIFEST).read_text()


class TestOthersFiles:
    def test_they_are_not_replaced(self, site, folder):
        folder.mkdir()
        (folder / "index.html").write_text("mine")
        with pytest.raises(ConfigError, match=r"index.html was not written by `sonde publish`"):
            write_static(site, folder, private=False)
        assert contents(folder) == {"index.html": b"mine"}

    def test_they_are_not_removed(self, lake, folder):
        write_static(published(lake, {(PUBLIC, "all"): {"a/b.html": "1"}}), folder, private=False)
        (folder / "a" / "mine.txt").write_text("mine")
        (folder / "CNAME").write_text("mine")
        write_static(published(lake, {(PUBLIC, "all"): {"x.html": "1"}}), folder, private=False)
        assert (folder / "a" / "mine.txt").read_text() == "mine"
        assert (folder / "CNAME").read_text() == "mine"
        assert not (folder / "a" / "b.html").exists()

    def test_a_file_in_place_of_a_folder(self, site, folder):
        folder.mkdir()
        (folder / "api").write_text("mine")
        with pytest.raises(ConfigError, match="api was not written by"):
            write_static(site, folder, private=False)

    def test_a_link_out_of_the_folder_is_not_followed(self, site, folder, tmp_path):
        outside = tmp_path / "outside"
        outside.mkdir()
        folder.mkdir()
        (folder / "experiments").symlink_to(outside)
        with pytest.raises(ConfigError, match="leads elsewhere"):
            write_static(site, folder, private=False)
        assert list(outside.iterdir()) == []

    def test_a_manifest_of_somebody_else(self, site, folder):
        folder.mkdir()
        for text in ("x", "[]", '{"format": 1, "files": {"../x": ["a", 1]}}'):
            (folder / MANIFEST).write_text(text)
            with pytest.raises(ConfigError, match="was not written by"):
                write_static(site, folder, private=False)

    def test_a_manifest_of_a_newer_sonde(self, site, folder):
        folder.mkdir()
        (folder / MANIFEST).write_text(json.dumps({"format": 99, "files": {}}))
        with pytest.raises(ConfigError, match="newer sonde"):
            write_static(site, folder, private=False)


class TestFailures:
    @pytest.mark.parametrize("path", ["../x.html", "/x.html", "a/../../x.html", "a\\..\\x.html"])
    def test_no_path_leaves_the_folder(self, lake, folder, path, tmp_path):
        site = published(lake, {(PUBLIC, "all"): {"index.html": "", path: "out"}})
        with pytest.raises(BackendError, match="leave its folder"):
            write_static(site, folder, private=False)
        assert list(tmp_path.rglob("*.html")) == []

    def test_what_was_interrupted_is_finished_by_the_next(self, site, small_lake, folder):
        """At whichever file it stopped."""
        count = len(site.paths(private=False))
        for stop in range(0, count, 4):
            place = folder / str(stop)
            stopping = StoppingSite(small_lake, stop)
            stopping.refresh()
            with pytest.raises(KeyboardInterrupt):
                write_static(stopping, place, private=False)
            done = write_static(site, place, private=False)
            assert set(contents(place)) == {*site.paths(private=False), "api/openapi.json"}
            assert done.removed == 0

    def test_one_at_a_time(self, site, folder):
        folder.mkdir()
        handle = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            with pytest.raises(BackendError, match="something else is publishing"):
                write_static(site, folder, private=False)
        finally:
            os.close(handle)
        assert write_static(site, folder, private=False).written

    def test_a_file_where_the_folder_should_be(self, site, folder):
        folder.write_text("mine")
        with pytest.raises(BackendError, match="cannot be written"):
            write_static(site, folder, private=False)
