"""`sonde serve`, `sonde publish` and `sonde users`, as processes."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from sonde.lake import Lake
from sonde.serve.users import read_users
from tests.commands import ended
from tests.serve.publication import SECRET, write_small_site

ENVIRONMENT = {k: v for k, v in os.environ.items() if not k.startswith("SONDE_")}


@pytest.fixture
def project(tmp_path):
    (tmp_path / "sonde.toml").write_text('[lake]\nurl = "lake"\n')
    write_small_site(Lake.open(tmp_path / "lake"))
    return tmp_path


@dataclass(frozen=True)
class Done:
    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def sonde(monkeypatch, capsys):
    """Runs a command to its end, in this process."""
    for name in os.environ.keys() - ENVIRONMENT.keys():
        monkeypatch.delenv(name)

    def run(project, *words, said=""):
        monkeypatch.setattr(sys, "stdin", io.StringIO(said))
        return Done(ended(*words, "--project", project), *capsys.readouterr())

    return run


@contextlib.contextmanager
def served(project, *words):
    """The process and the lines it has printed."""
    command = [sys.executable, "-m", "sonde", "serve", "--project", str(project), *words]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def taken_port():
    listening = socket.create_server(("127.0.0.1", 0))
    return listening, listening.getsockname()[1]


class TestServe:
    def test_two_addresses_then_ctrl_c(self, project):
        with served(project, "--port", "0") as process:
            lines = [process.stdout.readline(), process.stdout.readline()]
            everybody, private = (line.split()[0] for line in lines)
            assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", everybody)
            assert re.fullmatch(re.escape(everybody) + r"\?token=[\w-]{43}", private)
            with httpx.Client(trust_env=False, timeout=30) as client:
                assert SECRET not in client.get(everybody).text
                assert SECRET in client.get(private, follow_redirects=True).text
                process.send_signal(signal.SIGINT)  # with a connection still open
                said, log = process.communicate(timeout=30)
            assert process.returncode == 0
            assert said == ""
            token = private.partition("=")[2]
            assert log.splitlines()[0].startswith("GET /index.html 200")
            assert token not in log
            assert SECRET not in log
            assert "Traceback" not in log
            port = int(everybody.rpartition(":")[2].strip("/"))
            with socket.create_server(("127.0.0.1", port)):
                pass  # nothing listens any more

    def test_a_taken_port_names_the_next_free_one(self, sonde, project):
        listening, port = taken_port()
        with listening:
            done = sonde(project, "serve", "--port", str(port))
        assert done.returncode == 2
        match = re.fullmatch(rf"error: port {port} is taken; `--port (\d+)` is free\n", done.stderr)
        assert match
        assert int(match[1]) > port

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
    def test_others_are_not_served_without_a_login(self, sonde, project, host):
        done = sonde(project, "serve", "--host", host, "--port", "0")
        assert done.returncode == 2
        assert "there is no login" in done.stderr
        assert "[serve]" in done.stderr

    def test_a_host_that_is_none(self, sonde, project):
        done = sonde(project, "serve", "--host", "no such host", "--port", "0")
        assert done.returncode == 2
        assert '"no such host" is not an address of this machine' in done.stderr

    def test_others_are_served_with_a_login(self, sonde, project):
        (project / "sonde.toml").write_text('[lake]\nurl = "lake"\n[serve]\nusers = "users.toml"')
        assert "`sonde users add NAME`" in sonde(project, "serve", "--port", "0").stderr
        added = sonde(project, "users", "add", "ann", "--private", said="a long password\n")
        assert added.returncode == 0, added.stderr
        with served(project, "--host", "0.0.0.0", "--port", "0") as process:
            address = process.stdout.readline().split()[0].replace("0.0.0.0", "127.0.0.1")
            assert "token" not in address
            with httpx.Client(trust_env=False, timeout=30) as client:
                assert client.get(address).status_code == 401
                answer = client.get(address, auth=("ann", "a long password"))
                assert SECRET in answer.text
            process.send_signal(signal.SIGINT)
            _, log = process.communicate(timeout=30)
        assert process.returncode == 0
        assert "ann" not in log
        assert "password" not in log

    def test_nothing_is_published_yet(self, tmp_path):
        (tmp_path / "sonde.toml").write_text("")
        with served(tmp_path, "--port", "0") as process:
            process.stdout.readline()
            process.stdout.readline()
            assert "nothing is published yet" in process.stderr.readline()


class TestPublish:
    def test_the_public_site(self, sonde, project, tmp_path):
        done = sonde(project, "publish", str(tmp_path / "www"))
        assert re.match(r"\d+ files written, 0 unchanged, 0 removed in ", done.stdout)
        assert (tmp_path / "www" / "index.html").exists()
        assert not list(Path(tmp_path / "www").rglob(f"*{SECRET}*"))

    def test_the_private_site(self, sonde, project, tmp_path):
        assert sonde(project, "publish", str(tmp_path / "www"), "--private").returncode == 0
        assert (tmp_path / "www" / "experiments" / f"{SECRET}.html").exists()

    def test_nothing_is_published_yet(self, sonde, tmp_path):
        (tmp_path / "sonde.toml").write_text("")
        done = sonde(tmp_path, "publish", str(tmp_path / "www"))
        assert done.returncode == 2
        assert "nothing is published yet" in done.stderr
        assert not (tmp_path / "www").exists()

    def test_buckets_are_to_come(self, sonde, project):
        done = sonde(project, "publish", "s3://bucket/site")
        assert done.returncode == 2
        assert "publish into a folder" in done.stderr


class TestUsers:
    @pytest.fixture
    def project(self, tmp_path):
        (tmp_path / "sonde.toml").write_text('[serve]\nusers = "people.toml"\n')
        return tmp_path

    def test_add_change_and_remove(self, sonde, project):
        path = project / "people.toml"
        assert sonde(project, "users", "add", "ann", said="a long password\n").returncode == 0
        assert sonde(project, "users", "add", "bob", "--private", said="x" * 12).returncode == 0
        users = read_users(path)
        assert users["ann"].password.matches("a long password")
        assert {name: user.private for name, user in users.items()} == {"ann": False, "bob": True}
        assert sonde(project, "users", "remove", "ann").returncode == 0
        assert set(read_users(path)) == {"bob"}
        done = sonde(project, "users", "remove", "ann")
        assert done.returncode == 2
        assert 'there is no user "ann"' in done.stderr

    def test_a_password_is_never_said_again(self, sonde, project):
        done = sonde(project, "users", "add", "ann", said="short\n")
        assert done.returncode == 2
        assert "at least 12 characters" in done.stderr
        assert "short" not in done.stderr + done.stdout
        assert not (project / "people.toml").exists()

    def test_no_file_is_named(self, sonde, tmp_path):
        (tmp_path / "sonde.toml").write_text("")
        done = sonde(tmp_path, "users", "add", "ann", said="a long password\n")
        assert done.returncode == 2
        assert 'users = "users.toml"' in done.stderr
