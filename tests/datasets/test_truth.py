"""The truth is that of the tables: the same units, the same rows, the same draws."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy import stats

from sonde.datasets import Truth, generate
from sonde.datasets.columns import identities
from sonde.datasets.effects import Effects
from sonde.datasets.generate import SEED, days
from sonde.datasets.lessons import LESSONS
from sonde.datasets.membership import memberships
from sonde.datasets.outcomes import Outcomes, touched
from sonde.datasets.population import CLIENTS, activity, population
from sonde.datasets.trials import trial, trials
from sonde.datasets.truth import METRICS
from sonde.datasets.use import TICKS_AN_HOUR
from sonde.metric import AnalysisBasis
from sonde.window import Window
from tests.datasets.analysis import SYSTEMS, compare, enroll, measure
from tests.datasets.conftest import SCALE, open_lake

ENROLLMENTS, EXPOSURES = AnalysisBasis.ENROLLMENTS, AnalysisBasis.EXPOSURES
CHANGED = [each for each in trials() if touched(each, trials())]


@pytest.fixture(scope="module")
def played() -> dict[str, Outcomes]:
    """The outcomes of the small demo's units, made again."""
    clients = population(SEED, round(CLIENTS * SCALE))
    active = activity(SEED, clients)
    effects = Effects(trials(), memberships(SEED, trials(), clients, active), clients)
    outcomes = [Outcomes(each, effects) for each in CHANGED]
    for _ in days(SEED, effects, active, outcomes):
        pass
    return {each.trial.slug: each for each in outcomes}


@pytest.mark.parametrize("changed", CHANGED, ids=lambda each: each.slug)
@pytest.mark.parametrize("basis", AnalysisBasis)
def test_outcomes_in_a_unit_s_own_branch_are_what_the_tables_say(demo, played, changed, basis):
    """To the last tick, with late rows, rows that come twice, and rows from before enrollment."""
    outcomes = played[changed.slug]
    units = enroll(demo.connection, changed)
    ids = identities(SEED, "client", outcomes.units.astype(np.uint32)).to_numpy(False)
    order = np.argsort(ids)
    assert ids[order].tolist() == units.client_id.tolist()
    own = np.searchsorted(np.unique(changed.branches), units.branch)
    own = np.array([changed.branches.index(b) for b in np.unique(changed.branches)])[own]
    for metric in outcomes.metrics:
        for window in changed.windows():
            ours = outcomes.values(metric, basis, window)[own, order]
            ours = ours / TICKS_AN_HOUR if metric == "active_hours" else ours
            theirs = measure(demo.connection, changed, metric, window, basis)
            ours = ours if basis is ENROLLMENTS else np.where(units.exposed, ours, 0)
            there = units.exposed | (basis is ENROLLMENTS)
            np.testing.assert_allclose(ours[there], theirs[there], atol=1e-9)


def test_the_small_demo_s_truth_is_that_of_those_outcomes(demo, played):
    effects = [effect for each in played.values() for effect in each.true_effects()]
    assert tuple(effects) == demo.truth.effects


def test_the_truth_can_be_read_back(demo):
    assert Truth.read(demo.folder / "truth.json") == demo.truth


def test_what_nothing_touches_is_exactly_unchanged(demo):
    for metric in METRICS:
        assert demo.truth.relative("aa-october", metric, Window(0, 28)) == 0
    assert demo.truth.relative("search-as-you-type", "uri_count", Window(7, 14)) == 0


def test_what_is_not_known_is_none(demo):
    assert demo.truth.relative("search-as-you-type", "crashes", Window(7, 14)) is None
    assert demo.truth.relative("search-as-you-type", "search_count", Window(0, 28)) is None


