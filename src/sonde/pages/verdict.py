"""The sentence at the top of a page, by rule. The rule is in docs/verdict.md, step by step."""

from __future__ import annotations

import enum
import math
from collections.abc import Sequence
from dataclasses import dataclass

from sonde.health import Check, Light, State, worst
from sonde.pages import words
from sonde.pages.facts import Facts, Reading
from sonde.pages.interval import Interval, Tone, at_least, p_value, two_sided

_PRECISE = 0.01  # a relative change that most would act on; what an inconclusive one should settle
# Segments are read against each other only this far from chance; Bonferroni over them on top.
_ALPHA = 0.01
_MOST_SAID = 3  # primary metrics in the sentence
_MOST_TIMES = 1000


class Kind(enum.StrEnum):
    """What a verdict asks of a person."""

    WAITING = "waiting"
    BROKEN = "broken"
    STOP = "stop"
    SPLIT_BY_SEGMENT = "decide by segment"
    FADES = "fades"
    SHIP = "ship"
    WORSE = "worse"
    INCONCLUSIVE = "inconclusive"
    AA = "a/a"
    KEEP_GOING = "keep going"
    NO_PRIMARY = "no primary metric"


NEEDS_DECISION = frozenset(
    {Kind.BROKEN, Kind.STOP, Kind.SPLIT_BY_SEGMENT, Kind.FADES, Kind.SHIP, Kind.WORSE}
)


@dataclass(frozen=True)
class Verdict:
    """headline: the imperative. sentence: what it rests on. steps: the rule, with its states."""

    kind: Kind
    headline: str
    sentence: str
    steps: tuple[tuple[State, str], ...] = ()

    @property
    def mark(self) -> str:
        """The glyph that stands for it: `up`, `stop`, `watch`, `flat`, `ok` or `none`."""
        match self.kind:
            case Kind.SHIP:
                return "up"
            case Kind.BROKEN | Kind.STOP | Kind.WORSE:
                return "stop"
            case Kind.SPLIT_BY_SEGMENT | Kind.FADES:
                return "watch"
            case Kind.AA:
                return "ok"
            case Kind.WAITING | Kind.NO_PRIMARY:
                return "none"
            case Kind.KEEP_GOING | Kind.INCONCLUSIVE:
                return "flat"


def verdict(facts: Facts) -> Verdict:
    """The first rule that holds decides; what was looked at on the way are its steps."""
    steps: list[tuple[State, str]] = []
    for rule in (_broken, _waiting, _crossed, _aa, _opposite, _fades, _decided):
        steps += rule.looked(facts)
        if (found := rule.says(facts)) is not None:
            kind, headline, sentence = found
            return Verdict(kind, headline, sentence, tuple(steps))
    raise AssertionError("the last rule always holds")


Said = tuple[Kind, str, str] | None


class _Rule:
    """One rule: what it looked at, and what it says if it holds."""

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        raise NotImplementedError

    def says(self, facts: Facts) -> Said:
        raise NotImplementedError


class _Broken(_Rule):
    """A broken split: what drops units from a branch may change what the rest do."""

    def _checks(self, facts: Facts) -> list[Check]:
        return [check for check in facts.checks if check.light is Light.SPLIT]

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        state = worst(check.state for check in self._checks(facts))
        said = {
            State.STOP: "The split is broken.",
            State.UNCHECKED: "The split could not be checked.",
        }
        return [(state, said.get(state, "The split is as designed."))]

    def says(self, facts: Facts) -> Said:
        stops = [check for check in self._checks(facts) if check.state is State.STOP]
        if not stops:
            return None
        # The check that names a segment says the most.
        named = sorted(stops, key=lambda check: (not check.scope.startswith("segment"), check.name))
        return Kind.BROKEN, "Do not read these results.", named[0].note


class _Waiting(_Rule):
    """Before anything can be read."""

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        if facts.has_results:
            return []
        return [(State.UNCHECKED, "Nothing is estimated yet.")]

    def says(self, facts: Facts) -> Said:
        if facts.problem:
            said = facts.problem[:1].upper() + facts.problem[1:]
            return Kind.WAITING, "Not analysed.", said if said.endswith(".") else f"{said}."
        if facts.has_results:
            return None
        ended = "Nothing can be said." if facts.has_ended else "Too early to say anything."
        return Kind.WAITING, ended, self._until_when(facts) or self._why(facts)

    def _until_when(self, facts: Facts) -> str:
        parts = []
        if facts.start is not None and facts.as_of < facts.start:
            parts.append(f"It starts on {words.day(facts.start)}.")
        elif facts.last_enrollment is not None and facts.as_of < facts.last_enrollment:
            parts.append(f"Enrollment is open until {words.day(facts.last_enrollment)}.")
        if facts.first_result is not None and facts.first_result > facts.as_of:
            parts.append(f"The first result comes after {words.day(facts.first_result)}.")
        return " ".join(parts)

    def _why(self, facts: Facts) -> str:
        if facts.minimum_units:
            return f"A branch has fewer than {facts.minimum_units} units: nothing is shown."
        if facts.errors:
            return "There is no estimate; the errors below say why."
        if facts.units == 0:
            return "No unit is enrolled: see that slug, dates and branches are those of the events."
        if facts.others:
            return "There is no estimate; the metrics below say why, one by one."
        return "There is no estimate: either no unit is enrolled, or no branch to compare with."


