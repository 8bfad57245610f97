"""A metric: what it is, where it is used, and what happened to it in every experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from sonde.metric import Metric
from sonde.pages import links, words
from sonde.pages.draw.row import Axis, axis_row, row
from sonde.pages.forest import KEY_WIDTH
from sonde.pages.interval import Interval, tone
from sonde.pages.portfolio import Card


@dataclass(frozen=True)
class MetricEffect:
    """What an experiment did to the metric."""

    name: str
    note: str
    href: str
    role: str
    drawing: str
    value: str


_MOST = 50  # effects on a page: the newest; all are in the API


class MetricPage:
    """One metric across experiments. definition: as JSON holds it; see `definition`.

    cards: the newest first.
    """

    def __init__(
        self, name: str, definition: Mapping[str, Any] | None, cards: Sequence[Card]
    ) -> None:
        self.name = name
        self.definition = definition or {}
        self._found = [
            (card, effect)
            for card in cards
            for effect in card["effects"]
            if effect["metric"] == name
        ]
        self.left_out = max(len(self._found) - _MOST, 0)
        self._found = self._found[:_MOST]
        self._axis = Axis.fitting([_interval(effect) for _, effect in self._found], [])

    @property
    def title(self) -> str:
        """What people call it."""
        known = [effect["title"] for _, effect in self._found]
        return str(self.definition.get("title") or next(iter(known), self.name))

    @property
    def direction(self) -> str:
        """Which way is good."""
        better = self.definition.get("bigger_is_better", True)
        return "higher is better" if better else "higher is worse"

    @property
    def axis(self) -> str:
        """The axis of the effects."""
        return axis_row(self._axis, KEY_WIDTH)

    @cached_property
    def effects(self) -> list[MetricEffect]:
        """One row per experiment and branch, as the portfolio orders them."""
        page = links.metric(self.name)
        return [
            MetricEffect(
                card["name"],
                f"{effect['branch']} against {effect['reference']}, {_window(card)}",
                links.relative(links.experiment(card["slug"]), page),
                effect["role"],
                row(
                    _interval(effect),
                    self._axis,
                    tone=tone(_interval(effect), effect["bigger_is_better"], effect["margin"]),
                    margin=effect["margin"],
                    width=KEY_WIDTH,
                    title=f"{card['name']}: {words.between(_interval(effect))}",
                ),
                words.span(_interval(effect)),
            )
            for card, effect in self._found
        ]


def _window(card: Card) -> str:
    shown = card["shown"]
    return words.window(shown["analysis_period"], shown["window_index"]).lower()


def _interval(effect: Mapping[str, Any]) -> Interval:
    return Interval(effect["point"], effect["lower"], effect["upper"])


def definition(metric: Metric, title: str) -> dict[str, Any]:
    """What a metric's page says of its declaration."""
    return {
        "name": metric.name,
        "title": title,
        "description": (metric.description or "").strip(),
        "bigger_is_better": metric.bigger_is_better,
        "data_source": None if metric.data_source is None else metric.data_source.name,
        "select_expression": metric.select_expression,
        "depends_on": [upstream.name for upstream in metric.depends_on],
        "statistics": sorted({s.name for s in metric.statistics}),
        "owner": list(metric.owner),
    }


def metric_names(cards: Iterable[Card]) -> list[str]:
    """Every metric that has an effect or a definition anywhere, in order of name."""
    found = {effect["metric"] for card in cards for effect in card["effects"]}
    return sorted(found | {name for card in cards for name in card.get("definitions", {})})