def test_an_effect_on_a_mean_is_the_planted_one_from_the_second_week_on(demo):
    """Start-up time is a mean of days; in the second week all days of the exposed are treated."""
    week = Window(7, 14)
    exposed = demo.truth.relative("prefetch-top-sites", "startup_time", week, basis=EXPOSURES)
    assert exposed == pytest.approx(0.06, abs=0.001)  # a few have left
    enrolled = demo.truth.relative("prefetch-top-sites", "startup_time", week)
    assert enrolled == pytest.approx(0.86 * 0.06, abs=0.003)
    first = demo.truth.relative("prefetch-top-sites", "startup_time", Window(0, 7))
    assert 0 < first < enrolled


def test_the_novelty_halves_every_four_days(demo):
    weeks = [
        demo.truth.relative(
            "weekly-digest-tab", "active_hours", Window(7 * n, 7 * n + 7), basis=EXPOSURES
        )
        for n in range(4)
    ]
    for before, after in pairwise(weeks[1:]):
        assert after / before == pytest.approx(2 ** (-7 / 4), rel=0.25)


def test_the_systems_move_against_each_other(demo):
    by_system = {
        segment: demo.truth.relative("new-tab-density", "uri_count", Window(7, 14), segment=segment)
        for segment in SYSTEMS
    }
    assert by_system["windows"] > 0.05
    assert by_system["macos"] < -0.1
    assert by_system["linux"] == 0


def test_the_pair_is_another_together_than_alone(demo):
    week = Window(7, 14)
    alone, together = (
        demo.truth.relative("vertical-tabs", "active_hours", week, partner=f"new-tab-density:{arm}")
        for arm in ("control", "treatment")
    )
    assert alone == pytest.approx(0.86 * 0.12, abs=0.02)
    assert together < -0.04
    other = demo.truth.relative(
        "new-tab-density", "active_hours", Window(14, 21), partner="vertical-tabs:control"
    )
    assert other == 0


def test_lessons_name_their_effects(demo):
    assert [lesson.slug for lesson in demo.truth.lessons] == [lesson.slug for lesson in LESSONS]
    for lesson in demo.truth.lessons:
        assert lesson.metric in METRICS
        assert bool(lesson.planted) == (lesson.slug not in {"aa-october", "sync-prompt-on-exit"})
        assert lesson.split_holds == (lesson.slug != "sync-prompt-on-exit")
    assert demo.truth.lesson("new-tab-density").touched == ("active_hours", "uri_count")
    assert demo.truth.lesson("prefetch-top-sites").planted == (
        "treatment: pages an hour +9 %",
        "treatment: start-up time +6 %",
    )


@pytest.fixture(scope="module", params=[SEED, 2])
def whole(request, tmp_path_factory):
    """A demo of the size that people see."""
    folder = tmp_path_factory.mktemp("whole")
    truth = generate(folder, seed=request.param)
    with open_lake(folder) as connection:
        yield truth, connection


@pytest.mark.slow
def test_the_demo_is_as_large_as_it_says(whole):
    truth, _ = whole
    assert truth.clients == 120_000
    assert truth.rows["telemetry/clients_daily"] == pytest.approx(3.02e6, rel=0.01)


@pytest.mark.slow
def test_every_planted_effect_is_inside_its_interval(whole):
    """On the metric of the lesson, in all windows and bases; of others at most one in twenty."""
    truth, connection = whole
    central, others = [], []
    for each in CHANGED:
        for effect, interval in intervals(truth, connection, each):
            lesson = effect.metric in {each.lesson.metric, "startup_time"}
            segmented = effect.segment == "all" or each.slug == "new-tab-density"
            paired = effect.partner is None or each.slug == "vertical-tabs"
            missed = interval.misses(effect.relative)
            (central if lesson and segmented and paired else others).append(missed)
    assert sum(central) == 0
    assert len(central) == 114
    assert np.mean([*central, *others]) < 0.05


