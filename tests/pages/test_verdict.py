"""Each rule behind the sentence at the top of a page, and their order."""

from __future__ import annotations

import dataclasses
import re
from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sonde.health import Check, Light, State
from sonde.pages.facts import Facts, Reading
from sonde.pages.interval import Interval
from sonde.pages.results import Estimate
from sonde.pages.verdict import Kind, verdict
from sonde.pages.words import NBSP

START = date(2026, 10, 1)
END = date(2026, 10, 29)
OBVIOUS = {"no effect", "significant", "winner", "trend"}


def around(point: float, half: float) -> Interval:
    return Interval(point, point - half, point + half)


def reading(
    point: float | None = 0.03,
    half: float = 0.01,
    metric: str = "searches",
    branch: str = "treatment",
    bigger_is_better: bool = True,
    margin: float | None = None,
) -> Reading:
    change = None if point is None else around(point, half)
    return Reading(metric, metric.capitalize(), branch, change, bigger_is_better, margin)


def facts(**given_) -> Facts:
    known = {
        "as_of": END,
        "start": START,
        "last_enrollment": START + timedelta(7),
        "first_result": START + timedelta(13),
        "planned_end": END,
        "has_ended": True,
        "is_aa": False,
        "checks": [split(State.FINE)],
        "primary": [reading()],
        "window": "whole period",
    }
    return Facts(**{**known, **given_})


def split(state: State, scope: str = "all", note: str = "50.1 : 49.9, planned 50 : 50.") -> Check:
    return Check(Light.SPLIT, "sample_ratio", scope, state, "50.1 : 49.9", note)


def plain(text: str) -> str:
    return text.replace(NBSP, " ")


BROKEN = [split(State.STOP, note="47.9 : 52.1 instead of 50 : 50.")]
CROSSED = [reading(0.05, 0.01, "startup", bigger_is_better=False, margin=0.02)]
OPPOSITE = [("Windows", reading(0.05)), ("Mac", reading(-0.05))]
FADING = (reading(0.10, 0.01), reading(0.01, 0.01))


class TestBroken:
    def test_nothing_is_to_be_read(self):
        found = verdict(facts(checks=BROKEN))
        assert found.kind is Kind.BROKEN
        assert found.headline == "Do not read these results."
        assert "47.9" in found.sentence
        assert found.steps == ((State.STOP, "The split is broken."),)

    def test_the_check_that_names_a_segment_speaks(self):
        checks = [*BROKEN, split(State.STOP, "segment win", "40 : 60 in Windows.")]
        assert verdict(facts(checks=checks)).sentence == "40 : 60 in Windows."

    @pytest.mark.parametrize("state", [State.FINE, State.LOOK, State.UNCHECKED])
    def test_only_a_stop_breaks(self, state):
        assert verdict(facts(checks=[split(state)])).kind is Kind.SHIP

    def test_other_lights_do_not_break_it(self):
        other = Check(Light.COVERAGE, "coverage", "all", State.STOP, "50 %", "half of them")
        assert verdict(facts(checks=[other])).kind is Kind.SHIP

    def test_not_checked_is_said(self):
        assert verdict(facts(checks=[])).steps[0] == (
            State.UNCHECKED,
            "The split could not be checked.",
        )


class TestWaiting:
    def say(self, **given_):
        found = verdict(facts(primary=[], has_ended=False, **given_))
        assert found.kind is Kind.WAITING
        return found.headline, plain(found.sentence)

    def test_before_the_start(self):
        assert self.say(as_of=START - timedelta(2)) == (
            "Too early to say anything.",
            "It starts on 1 Oct. The first result comes after 14 Oct.",
        )

    def test_while_units_enroll(self):
        assert self.say(as_of=START)[1] == (
            "Enrollment is open until 8 Oct. The first result comes after 14 Oct."
        )

    def test_while_the_first_window_is_not_over(self):
        assert self.say(as_of=START + timedelta(9))[1] == "The first result comes after 14 Oct."

    @pytest.mark.parametrize(
        ("given_", "said"),
        [
            ({"errors": 3}, "the errors below say why"),
            ({"others": [reading(None)]}, "the metrics below say why"),
            ({"units": 0, "others": [reading(None)]}, "No unit is enrolled"),
            ({"minimum_units": 20}, "fewer than 20 units"),
            ({}, "no unit is enrolled"),
        ],
    )
    def test_when_a_result_is_due_and_there_is_none(self, given_, said):
        assert said in self.say(**given_)[1]

    def test_after_the_end_it_is_not_early(self):
        found = verdict(facts(primary=[]))
        assert (found.kind, found.headline) == (Kind.WAITING, "Nothing can be said.")

    def test_no_date_is_known(self):
        headline, sentence = self.say(
            start=None, last_enrollment=None, first_result=None, planned_end=None
        )
        assert headline == "Too early to say anything."
        assert sentence

    def test_not_analysed(self):
        found = verdict(facts(problem="no branches: declare at least two"))
        assert found.kind is Kind.WAITING
        assert found.headline == "Not analysed."
        assert found.sentence == "No branches: declare at least two."