class _Crossed(_Rule):
    """A guardrail whose whole interval is worse than its margin."""

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        if not facts.guardrails:
            return [(State.UNCHECKED, "No guardrail is declared.")]
        known = [r for r in facts.guardrails if r.change is not None]
        crossed = [r for r in known if r.tone is Tone.BAD]
        settled = [r for r in known if _within(r)]
        state = State.STOP if crossed else State.FINE
        text = (
            f"Guardrails: {len(settled)} of {len(facts.guardrails)} intervals end before their "
            f"margin, {len(crossed)} lie beyond it."
        )
        return [(state, text)]

    def says(self, facts: Facts) -> Said:
        crossed = [r for r in facts.guardrails if r.tone is Tone.BAD]
        if not crossed:
            return None
        parts = []
        for each in crossed:
            assert each.change is not None
            assert each.margin is not None
            parts.append(
                f"{_what(each, facts)} {_moved(each.change)} by {words.amount(each.change)}"
                f"; the margin is {words.percent(abs(each.margin), 1, '')}."
            )
        parts += [_sentence(r, facts) for r in facts.primary if r.tone is Tone.GOOD]
        return Kind.STOP, "Stop: a guardrail is crossed.", " ".join(parts)


class _Aa(_Rule):
    """Branches that are the same on purpose."""

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        return [(State.FINE, "It is declared to be an A/A.")] if facts.is_aa else []

    def says(self, facts: Facts) -> Said:
        if not facts.is_aa:
            return None
        known = [r.change for r in facts.others if r.change is not None]
        outside = sum(not change.holds_zero for change in known)
        chance = at_least(outside, len(known), 0.05)
        expected = f"{0.05 * len(known):.1f}"
        said = (
            f"{outside} of {len(known)} intervals lie wholly on one side of 0, about {expected} "
            "were to be expected."
        )
        if chance < _ALPHA:
            return Kind.AA, "Look into it: an A/A should not look like this.", said
        return Kind.AA, "As an A/A should look.", said


class _Opposite(_Rule):
    """Segments that move opposite ways: the average hides both."""

    def _moved(self, facts: Facts) -> list[tuple[str, Reading]]:
        limit = _ALPHA / max(len(facts.segments), 1)
        return [(name, r) for name, r in facts.segments if r.change and p_value(r.change) < limit]

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        if not facts.segments:
            return []
        opposite = self.says(facts) is not None
        text = "Segments move opposite ways." if opposite else "No two segments move opposite ways."
        return [(State.LOOK if opposite else State.FINE, text)]

    def says(self, facts: Facts) -> Said:
        moved = self._moved(facts)
        up = [each for each in moved if each[1].change and each[1].change.lower > 0]
        down = [each for each in moved if each[1].change and each[1].change.upper < 0]
        if not up or not down:
            return None
        parts = [
            f"{name} {verb} {words.amount(r.change)}"
            for verb, group in (("gains", up), ("loses", down))
            for name, r in group
            if r.change is not None
        ]
        title = up[0][1].title
        said = f"{title}: {words.listed(parts)}. The average hides both."
        return Kind.SPLIT_BY_SEGMENT, "Decide by segment, not overall.", said


class _Fades(_Rule):
    """An effect that was there in the first week and is not in the newest."""

    def _found(self, facts: Facts) -> bool:
        if facts.weeks is None:
            return False
        first, last = (reading.change for reading in facts.weeks)
        if first is None or last is None or p_value(first) >= _ALPHA:
            return False
        error = math.hypot(first.error, last.error)
        apart = abs(first.point - last.point) / error if error else 0.0
        left = math.copysign(last.point, last.point * math.copysign(1.0, first.point))
        return left < abs(first.point) / 2 and two_sided(apart) < _ALPHA

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        if facts.weeks is None:
            return []
        text = "The effect fades." if self._found(facts) else "The effect does not fade visibly."
        return [(State.LOOK if self._found(facts) else State.FINE, text)]

    def says(self, facts: Facts) -> Said:
        if facts.weeks is None or not self._found(facts):
            return None
        first, last = facts.weeks
        assert first.change is not None
        assert last.change is not None
        said = (
            f"The effect on {_lower(first.title)} fades: {words.between(first.change)} in the "
            f"first week, {words.between(last.change)} in the newest."
        )
        return Kind.FADES, "Do not decide on the average.", said


