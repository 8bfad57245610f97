"""What a client of S3 needs to know beyond the variables that it reads itself.

Both clients read AWS_* and GOOGLE_*, and ask the machine for its role. Neither of them reads all
that `aws configure` writes.
"""

from __future__ import annotations

import configparser
from collections.abc import Mapping
from pathlib import Path

from sonde.errors import ConfigError

# Where credentials come from, when not from the files: these go before them.
_GIVEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_KEYS = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
_ELSEWHERE = ("credential_process", "sso_session", "sso_start_url", "role_arn")


def aws_options(environment: Mapping[str, str]) -> dict[str, str]:
    """Keys, region and endpoint of the profile in `~/.aws`, where no variable says them.

    Raises ConfigError when the profile that AWS_PROFILE names is absent, or has no keys of its own.
    """
    name = environment.get("AWS_PROFILE", "").strip()
    profile = _profile(name or "default", environment)
    if name and not profile:
        raise ConfigError(
            f'there is no profile "{name}" in ~/.aws/credentials or ~/.aws/config; correct '
            "AWS_PROFILE, or run `aws configure --profile` with this name"
        )
    found = {}
    if not any(environment.get(variable) for variable in _GIVEN):
        found = {key: profile[key] for key in _KEYS if key in profile}
        elsewhere = next((key for key in _ELSEWHERE if key in profile), None)
        if elsewhere and not found:
            raise ConfigError(
                f'the profile "{name or "default"}" of ~/.aws gets its keys elsewhere '
                f"({elsewhere}); put them into the environment first: "
                '`eval "$(aws configure export-credentials --format env)"`'
            )
    if "region" in profile and not _is_set(environment, "AWS_REGION", "AWS_DEFAULT_REGION"):
        found["aws_region"] = profile["region"]
    if "endpoint_url" in profile and not _is_set(environment, "AWS_ENDPOINT_URL"):
        found["aws_endpoint_url"] = profile["endpoint_url"]
    return found


def _is_set(environment: Mapping[str, str], *names: str) -> bool:
    return any(environment.get(name) for name in names)


def _profile(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    config = _section("AWS_CONFIG_FILE", "config", f"profile {name}", environment)
    if name == "default":
        config |= _section("AWS_CONFIG_FILE", "config", name, environment)
    return config | _section("AWS_SHARED_CREDENTIALS_FILE", "credentials", name, environment)


def _section(
    variable: str, file: str, section: str, environment: Mapping[str, str]
) -> dict[str, str]:
    path = Path(environment.get(variable) or f"~/.aws/{file}").expanduser()
    parser = configparser.RawConfigParser(default_section="none of them")
    try:
        parser.read(path)
    except configparser.Error as error:
        raise ConfigError(f"{path} cannot be read: {error}") from error
    return dict(parser[section]) if parser.has_section(section) else {}
