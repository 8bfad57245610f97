"""Statistics and pre-treatments as declared, and whether they exist."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Protocol

from sonde.config.document import Setting
from sonde.errors import ConfigError
from sonde.metric import Param, PreTreatment, StatisticDeclaration


class Catalogue(Protocol):
    """Which statistics and pre-treatments there are. Each check raises a ValueError."""

    def check_statistic(self, name: str, params: Mapping[str, Param]) -> None:
        """Whether the statistic exists and takes these parameters."""

    def check_pre_treatment(self, name: str, args: Mapping[str, Param]) -> None:
        """Whether the pre-treatment exists and takes these arguments."""


class Registered:
    """The statistics and pre-treatments that are installed.

    They are imported when first asked for: numerical libraries take longer to import than a tree
    of configuration takes to load.
    """

    def check_statistic(self, name: str, params: Mapping[str, Param]) -> None:
        """As `Catalogue`."""
        from sonde.stats.registry import statistic  # noqa: PLC0415

        statistic(name, params)

    def check_pre_treatment(self, name: str, args: Mapping[str, Param]) -> None:
        """As `Catalogue`."""
        from sonde.stats.pretreatment import pre_treatment  # noqa: PLC0415

        pre_treatment(name, args)


REGISTERED = Registered()


def declarations(statistics: Setting) -> Iterator[tuple[StatisticDeclaration, Setting]]:
    """Each declared statistic, and where; a malformed list of pre-treatments is a ConfigError."""
    for name, params in statistics.value.items():
        here = Setting(params, statistics.document, (*statistics.path, name))
        rest = {key: _frozen(value) for key, value in params.items() if key != "pre_treatments"}
        yield StatisticDeclaration(name, rest, _pre_treatments(here)), here


def complaints(
    declaration: StatisticDeclaration, here: Setting, catalogue: Catalogue
) -> Iterator[ConfigError]:
    """What the catalogue has against a declared statistic."""
    try:
        catalogue.check_statistic(declaration.name, declaration.params)
    except ValueError as error:
        yield ConfigError(str(error), here.place)
    for pre_treatment in declaration.pre_treatments:
        try:
            catalogue.check_pre_treatment(pre_treatment.name, pre_treatment.args)
        except ValueError as error:
            yield ConfigError(str(error), _within(here, "pre_treatments").place)


def _pre_treatments(here: Setting) -> tuple[PreTreatment, ...]:
    written = here.value.get("pre_treatments", [])
    if not isinstance(written, list):
        raise ConfigError("expected a list", _within(here, "pre_treatments").place)
    return tuple(_pre_treatment(item, here) for item in written)


def _pre_treatment(written: Any, here: Setting) -> PreTreatment:
    match written:
        case str():
            return PreTreatment(written)
        case {"name": str(name), **args}:
            return PreTreatment(name, {str(key): _frozen(value) for key, value in args.items()})
        case _:
            raise ConfigError(
                'a pre-treatment is a name, or a table { name = "..", <arguments> }',
                _within(here, "pre_treatments").place,
            )


def _within(here: Setting, key: str) -> Setting:
    return Setting(here.value.get(key), here.document, (*here.path, key))


def _frozen(value: Any) -> Param:
    match value:
        case list():
            return tuple(_frozen(item) for item in value)
        case dict():
            return {key: _frozen(item) for key, item in value.items()}
        case None | bool() | int() | float() | str():
            return value
        case _:
            return str(value)
