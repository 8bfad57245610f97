"""A unit's day treated and untreated differs by the effect, and by nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.datasets import use
from sonde.datasets.effects import Effects
from sonde.datasets.lessons import Arm, Effect, Lesson, Rate
from sonde.datasets.membership import NEVER, Membership
from sonde.datasets.population import SYSTEMS, population
from sonde.datasets.trials import trials

PEOPLE = population(3, 4000)
EVERYONE = np.arange(len(PEOPLE))
CHANCE = use.chance(3, PEOPLE, EVERYONE, 20)
PLAIN: use.Multipliers = dict.fromkeys(Rate, 1.0)
VALUES = {
    Rate.HOURS: use.ticks,
    Rate.PAGES: use.pages,
    Rate.SEARCHES: use.searches,
    Rate.AD_CLICKS: use.clicks,
    Rate.STARTUP: use.startup,
}
FACTORS = st.floats(0.1, 5)


@given(st.sampled_from(list(VALUES)), FACTORS, FACTORS)
def test_no_value_falls_as_its_multiplier_rises(rate, first, second):
    low, high = sorted((first, second))
    value = VALUES[rate]
    assert (value(CHANCE, {**PLAIN, rate: low}) <= value(CHANCE, {**PLAIN, rate: high})).all()


@given(st.sampled_from(list(VALUES)), st.floats(0.5, 2))
def test_a_mean_rises_by_its_multiplier(rate, factor):
    value = VALUES[rate]
    plain, more = value(CHANCE, PLAIN), value(CHANCE, {**PLAIN, rate: factor})
    assert more.mean() / plain.mean() == pytest.approx(factor, rel=0.1)


@given(st.sampled_from(list(Rate)), FACTORS)
def test_a_multiplier_moves_its_own_values_and_what_follows_from_them(rate, factor):
    before, after = use.use(CHANCE, PLAIN), use.use(CHANCE, {**PLAIN, rate: factor})
    moved = {
        Rate.HOURS: {"ticks"},
        Rate.PAGES: {"pages"},
        Rate.SEARCHES: {"searches", "tagged", "followed", "organic", "shown", "clicks"},
        Rate.AD_CLICKS: {"clicks"},
        Rate.STARTUP: {"startup"},
    }[rate]
    for name in set(before.__dataclass_fields__) - moved:
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))


def test_a_day_does_not_depend_on_who_else_is_there():
    some = EVERYONE[5::7]
    alone, among = use.chance(3, PEOPLE, some, 20), CHANCE.take(some)
    for name in alone.__dataclass_fields__:
        np.testing.assert_array_equal(getattr(alone, name), getattr(among, name))


def planted(*effects: Effect, other: Lesson | None = None) -> Effects:
    """Two trials in which every client is: first all in the control, then all in the treatment.

    Exposed on day 45, two days after enrollment; out again on day 52.
    """
    first, second = trials()[:2]
    lessons = [
        replace(first.lesson, effects=other.effects if other else {}),
        replace(second.lesson, effects={"treatment": effects}),
    ]
    both = [
        replace(trial, lesson=lesson, stop=56)
        for trial, lesson in zip((first, second), lessons, strict=True)
    ]
    days = np.ones(len(PEOPLE), dtype=np.int16)
    memberships = [
        Membership(
            branch=(branch * days).astype(np.int8),
            enrolled=43 * days,
            exposed=45 * days,
            left=52 * days,
            lost=np.zeros(len(PEOPLE), dtype=bool),
        )
        for branch in (0, 1)
    ]
    return Effects(both, memberships, PEOPLE)


@pytest.mark.parametrize(("day", "factor"), [(44, 1), (45, 1), (46, 1.2), (51, 1.2), (52, 1)])
def test_an_effect_lasts_from_the_day_after_exposure_until_the_unit_leaves(day, factor):
    effects = planted(Effect(Rate.PAGES, 0.2))
    rates = effects.multipliers(EVERYONE, day)
    assert np.all(rates[Rate.PAGES] == factor)
    assert np.all(rates[Rate.HOURS] == 1)


def test_whoever_is_not_exposed_is_not_affected():
    effects = planted(Effect(Rate.PAGES, 0.2))
    effects.memberships[1].exposed[:10] = NEVER
    affected = effects.multipliers(EVERYONE, 46)[Rate.PAGES] > 1
    assert affected.tolist() == [False] * 10 + [True] * (len(PEOPLE) - 10)


@pytest.mark.parametrize("day", [46, 48, 50])
def test_an_effect_fades_with_the_days_since_enrollment(day):
    effects = planted(Effect(Rate.PAGES, 0.2, half_life=2))
    expected = 1 + 0.2 * 0.5 ** ((day - 43 - 1) / 2)
    np.testing.assert_allclose(effects.multipliers(EVERYONE, day)[Rate.PAGES], expected)


def test_an_effect_can_be_of_one_system():
    effects = planted(Effect(Rate.PAGES, -0.2, os="Darwin"))
    rates = effects.multipliers(EVERYONE, 46)[Rate.PAGES]
    mac = list(SYSTEMS).index("Darwin") == PEOPLE.os
    np.testing.assert_allclose(rates, np.where(mac, 0.8, 1))


def test_effects_multiply():
    effects = planted(Effect(Rate.PAGES, 0.2), Effect(Rate.PAGES, 0.1))
    np.testing.assert_allclose(effects.multipliers(EVERYONE, 46)[Rate.PAGES], 1.2 * 1.1)


@pytest.mark.parametrize(("branch", "factor"), [(0, 1), (1, 0.5)])
def test_a_partner_s_arm_must_be_there(branch, factor):
    partner = Arm(trials()[0].slug, "treatment")
    effects = planted(Effect(Rate.PAGES, -0.5, partner=partner))
    effects.memberships[0].branch[:] = branch
    assert np.all(effects.multipliers(EVERYONE, 46)[Rate.PAGES] == factor)


def test_another_world_has_other_branches_in_one_trial_only():
    effects = planted(
        Effect(Rate.PAGES, 0.2),
        other=Lesson("", "", "", "", {"treatment": (Effect(Rate.HOURS, 0.5),)}),
    )
    as_it_was = effects.multipliers(EVERYONE, 46)
    assert (np.max(as_it_was[Rate.HOURS]), np.max(as_it_was[Rate.PAGES])) == (1, 1.2)
    treated = effects.multipliers(EVERYONE, 46, {0: 1})
    assert (np.min(treated[Rate.HOURS]), np.min(treated[Rate.PAGES])) == (1.5, 1.2)
    untreated = effects.multipliers(EVERYONE, 46, {1: 0})
    assert (np.max(untreated[Rate.HOURS]), np.max(untreated[Rate.PAGES])) == (1, 1)
