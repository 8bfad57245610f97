"""From the tables of a TOML document to what it declares, with everything that is wrong in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sonde.config import keys, kinds
from sonde.config.aggregation import check_aggregation
from sonde.config.document import Document, Finding, Setting, Table
from sonde.config.keys import PERIOD_KEYS, Keys
from sonde.config.lines import Path
from sonde.config.spec import Declared, Spec
from sonde.errors import did_you_mean
from sonde.window import Period

Periods: TypeAlias = dict[Period, tuple[Setting, ...]]

_PLAIN_NAME = re.compile(r"[a-zA-Z0-9_]+")
_OTHER_TOOLS = frozenset({"alerts", "dimensions", "population", "project"})
_ELSEWHERE = "; lists of metrics stand under [metrics]"
_PERIOD_HINTS = {"days28": "28_day", "day": "daily", "week": "weekly"}
_HINTS = {  # what people write for something that is spelled otherwise, or does not exist
    "exposure_basis": '; write analysis_bases = ["exposures"]',
    "enrollments_query": '; did you mean "enrollment_query"?',
    "enrollment_end_date": "; write enrollment_period, in days from the start date",
    "exposure_query_type": "; it comes with enrollments_query_type",
}


def read_experiment(document: Document) -> Declared:
    """The configuration of an experiment, or a platform's defaults."""
    reader = _Reader(document)
    prose = ("friendly_name", "description")  # notes for readers, as in outcomes
    reader.sections("experiment", "metrics", "data_sources", "segments", "parameters", *prose)
    experiment = reader.experiment()
    signal = reader.part(
        experiment, "exposure_signal", keys.EXPOSURE_SIGNAL, keys.EXPOSURE_SIGNAL_REQUIRED
    )
    periods, metrics = reader.metrics()
    segments, segment_data_sources = reader.segments()
    spec = Spec(
        experiment=experiment,
        exposure_signal=signal,
        periods=periods,
        metrics=metrics,
        data_sources=reader.named("data_sources", keys.DATA_SOURCE),
        segments=segments,
        segment_data_sources=segment_data_sources,
        parameters=reader.parameters(),
    )
    return reader.declared(spec)


def read_outcome(document: Document) -> Declared:
    """An outcome. Without period lists, each of its metrics is for `weekly` and `overall`."""
    reader = _Reader(document)
    root = {"default_metrics": kinds.names, "friendly_name": kinds.text, "description": kinds.text}
    reader.sections(*root, *PERIOD_KEYS, "metrics", "data_sources", "parameters")
    header = reader.table((), reader.root(*root), root, required=("friendly_name", "description"))
    listed, metrics = reader.metrics()
    periods = _joined(reader.periods((), reader.root(*PERIOD_KEYS)), listed)
    if not any(periods.values()):
        every = tuple(Setting(name, document, ("metrics", name)) for name in metrics)
        periods = {Period.WEEK: every, Period.OVERALL: every}
    for name in header["default_metrics"].value if "default_metrics" in header else ():
        if name not in metrics:
            reader.refuse(
                ("default_metrics",),
                f'metric "{name}" is not defined in this outcome{did_you_mean(name, metrics)}',
            )
    spec = Spec(
        header=header,
        periods=periods,
        metrics=metrics,
        data_sources=reader.named("data_sources", keys.DATA_SOURCE),
        parameters=reader.parameters(),
    )
    return reader.declared(spec)


def read_definitions(document: Document) -> Declared:
    """An application's shared definitions."""
    reader = _Reader(document)
    reader.sections("metrics", "data_sources", "segments", "parameters")
    _, metrics = reader.metrics()
    segments, segment_data_sources = reader.segments()
    spec = Spec(
        metrics=metrics,
        data_sources=reader.named("data_sources", keys.DATA_SOURCE),
        segments=segments,
        segment_data_sources=segment_data_sources,
        parameters=reader.parameters(),
    )
    return reader.declared(spec)


