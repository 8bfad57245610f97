"""Clients, their days, and the experiments they are in."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from scipy import stats

from sonde.datasets.membership import NEVER, memberships
from sonde.datasets.population import CHANNELS, COUNTRIES, ENGINES, SYSTEMS, activity, population
from sonde.datasets.trials import DAYS, FIRST_DAY, day_number, trials

CLIENTS = 20_000


@pytest.fixture(scope="module")
def clients():
    return population(7, CLIENTS)


@pytest.fixture(scope="module")
def active(clients):
    return activity(7, clients)


@pytest.fixture(scope="module")
def members(clients, active):
    return list(zip(trials(), memberships(7, trials(), clients, active), strict=True))


def test_a_smaller_population_is_the_beginning_of_a_larger_one(clients, active):
    smaller = population(7, 1000)
    for field in fields(smaller):
        np.testing.assert_array_equal(
            getattr(smaller, field.name), getattr(clients, field.name)[:1000]
        )
    np.testing.assert_array_equal(activity(7, smaller).active, active.active[:, :1000])


def test_clients_have_the_declared_shares(clients):
    for percent, codes in (
        (SYSTEMS, clients.os),
        (COUNTRIES, clients.country),
        (CHANNELS, clients.channel),
        (ENGINES, clients.engine),
    ):
        counts = np.bincount(codes)
        expected = np.array(list(percent.values())) / 100 * CLIENTS
        assert stats.chisquare(counts, expected).pvalue > 0.01


def test_activity_has_a_weekly_rhythm_and_45_percent_of_all_days(active):
    by_day = active.active.sum(axis=1)
    weekday = (FIRST_DAY.weekday() + np.arange(DAYS)) % 7
    assert by_day[weekday >= 5].max() < 0.85 * by_day[weekday < 5].min()
    assert active.active.mean() == pytest.approx(0.448, abs=0.01)


def test_nobody_is_active_before_coming_or_after_leaving(clients, active):
    day = np.arange(DAYS)[:, np.newaxis]
    assert not active.active[(day < clients.first_day) | (day > clients.last_day)].any()
    assert (clients.first_day >= 0).mean() == pytest.approx(0.15, abs=0.01)


def test_two_percent_of_active_days_are_late(active):
    late = active.lateness[active.active]
    assert set(np.unique(late)) == {0, 1, 2, 3}
    assert (late > 0).mean() == pytest.approx(0.02, abs=0.002)
    assert not active.lateness[~active.active].any()


def test_units_enroll_on_a_day_that_is_received_at_once(active, members):
    for trial, membership in members:
        units = np.flatnonzero(membership.enrolled != NEVER)
        days = membership.enrolled[units]
        assert active.on_time[days, units].all()
        assert trial.start <= days.min()
        assert days.max() < min(trial.start + trial.enrolling, DAYS)


def test_units_are_exposed_on_an_active_day_from_enrollment_on(active, members):
    for trial, membership in members:
        units = np.flatnonzero(membership.exposed != NEVER)
        enrolled, exposed = membership.enrolled[units], membership.exposed[units]
        assert active.on_time[exposed, units].all()
        assert set(np.unique(exposed - enrolled)) == {0, 1, 2}
        assert (exposed <= trial.last_enrollment)[enrolled <= trial.last_enrollment].all()
        share = len(units) / (membership.enrolled != NEVER).sum()
        assert share == pytest.approx(0.86, abs=0.02)


def test_units_leave_after_they_enrolled_and_not_after_the_end(members):
    for trial, membership in members:
        units = membership.enrolled != NEVER
        assert (membership.left[units] > membership.enrolled[units]).all()
        assert (membership.left <= trial.stop).all()


def test_branches_are_split_as_designed(members):
    for trial, membership in members:
        units = membership.enrolled != NEVER
        counts = np.bincount(membership.branch[units], minlength=len(trial.branches))
        assert stats.chisquare(counts).pvalue > 0.001


def test_enrollments_are_lost_in_one_branch_on_one_system_from_one_day_on(clients, members):
    for trial, membership in members:
        lost, loss = membership.lost, trial.lesson.loss
        if loss is None:
            assert not lost.any()
            continue
        assert set(membership.branch[lost]) == {trial.branches.index(loss.branch)}
        assert set(clients.os[lost]) == {list(SYSTEMS).index(loss.os)}
        assert membership.enrolled[lost].min() == day_number(loss.since)
        counted = (membership.enrolled != NEVER) & (membership.enrolled <= trial.last_enrollment)
        assert lost[counted].mean() == pytest.approx(0.069, abs=0.008)
        assert clients.activity[lost].mean() < clients.activity[counted].mean() - 0.05


def test_the_pair_that_interacts_shares_its_units(members):
    by_slug = {trial.slug: membership for trial, membership in members}
    dense = by_slug["new-tab-density"].enrolled != NEVER
    tabs = by_slug["vertical-tabs"].enrolled != NEVER
    assert (dense & tabs).sum() > 0.8 * dense.sum()
