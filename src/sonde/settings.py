"""Where this deployment lives: `sonde.toml` in a folder, and `SONDE_*` in the environment."""

from __future__ import annotations

import difflib
import enum
import ipaddress
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from sonde.account import PRICE, Account
from sonde.argo.keys import KINDS as ARGO
from sonde.argo.settings import Argo
from sonde.config import kinds
from sonde.config.document import Document
from sonde.config.platforms import PLATFORMS, Platform
from sonde.errors import ConfigError, ConfigErrors, Place, did_you_mean
from sonde.experiment import EnrollmentsQueryType
from sonde.login import Login, PasswordLogin, ProxyLogin
from sonde.memory import Memory
from sonde.store import Cache
from sonde.window import WindowsFrom
from sonde.wire.names import METRIC_HUB

FILE = "sonde.toml"
EMULATOR = "BIGQUERY_EMULATOR_HOST"  # as Google's client has it


class WarehouseKind(enum.StrEnum):
    """What finds and counts units."""

    DUCKDB = "duckdb"
    BIGQUERY = "bigquery"


@dataclass(frozen=True)
class Settings:
    """Where things are. Paths are absolute; a URL stays as it is written.

    folder: that of `sonde.toml`; a relative path is relative to it, also in the environment.
    cache: where copies are kept of what is in a bucket.
    config_url: the folder that shows `<slug>.toml` to people.
    tables: names of BigQuery tables, or patterns with `*`, to a folder, file, glob or URL; the
    first that fits counts.
    runner: what does the steps, by name. scheduler: the address of its cluster, if it has one.
    workers: steps at once. memory: of all of them, as in "1GB". None: by the machine.
    windows: whether from the rows of all their days, or merged from what was kept of each.
    platforms: the built-in ones and those of the file, by `app_name`.
    login: of people who read the pages; None: pages are served to this machine only.
    names: under which people reach the pages, beside `localhost` and numeric addresses.
    argo: where `sonde submit` sends work.
    bigquery: where units are found and counted; None: in files, by DuckDB.
    """

    folder: Path
    experiments_source: str
    config_repos: tuple[str, ...]
    lake_url: str
    cache: Cache = field(default_factory=Cache)
    config_url: str = METRIC_HUB
    tables: Mapping[str, str] = field(default_factory=dict)
    runner: str = "local"
    scheduler: str | None = None
    workers: int | None = None
    memory: str | None = None
    windows: WindowsFrom = WindowsFrom.ROWS
    platforms: Mapping[str, Platform] = field(default_factory=lambda: dict(PLATFORMS))
    login: Login | None = None
    names: tuple[str, ...] = ()
    argo: Argo = field(default_factory=Argo)
    bigquery: Account | None = None


def load_settings(project: Path, environment: Mapping[str, str]) -> Settings:
    """The settings of the project in a folder. Raises ConfigError, with all that is wrong."""
    path = project / FILE
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(
            f"there is no {FILE} in {project.absolute()}; run `sonde init` there, "
            "or name the project's folder with --project"
        ) from None
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", Place(str(path))) from error
    return read_settings(Document(str(path), content), project.absolute(), environment)


def read_settings(document: Document, folder: Path, environment: Mapping[str, str]) -> Settings:
    r"""What the document says; a variable of the environment goes before it.

    An absent key means what `sonde init` writes. Raises ConfigError, with all that is wrong.

    >>> document = Document("sonde.toml", b'[lake]\nurl = "s3://bucket/lake"')
    >>> settings = read_settings(document, Path("/srv"), {"SONDE_RUN_WORKERS": "2"})
    >>> settings.lake_url, settings.workers, settings.experiments_source
    ('s3://bucket/lake', 2, '/srv/experiments.json')
    """
    reading = _Reading(document)
    reading.check_keys(environment)
    value = {key.variable: reading.value_of(key, environment) for key in _KEYS}
    tables = dict(reading.tables())
    platforms = dict(reading.platforms())
    login = reading.login(value, folder)
    bigquery = reading.bigquery(value, environment.get(EMULATOR))
    reading.finish()
    return Settings(
        folder=folder,
        experiments_source=_absolute(value["SONDE_EXPERIMENTS_SOURCE"], folder),
        config_repos=tuple(_absolute(repo, folder) for repo in value["SONDE_CONFIG_REPOS"]),
        config_url=value["SONDE_CONFIG_URL"],
        lake_url=_absolute(value["SONDE_LAKE_URL"], folder),
        cache=_cache(value, folder),
        tables={name: _absolute(location, folder) for name, location in tables.items()},
        runner=value["SONDE_RUN_RUNNER"],
        scheduler=value["SONDE_RUN_SCHEDULER"],
        workers=value["SONDE_RUN_WORKERS"],
        memory=value["SONDE_RUN_MEMORY"],
        windows=value["SONDE_RUN_WINDOWS"],
        platforms={**PLATFORMS, **platforms},
        login=login,
        names=value["SONDE_SERVE_NAMES"],
        argo=_argo(value, folder),
        bigquery=bigquery,
    )


