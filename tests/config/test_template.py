"""Templates: Jinja with macros, in a sandbox, and Python format fields."""

import jinja2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sonde.config.template import Templates, fill, format_fields, is_template

TEMPLATES = Templates(
    {
        "agg_sum": "COALESCE(SUM({select_expr}), 0)",
        "agg_histogram_mean": "SUM(mozfun.hist.extract({select_expr}).sum)",
    }
)


def test_a_macro_is_expanded():
    text = "{{agg_histogram_mean('payload.content.my_cool_histogram')}}"
    assert (
        TEMPLATES.render(text) == "SUM(mozfun.hist.extract(payload.content.my_cool_histogram).sum)"
    )


@given(st.text(st.sampled_from("ab {}%#\n\r'\""), max_size=30))
def test_text_without_templates_is_read_as_jinja_reads_it(text):
    if not is_template(text):
        assert TEMPLATES.render(text) == jinja2.Template(text).render()


@pytest.mark.parametrize(
    ("text", "names", "message"),
    [
        ("{{agg_sun('x')}}", {}, '"agg_sun" is not known here; did you mean "agg_sum"?'),
        ("{{agg_sum('x')}", {}, "not a valid template"),
        ("{{agg_sum()}}", {}, "template failed"),
        ("{{parameters.ic}}", {"parameters": {"id": "1"}}, 'no "ic" here; expected one of "id"'),
        ("{{experiment.slag}}", {"experiment": TEMPLATES}, 'there is no "slag" here'),
        ("{{1 / 0}}", {}, "template failed: division by zero"),
        ("{{experiment.__class__.__mro__}}", {"experiment": TEMPLATES}, ""),
        ("{{experiment.render.__globals__}}", {"experiment": TEMPLATES}, ""),
    ],
)
def test_a_mistake_says_what_is_wrong(text, names, message):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        TEMPLATES.render(text, **names)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "does"),
    [
        ("{{experiment.normandy_slug}}", True),
        ("a '{{d10d0bf8-f5b5-c8b4-a8b2-2b9879e08c5d}}'", False),
        ("{{addon}}", False),
        ("{dataset}.experiment", False),
        ("{{ experiment", False),
    ],
)
def test_whether_a_text_speaks_of_the_experiment(text, does):
    assert TEMPLATES.mentions(text, "experiment") is does


@given(st.lists(st.sampled_from(["{slug}", "{{", "}}", "a", "'", "{{slug}}"])).map("".join))
def test_fields_are_filled_as_python_does(text):
    assert fill(text, slug="s") == text.format(slug="s")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "{experiment_slugg}",
            '{experiment_slugg} is not filled in; did you mean "experiment_slug"?',
        ),
        ("r'[0-9]{3}'", "{3} is not filled in"),
        ("a }", "written twice"),
        ("{", "written twice"),
    ],
)
def test_a_brace_that_is_no_field(text, message):
    with pytest.raises(ValueError) as refusal:  # noqa: PT011
        fill(text, experiment_slug="s")
    assert message in str(refusal.value)


def test_fields_of_a_text():
    assert format_fields("{dataset}.x = '{{a}}'") == ["dataset"]