def read_functions(document: Document) -> Declared:
    """Macros for select expressions."""
    reader = _Reader(document)
    reader.sections("functions")
    functions = reader.named("functions", keys.FUNCTION, required=("definition",))
    return reader.declared(Spec(functions=functions))


def read_nimbus_definitions(document: Document) -> Declared:
    """Metrics declared as aggregations only; unknown keys are refused."""
    reader = _Reader(document, tolerates_unknown=False)
    reader.sections("metrics")
    metrics = reader.named("metrics", keys.NIMBUS_METRIC, required=("data_source", "aggregation"))
    for name, table in metrics.items():
        reader.aggregation(("metrics", name), table)
    return reader.declared(Spec(metrics=metrics))


@dataclass
class _Reader:
    """Checks the tables of one document and collects findings."""

    document: Document
    tolerates_unknown: bool = True
    findings: list[Finding] = field(default_factory=list)

    def declared(self, spec: Spec) -> Declared:
        return Declared(spec, tuple(self.findings))

    def refuse(self, path: Path, message: str) -> None:
        self.findings.append(Finding(self.document, path, message))

    def tolerate(self, path: Path, message: str) -> None:
        self.findings.append(Finding(self.document, path, message, is_tolerated=True))

    def unknown(self, path: Path, known: Iterable[str], hint: str | None = None) -> None:
        """An unknown key: the nearest valid one, or `hint`."""
        nearest = hint or _HINTS.get(path[-1]) or did_you_mean(path[-1], known)
        message = f'unknown key "{path[-1]}"{nearest}'
        self.findings.append(Finding(self.document, path, message, self.tolerates_unknown))

    def sections(self, *known: str) -> None:
        """Complain about top-level keys that this kind of file does not have."""
        for key in self.document.tables:
            if key not in known and key not in _OTHER_TOOLS:
                self.unknown((key,), known, _ELSEWHERE if key in PERIOD_KEYS else None)

    def root(self, *wanted: str) -> dict[str, Any]:
        return {key: value for key, value in self.document.tables.items() if key in wanted}

    def section(self, name: str) -> Mapping[str, Any]:
        value = self.document.tables.get(name, {})
        if isinstance(value, dict):
            return value
        self.refuse((name,), f"expected a table; write [{name}]")
        return {}

    def table(
        self, path: Path, raw: Mapping[str, Any], known: Keys, required: Iterable[str] = ()
    ) -> Table:
        """The settings of one table, keys in lower case."""
        settings: Table = {}
        for key, value in raw.items():
            kind = known.get(key.lower())
            if kind is None:
                self.unknown((*path, key), known)
                continue
            try:
                taken = kind(value)
            except ValueError as error:
                self.refuse((*path, key), str(error))
                continue
            if taken.complaint:
                self.tolerate((*path, key), taken.complaint)
            if taken.value is not None:
                settings[key.lower()] = Setting(taken.value, self.document, (*path, key))
        present = settings.keys() | {key.lower() for key in raw}
        for key in required:
            if key not in present:
                self.refuse(path, f'"{key}" is missing')
        return settings

    def part(self, table: Table, key: str, known: Keys, required: Iterable[str]) -> Table:
        """The settings of a table within a table."""
        if key not in table:
            return {}
        return self.table(table[key].path, table[key].value, known, required)

    def named(self, section: str, known: Keys, required: Iterable[str] = ()) -> dict[str, Table]:
        """The tables of a section, by name."""
        return self.tables_of((section,), self.section(section), known, required)

    def tables_of(
        self, path: Path, raw: Mapping[str, Any], known: Keys, required: Iterable[str] = ()
    ) -> dict[str, Table]:
        """Tables by name, each checked."""
        found = {}
        for name, value in raw.items():
            if isinstance(value, dict):
                found[name] = self.table((*path, name), value, known, required)
                self.check_name((*path, name), found[name])
            else:
                self.refuse((*path, name), f"expected a table; write [{'.'.join((*path, name))}]")
        return found

    def check_name(self, path: Path, table: Table) -> None:
        """A `name` key within a table may only repeat the table's own."""
        if (given := table.get("name")) and given.value != path[-1]:
            self.tolerate(given.path, f'ignored: the name is the table\'s, "{path[-1]}"')

    def experiment(self) -> Table:
        """The [experiment] section; a private experiment has a dataset of its own."""
        raw = self.section("experiment")
        for key in raw:
            if key in PERIOD_KEYS:
                self.unknown(("experiment", key), (), _ELSEWHERE)
        rest = {key: value for key, value in raw.items() if key not in PERIOD_KEYS}
        table = self.table(("experiment",), rest, keys.EXPERIMENT)
        if (private := table.get("is_private")) and private.value and "dataset_id" not in table:
            self.refuse(private.path, 'a private experiment needs its own "dataset_id"')
        return table

    def metrics(self) -> tuple[Periods, dict[str, Table]]:
        """Period lists and metric tables."""
        section = self.section("metrics")
        lists = {key: value for key, value in section.items() if key in PERIOD_KEYS}
        tables = {}
        for key, value in section.items():
            if isinstance(value, dict) and key not in PERIOD_KEYS:
                tables[key] = value
            elif key not in PERIOD_KEYS:
                self.not_a_period(key)
        metrics = self.tables_of(("metrics",), tables, keys.METRIC)
        for name, table in metrics.items():
            self.aggregation(("metrics", name), table)
        return self.periods(("metrics",), lists), metrics

    def not_a_period(self, key: str) -> None:
        """A list under [metrics] whose key is no period."""
        hint = (
            f'; write "{_PERIOD_HINTS[key]}"'
            if key in _PERIOD_HINTS
            else did_you_mean(key, PERIOD_KEYS)
        )
        message = f'"{key}" is neither a period nor a metric table{hint}'
        if key == "days28":  # the public parser ignores this one and refuses the others
            self.tolerate(("metrics", key), message)
        else:
            self.refuse(("metrics", key), message)

    def periods(self, path: Path, lists: Mapping[str, Any]) -> Periods:
        """The names under each period list."""
        periods = {}
        for key, value in lists.items():
            if isinstance(value, list) and all(isinstance(name, str) for name in value):
                periods[PERIOD_KEYS[key]] = tuple(
                    Setting(name, self.document, (*path, key)) for name in value
                )
            else:
                self.refuse((*path, key), "expected a list of metric names")
        return periods

    def aggregation(self, path: Path, table: Table) -> None:
        """Whether a declared aggregation is whole."""
        for key, message in check_aggregation(table):
            self.refuse((*path, key) if key else path, message)

    def segments(self) -> tuple[dict[str, Table], dict[str, Table]]:
        """Segments, and their data sources."""
        section = dict(self.section("segments"))
        sources = section.pop("data_sources", {})
        if not isinstance(sources, dict):
            self.refuse(("segments", "data_sources"), "expected a table of tables")
            sources = {}
        for name, value in section.items():
            if isinstance(value, dict):
                section[name] = self.without_window(name, value)
        found = self.tables_of(("segments",), section, keys.SEGMENT, keys.SEGMENT_REQUIRED)
        path = ("segments", "data_sources")
        return found, self.tables_of(
            path, sources, keys.SEGMENT_DATA_SOURCE, required=("from_expression",)
        )

    def without_window(self, name: str, segment: Mapping[str, Any]) -> dict[str, Any]:
        """A segment's table without the keys that belong to its data source."""
        for key in ("window_start", "window_end"):
            if key in segment:
                source = segment.get("data_source", "..")
                self.tolerate(
                    ("segments", name, key),
                    f'"{key}" has no effect here; write it under [segments.data_sources.{source}]',
                )
        return {key: v for key, v in segment.items() if key not in ("window_start", "window_end")}

    def parameters(self) -> dict[str, Table]:
        """Parameters; the public parser, too, refuses unknown keys here."""
        strict = _Reader(self.document, tolerates_unknown=False, findings=self.findings)
        return strict.named("parameters", keys.PARAMETER)


def _joined(first: Periods, second: Periods) -> Periods:
    return {period: first.get(period, ()) + second.get(period, ()) for period in Period}
