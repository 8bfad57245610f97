"""`sonde/verdict.toml` of a configuration repository: which metrics decide, and which guard."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from sonde.config.document import Document
from sonde.errors import ConfigError, ConfigErrors, did_you_mean
from sonde.experiment import Experiment
from sonde.roles import Roles

_OWN = ("primary", "guardrails", "aa")
_TOP = ("guardrails", "experiments")


@dataclass(frozen=True)
class Verdicts:
    """What the files say, later ones on top.

    guardrails: of all experiments that measure the metric. own: by experiment, as written.
    """

    guardrails: Mapping[str, float] = field(default_factory=dict)
    own: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    @classmethod
    def read(cls, documents: Iterable[Document]) -> Verdicts:
        """Raises ConfigErrors with everything that is wrong."""
        guardrails: dict[str, float] = {}
        own: dict[str, Mapping[str, Any]] = {}
        errors: list[ConfigError] = []
        for document in documents:
            errors += _wrong(document)
            if not errors:
                guardrails |= document.tables.get("guardrails", {})
                own |= document.tables.get("experiments", {})
        if errors:
            raise ConfigErrors(errors)
        return cls(guardrails, own)

    def roles(self, experiment: Experiment) -> Roles:
        """The roles of an experiment's metrics.

        Primary are those it names here, else those of its primary outcomes that the outcome
        shows by default.
        """
        own = self.own.get(experiment.slug, {})
        guardrails = {**self.guardrails, **own.get("guardrails", {})}
        measured = {m.name for metrics in experiment.metrics.values() for m in metrics}
        primary = tuple(own["primary"]) if "primary" in own else _of_outcomes(experiment)
        return Roles(
            tuple(dict.fromkeys(primary)),
            {m: x for m, x in guardrails.items() if m in measured and m not in primary},
            bool(own.get("aa", False)),
        )


def _of_outcomes(experiment: Experiment) -> tuple[str, ...]:
    first = experiment.record.primary_outcomes or experiment.record.outcomes
    shown = [outcome for outcome in experiment.outcomes if outcome.slug in first]
    return tuple(
        metric for outcome in shown for metric in outcome.default_metrics or outcome.metrics
    )


def _wrong(document: Document) -> Iterator[ConfigError]:
    try:
        tables = document.tables
    except ConfigError as error:
        yield error
        return
    yield from _unknown(document, tables, _TOP, ())
    yield from _margins(document, tables.get("guardrails", {}), ("guardrails",))
    for slug, own in _table(tables.get("experiments", {})).items():
        path = ("experiments", slug)
        if not isinstance(own, Mapping):
            yield ConfigError("expected a table", document.place(path))
            continue
        yield from _unknown(document, own, _OWN, path)
        yield from _margins(document, own.get("guardrails", {}), (*path, "guardrails"))
        primary = own.get("primary", [])
        if not isinstance(primary, list) or not all(isinstance(name, str) for name in primary):
            yield ConfigError(
                "expected a list of names of metrics", document.place((*path, "primary"))
            )
        if not isinstance(own.get("aa", False), bool):
            yield ConfigError("expected true or false", document.place((*path, "aa")))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _unknown(
    document: Document, table: Mapping[str, Any], known: tuple[str, ...], path: tuple[str, ...]
) -> Iterator[ConfigError]:
    for key in table:
        if key not in known:
            yield ConfigError(
                f'unknown key "{key}"{did_you_mean(key, known)}', document.place((*path, key))
            )


def _margins(document: Document, table: Any, path: tuple[str, ...]) -> Iterator[ConfigError]:
    if not isinstance(table, Mapping):
        yield ConfigError("expected a table of metric = margin", document.place(path))
        return
    for metric, margin in table.items():
        is_number = isinstance(margin, int | float) and not isinstance(margin, bool)
        if not is_number or not 0 < abs(margin) < 1:
            yield ConfigError(
                "expected a relative change that is still acceptable, as 0.02 or -0.015",
                document.place((*path, metric)),
            )