class TestCrossed:
    def test_more_than_is_acceptable(self):
        found = verdict(facts(guardrails=CROSSED))
        assert found.kind is Kind.STOP
        assert plain(found.sentence) == (
            "Startup rose by between 4.0 % and 6.0 %; the margin is 2.0 %. "
            "Searches rose by between 2.0 % and 4.0 %."
        )

    def test_less_than_is_acceptable(self):
        guard = reading(-0.05, 0.01, "retained", margin=-0.015)
        found = verdict(facts(primary=[], guardrails=[guard]))
        assert found.kind is Kind.STOP
        assert plain(found.sentence) == (
            "Retained fell by between 4.0 % and 6.0 %; the margin is 1.5 %."
        )

    @pytest.mark.parametrize(
        ("point", "margin"),
        [(0.025, 0.02), (-0.018, -0.015), (-0.5, 0.02), (0.5, -0.015)],
        ids=["reaches over it", "reaches under it", "good where more is bad", "good"],
    )
    def test_only_a_whole_interval_beyond_it(self, point, margin):
        guard = reading(point, 0.01, "guard", bigger_is_better=margin < 0, margin=margin)
        assert verdict(facts(guardrails=[guard])).kind is Kind.SHIP

    def test_a_guardrail_is_never_a_reason_to_ship(self):
        better = reading(0.5, 0.01, "guard", margin=-0.015)
        assert verdict(facts(primary=[], guardrails=[better])).kind is Kind.NO_PRIMARY

    def test_it_stops_while_units_enroll(self):
        early = facts(guardrails=CROSSED, has_ended=False, as_of=START + timedelta(3))
        assert verdict(early).kind is Kind.STOP


class TestAa:
    def test_as_it_should_look(self):
        others = [*[reading(0, 0.01, f"m{n}") for n in range(19)], reading(0.02, 0.01, "odd")]
        found = verdict(facts(is_aa=True, others=others))
        assert found.kind is Kind.AA
        assert found.headline == "As an A/A should look."
        assert found.sentence.startswith("1 of 20 intervals lie wholly on one side of 0, about 1.0")

    def test_as_it_should_not(self):
        others = [reading(0.02, 0.01, f"m{n}") for n in range(9)]
        found = verdict(facts(is_aa=True, others=others))
        assert found.headline.startswith("Look into it")

    def test_the_limit_is_that_of_the_binomial_distribution(self):
        """P(X >= 4 | 20, 0.05) = 0.0159, P(X >= 5) = 0.0026: R, 1 - pbinom(3:4, 20, 0.05)."""
        for outside, is_odd in ((4, False), (5, True)):
            others = [reading(0.02 if n < outside else 0, 0.01, f"m{n}") for n in range(20)]
            found = verdict(facts(is_aa=True, others=others))
            assert found.headline.startswith("Look into it") is is_odd

    def test_of_thousands_of_metrics(self):
        others = [reading(0.02 if n % 20 == 0 else 0, 0.01, f"m{n}") for n in range(3000)]
        assert verdict(facts(is_aa=True, others=others)).headline == "As an A/A should look."

    def test_it_never_ships(self):
        assert verdict(facts(is_aa=True, others=[reading()])).kind is Kind.AA


class TestOpposite:
    def test_the_average_hides_both(self):
        found = verdict(facts(segments=OPPOSITE))
        assert found.kind is Kind.SPLIT_BY_SEGMENT
        assert plain(found.sentence) == (
            "Searches: Windows gains between 4.0 % and 6.0 % and Mac loses between 4.0 % and 6.0 %."
            " The average hides both."
        )

    def test_it_takes_both_sides(self):
        one = [("Windows", reading(0.05)), ("Mac", reading(0.01, 0.02))]
        assert verdict(facts(segments=one)).kind is Kind.SHIP

    def test_with_many_segments_it_takes_more(self):
        """|z| = 2.9, p = 0.0037: below 0.01 / 2, not below 0.01 / 20."""
        half = 0.05 * 1.959964 / 2.9
        two = [("up", reading(0.05, half)), ("down", reading(-0.05, half))]
        many = [*two, *((f"s{n}", reading(0, 0.01)) for n in range(18))]
        assert verdict(facts(segments=two)).kind is Kind.SPLIT_BY_SEGMENT
        assert verdict(facts(segments=many)).kind is Kind.SHIP


