"""What a browser or a program gets, over real connections."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
import urllib.parse

import httpx
import pytest
from mozilla_nimbus_schemas.jetstream import AnalysisErrors, Metadata, Statistics

from sonde.lake import Lake
from sonde.serve.access import OwnMachine
from sonde.site import SITE, Audience
from sonde.table import folder_name
from tests.serve.conftest import serving
from tests.serve.publication import NASTY, SECRET, experiment_files, write_site, write_small_site


def raw(port, target, headers="", method="GET"):
    """A request exactly as it is written; status, headers and body."""
    with socket.create_connection(("127.0.0.1", port)) as connection:
        request = f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{headers}"
        connection.sendall(f"{request}Connection: close\r\n\r\n".encode("latin-1"))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
    head, _, body = answer.partition(b"\r\n\r\n")
    return int(head.split()[1]), head, body


class SlowLake(Lake):
    """On a disk that answers when it is let."""

    def __init__(self, root):
        super().__init__(root)
        self.asked = 0
        self.fast = threading.Event()
        self.fast.set()

    def receipts(self, table):
        self.asked += 1
        self.fast.wait(10)
        return super().receipts(table)


class TestFiles:
    def test_the_root_is_the_portfolio(self, reader):
        answer = reader.get("/")
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert "open" in answer.text

    def test_gzip_is_sent_as_it_is_stored(self, running):
        gets_gzip = raw(running.port, "/assets/sonde.css", "Accept-Encoding: gzip\r\n")
        assert gzip.decompress(gets_gzip[2]) == b"p{color:red}" * 99
        assert b"content-encoding: gzip" in gets_gzip[1]
        gets_plain = raw(running.port, "/assets/sonde.css")
        assert gets_plain[2] == b"p{color:red}" * 99
        assert b"content-encoding" not in gets_plain[1]
        for head in (gets_gzip[1], gets_plain[1]):
            assert b"vary: Accept-Encoding" in head

    @pytest.mark.parametrize("path", ["/", "/assets/sonde.css", "/api/experiments", "/nowhere"])
    @pytest.mark.parametrize("encoding", ["gzip", "identity"])
    def test_head_is_get_without_a_body(self, reader, path, encoding):
        headers = {"Accept-Encoding": encoding}
        get, head = reader.get(path, headers=headers), reader.head(path, headers=headers)
        assert head.content == b""
        assert head.status_code == get.status_code
        assert [h for h in head.headers.raw if h[0] != b"date"] == [
            h for h in get.headers.raw if h[0] != b"date"
        ]

    def test_what_the_reader_has_is_not_sent_again(self, reader):
        first = reader.get("/")
        tag = first.headers["etag"]
        for said in (tag, f'"other", {tag}', tag.removeprefix("W/"), "*"):
            again = reader.get("/", headers={"If-None-Match": said})
            assert (again.status_code, again.content) == (304, b"")
            assert again.headers["etag"] == tag
            assert again.headers["vary"] == first.headers["vary"]
        assert reader.get("/", headers={"If-None-Match": '"other"'}).status_code == 200

    def test_a_page_without_html_leads_to_the_page(self, reader):
        answer = reader.get("/experiments/open?basis=exposures")
        assert answer.status_code == 307
        assert answer.headers["location"] == "./open.html?basis=exposures"
        assert reader.get("/experiments/open", follow_redirects=True).text.endswith("open")

    def test_a_slug_that_holds_anything(self, reader):
        slug = urllib.parse.quote(NASTY, safe="")
        page = reader.get(f"/experiments/{slug}", follow_redirects=True)
        assert page.status_code == 200
        assert NASTY in page.text
        assert reader.get(f"/api/experiments/{slug}").json()["slug"] == NASTY
        for answer in ("statistics", "errors", "health"):
            assert reader.get(f"/api/experiments/{slug}/{answer}").status_code == 200

    def test_a_path_is_decoded_once(self, running):
        twice = urllib.parse.quote(urllib.parse.quote(NASTY, safe=""), safe="")
        assert raw(running.port, f"/api/experiments/{twice}")[0] == 404

    def test_jetstreams_files_have_their_own_names(self, reader):
        for name in (
            "statistics/statistics_open_weekly.json",
            "metadata/metadata_open.json",
            "errors/errors_open.json",
        ):
            answer = reader.get(f"/jetstream/{name}")
            assert (answer.status_code, answer.headers["content-encoding"]) == (200, "gzip")
            assert answer.headers["content-type"] == "application/json"
            again = reader.get(
                f"/jetstream/{name}", headers={"If-None-Match": answer.headers["etag"]}
            )
            assert (again.status_code, again.content) == (304, b"")

    def test_jetstreams_readers_accept_them(self, reader):
        """The small site's are of a shape that the readers' own schema knows."""
        at = "/jetstream/"
        rows = reader.get(f"{at}statistics/statistics_open_weekly.json").text
        assert len(Statistics.model_validate_json(rows).root) == 1
        Metadata.model_validate_json(reader.get(f"{at}metadata/metadata_open.json").text)
        AnalysisErrors.model_validate_json(reader.get(f"{at}errors/errors_open.json").text)

    def test_the_same_names_as_on_a_plain_web_server(self, reader):
        folder = urllib.parse.quote(folder_name(NASTY))
        assert reader.get(f"/experiments/{folder}.html").status_code == 200
        assert reader.get("/api/experiments/open/statistics.json").status_code == 200
        assert reader.get("/api/experiments.json").json() == reader.get("/api/experiments").json()


class TestSecurity:
    @pytest.mark.parametrize(
        "path", ["/", "/experiments/open", "/api/experiments", "/api/nowhere", "/nowhere"]
    )
    def test_every_answer_is_guarded(self, reader, path):
        headers = reader.get(path).headers
        policy = headers["content-security-policy"].split("; ")
        assert "default-src 'none'" in policy
        assert "script-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers
        assert "server" not in headers

    def test_a_report_carries_its_style_and_no_script(self, reader):
        policy = reader.get("/experiments/open.report.html").headers["content-security-policy"]
        assert "style-src 'self' 'unsafe-inline';" in policy
        assert "script-src 'none'" in policy
        other = reader.get("/experiments/open.html").headers["content-security-policy"]
        assert "style-src 'self';" in other

    @pytest.mark.parametrize(
        "target",
        [
            "/../sonde.toml",
            "/assets/../../sonde.toml",
            "/%2e%2e/sonde.toml",
            "/..%2f..%2fsonde.toml",
            "/assets%2fsonde.css",
            "/assets%5csonde.css",
            "/assets\\sonde.css",
            "/assets/./sonde.css",
            "/assets//sonde.css",
            "/assets/sonde.css/",
            "/assets/sonde.css%00",
            "/assets/%FFsonde.css",
            "//assets/sonde.css",
            "/etc/passwd",
        ],
    )
    def test_no_path_leads_out_of_the_site(self, running, target):
        assert raw(running.port, target)[0] == 404

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
    def test_nothing_can_be_written(self, running, method):
        status, head, _ = raw(running.port, "/", "Content-Length: 0\r\n", method)
        assert status == 405
        assert b"allow: GET, HEAD" in head

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "[::1"])
    def test_other_names_are_not_ours(self, reader, host):
        answer = reader.get("/", headers={"Host": host})
        assert answer.status_code == 421
        assert "open" not in answer.text

    @pytest.mark.parametrize("host", ["localhost", "LOCALHOST:80", "127.0.0.1", "[::1]:8000"])
    def test_names_of_this_machine(self, reader, host):
        assert reader.get("/", headers={"Host": host}).status_code == 200

    def test_names_of_the_settings(self, small_lake):
        named = serving(small_lake, OwnMachine, ("Sonde.example",))
        with named as running, running.reader() as client:
            assert client.get("/", headers={"Host": "sonde.example"}).status_code == 200
            assert client.get("/", headers={"Host": "other.example"}).status_code == 421


class TestErrors:
    @pytest.mark.parametrize("path", ["/api/experiments/none", "/api/x", "/jetstream/x.json"])
    def test_programs_get_json(self, reader, path):
        answer = reader.get(path)
        assert answer.status_code == 404
        assert answer.headers["cache-control"] == "no-store"
        assert answer.json() == {
            "error": {"code": "not_found", "message": "there is nothing at this address"}
        }

    def test_people_get_a_page(self, reader):
        answer = reader.get("/nowhere")
        assert answer.status_code == 404
        assert answer.headers["content-type"].startswith("text/html")
        assert "There is nothing at this address." in answer.text

    def test_nothing_is_published_yet(self, lake):
        with serving(lake, OwnMachine) as running, running.reader() as client:
            answer = client.get("/")
            assert answer.status_code == 404
            assert "sonde run" in answer.text

    def test_a_lost_file_is_said_without_its_place(self, lake):
        write_small_site(lake)
        with serving(lake, OwnMachine) as running:
            for stored in lake.folder(SITE).glob("*.parquet"):
                stored.unlink()
            with running.reader() as client:
                answer = client.get("/api/experiments")
            assert answer.status_code == 503
            assert answer.json()["error"]["code"] == "unavailable"
        # A request's line is written after its answer: all are there once the server has ended.
        assert str(lake.root) not in answer.text + "".join(running.log)
        assert running.log[0].startswith("GET [BackendError] 503")


class TestRefreshing:
    def test_a_new_publication_is_served_within_a_second(self, lake):
        write_small_site(lake)
        with serving(lake, OwnMachine) as running, running.reader() as client:
            old = client.get("/")
            write_site(lake, {(Audience.PUBLIC, "experiment new"): experiment_files("new")})
            write_site(lake, {(Audience.PUBLIC, "all"): {"index.html": "newer"}})
            time.sleep(1.05)
            for _ in range(50):  # at once, unless the machine is busy
                answer = client.get("/", headers={"If-None-Match": old.headers["etag"]})
                if answer.status_code == 200:
                    break
                time.sleep(0.1)
            assert answer.text == "newer"
            assert client.get("/experiments/new.html").status_code == 200

    def test_readers_do_not_wait_for_a_slow_lake(self, lake):
        write_small_site(lake)
        slow = SlowLake(lake.store)
        with serving(slow, OwnMachine) as running, running.reader() as client:
            client.get("/")
            slow.fast.clear()
            time.sleep(1.05)
            started = time.perf_counter()
            for _ in range(5):
                assert client.get("/").status_code == 200
            took = time.perf_counter() - started
            slow.fast.set()
            assert slow.asked == 3  # both tables, then one that keeps it waiting
            assert took < 1

    def test_a_lake_that_cannot_be_read_is_served_as_it_was(self, lake):
        write_small_site(lake)
        with serving(lake, OwnMachine) as running, running.reader() as client:
            client.get("/")
            for entry in (lake.folder(SITE) / "_delta_log").iterdir():
                entry.write_text("broken")
            said = "new publications cannot be read"
            for _ in range(100):
                time.sleep(0.1)
                assert client.get("/").status_code == 200
                if any(said in line for line in running.log):
                    break
            time.sleep(1.2)
            assert client.get("/").status_code == 200
        assert sum(said in line for line in running.log) == 1
        assert str(lake.root) not in "".join(running.log)


class TestToken:
    def test_the_second_address_shows_private_experiments(self, running):
        with running.client() as client:
            assert client.get(f"/experiments/{SECRET}").status_code == 404
            answer = client.get("/", params={"token": running.access.token, "state": "live"})
            assert answer.status_code == 303
            assert answer.headers["location"] == "/?state=live"
            cookie = answer.headers["set-cookie"]
            assert "HttpOnly" in cookie
            assert "SameSite=strict" in cookie
            assert running.access.token not in cookie
            assert SECRET in client.get("/").text
            assert client.get(f"/api/experiments/{SECRET}").json()["slug"] == SECRET

    def test_a_wrong_token_opens_nothing(self, running):
        with running.client() as client:
            for token in ("", "x", running.access.token[:-1], "é"):
                answer = client.get("/", params={"token": token})
                assert answer.status_code == 403
                assert "set-cookie" not in answer.headers
            client.cookies.set(f"sonde-{running.port}", "x")
            assert SECRET not in client.get("/").text

    def test_the_redirect_stays_here(self, running):
        status, head, _ = raw(running.port, f"//evil.example/?token={running.access.token}")
        assert status == 404
        assert b"evil" not in head

    def test_the_token_is_new_for_each_start(self):
        assert OwnMachine(1).token != OwnMachine(1).token
        assert "token" not in repr(OwnMachine(1))

    def test_caches_do_not_mix_readers(self, reader, owner):
        for client, kept in ((reader, "no-cache"), (owner, "private, no-cache")):
            answer = client.get("/")
            assert answer.headers["cache-control"] == kept
            assert answer.headers["vary"] == "Accept-Encoding, Cookie"
        tag = owner.get("/").headers["etag"]
        assert reader.get("/", headers={"If-None-Match": tag}).status_code == 200


class TestLog:
    def test_what_it_says(self, small_lake):
        with serving(small_lake, OwnMachine) as running, running.owner() as client:
            client.get("/experiments/open.html?basis=secretive")
            client.get(f"/experiments/{SECRET}.html")
            client.get("/nowhere/secretive")
        said = [line.rpartition(" ")[0].rpartition(" ")[0] for line in running.log]
        assert said == [
            "GET [login] 303",
            "GET /experiments/open.html 200",
            "GET [private] 200",
            "GET [not found] 404",
        ]
        assert json.dumps(running.log).count(running.access.token) == 0


def test_many_readers_at_once(running):
    with httpx.Client(base_url=running.address, trust_env=False) as client:
        found = []

        def read():
            found.extend(client.get("/").status_code for _ in range(20))

        threads = [threading.Thread(target=read) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [200] * 160
