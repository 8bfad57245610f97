"""Results in Python and in a notebook."""

from __future__ import annotations

from html.parser import HTMLParser

import altair
import pandas as pd
import pytest

import sonde
from sonde.errors import ConfigError, DataError
from sonde.project import Project
from sonde.read import ExperimentResults, read_results
from tests.pages.demo import LAST_DAY


@pytest.fixture(scope="module")
def results(demo: Project) -> ExperimentResults:
    return read_results("search-as-you-type", demo.settings.folder, LAST_DAY)


def test_it_is_at_the_top(results: ExperimentResults):
    assert sonde.read_results is read_results
    assert results.slug == "search-as-you-type"
    assert results.verdict.endswith(".")


def test_tables_of_each_kind(results: ExperimentResults):
    arrow, frame = results.to_arrow(), results.to_pandas()
    assert isinstance(frame, pd.DataFrame)
    assert len(frame) == arrow.num_rows > 1000
    assert list(frame.columns) == arrow.column_names
    assert {"metric", "branch", "point", "lower", "upper", "segment"} <= set(frame.columns)
    assert frame["window_index"].dtype == "int32"


def test_polars(results: ExperimentResults):
    polars = pytest.importorskip("polars")
    frame = results.to_polars()
    assert isinstance(frame, polars.DataFrame)
    assert frame.shape == results.to_arrow().shape


def test_a_chart(results: ExperimentResults):
    drawn = results.chart("active_hours")
    assert isinstance(drawn, altair.LayerChart)
    assert len(drawn.to_dict()["layer"]) > 1


def test_a_chart_of_nothing(results: ExperimentResults):
    with pytest.raises(DataError, match=r'no metric "active_hour".*did you mean "active_hours"'):
        results.chart("active_hour")


class Frames(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_a_notebook_shows_the_report_in_a_frame(results: ExperimentResults):
    ((tag, attributes),) = Frames(results._repr_html_()).found  # one element, all else within it
    assert tag == "iframe"
    assert attributes["sandbox"] == ""
    page = str(attributes["srcdoc"])
    assert page.startswith("<!doctype html>")
    assert page.rstrip().endswith("</html>")
    assert "<script" not in page


def test_names_do_not_leave_the_frame(results: ExperimentResults):
    other = ExperimentResults('"><script>x</script>', results.table, results._material)
    assert len(Frames(other._repr_html_()).found) == 1


def test_its_text_is_short(results: ExperimentResults):
    assert len(repr(results.slug)) < 100
    assert "_material" not in repr(results)


def test_none_such(demo: Project):
    with pytest.raises(ConfigError, match="search-as-you-type"):
        read_results("search-as-you-tipe", demo.settings.folder)
