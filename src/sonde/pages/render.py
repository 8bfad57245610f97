"""Templates to text. Everything is escaped; drawings are the only markup that is passed through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sonde.pages import links
from sonde.pages.forest_table import forest_table
from sonde.pages.marks import mark

SECTIONS = (
    ("Experiments", "index.html"),
    ("Metrics", "metrics.html"),
    ("Runs", "runs.html"),
)


@dataclass(frozen=True)
class Frame:
    """What stands around every page. path: on the site. when: what the data go to."""

    path: str
    title: str
    section: str
    when: str
    version: str
    minimum_units: int = 20

    @property
    def root(self) -> str:
        """From this page to the site's root."""
        return links.root(self.path)

    @property
    def sections(self) -> tuple[tuple[str, str], ...]:
        """The main menu."""
        return SECTIONS


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("sonde.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.globals["mark"] = mark
    environment.globals["forest"] = forest_table
    return environment


def render(template: str, frame: Frame, **about: Any) -> str:
    """A page of the site."""
    return _environment().get_template(template).render(page=frame, **about)


def render_alone(template: str, about: Mapping[str, Any]) -> str:
    """A file that stands alone."""
    return _environment().get_template(template).render(**about)
