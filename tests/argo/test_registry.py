"""A real registry, and servers that answer as others do."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler

import pytest

from sonde.argo.images import Name, in_force
from sonde.argo.registry import Registry
from sonde.errors import BackendError, ConfigError
from tests.argo import oci
from tests.argo.tls import Authority, serving

JANUARY, MARCH = datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 3, 1, tzinfo=UTC)
LOGIN = {"SONDE_REGISTRY_USER": "ann", "SONDE_REGISTRY_PASSWORD": "hunter22"}


@pytest.fixture(scope="module")
def host(tmp_path_factory):
    with oci.registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


def images_of(host, path):
    return Registry(Name(host, path), {})


@oci.needs_registry
class TestARealRegistry:
    def test_images_with_their_tags_and_times(self, host):
        push = oci.Pusher(host, "team/sonde")
        first = push.image("v1", "2023-01-01T00:00:00Z")
        third = push.image("v2", "2023-03-01T00:00:00Z")
        assert push.image("latest", "2023-03-01T00:00:00Z") == third
        images = images_of(host, "team/sonde")
        listed = {image.digest: image for image in images.list_images()}
        assert listed.keys() == {first, third}
        assert (listed[first].tags, listed[first].time) == (("v1",), JANUARY)
        assert (set(listed[third].tags), listed[third].time) == ({"v2", "latest"}, MARCH)
        assert images.find("v1").digest == first
        assert images.find("latest").digest == images.find(third).digest == third

    def test_what_is_not_there(self, host):
        oci.Pusher(host, "few").image("v1", "2023-01-01T00:00:00Z")
        images = images_of(host, "few")
        assert images.find("v2") is None
        assert images.find(f"sha256:{'0' * 64}") is None
        assert images.find("../../../etc") is images.find("a b") is images.find("") is None
        with pytest.raises(ConfigError, match=r"there is no image .*/absent; push it"):
            images_of(host, "absent").list_images()

    def test_the_time_it_says_itself_before_that_of_its_configuration(self, host):
        push = oci.Pusher(host, "reproducible")
        push.image("v1", "1970-01-01T00:00:00Z", "2023-01-01T01:00:00+01:00")
        assert [image.time for image in images_of(host, "reproducible").list_images()] == [JANUARY]

    @pytest.mark.parametrize("created", ["1970-01-01T00:00:00Z", "yesterday", None])
    def test_no_time_rather_than_a_wrong_one(self, host, created):
        path = f"undated-{created}".lower()[:11]
        oci.Pusher(host, path).image("v1", created)
        listed = images_of(host, path).list_images()
        assert [image.time for image in listed] == [None]
        assert in_force(listed, MARCH.date()) is None

    def test_nanoseconds_as_docker_writes_them(self, host):
        oci.Pusher(host, "docker").image("v1", "2023-03-01T00:00:00.123456789Z")
        (image,) = images_of(host, "docker").list_images()
        assert image.time == MARCH.replace(microsecond=123456)

    def test_an_image_for_several_platforms_is_pinned_as_a_whole(self, host):
        push = oci.Pusher(host, "platforms")
        push.image("arm", "2023-01-01T00:00:00Z")
        one = push.image("amd", "2023-03-01T00:00:00Z")
        both = push.index("both", one)
        images = images_of(host, "platforms")
        assert images.find("both").digest == both
        (image,) = [each for each in images.list_images() if each.digest == both]
        assert image.time == MARCH

    def test_more_tags_than_a_page_holds(self, host):
        push = oci.Pusher(host, "many")
        pushed = push.image("t0", "2023-01-01T00:00:00Z")
        for number in range(1, 205):
            push.image(f"t{number}", "2023-01-01T00:00:00Z")
        (image,) = images_of(host, "many").list_images()
        assert image.digest == pushed
        assert len(image.tags) == 205

    def test_a_registry_with_passwords(self, tmp_path):
        (tmp_path / "passwords").write_text(oci.PASSWORDS)
        auth = f"auth: {{htpasswd: {{realm: r, path: '{tmp_path}/passwords'}}}}\n"
        with oci.registry(tmp_path, auth) as host:
            name = Name(host, "team/sonde")
            with pytest.raises(ConfigError, match="there is no image"):
                Registry(name, LOGIN).list_images()
            for environment in ({}, {**LOGIN, "SONDE_REGISTRY_PASSWORD": "wrong"}):
                with pytest.raises(ConfigError, match=r"set SONDE_REGISTRY_USER and SONDE_REG"):
                    Registry(name, environment).list_images()


def answering(respond):
    """A server: `respond(path, headers)` gives status, headers and body."""

    class Handler(BaseHTTPRequestHandler):
        def go(self):
            status, headers, body = respond(self.path, self.headers)
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_HEAD = go  # noqa: N815

        def log_message(self, *_):
            pass

    return Handler


class TestOtherRegistries:
    def test_a_token_is_asked_for_where_the_registry_says(self):
        """As those of the large hosts do: a password buys a token for one repository."""
        asked = []

        def respond(path, headers):
            asked.append(path)
            if path.startswith("/token"):
                right = headers["Authorization"] == "Basic YW5uOmh1bnRlcjIy"  # ann:hunter22
                return 200, {}, {"token": "t0" if right else "none"}
            if headers["Authorization"] != "Bearer t0":
                realm = f'Bearer realm="http://{headers["Host"]}/token",service="images"'
                return 401, {"WWW-Authenticate": realm}, {}
            return 200, {"Docker-Content-Digest": f"sha256:{'7' * 64}"}, {}

        with serving(answering(respond)) as port:
            name = Name(f"127.0.0.1:{port}", "team/sonde")
            assert Registry(name, LOGIN).find("v1").digest == f"sha256:{'7' * 64}"
            with pytest.raises(ConfigError, match="does not let you read team/sonde"):
                Registry(name, {}).find("v1")
        assert asked[1] == "/token?service=images&scope=repository%3Ateam%2Fsonde%3Apull"

    @pytest.mark.parametrize(
        ("status", "body", "message"),
        [
            (503, {}, "answers 503; try again"),
            (200, "<html>", "does not answer as a registry does"),
            (200, [], "does not answer as a registry does"),
        ],
    )
    def test_a_server_in_trouble(self, status, body, message):
        with (
            serving(answering(lambda *_: (status, {}, body))) as port,
            pytest.raises(BackendError, match=message),
        ):
            Registry(Name(f"127.0.0.1:{port}", "a"), {}).list_images()

    def test_nobody_there(self):
        with serving(answering(lambda *_: (200, {}, {}))) as port:
            pass
        with pytest.raises(BackendError, match=rf"registry 127.0.0.1:{port} cannot be reached"):
            Registry(Name(f"127.0.0.1:{port}", "a"), {}).list_images()

    def test_a_certificate_that_nobody_trusts(self, tmp_path, monkeypatch):
        """0.0.0.0 leads to this machine, and is no address of its own: so it needs TLS."""
        authority = Authority(tmp_path)
        respond = answering(lambda *_: (200, {"Docker-Content-Digest": f"sha256:{'7' * 64}"}, {}))
        with serving(respond, authority.context("0.0.0.0")) as port:
            images = Registry(Name(f"0.0.0.0:{port}", "a"), {})
            with pytest.raises(ConfigError, match=r"is not trusted.*REQUESTS_CA_BUNDLE"):
                images.find("v1")
            monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.file))
            assert images.find("v1") is not None