class _Decided(_Rule):
    """The primary metrics, read at the planned end."""

    def looked(self, facts: Facts) -> list[tuple[State, str]]:
        known = [r for r in facts.primary if r.change is not None]
        good = sum(r.tone is Tone.GOOD for r in known)
        bad = sum(r.tone is Tone.BAD for r in known)
        said = (
            f"Primary metrics: {good} of {len(facts.primary)} intervals lie wholly on the better "
            f"side of 0, {bad} on the worse."
        )
        primary = (State.FINE if known else State.UNCHECKED, said)
        if facts.has_ended:
            return [primary, (State.FINE, "The experiment has ended: its whole period is read.")]
        until = facts.planned_end
        when = "at its end" if until is None else f"on {words.day(until)}"
        return [primary, (State.UNCHECKED, f"The intervals hold when read once, {when}.")]

    def says(self, facts: Facts) -> Said:
        known = [r for r in facts.primary if r.change is not None]
        sentence = " ".join(_sentence(r, facts) for r in known[:_MOST_SAID])
        if not facts.has_ended:
            so_far = f"So far, {facts.window}: " if facts.window and sentence else ""
            said = f"{so_far}{sentence or self._undecided(facts)} {_guarded(facts)}".strip()
            return Kind.KEEP_GOING, _keep_going(facts), said
        if not known:
            return Kind.NO_PRIMARY, "Read it yourself.", self._undecided(facts)
        worse = {r.branch for r in known if r.tone is Tone.BAD}
        better = dict.fromkeys(r.branch for r in known if r.tone is Tone.GOOD)
        if to_ship := [branch for branch in better if branch not in worse]:
            headline = f"Ship {words.listed(to_ship)}."
            return Kind.SHIP, headline, f"{sentence} {_guarded(facts)}".strip()
        if worse:
            return Kind.WORSE, "Do not ship.", f"{sentence} {_guarded(facts)}".strip()
        return Kind.INCONCLUSIVE, "Inconclusive.", f"{sentence} {_what_it_takes(known)}"

    def _undecided(self, facts: Facts) -> str:
        if facts.primary:
            return "No primary metric has a number, so nothing decides; the rows below say why."
        return "No primary metric is declared, so nothing decides; every metric is below."


_broken, _waiting, _crossed = _Broken(), _Waiting(), _Crossed()
_aa, _opposite, _fades, _decided = _Aa(), _Opposite(), _Fades(), _Decided()


def _keep_going(facts: Facts) -> str:
    left, end = facts.days_left, facts.planned_end
    if left is None or end is None:
        return "Keep going: no end is planned."
    if left == 0:
        return f"End it, then read it: its planned end came on {words.day(end)}."
    return f"Keep going, {words.plural(left, 'more day')}."


def _guarded(facts: Facts) -> str:
    known = [r for r in facts.guardrails if r.change is not None]
    if not known:
        return ""
    within = [r for r in known if _within(r)]
    if len(within) == len(known):
        one = "The guardrail is within its margin."
        return one if len(known) == 1 else f"All {len(known)} guardrails are within their margins."
    return f"{len(within)} of {len(known)} guardrails are settled within their margins."


def _what_it_takes(readings: Sequence[Reading]) -> str:
    widest = max((r.change.upper - r.change.lower) / 2 for r in readings if r.change is not None)
    if widest <= _PRECISE:
        return f"Whatever it is, it is smaller than {words.percent(_PRECISE, 0, '')}."
    factor = min(widest / _PRECISE, _MOST_TIMES) ** 2
    if factor > _MOST_TIMES:
        return f"To settle it takes more than {words.count(_MOST_TIMES)} times the units."
    settle = f"±{words.percent(_PRECISE, 0, '')}"
    return f"To settle {settle} takes about {factor:.1f} times the units."


def _sentence(reading: Reading, facts: Facts) -> str:
    change = reading.change
    assert change is not None
    if change.holds_zero:
        return f"{_what(reading, facts)} is {words.between(change)}: could be either."
    return f"{_what(reading, facts)} {_moved(change)} by {words.amount(change)}."


def _what(reading: Reading, facts: Facts) -> str:
    branches = {r.branch for r in (*facts.primary, *facts.guardrails)}
    return reading.title if len(branches) < 2 else f"{reading.title} in {reading.branch}"


def _lower(title: str) -> str:
    """A title within a sentence; one that begins with an acronym stays as it is."""
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def _moved(change: Interval) -> str:
    return "rose" if change.lower > 0 else "fell"


def _within(reading: Reading) -> bool:
    change, margin = reading.change, reading.margin
    if change is None or margin is None:
        return False
    return change.upper < margin if margin > 0 else change.lower > margin
