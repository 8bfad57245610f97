from __future__ import annotations

import gzip

import pytest

from sonde.errors import BackendError
from sonde.lake import Lake
from sonde.site import SITE, Audience, Site
from sonde.table import folder_name
from tests.serve.publication import NASTY, SECRET, experiment_files, write_site, write_small_site

PUBLIC, PRIVATE = Audience.PUBLIC, Audience.PRIVATE


@pytest.fixture
def lake(tmp_path):
    return Lake.open(tmp_path / "lake")


@pytest.fixture
def site(lake):
    write_small_site(lake)
    site = Site(lake)
    site.refresh()
    return site


def text(site, path, private=False):
    file = site.get(path, private)
    return None if file is None else gzip.decompress(file.body).decode()


class TestReading:
    def test_nothing_is_published(self, lake):
        site = Site(lake)
        site.refresh()
        assert site.paths(True) == []
        assert site.get("index.html", True) is None

    def test_a_file_comes_as_it_was_written(self, site):
        file = site.get("assets/sonde.css", False)
        assert file is not None
        assert (file.path, file.media_type) == ("assets/sonde.css", "text/css")
        assert gzip.decompress(file.body) == b"p{color:red}" * 99

    def test_a_slug_that_holds_anything(self, site):
        assert NASTY in text(site, f"experiments/{folder_name(NASTY)}.html")

    def test_a_lost_file_is_an_error_for_the_operator(self, site, lake):
        for stored in lake.folder(SITE).glob("*.parquet"):
            stored.unlink()
        with pytest.raises(BackendError, match="cannot be read"):
            site.get("index.html", False)


class TestAudiences:
    def test_who_may_sees_the_private_file_first_then_the_public_one(self, site):
        assert SECRET in text(site, "index.html", private=True)
        assert text(site, f"experiments/{SECRET}.html", private=True)
        assert text(site, "experiments/open.html", private=True)

    def test_who_may_not_sees_public_files_only(self, site):
        assert SECRET not in text(site, "index.html")
        assert text(site, f"experiments/{SECRET}.html") is None
        seen = "".join(path + text(site, path) for path in site.paths(False))
        assert "open" in seen
        assert SECRET not in seen

    def test_an_audience_of_a_later_version_is_not_public(self, site, lake):
        write_site(lake, {("partners", "all"): {"later.html": "x"}})
        site.refresh()
        assert site.get("later.html", False) is None
        assert site.get("later.html", True)

    def test_paths(self, site):
        assert set(site.paths(True)) - set(site.paths(False)) == set(experiment_files(SECRET))


class TestRefreshing:
    def test_only_partitions_that_changed_are_read(self, site, lake):
        kept = site.entry("experiments/open.html", False)
        write_site(
            lake,
            {
                (PUBLIC, "all"): {"index.html": "new"},
                (PUBLIC, "experiment later"): experiment_files("later"),
                (PUBLIC, f"experiment {NASTY}"): None,
            },
        )
        assert "open" in text(site, "index.html")
        site.refresh()
        assert text(site, "index.html") == "new"
        assert text(site, "experiments/later.html")
        assert text(site, f"experiments/{folder_name(NASTY)}.html") is None
        assert site.entry("experiments/open.html", False) is kept

    def test_an_experiment_made_private_disappears(self, site, lake):
        write_site(
            lake,
            {
                (PUBLIC, "experiment open"): None,
                (PRIVATE, "experiment open"): experiment_files("open"),
            },
        )
        site.refresh()
        assert text(site, "experiments/open.html") is None
        assert text(site, "experiments/open.html", private=True)


class TestMemory:
    def test_bodies_asked_for_least_lately_go_first(self, lake):
        large = {f"{n}.html": bytes(range(256)) * 40 for n in range(3)}
        for name, content in large.items():
            write_site(lake, {(PUBLIC, name): {name: content}})
        one = Site(lake)
        one.refresh()
        size = len(one.get("0.html", False).body)
        site = Site(lake, memory=2 * size)
        site.refresh()
        for name in ("0.html", "1.html", "0.html", "2.html"):
            assert site.get(name, False)
        held = [name for name in large if site.at_hand(site.entry(name, False))]
        assert held == ["0.html", "2.html"]

    def test_one_file_larger_than_the_memory_is_served(self, lake):
        write_small_site(lake)
        site = Site(lake, memory=1)
        site.refresh()
        assert text(site, "index.html")

    def test_what_is_no_longer_published_is_forgotten(self, site, lake):
        old = site.entry("index.html", False)
        site.file(old)
        assert site.at_hand(old)
        write_site(lake, {(PUBLIC, "all"): {"index.html": "new"}})
        site.refresh()
        assert not site.at_hand(old)