class TestFading:
    def test_gone_in_the_newest_week(self):
        found = verdict(facts(weeks=FADING))
        assert found.kind is Kind.FADES
        assert plain(found.sentence) == (
            "The effect on searches fades: between +9.0 % and +11.0 % in the first week, "
            "between +0.0 % and +2.0 % in the newest."
        ).replace("+0.0 %", "0.00 %").replace("+2.0 %", "+2.00 %")

    def test_turned_round(self):
        turned = (reading(0.10, 0.01), reading(-0.09, 0.01))
        assert verdict(facts(weeks=turned)).kind is Kind.FADES

    def test_of_a_loss(self):
        assert verdict(facts(weeks=(reading(-0.1), reading(-0.01)))).kind is Kind.FADES

    @pytest.mark.parametrize(
        "weeks",
        [
            (reading(0.10), reading(0.06)),
            (reading(0.01, 0.02), reading(0.0, 0.02)),
            (reading(0.10, 0.06), reading(0.04, 0.06)),
            (reading(None), reading(0.1)),
            (reading(0.1), reading(None)),
        ],
        ids=["more than half is left", "none at first", "too wide to tell", "no first", "no last"],
    )
    def test_not(self, weeks):
        assert verdict(facts(weeks=weeks)).kind is Kind.SHIP


class TestKeepGoing:
    def say(self, **given_):
        return verdict(facts(has_ended=False, as_of=END - timedelta(5), **given_))

    def test_days_left(self):
        found = self.say()
        assert found.kind is Kind.KEEP_GOING
        assert plain(found.headline) == "Keep going, 5 more days."
        assert plain(found.sentence) == (
            "So far, whole period: Searches rose by between 2.0 % and 4.0 %."
        )
        assert plain(found.steps[-1][1]) == "The intervals hold when read once, on 29 Oct."

    def test_without_a_planned_end(self):
        found = self.say(planned_end=None)
        assert found.headline == "Keep going: no end is planned."
        assert found.steps[-1][1] == "The intervals hold when read once, at its end."

    @pytest.mark.parametrize("late", [0, 5])
    def test_beyond_the_planned_end(self, late):
        end = END - timedelta(5 + late)
        found = self.say(planned_end=end)
        assert found.kind is Kind.KEEP_GOING
        assert plain(found.headline) == (
            f"End it, then read it: its planned end came on {end.day} Oct."
        )

    @pytest.mark.parametrize("primary", [[], [reading(None)]])
    def test_nothing_decides(self, primary):
        found = self.say(primary=primary, others=[reading()])
        assert found.kind is Kind.KEEP_GOING
        assert found.sentence.startswith("No primary metric")


class TestDecided:
    def test_ship(self):
        found = verdict(facts())
        assert (found.kind, found.headline) == (Kind.SHIP, "Ship treatment.")

    def test_lower_is_better(self):
        less = reading(-0.03, bigger_is_better=False)
        assert verdict(facts(primary=[less])).kind is Kind.SHIP

    def test_worse(self):
        found = verdict(facts(primary=[reading(-0.03)]))
        assert (found.kind, found.headline) == (Kind.WORSE, "Do not ship.")
        assert plain(found.sentence) == "Searches fell by between 2.0 % and 4.0 %."

    def test_better_in_one_metric_and_worse_in_another(self):
        found = verdict(facts(primary=[reading(), reading(-0.03, metric="clicks")]))
        assert found.kind is Kind.WORSE

    def test_a_branch_that_is_better_ships_though_another_is_worse(self):
        found = verdict(facts(primary=[reading(branch="a"), reading(-0.03, branch="b")]))
        assert (found.kind, found.headline) == (Kind.SHIP, "Ship a.")
        assert "Searches in b fell" in found.sentence

    def test_several_branches(self):
        found = verdict(facts(primary=[reading(branch=b) for b in "abc"]))
        assert found.headline == "Ship a, b and c."

    def test_inconclusive_says_how_many_units_it_takes(self):
        """Limits 4 % apart from the middle: 16 times the units for 1 %."""
        found = verdict(facts(primary=[reading(0.01, 0.04)]))
        assert found.kind is Kind.INCONCLUSIVE
        assert plain(found.sentence) == (
            "Searches is between −3.0 % and +5.0 %: could be either. "
            "To settle ±1 % takes about 16.0 times the units."
        )

    def test_inconclusive_and_precise(self):
        found = verdict(facts(primary=[reading(0.001, 0.005)]))
        assert plain(found.sentence).endswith("Whatever it is, it is smaller than 1 %.")

    def test_no_primary_metric(self):
        found = verdict(facts(primary=[], others=[reading()]))
        assert (found.kind, found.headline) == (Kind.NO_PRIMARY, "Read it yourself.")
        assert "is declared" in found.sentence

    def test_a_primary_metric_that_failed(self):
        found = verdict(facts(primary=[reading(None)], others=[reading()]))
        assert found.kind is Kind.NO_PRIMARY
        assert "has a number" in found.sentence

    def test_guardrails_are_counted(self):
        within = reading(0, 0.01, "startup", bigger_is_better=False, margin=0.02)
        open_ = reading(0, 0.03, "memory", bigger_is_better=False, margin=0.02)
        assert "The guardrail is within its margin." in verdict(facts(guardrails=[within])).sentence
        assert (
            "1 of 2 guardrails are settled" in verdict(facts(guardrails=[within, open_])).sentence
        )


