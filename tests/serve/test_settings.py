"""[serve] of sonde.toml."""

from __future__ import annotations

import pytest

from sonde.errors import ConfigError
from sonde.login import PasswordLogin, ProxyLogin
from sonde.settings import load_settings

PROXY = 'user_header = "X-Forwarded-User"\ntrusted_proxies = ["127.0.0.1", "10.0.0.0/8"]\n'


@pytest.fixture
def settings(tmp_path):
    def read(serve="", **environment):
        (tmp_path / "sonde.toml").write_text(f"[serve]\n{serve}")
        return load_settings(tmp_path, environment)

    return read


def test_no_login(settings):
    assert (settings().login, settings().names) == (None, ())


def test_passwords(settings, tmp_path):
    found = settings('users = "users.toml"\nnames = ["sonde.example"]')
    assert found.login == PasswordLogin(f"{tmp_path}/users.toml")
    assert found.names == ("sonde.example",)


def test_a_proxy(settings):
    login = settings(PROXY + 'private_users = ["ann"]').login
    assert login == ProxyLogin("X-Forwarded-User", ("127.0.0.1", "10.0.0.0/8"), ("ann",))


def test_from_the_environment(settings):
    found = settings(
        SONDE_SERVE_USER_HEADER="X-User",
        SONDE_SERVE_TRUSTED_PROXIES="127.0.0.1, ::1",
        SONDE_SERVE_PRIVATE_USERS="ann,bob",
        SONDE_SERVE_NAMES="sonde.example",
    )
    assert found.login == ProxyLogin("X-User", ("127.0.0.1", "::1"), ("ann", "bob"))
    assert found.names == ("sonde.example",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (PROXY + 'users = "users.toml"', "there is serve.users as well; keep one of them"),
        ('user_header = "X-User"', 'say whose is believed: trusted_proxies = ["127.0.0.1"]'),
        ('trusted_proxies = ["127.0.0.1"]', "means something with serve.user_header only"),
        ('private_users = ["ann"]', "means something with serve.user_header only"),
        ('users = "u.toml"\nprivate_users = ["ann"]', "with serve.user_header only"),
        ('user_header = "a b"', "expected the name of a header"),
        (
            'user_header = "X-User"\ntrusted_proxies = ["proxy.example"]',
            '"proxy.example" is neither an address nor a network',
        ),
        ('user = "users.toml"', 'unknown key "user"; did you mean "users"?'),
        ('token = "x"', "a secret does not belong in a file"),
    ],
)
def test_what_is_refused(settings, tmp_path, text, said):
    with pytest.raises(ConfigError) as raised:
        settings(text)
    assert said in str(raised.value)
    assert f"{tmp_path}/sonde.toml:" in str(raised.value)
