"""Statistics could be a package of their own."""

import ast
import sys
from pathlib import Path

import sonde.stats

ALLOWED = {"numpy", "scipy", *sys.stdlib_module_names}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module


def test_only_numpy_and_scipy_are_imported():
    files = list(Path(sonde.stats.__file__).parent.glob("*.py"))
    assert len(files) > 10
    for path in files:
        for module in imported(path):
            assert module.startswith("sonde.stats") or module.split(".")[0] in ALLOWED


def test_chance_comes_from_the_given_generator_only():
    for path in Path(sonde.stats.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Attribute) and ast.unparse(node).startswith("np.random."):
                assert node.attr in {"Generator", "default_rng"}
