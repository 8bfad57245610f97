"""All experiments: which need a decision, which run, which have ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from sonde.health import Light, State, worst
from sonde.pages import links, words
from sonde.pages.draw.row import Axis, axis_row, row
from sonde.pages.forest import PORTFOLIO_WIDTH
from sonde.pages.health import ShownLight
from sonde.pages.interval import Interval, Tone, tone
from sonde.pages.verdict import NEEDS_DECISION, Kind

Card = Mapping[str, Any]
_LIGHTS = {light.value: light.value.capitalize() for light in Light}


@dataclass(frozen=True)
class PortfolioRow:
    """An experiment in one line."""

    card: Card
    href: str
    drawing: str
    effect: str

    @property
    def lights(self) -> list[tuple[str, str]]:
        """Name and state of each light."""
        return [(_LIGHTS[name], of["state"]) for name, of in self.card["health"].items()]

    @property
    def lights_in_words(self) -> str:
        """For those who do not see them."""
        odd = [f"{name} {state}" for name, state in self.lights if state != State.FINE.value]
        return ", ".join(odd) or "all six fine"

    @property
    def share(self) -> float | None:
        """How much of the planned time has gone, in percent."""
        start, end = self.card["start_date"], self.card["planned_end_date"]
        if start is None or end is None:
            return None
        whole = max((date.fromisoformat(end) - date.fromisoformat(start)).days, 1)
        gone = (date.fromisoformat(self.card["data_through"]) - date.fromisoformat(start)).days + 1
        return round(100 * min(max(gone / whole, 0), 1), 1)

    @property
    def days(self) -> str:
        """Days left, in words."""
        if self.card["state"] == "Ended":
            return "ended"
        end = self.card["planned_end_date"]
        if end is None:
            return str(self.card["state"]).lower()
        left = (date.fromisoformat(end) - date.fromisoformat(self.card["data_through"])).days
        return f"{words.plural(left, 'day')} left" if left > 0 else "end has come"


@dataclass(frozen=True)
class PortfolioGroup:
    """Experiments in the same situation."""

    title: str
    rows: Sequence[PortfolioRow]


class Portfolio:
    """The first page. cards: of all experiments that the reader may see."""

    def __init__(self, cards: Sequence[Card]) -> None:
        self.cards = sorted(cards, key=lambda card: (card["start_date"] or "", card["slug"]))[::-1]
        effects = [_interval(card["key_effect"]) for card in cards if card["key_effect"]]
        margins = [c["key_effect"]["margin"] for c in cards if c["key_effect"]]
        self._axis = Axis.fitting(effects, [m for m in margins if m is not None])

    @property
    def axis(self) -> str:
        """The axis above the effects."""
        return axis_row(self._axis, PORTFOLIO_WIDTH)

    @property
    def has_truth(self) -> bool:
        """Whether planted effects are known."""
        return any(c["key_effect"] and c["key_effect"]["truth"] is not None for c in self.cards)

    @property
    def groups(self) -> list[PortfolioGroup]:
        """The most urgent first."""
        decide = [c for c in self.cards if Kind(c["verdict"]["kind"]) in NEEDS_DECISION]
        ended = [c for c in self.cards if c not in decide and c["state"] == "Ended"]
        running = [c for c in self.cards if c not in decide and c not in ended]
        groups = (("Needs a decision", decide), ("Running", running), ("Ended", ended))
        return [PortfolioGroup(title, [self._row(c) for c in of]) for title, of in groups if of]

    @property
    def sentence(self) -> str:
        """The page in one sentence."""
        if not self.cards:
            return "No experiment yet."
        numbers = {group.title: len(group.rows) for group in self.groups}
        parts = []
        if (decide := numbers.get("Needs a decision", 0)) > 0:
            noun = "experiment needs" if decide == 1 else "experiments need"
            parts.append(f"{_word(decide).capitalize()} {noun} a decision.")
        rest = []
        if (running := numbers.get("Running", 0)) > 0:
            rest.append(f"{_word(running)} {'runs' if running == 1 else 'run'} on")
        if (ended := numbers.get("Ended", 0)) > 0:
            rest.append(f"{_word(ended)} {'has' if ended == 1 else 'have'} ended")
        if rest:
            said = ", ".join(rest)
            parts.append(f"{said[:1].upper()}{said[1:]}.")
        return " ".join(parts)

    @property
    def lights(self) -> list[ShownLight]:
        """The state of everything at once."""
        split = [c["health"][Light.SPLIT.value]["state"] for c in self.cards]
        fresh = [c["health"][Light.FRESHNESS.value]["state"] for c in self.cards]
        broken = split.count(State.STOP.value)
        crossed = sum(c["verdict"]["kind"] == Kind.STOP.value for c in self.cards)
        readable = sum(c["verdict"]["kind"] != Kind.WAITING.value for c in self.cards)
        units = sum(sum(c["units"].values()) for c in self.cards)
        failed = sum(c["errors"] for c in self.cards)
        every = len(self.cards)
        newest = max((c["data_through"] for c in self.cards), default=None)
        to = "no data" if newest is None else words.day(date.fromisoformat(newest), year=True)
        return [
            _light("Units", State.FINE, words.count(units), "in the windows shown"),
            _light("Verdicts", State.FINE, f"{readable} of {every}", "have something to read"),
            _light("Splits", _worst(split), f"{broken} broken", f"of {every}"),
            _light("Guardrails", State.STOP if crossed else State.FINE, f"{crossed} crossed",
                   f"in {every} experiments"),
            _light("Freshness", _worst(fresh), to, "newest day asked for"),
            _light("Errors", State.LOOK if failed else State.FINE, str(failed),
                   "messages of failed steps"),
        ]  # fmt: skip

    def _row(self, card: Card) -> PortfolioRow:
        href = links.quoted(links.experiment(card["slug"]))
        found = card["key_effect"]
        if found is None:
            return PortfolioRow(card, href, "", "")
        change = _interval(found)
        drawing = row(
            change,
            self._axis,
            tone=_tone(card, change),
            margin=found["margin"],
            truth=found["truth"],
            width=PORTFOLIO_WIDTH,
            height=30,
            title=f"{found['title']}: {words.between(change)}",
        )
        return PortfolioRow(card, href, drawing, words.span(change))


def _tone(card: Card, change: Interval) -> Tone:
    found = card["key_effect"]
    return tone(change, found["bigger_is_better"], found["margin"])


def _interval(found: Mapping[str, Any]) -> Interval:
    return Interval(found["point"], found["lower"], found["upper"])


def _light(name: str, state: State, figure: str, note: str) -> ShownLight:
    return ShownLight(name, state, figure, note, "#experiments")


def _worst(states: Sequence[str]) -> State:
    return worst(State(each) for each in states)


def _word(number: int) -> str:
    small = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
    return small[number] if number < len(small) else words.count(number)