@pytest.mark.slow
def test_the_lessons_can_be_learnt(whole):
    truth, connection = whole

    def score(slug, metric, window, **group):
        wanted = {"segment": "all", "partner": None, "branch": "treatment"} | group
        return next(
            interval.score
            for effect, interval in intervals(truth, connection, trial(slug), metric)
            if effect.window == window
            and effect.basis is ENROLLMENTS
            and all(getattr(effect, name) == value for name, value in wanted.items())
        )

    three = Window(0, 21)
    assert score("search-as-you-type", "search_count", three) > 3
    assert score("weekly-digest-tab", "active_hours", Window(0, 7)) > 4
    assert abs(score("weekly-digest-tab", "active_hours", Window(21, 28))) < 1.96
    assert score("prefetch-top-sites", "uri_count", three) > 3
    assert score("prefetch-top-sites", "startup_time", three) > 6
    assert abs(score("new-tab-density", "uri_count", three)) < 1.96
    assert score("new-tab-density", "uri_count", three, segment="windows") > 3
    assert score("new-tab-density", "uri_count", three, segment="macos") < -3
    for branch in ("one-row", "two-rows"):
        found = score("sponsored-shortcuts", "ad_clicks", Window(0, 14), branch=branch)
        assert abs(found) < 1.96
    for arm, sign in (("control", 1), ("treatment", -1)):
        partner = f"new-tab-density:{arm}"
        assert sign * score("vertical-tabs", "active_hours", Window(0, 14), partner=partner) > 2


@pytest.mark.slow
def test_an_a_a_experiment_shows_nothing(whole):
    _, connection = whole
    each = trial("aa-october")
    units = enroll(connection, each)
    missed = []
    for metric in METRICS:
        for window in each.windows():
            values = measure(connection, each, metric, window, ENROLLMENTS)
            arms = [values[units.branch == branch] for branch in ("treatment", "control")]
            missed.append(compare(*arms).misses(0))
    assert np.mean(missed) < 0.1


@pytest.mark.slow
def test_the_split_is_broken_where_it_is_said_to_be(whole):
    _, connection = whole
    for each in trials():
        units = enroll(connection, each)
        pvalues = {
            segment: split(units.branch[units.os == system]) for segment, system in SYSTEMS.items()
        }
        if each.lesson.loss is None:
            assert split(units.branch) > 0.05
            assert min(pvalues.values()) > 0.01
        else:
            assert split(units.branch) < 1e-6
            assert pvalues.pop("windows") < 1e-9
            assert min(pvalues.values()) > 0.02


def split(branches: np.ndarray) -> float:
    return stats.chisquare(np.unique(branches, return_counts=True)[1]).pvalue


def intervals(truth, connection, each, metric=None):
    """Every true effect of a trial beside its interval."""
    units = enroll(connection, each)
    systems = {"all": None, **SYSTEMS}
    arms = {None: np.ones(len(units.branch), bool)}
    values: dict[tuple, np.ndarray] = {}
    for effect in truth.effects:
        if effect.experiment != each.slug or metric not in {None, effect.metric}:
            continue
        key = (effect.metric, effect.window, effect.basis)
        if key not in values:
            values[key] = measure(connection, each, *key)
        if effect.partner not in arms:
            arms[effect.partner] = in_arm(connection, effect.partner)
        group = arms[effect.partner].copy()
        group &= units.exposed | (effect.basis is ENROLLMENTS)
        if effect.segment != "all":
            group &= units.os == systems[effect.segment]
        branches = [
            values[key][group & (units.branch == b)] for b in (effect.branch, effect.control)
        ]
        yield effect, compare(*branches)


def in_arm(connection, partner: str) -> np.ndarray:
    slug, branch = partner.split(":")
    return connection.execute(f"""
        SELECT client_id IN (
            SELECT client_id FROM "telemetry.events" WHERE event_string_value = '{slug}'
                AND event_method = 'enroll' AND event_map_values[1].value = '{branch}'
        ) AS inside FROM unit ORDER BY client_id""").fetchnumpy()["inside"]
