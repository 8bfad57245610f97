"""Laws of merging."""

import copy
import fnmatch

from hypothesis import given
from hypothesis import strategies as st

from sonde.config.document import Document, Setting
from sonde.config.merge import merge, merge_named, merge_outcome
from sonde.config.spec import Spec
from sonde.window import Period

DOCUMENT = Document("a.toml", b"")
names = st.sampled_from(["hours", "flowers", "flower_beds", "weeds", "local_source"])
patterns = names | st.sampled_from(["*", "flow*", "*s", "w??ds", "not-a-name"])
keys = st.sampled_from(["select_expression", "bigger_is_better", "owner", "statistics"])
values = st.sampled_from([False, 0, "", "x", 7, True, ("a",), {"mean": {}}])


def setting(value):
    return Setting(value, DOCUMENT, ())


tables = st.dictionaries(keys, values.map(setting), max_size=4)


def specs(named=names):
    return st.builds(
        Spec,
        experiment=tables,
        periods=st.dictionaries(
            st.sampled_from(Period), st.lists(names.map(setting), max_size=3).map(tuple)
        ),
        metrics=st.dictionaries(named, tables, max_size=4),
        data_sources=st.dictionaries(named, tables, max_size=4),
        segments=st.dictionaries(names, tables, max_size=2),
        parameters=st.dictionaries(names, tables, max_size=2),
    )


def meaning(spec):
    """A specification without the repetitions in its lists, which mean nothing."""
    periods = {
        period: list(dict.fromkeys(map(value_of, spec.periods.get(period, ()))))
        for period in Period
    }
    return {**vars(spec), "periods": periods}


def value_of(setting):
    return setting.value


@given(specs(patterns), specs(patterns))
def test_nothing_that_goes_in_is_changed(base, over):
    before = copy.deepcopy((base, over))
    merge(base, over)
    merge_outcome(base, over)
    assert (base, over) == before


@given(specs())
def test_merging_with_nothing_changes_nothing(spec):
    assert meaning(merge(spec, Spec())) == meaning(spec)
    assert meaning(merge(Spec(), spec)) == meaning(spec)


@given(specs(patterns))
def test_merging_with_itself_changes_nothing(spec):
    once = merge(Spec(), spec)
    assert meaning(merge(once, once)) == meaning(once)


@given(specs(), specs(), specs())
def test_layers_may_be_merged_from_either_end(low, middle, high):
    from_below = merge(merge(low, middle), high)
    from_above = merge(low, merge(middle, high))
    assert meaning(from_below) == meaning(from_above)


@given(specs(), specs())
def test_a_key_that_is_present_above_wins_whatever_it_says(base, over):
    merged = merge(base, over)
    for name, table in over.metrics.items():
        for key, above in table.items():
            assert merged.metrics[name][key] is above
    for name, table in base.metrics.items():
        for key, below in table.items():
            if key not in over.metrics.get(name, {}):
                assert merged.metrics[name][key] is below


@given(specs(), specs())
def test_nothing_leaves_a_list(base, over):
    for period in Period:
        joined = merge(base, over).periods[period]
        assert joined == over.periods.get(period, ()) + base.periods.get(period, ())


@given(st.dictionaries(names, tables), st.dictionaries(patterns, tables))
def test_wildcards_apply_to_what_is_below_in_file_order_and_define_nothing(base, over):
    merged = merge_named(base, over)
    assert set(merged) == set(base) | {name for name in over if name.isidentifier()}
    for name, table in base.items():
        expected = dict(table)
        for pattern, above in over.items():
            if fnmatch.fnmatchcase(name, pattern):
                expected |= above
        assert merged[name] == expected


@given(specs(), specs())
def test_an_outcome_lies_below(spec, outcome):
    merged = merge_outcome(spec, outcome)
    assert merged.metrics == merge(outcome, spec).metrics
    assert merged.experiment == {**outcome.experiment, **spec.experiment}


def test_an_empty_table_is_only_a_header():
    below = {"hours": {"statistics": setting({"mean": {}})}}
    assert merge_named(below, {"hours": {"statistics": setting({})}}) == below
