"""With a login: by password, or by a proxy."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from sonde.errors import ConfigError
from sonde.login import ProxyLogin
from sonde.serve.access import ByPassword, ByProxy
from sonde.serve.attempts import Attempts
from sonde.serve.users import LEAST_CHARACTERS, Cost, Password, User, Users, read_users, write_users
from tests.serve.conftest import serving
from tests.serve.publication import SECRET

CHEAP = Cost(10, 8, 1)
VIEWER, OWNER = ("viewer", "correct horse 1"), ("owner@example.org", "battery: ståple 2")


@pytest.fixture(scope="module")
def users():
    return {
        VIEWER[0]: User(Password.of(VIEWER[1], CHEAP)),
        OWNER[0]: User(Password.of(OWNER[1], CHEAP), private=True),
    }


@pytest.fixture
def file(tmp_path, users):
    path = tmp_path / "users.toml"
    write_users(path, users)
    return path


@pytest.fixture
def running(small_lake, file):
    with serving(
        small_lake, lambda _: ByPassword(Users(file, time.monotonic), time.monotonic)
    ) as running:
        yield running


class TestByPassword:
    @pytest.mark.parametrize("path", ["/", "/api/experiments", "/nowhere", "/experiments/open"])
    def test_nobody_reads_without_a_login(self, running, path):
        with running.client() as client:
            answer = client.get(path)
        assert answer.status_code == 401
        assert answer.headers["www-authenticate"].startswith("Basic ")
        assert "open" not in answer.text

    def test_rights(self, running):
        with running.client(auth=VIEWER) as client:
            assert SECRET not in client.get("/").text
            assert client.get(f"/experiments/{SECRET}.html").status_code == 404
        with running.client(auth=OWNER) as client:
            answer = client.get("/")
            assert SECRET in answer.text
            assert answer.headers["cache-control"] == "private, no-cache"
            assert "Authorization" in answer.headers["vary"]

    @pytest.mark.parametrize(
        "header", ["Basic", "Basic ???", "Basic Zm9v", "Bearer x", "basic \xff", "Basic /w=="]
    )
    def test_headers_that_say_nothing(self, running, header):
        with running.client(headers={"Authorization": header.encode("latin-1")}) as client:
            assert client.get("/").status_code == 401

    def test_guessing_is_slow_and_soon_over(self, running):
        with running.client() as client:
            wrong = [client.get("/", auth=(VIEWER[0], f"guess {n}")) for n in range(6)]
            assert [answer.status_code for answer in wrong] == [401] * 5 + [429]
            assert wrong[-1].headers["retry-after"] == "60"
            assert client.get("/", auth=VIEWER).status_code == 429
            assert client.get("/", auth=OWNER).status_code == 200
        assert all(VIEWER[0] not in line for line in running.log)

    def test_who_is_in_stays_in_while_others_guess(self, running):
        with running.client() as client:
            assert client.get("/", auth=VIEWER).status_code == 200
            for n in range(6):
                client.get("/", auth=(VIEWER[0], f"guess {n}"))
            assert client.get("/", auth=VIEWER).status_code == 200

    def test_a_password_is_checked_once(self, running):
        with running.client(auth=VIEWER) as client:
            client.get("/")
            started = time.perf_counter()
            for _ in range(20):
                assert client.get("/").status_code == 200
        assert time.perf_counter() - started < 1

    def test_a_browser_asks_for_many_things_at_once(self, running):
        with running.client(auth=OWNER) as client, ThreadPoolExecutor(12) as pool:
            found = list(pool.map(lambda _: client.get("/").status_code, range(24)))
        assert found == [200] * 24

    def test_guessing_at_once_is_no_faster(self, running):
        def guess(number):
            with running.client(auth=(VIEWER[0], f"guess {number}")) as client:
                return client.get("/").status_code

        with ThreadPoolExecutor(12) as pool:
            found = sorted(pool.map(guess, range(12)))
        assert found == [401] * 5 + [429] * 7

    def test_a_user_who_is_removed_is_out_within_a_second(self, running, file, users):
        with running.client(auth=OWNER) as client:
            assert client.get("/").status_code == 200
            write_users(file, {VIEWER[0]: users[VIEWER[0]]})
            time.sleep(1.05)
            assert client.get("/").status_code == 401
            file.write_text("broken")
            time.sleep(1.05)
            assert client.get("/", auth=VIEWER).status_code == 401


class TestUsers:
    def test_a_file_gives_back_what_was_written(self, file, users):
        assert read_users(file) == users
        assert file.stat().st_mode & 0o777 == 0o600
        assert VIEWER[1] not in file.read_text()

    def test_the_same_password_is_kept_differently(self, users):
        assert str(Password.of(VIEWER[1])) != str(users[VIEWER[0]].password)

    def test_a_try_is_dear_by_default(self):
        password = Password.parse(str(Password.of(VIEWER[1])))
        assert password.cost == Cost(15, 8, 3)
        assert password.matches(VIEWER[1])
        assert not password.matches(VIEWER[1] + " ")

    def test_short_passwords_are_refused(self):
        with pytest.raises(ConfigError, match=f"at least {LEAST_CHARACTERS}"):
            Password.of("x" * (LEAST_CHARACTERS - 1))

    @pytest.mark.parametrize("name", ["", "a b", 'a"b', "a:b", "a\nb", "x" * 101, "é"])
    def test_names_that_cannot_be(self, tmp_path, users, name):
        with pytest.raises(ConfigError, match="name is made of"):
            write_users(tmp_path / "users.toml", {name: users[VIEWER[0]]})
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[users", "is not TOML"),
            ("users.a = 1", r"expected a table; write \[users.a\]"),
            ('[users.a]\npasword = "x"', 'unknown key "pasword"; did you mean "password"'),
            ("[users.a]\nprivate = true", "expected a password as"),
            ('[users.a]\npassword = "hunter2hunter2"', "expected a password as"),
            ('[users.a]\npassword = "scrypt$60$8$3$x$y"', "expected a password as"),
            ("[users.a]\npassword = 1", "expected a password as"),
            ('[users.a]\npassword = "x"\nprivate = "yes"', "true or false"),
        ],
    )
    def test_files_that_are_wrong(self, tmp_path, text, said):
        path = tmp_path / "users.toml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=said) as raised:
            read_users(path)
        assert "hunter2" not in str(raised.value)

    def test_no_file(self, tmp_path):
        with pytest.raises(ConfigError, match="`sonde users add NAME` writes it"):
            read_users(tmp_path / "users.toml")


class TestByProxy:
    LOGIN = ProxyLogin("X-Forwarded-User", ("127.0.0.0/8",), ("owner",))

    def test_rights(self, small_lake):
        with serving(small_lake, lambda _: ByProxy.of(self.LOGIN)) as running:
            with running.client(headers={"X-Forwarded-User": "viewer"}) as client:
                answer = client.get("/")
                assert answer.status_code == 200
                assert SECRET not in answer.text
                assert answer.headers["cache-control"] == "private, no-cache"
                assert answer.headers["vary"] == "Accept-Encoding, X-Forwarded-User"
            with running.client(headers={"X-Forwarded-User": "owner"}) as client:
                assert SECRET in client.get("/").text

    def test_nobody_without_a_name_or_with_two(self, small_lake):
        name = "X-Forwarded-User"
        with serving(small_lake, lambda _: ByProxy.of(self.LOGIN)) as running:
            for headers in ([], [(name, "")], [(name, "owner"), (name, "viewer")]):
                with running.client(headers=headers) as client:
                    answer = client.get("/api/experiments")
                assert answer.status_code == 401
                assert answer.json()["error"]["code"] == "no_user"

    def test_only_the_proxy_is_believed(self, small_lake):
        login = ProxyLogin("X-Forwarded-User", ("192.0.2.1", "2001:db8::/32"), ("owner",))
        headers = {"X-Forwarded-User": "owner", "X-Forwarded-For": "192.0.2.1"}
        with serving(small_lake, lambda _: ByProxy.of(login)) as running:
            with running.client(headers=headers) as client:
                answer = client.get("/")
            assert answer.status_code == 403
            assert "open" not in answer.text.replace("open sonde", "")


class TestAttempts:
    def test_each_key_has_its_own(self):
        attempts = Attempts(1, 60)
        assert attempts.take("a", 0)
        assert attempts.take("b", 0)
        assert not attempts.take("a", 59)
        assert attempts.take("a", 60)

    def test_a_right_one_does_not_count(self):
        attempts = Attempts(1, 60)
        for now in range(5):
            assert attempts.take("a", now)
            attempts.forgive("a")

    def test_memory_is_bounded(self):
        attempts = Attempts(1, 60)
        for n in range(20_000):
            attempts.take(str(n), 0)
        assert len(attempts._times) == 10_000
