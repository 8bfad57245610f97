"""Lines of keys, by a scanner that must agree with the real parser."""

import tomllib

import hypothesis.strategies as st
import pytest
from hypothesis import given

from sonde.config.document import Document
from sonde.config.lines import key_lines

from .conftest import TREE

bare = st.text("abcdefghijklmnopqrstuvwxyz_-0123456789", min_size=1, max_size=6)
odd = st.text("ab *?.[]='#", min_size=1, max_size=6).filter(lambda s: "'" not in s)
key = (
    bare | odd.map(lambda s: f"'{s}'") | odd.filter(lambda s: '"' not in s).map(lambda s: f'"{s}"')
)
value = st.sampled_from(
    [
        "1",
        "[1,\n  2, # a = 1\n]",
        '"""\n[not.a.table]\nk = 1\n"""',
        "'''\n# no comment\nx = \"\"\"\n'''",
        '"a \\" = [b"',
        "'it [is] = # text'",
        '["a", "b]"]',
        "{ x = 1, y = [{ z = '}' }] }",
        "true # [x]",
    ]
)


def plain(written):
    return written[1:-1] if written[0] in "\"'" else written


@given(
    st.lists(
        st.tuples(
            st.lists(key, min_size=1, max_size=3),
            st.dictionaries(key, value, max_size=4),
            st.sampled_from(["", "\n", "# note\n\n"]),
        ),
        max_size=6,
    )
)
def test_every_key_is_found_where_it_was_written(tables):
    text, expected = "", {}
    for path, settings, blank in tables:
        text += blank
        full = tuple(map(plain, path))
        line = text.count("\n") + 1
        for length in range(1, len(full) + 1):
            expected.setdefault(full[:length], line)
        text += f"[{'.'.join(path)}]\n"
        for name, written in settings.items():
            expected.setdefault((*full, plain(name)), text.count("\n") + 1)
            text += f"{name} = {written}\n"
    assert key_lines(text) == expected


def test_dotted_keys_and_arrays_of_tables():
    text = 'a.b = 1\n[[c]]\nd."e f" = 2\n[[c]]\nd = 3\n'
    assert key_lines(text) == {
        ("a",): 1,
        ("a", "b"): 1,
        ("c",): 2,
        ("c", "d"): 3,
        ("c", "d", "e f"): 3,
    }


def test_a_key_in_an_inline_table_has_the_line_of_its_statement():
    document = Document("a.toml", b"[m.x]\nstatistics = { mean = { share = 0.1 } }\n")
    assert document.line(("m", "x", "statistics", "mean", "share")) == 2


def paths(table, above=()):
    for name, item in table.items():
        yield (*above, name)
        if isinstance(item, dict):
            yield from paths(item, (*above, name))


def misplaced(text):
    """The keys of a text that are not on the line they are said to be on."""
    rows, document = text.split("\n"), Document("a.toml", text.encode())
    return [
        path for path in paths(tomllib.loads(text)) if path[-1] not in rows[document.line(path) - 1]
    ]


@pytest.mark.parametrize("file", sorted(TREE.rglob("*.toml")), ids=lambda file: file.stem)
def test_keys_of_whole_files(file):
    assert misplaced(file.read_text()) == []


def test_keys_of_real_files(shared):
    files = list(shared("data/metric-hub").rglob("*.toml"))
    assert len(files) > 300
    assert {file.name: misplaced(file.read_text()) for file in files} == {
        file.name: [] for file in files
    }