_TABLE = re.compile(r"[\w*?-]+(\.[\w*?-]+){0,2}")
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://|[\w.-]+@[\w.-]+:")  # also git's user@host:path
_SECRET_NAME = re.compile(
    r"(?i)token|secret|passw|passphrase|pwd|credential|signature|(api|access|account|private)_?key"
)
_SECRET_URL = re.compile(
    r"(?i)://[^/@\s]*:[^/@\s]+@|[?&]([\w-]*[-_])?(token|secret|sig|signature|(api)?key|password)="
    r"|gh[a-z]_\w{16}|github_pat_|glpat-"
)
_IN_THE_ENVIRONMENT = (
    "set it in the environment that sonde runs in, "
    "under the name its service reads (AWS_SECRET_ACCESS_KEY, for example)"
)


def _locations(value: Any) -> kinds.Taken:
    if isinstance(value, str):
        raise ValueError(f'expected a list; write ["{value}"]')
    taken = kinds.names(value)
    if not taken.value or not all(item.strip() for item in taken.value):
        raise ValueError("expected at least one folder or URL, none of them empty")
    return taken


def _web_address(value: Any) -> kinds.Taken:
    taken = kinds.name(value)
    if not str(taken.value).startswith(("http://", "https://")):
        raise ValueError(f'expected an address of the web, https://.., not "{taken.value}"')
    return taken


def _header(value: Any) -> kinds.Taken:
    taken = kinds.name(value)
    if taken.value is not None and not re.fullmatch(r"[A-Za-z0-9-]+", taken.value):
        raise ValueError('expected the name of a header, such as "X-Forwarded-User"')
    return taken


def _networks(value: Any) -> kinds.Taken:
    taken = kinds.names(value)
    for each in taken.value:
        try:
            ipaddress.ip_network(each)
        except ValueError:
            raise ValueError(
                f'"{each}" is neither an address nor a network; '
                'write "127.0.0.1" or "10.0.0.0/8", for example'
            ) from None
    return taken


def _scheduler(value: Any) -> kinds.Taken:
    taken = kinds.name(value)
    if taken.value is not None and not re.fullmatch(r"[a-z]+://[^/\s]+(/\S*)?", taken.value):
        raise ValueError(f'expected an address such as "tcp://scheduler:8786", not "{taken.value}"')
    return taken


def _memory(value: Any) -> kinds.Taken:
    Memory.of(str(value))
    return kinds.Taken(value)


def _size(value: Any) -> kinds.Taken:
    try:
        return kinds.Taken(Memory.of(str(value)).bytes)
    except ValueError:
        raise ValueError(f'expected an amount of disk, such as "20GB", not "{value}"') from None


@dataclass(frozen=True)
class _Key:
    """A key of the file. parse: from the text of a variable to what the file would hold."""

    section: str
    name: str
    kind: kinds.Kind
    parse: Callable[[str], Any] = str
    default: Any = None

    @property
    def variable(self) -> str:
        return f"SONDE_{self.section}_{self.name}".upper()


def _separated(text: str) -> list[str]:
    return [part.strip() for part in text.split(",")]


def _digits(text: str) -> int | str:
    return int(text) if text.isdecimal() else text