RULES = [
    (Kind.BROKEN, {"checks": BROKEN}),
    (Kind.WAITING, {"problem": "no branches"}),
    (Kind.STOP, {"guardrails": CROSSED}),
    (Kind.AA, {"is_aa": True, "others": [reading()]}),
    (Kind.SPLIT_BY_SEGMENT, {"segments": OPPOSITE}),
    (Kind.FADES, {"weeks": FADING}),
    (Kind.KEEP_GOING, {"has_ended": False}),
]


@pytest.mark.parametrize("place", range(len(RULES)), ids=[kind.value for kind, _ in RULES])
def test_the_first_rule_that_holds_decides(place):
    """What breaks trust comes before what can be read, and that before what is to be done."""
    given_ = {name: value for _, each in RULES[place:] for name, value in each.items()}
    assert verdict(facts(**given_)).kind is RULES[place][0]


def intervals(numbers) -> st.SearchStrategy[Interval | None]:
    ordered = st.tuples(numbers, numbers, numbers).map(sorted)
    return st.none() | ordered.map(lambda three: Interval(three[1], three[0], three[2]))


def any_facts() -> st.SearchStrategy[Facts]:
    numbers = st.floats(allow_nan=False, allow_infinity=False) | st.floats(-0.2, 0.2)
    metric = st.sampled_from(["searches", "clicks", "CPU time"])
    branch = st.sampled_from(["a", "b"])
    margins = st.sampled_from([0.02, -0.015, 0.5, -0.5])
    decides = st.builds(Reading, metric, metric, branch, intervals(numbers), st.booleans())
    guards = st.builds(Reading, metric, metric, branch, intervals(numbers), st.booleans(), margins)
    days = st.dates(date(2026, 9, 1), date(2026, 12, 1))
    checks = st.builds(split, st.sampled_from(State))
    return st.builds(
        Facts,
        as_of=days,
        start=st.none() | days,
        last_enrollment=st.none() | days,
        first_result=st.none() | days,
        planned_end=st.none() | days,
        has_ended=st.booleans(),
        is_aa=st.booleans(),
        checks=st.lists(checks, max_size=2),
        primary=st.lists(decides, max_size=4),
        guardrails=st.lists(guards, max_size=3),
        segments=st.lists(st.tuples(st.sampled_from(["Windows", "Mac"]), decides), max_size=4),
        weeks=st.none() | st.tuples(decides, decides),
        others=st.lists(decides, max_size=5),
        window=st.sampled_from(["", "week 2"]),
        problem=st.sampled_from(["", "no branches"]),
        errors=st.integers(0, 3),
        minimum_units=st.sampled_from([0, 20]),
    )


@settings(max_examples=400)
@given(any_facts())
def test_any_numbers_make_a_sentence(given_: Facts):
    found = verdict(given_)
    text = " ".join([found.headline, found.sentence, *(said for _, said in found.steps)])
    assert not re.search(r"\b(nan|inf|none)\b", text, re.IGNORECASE), text
    assert found.sentence.strip().endswith(".")
    assert found.headline.endswith(".")
    assert "  " not in text
    assert not any(word in text.lower() for word in OBVIOUS)
    assert len(text) < 2000
    assert found.mark in {"up", "stop", "watch", "flat", "ok", "none"}


@settings(max_examples=200)
@given(any_facts())
def test_nothing_ships_while_it_runs(given_: Facts):
    running = verdict(dataclasses.replace(given_, has_ended=False))
    assert running.kind not in {Kind.SHIP, Kind.WORSE, Kind.INCONCLUSIVE, Kind.NO_PRIMARY}
    assert "ship" not in running.headline.lower()


@settings(max_examples=200)
@given(any_facts())
def test_nothing_ships_against_a_guardrail_or_a_broken_split(given_: Facts):
    found = verdict(dataclasses.replace(given_, has_ended=True))
    crossed = any(r.tone.value == "bad" for r in given_.guardrails)
    broken = any(check.state is State.STOP for check in given_.checks)
    if crossed or broken or given_.is_aa:
        assert found.kind is not Kind.SHIP


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_finite_is_no_interval(number):
    assert Estimate(0.1, 0.0, 0.2).interval == Interval(0.1, 0.0, 0.2)
    for place in range(3):
        three = [0.1, 0.0, 0.2]
        three[place] = number
        assert Estimate(*three).interval is None
