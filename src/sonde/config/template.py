"""The templates within SQL: Jinja with metric-hub's macros, and Python format fields."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from string import Formatter
from typing import Any

import jinja2
import jinja2.meta
from jinja2.sandbox import ImmutableSandboxedEnvironment

from sonde.errors import did_you_mean

_LINE_END = re.compile(r"\r\n|\r|\n")
_MISSING = re.compile(r"has no attribute '(\w+)'|'(\w+)' is undefined")


class Templates:
    """Renders the templates of one configuration. Any mistake in one is a ValueError.

    Templates come from files that others may edit, so they run in Jinja's sandbox.

    macros: `definition` with the field `{select_expr}`, by name.

    >>> Templates({"agg_sum": "COALESCE(SUM({select_expr}), 0)"}).render('{{agg_sum("x")}} > 1')
    'COALESCE(SUM(x), 0) > 1'
    """

    def __init__(self, macros: Mapping[str, str]) -> None:
        self._environment = ImmutableSandboxedEnvironment(
            autoescape=False, undefined=jinja2.StrictUndefined
        )
        self._templates: dict[str, jinja2.Template] = {}
        self._macros = tuple(macros)
        for name, definition in macros.items():
            self._environment.globals[name] = _macro(definition)

    def render(self, template: str, **names: Any) -> str:
        """The text with `{{..}}` filled in from macros and `names`."""
        if not is_template(template):
            return _as_jinja_reads(template)
        try:
            return self._compiled(template).render(**names)
        except jinja2.TemplateSyntaxError as error:
            raise ValueError(f"not a valid template: {error.message}") from error
        except jinja2.TemplateError as error:
            raise ValueError(self._explained(str(error), names)) from error
        except ValueError:
            raise
        except Exception as error:  # what a template calls may raise anything
            raise ValueError(f"template failed: {error}") from error

    def _compiled(self, template: str) -> jinja2.Template:
        if template not in self._templates:
            self._templates[template] = self._environment.from_string(template)
        return self._templates[template]

    def mentions(self, template: str, name: str) -> bool:
        """Whether a template refers to `name`; text that is no template does not."""
        if "{{" not in template:
            return False
        try:
            tree = self._environment.parse(template)
        except jinja2.TemplateSyntaxError:
            return False
        return name in jinja2.meta.find_undeclared_variables(tree)

    def _explained(self, message: str, names: Mapping[str, Any]) -> str:
        found = _MISSING.search(message)
        if found is None:
            return f"template failed: {message}"
        attribute, variable = found.groups()
        if variable:
            return f'"{variable}" is not known here' + did_you_mean(
                variable, {*names, *self._macros}
            )
        known = {
            key
            for value in names.values()
            for key in (value if isinstance(value, Mapping) else dir(value))
            if not key.startswith("_")
        }
        return f'there is no "{attribute}" here{did_you_mean(attribute, known)}'


def is_template(text: str) -> bool:
    """Whether Jinja would do anything with the text."""
    return "{{" in text or "{%" in text or "{#" in text


def fill(text: str, **fields: str) -> str:
    """The text with `{field}` filled in and doubled braces halved, as `str.format` does.

    >>> fill("JSON_VALUE(x, '$.{{a}}') = '{experiment_slug}'", experiment_slug="s")
    "JSON_VALUE(x, '$.{a}') = 's'"
    """
    for field in format_fields(text):
        if field not in fields:
            raise ValueError(
                f"{{{field}}} is not filled in{did_you_mean(field, fields)};"
                " a brace that is meant as one is written twice"
            )
    return text.format(**fields) if "{" in text or "}" in text else text


def format_fields(text: str) -> list[str]:
    """The names of the `{fields}` in a text; unbalanced braces are a ValueError."""
    if "{" not in text and "}" not in text:
        return []
    try:
        return [field for _, field, _, _ in Formatter().parse(text) if field is not None]
    except ValueError as error:
        raise ValueError(f"{error}; a brace that is meant as one is written twice") from error


def _as_jinja_reads(text: str) -> str:
    """Jinja drops one line end at the end and writes the others as line feeds."""
    text = _LINE_END.sub("\n", text) if "\r" in text else text
    return text.removesuffix("\n")


def _macro(definition: str) -> Callable[[str], str]:
    def call(select_expr: str) -> str:
        return definition.format(select_expr=select_expr)

    return call
