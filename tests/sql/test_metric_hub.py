"""Everything in a tree of definitions executes: the tests' own tree, and the public one."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.sql.coverage import PAGE, page
from tests.sql.session import session
from tests.sql.sweep import compare_forms, sweep
from tests.sql.tree import items

HUB = Path(__file__).parent / "hub"
EXECUTED = 0.97


@pytest.fixture(scope="module")
def own():
    with session() as duck:
        return list(sweep(duck, items(HUB)))


@pytest.fixture(scope="module")
def public(shared):
    root = shared("data/metric-hub")
    with session() as duck:
        return list(sweep(duck, items(root)))


def test_every_construct_of_the_own_tree_executes(own):
    assert {outcome.item.key: outcome.problem for outcome in own if outcome.problem} == {}
    kinds = Counter(outcome.item.kind for outcome in own)
    assert kinds == {"metric": 38, "segment": 2, "dimension": 2, "exposure": 1, "enrollment": 1}


def test_the_own_trees_metrics_differ_between_units(own):
    """Rows match their filters: a query that always gives nothing proves little."""
    alike = {outcome.item.name for outcome in own if outcome.distinct < 2}
    assert alike == {"monetized"}  # what is public of it is FALSE


def test_short_and_literal_forms_agree_on_the_own_tree():
    with session() as duck:
        compared, different = compare_forms(duck, items(HUB))
    assert different == []
    assert compared >= 5


def test_the_public_tree_executes(public):
    executed = sum(outcome.problem is None for outcome in public)
    assert executed >= EXECUTED * len(public)


def test_nothing_of_the_public_tree_is_refused(public):
    reasons = {outcome.problem for outcome in public if outcome.problem is not None}
    assert {
        reason for reason in reasons if "supported" in reason or "no function" in reason
    } == set()


def test_most_public_metrics_differ_between_units(public):
    executed = [outcome for outcome in public if outcome.problem is None]
    assert sum(outcome.distinct > 1 for outcome in executed) >= 0.6 * len(executed)


def test_the_page_tells_the_same(public):
    if f"of {len(public):,} items" not in PAGE.read_text():
        pytest.skip("the page was written for another version of the tree")
    assert PAGE.read_text() == page(public)


@pytest.mark.slow
def test_short_and_literal_forms_agree_on_the_public_tree(shared):
    with session() as duck:
        compared, different = compare_forms(duck, items(shared("data/metric-hub")))
    assert different == []
    assert compared >= 100