def _decimal(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def _money(value: Any) -> kinds.Taken:
    taken = kinds.number(value)
    if not 0 <= taken.value < math.inf:
        raise ValueError(f"expected an amount of money, 0 or more, not {taken.value}")
    return taken


_DATASET = re.compile(r"[A-Za-z0-9_]+")


def _dataset(value: Any) -> kinds.Taken:
    taken = kinds.name(value)
    if taken.value is not None and not _DATASET.fullmatch(taken.value):
        raise ValueError(f'"{taken.value}" is no dataset: letters, digits and _ only')
    return taken


def _argo_key(name: str, kind: kinds.Kind) -> _Key:
    default = getattr(Argo(), name)
    match default:
        case tuple():
            return _Key("argo", name, kind, _separated, default)
        case int():
            return _Key("argo", name, kind, _digits, default)
        case _:
            return _Key("argo", name, kind, default=default)


_KEYS = (
    _Key("experiments", "source", kinds.name, default="experiments.json"),
    _Key("config", "repos", _locations, _separated, default=("metric-hub",)),
    _Key("config", "url", _web_address, default=METRIC_HUB),
    _Key("lake", "url", kinds.name, default="lake"),
    _Key("lake", "cache", kinds.name),
    _Key("lake", "cache_size", _size),
    _Key("run", "runner", kinds.name, default="local"),
    _Key("run", "scheduler", _scheduler),
    _Key("run", "workers", kinds.whole(1), _digits),
    _Key("run", "memory", _memory),
    _Key("run", "windows", kinds.choice(WindowsFrom), default=WindowsFrom.ROWS),
    _Key("warehouse", "kind", kinds.choice(WarehouseKind), default=WarehouseKind.DUCKDB),
    _Key("warehouse", "project", kinds.name),
    _Key("warehouse", "dataset", _dataset),
    _Key("warehouse", "location", kinds.name),
    _Key("warehouse", "price_per_tib", _money, _decimal, PRICE),
    _Key("warehouse", "max_cost", _money, _decimal),
    _Key("serve", "users", kinds.name),
    _Key("serve", "user_header", _header),
    _Key("serve", "trusted_proxies", _networks, _separated, default=()),
    _Key("serve", "private_users", kinds.names, _separated, default=()),
    _Key("serve", "names", kinds.names, _separated, default=()),
    *(_argo_key(name, kind) for name, kind in {**ARGO, "memory": _memory}.items()),
)
_SECTIONS = {
    section: {key.name for key in _KEYS if key.section == section}
    for section in ("experiments", "config", "lake", "run", "warehouse", "serve", "argo")
}
_PLATFORM: Mapping[str, kinds.Kind] = {
    "app_id": kinds.name,
    "enrollments_query_type": kinds.choice(EnrollmentsQueryType),
}


@dataclass
class _Reading:
    """Values of one document, and what is wrong in it."""

    document: Document
    errors: list[ConfigError] = field(default_factory=list)

    def finish(self) -> None:
        """Raise what was found."""
        if len(self.errors) == 1:
            raise self.errors[0]
        if self.errors:
            raise ConfigErrors(sorted(self.errors, key=_line))

    def refuse(self, path: tuple[str, ...], message: str) -> None:
        self.errors.append(ConfigError(message, self.document.place(path)))

    def unknown(self, path: tuple[str, ...], known: set[str]) -> None:
        if _SECRET_NAME.search(path[-1]):
            self.refuse(path, f"a secret does not belong in a file; {_IN_THE_ENVIRONMENT}")
        else:
            self.refuse(path, f'unknown key "{path[-1]}"{did_you_mean(path[-1], known)}')

    def section(self, name: str) -> Mapping[str, Any]:
        """A table; absent: an empty one."""
        value = self.document.tables.get(name, {})
        return value if isinstance(value, dict) else {}

    def check_keys(self, environment: Mapping[str, str]) -> None:
        """Complain about unknown sections, keys, and variables that are nearly ours."""
        sections = _SECTIONS.keys() | {"tables", "platforms"}
        for name, value in self.document.tables.items():
            if name not in sections:
                self.unknown((name,), sections)
            elif not isinstance(value, dict):
                self.refuse((name,), f"expected a table; write [{name}]")
            elif name in _SECTIONS:
                for key in value.keys() - _SECTIONS[name]:
                    self.unknown((name, key), _SECTIONS[name])
        self.check_secrets()
        self.check_variables(environment)

    def check_secrets(self) -> None:
        """Complain about URLs that carry a secret."""
        for path, value in _leaves(self.document.tables, ()):
            texts = value if isinstance(value, list) else [value]
            if any(isinstance(text, str) and _SECRET_URL.search(text) for text in texts):
                self.refuse(path, f"this carries a secret; take it out and {_IN_THE_ENVIRONMENT}")

    def check_variables(self, environment: Mapping[str, str]) -> None:
        """Complain about typing errors only: Kubernetes, for one, sets SONDE_PORT of its own."""
        known = {key.variable for key in _KEYS}
        for name in environment.keys() - known:
            if name.startswith("SONDE_") and difflib.get_close_matches(name, known, cutoff=0.85):
                self.errors.append(
                    ConfigError(f"unknown variable{did_you_mean(name, known)}", _variable(name))
                )

    def value_of(self, key: _Key, environment: Mapping[str, str]) -> Any:
        """The value of the variable, else of the key, else what is usual."""
        path = (key.section, key.name)
        if text := environment.get(key.variable, "").strip():
            return self.taken(key.kind, key.parse(text), _variable(key.variable), key.default)
        if key.name not in (section := self.section(key.section)):
            return key.default
        return self.taken(key.kind, section[key.name], self.document.place(path), key.default)

    def taken(self, kind: kinds.Kind, value: Any, place: Place, default: Any = None) -> Any:
        """What the value means; `default`, and an error kept, when it has no meaning."""
        try:
            taken = kind(value)
        except ValueError as error:
            self.errors.append(ConfigError(str(error), place))
            return default
        if taken.complaint:
            self.errors.append(ConfigError(taken.complaint, place))
        return taken.value

    def tables(self) -> Iterator[tuple[str, str]]:
        """Patterns and locations; `a.b = ..` and `"a.b" = ..` are the same."""
        for path, value in _leaves(self.section("tables"), ("tables",)):
            name = ".".join(path[1:])
            if not _TABLE.fullmatch(name):
                self.refuse(
                    path, f'"{name}" is not a table; write "dataset.table" or "project.dataset.*"'
                )
            yield name, self.taken(kinds.name, value, self.document.place(path)) or ""

    def login(self, value: Mapping[str, Any], folder: Path) -> Login | None:
        """How people who read the pages say who they are; complains of halves of two ways."""
        users, header = value["SONDE_SERVE_USERS"], value["SONDE_SERVE_USER_HEADER"]
        proxies = value["SONDE_SERVE_TRUSTED_PROXIES"]
        if users and header:
            self.refuse(("serve", "user_header"), "there is serve.users as well; keep one of them")
        if header and not proxies:
            self.refuse(
                ("serve", "user_header"),
                "anybody could write this header; say whose is believed: "
                'trusted_proxies = ["127.0.0.1"]',
            )
        if not header:
            for name in ("trusted_proxies", "private_users"):
                if value[f"SONDE_SERVE_{name.upper()}"]:
                    self.refuse(("serve", name), "means something with serve.user_header only")
            return PasswordLogin(_absolute(users, folder)) if users else None
        return ProxyLogin(header, proxies, value["SONDE_SERVE_PRIVATE_USERS"])

    def bigquery(self, value: Mapping[str, Any], emulator: str | None) -> Account | None:
        """Where BigQuery is, if that is the warehouse; complains of what goes with the other."""
        given = {
            name: value[f"SONDE_WAREHOUSE_{name.upper()}"]
            for name in ("project", "dataset", "location", "price_per_tib", "max_cost")
        }
        if value["SONDE_WAREHOUSE_KIND"] is WarehouseKind.DUCKDB:
            for name in self.section("warehouse").keys() & given.keys():
                self.refuse(("warehouse", name), 'means something with kind = "bigquery" only')
            return None
        for name, example in (("project", "my-project"), ("dataset", "experiments")):
            if given[name] is None:
                self.refuse(("warehouse",), f'BigQuery needs it: write {name} = "{example}"')
        if value["SONDE_RUN_WINDOWS"] is WindowsFrom.UNIT_DAYS:
            self.refuse(
                ("run", "windows"),
                "BigQuery computes windows from rows only; leave the key out",
            )
        if self.section("tables"):
            self.refuse(
                ("tables",), "BigQuery reads tables by the names that SQL has; leave them out"
            )
        return Account(**given, emulator=emulator)

    def platforms(self) -> Iterator[tuple[str, Platform]]:
        """The platforms of the file; a built-in one keeps what the file does not say."""
        for name, value in self.section("platforms").items():
            if isinstance(value, dict):
                given = dict(self.platform(name, value))
                yield name, replace(PLATFORMS.get(name, Platform()), **given)
            else:
                self.refuse(("platforms", name), f"expected a table; write [platforms.{name}]")

    def platform(self, name: str, table: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The keys of one platform, checked."""
        for key, value in table.items():
            path = ("platforms", name, key)
            if key in _PLATFORM:
                yield key, self.taken(_PLATFORM[key], value, self.document.place(path))
            else:
                self.unknown(path, set(_PLATFORM))


def _leaves(
    table: Mapping[str, Any], path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), value


def _argo(value: Mapping[str, Any], folder: Path) -> Argo:
    given = {key.name: value[key.variable] for key in _KEYS if key.section == "argo"}
    ca_file = given["ca_file"]
    return Argo(**{**given, "ca_file": ca_file and _absolute(ca_file, folder)})


def _cache(value: Mapping[str, Any], folder: Path) -> Cache:
    place, size = value["SONDE_LAKE_CACHE"], value["SONDE_LAKE_CACHE_SIZE"]
    cache = Cache(Path(_absolute(place, folder)) if place else None)
    return cache if size is None else replace(cache, size=size)


def _absolute(location: str, folder: Path) -> str:
    return location if _URL.match(location) else str(folder / Path(location).expanduser())


def _variable(name: str) -> Place:
    return Place("environment", key=name)


def _line(error: ConfigError) -> tuple[float, str]:
    place = error.place or Place("")
    return (math.inf if place.line is None else place.line), place.key or ""
