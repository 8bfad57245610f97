"""A metric-hub tree as a list of things to execute: metrics, segments, exposure signals,
dimensions and enrollment queries, each with the source it reads.

Deliberately independent of sonde.config: a plain reading of the TOML files.
"""

from __future__ import annotations

import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jinja2

APPS = (
    "firefox_desktop",
    "fenix",
    "firefox_ios",
    "focus_android",
    "focus_ios",
    "klar_android",
    "klar_ios",
    "monitor_cirrus",
    "multi_product",
    "ads",
)


@dataclass(frozen=True)
class SourceSpec:
    """What a metric query needs of a data source."""

    relation: str
    client_id_column: str = "client_id"
    date_column: str = "submission_date"
    experiments: str = "simple"


@dataclass(frozen=True)
class Item:
    """One SQL snippet. source: None for a whole query, or when the source is not to be found."""

    kind: str
    file: str
    name: str
    text: str
    source: SourceSpec | None = None
    source_name: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        return self.kind, self.file, self.name


@dataclass
class _File:
    path: str
    app: str | None
    content: dict[str, Any]
    sources: dict[str, dict[str, Any]] = field(default_factory=dict)


class _Placeholder(jinja2.Undefined):
    """An experiment or a parameter that a template asks for: some text."""

    def __getattr__(self, name: str) -> Any:
        return (
            _DATES.get(name, _Placeholder(name=name))
            if name[:2] != "__"
            else super().__getattr__(name)
        )

    def __str__(self) -> str:
        return "some-slug"


_DATES = {
    "start_date_str": "2024-01-05",
    "end_date_str": "2024-02-05",
    "last_enrollment_date_str": "2024-01-12",
}


def items(root: Path) -> list[Item]:
    """Everything in the tree that holds SQL, in the order of files."""
    environment = _environment(root)
    files = list(_files(root))
    shared = _definitions(files)
    found: list[Item] = []
    for file in files:
        app = file.app or _guess(file, shared)
        tool = "opmon" if file.path.startswith("opmon") else "jetstream"
        known = dict(shared.get((tool, app), {}))
        for name, source in file.sources.items():
            _merge(known, name, source)
        found += _items(file, known, environment)
    return found


def _environment(root: Path) -> jinja2.Environment:
    environment = jinja2.Environment(undefined=_Placeholder, autoescape=False)
    for path in sorted(root.glob("**/definitions/functions.toml")):
        for name, function in tomllib.loads(path.read_text())["functions"].items():
            environment.globals[name] = _function(function["definition"])
    return environment


def _function(definition: str):
    return lambda select_expr: definition.format(select_expr=select_expr)


def _files(root: Path) -> Iterator[_File]:
    for path in sorted(root.glob("**/*.toml")):
        relative = path.relative_to(root)
        if {"lib", "featmon", "looker"} & set(relative.parts) or path.name == "functions.toml":
            continue
        content = tomllib.loads(path.read_text())
        app = next((part for part in (path.parent.name, path.stem) if part in APPS), None)
        app = content.get("project", {}).get("platform", app)
        sources = {
            name: {key.lower(): value for key, value in source.items()}
            for name, source in content.get("data_sources", {}).items()
        }
        yield _File(str(relative), app, content, sources)


def _definitions(files: list[_File]) -> dict[tuple[str, str], dict[str, Any]]:
    """Per tool and app: the sources, and which source each metric reads, key by key."""
    shared: dict[tuple[str, str], dict[str, Any]] = defaultdict(dict)
    for tool in ("jetstream", "opmon"):
        for file in files:
            if file.app and file.path.startswith(
                ("definitions", f"{tool}/definitions", f"{tool}/defaults")
            ):
                for name, source in file.sources.items():
                    _merge(shared[tool, file.app], name, source)
                for name, source in (
                    file.content.get("segments", {}).get("data_sources", {}).items()
                ):
                    _merge(shared[tool, file.app], f"segment {name}", source)
                for name, metric in file.content.get("metrics", {}).items():
                    if isinstance(metric, dict):
                        _merge(shared[tool, file.app], f"metric {name}", metric)
    return shared


def _merge(into: dict[str, Any], name: str, declared: dict[str, Any]) -> None:
    into[name] = {**into.get(name, {}), **declared}


def _guess(file: _File, shared: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    """An experiment's file does not name its application: the one that knows its sources best."""
    metrics = file.content.get("metrics", {})
    names = {m.get("data_source") for m in metrics.values() if isinstance(m, dict)} - {None}
    named = {name for value in metrics.values() if isinstance(value, list) for name in value}

    def fit(app: str) -> tuple[int, int]:
        known = shared.get(("jetstream", app), {})
        return len(names & known.keys()), len({f"metric {name}" for name in named} & known.keys())

    return max(APPS, key=fit)


def _items(file: _File, known, environment) -> Iterator[Item]:
    content = file.content
    for name, declared in content.get("metrics", {}).items():
        if isinstance(declared, dict):
            metric = {key.lower(): value for key, value in declared.items()}
            source = metric.get("data_source") or known.get(f"metric {name}", {}).get("data_source")
            if "select_expression" in metric:
                yield _item("metric", file, name, metric, known, source, environment)
    segments = content.get("segments", {})
    local = {f"segment {k}": v for k, v in segments.get("data_sources", {}).items()}
    for name, segment in segments.items():
        if name != "data_sources":
            source = f"segment {segment['data_source']}"
            yield _item("segment", file, name, segment, {**known, **local}, source, environment)
    for name, dimension in content.get("dimensions", {}).items():
        source = dimension.get("data_source")
        yield _item("dimension", file, name, dimension, known, source, environment)
    experiment = content.get("experiment", {})
    if (signal := experiment.get("exposure_signal")) is not None:
        source = signal.get("data_source")
        yield _item("exposure", file, signal["name"], signal, known, source, environment)
    if (text := experiment.get("enrollment_query")) is not None:
        yield Item("enrollment", file.path, "enrollment_query", _rendered(text, environment))


def _item(kind, file, name, declared, known, source_name, environment) -> Item:
    text = _rendered(declared["select_expression"], environment)
    source = known.get(source_name)
    spec = None
    if source is not None and "from_expression" in source:
        relation = _rendered(source["from_expression"], environment)
        spec = SourceSpec(
            relation.replace("{dataset}", source.get("default_dataset", "some_app")),
            source.get("client_id_column", "client_id"),
            source.get("submission_date_column", "submission_date"),
            _experiments(kind, file, source),
        )
    return Item(kind, file.path, name, text, spec, source_name or "")


def _experiments(kind: str, file: _File, source: Mapping[str, Any]) -> str:
    """Segments, signals and monitoring never look at the experiments of a row."""
    if kind in {"segment", "exposure"} or file.path.startswith("opmon"):
        return "none"
    return str(source.get("experiments_column_type", "simple")).lower()


def _rendered(text: str, environment: jinja2.Environment) -> str:
    try:
        rendered = environment.from_string(text).render()
    except jinja2.TemplateSyntaxError:
        rendered = text  # a GUID in double braces is not a template
    return rendered.replace("{experiment_slug}", "some-slug")
