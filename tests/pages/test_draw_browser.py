"""The stylesheet and the charts in a real browser, on a page without a script."""

from __future__ import annotations

from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page

from tests.pages import sample

WIDTHS = [1280, 900, 390]


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path: Path = tmp_path_factory.mktemp("site") / "sample.html"
    path.write_text(sample.page(), encoding="utf-8")
    return path.as_uri()


def shown(browser: Browser, address: str, width: int, scheme: str, script: bool = True) -> Page:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme=scheme,
        java_script_enabled=script,
    )
    page = context.new_page()
    page.goto(address)
    return page


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_nothing_is_wider_than_the_window(browser: Browser, address: str, width: int, scheme: str):
    page = shown(browser, address, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_axe_finds_nothing_serious(browser: Browser, address: str, width: int, scheme: str):
    page = shown(browser, address, width, scheme)
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    found = Axe().run(page).response["violations"]
    grave = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in grave] == []
    page.context.close()


@pytest.mark.parametrize("width", WIDTHS)
def test_text_in_charts_is_never_scaled(browser: Browser, address: str, width: int):
    page = shown(browser, address, width, "light")
    scales = page.locator("figure svg").evaluate_all(
        "all => all.map(e => e.getBoundingClientRect().width / e.getAttribute('width'))"
    )
    visible = [each for each in scales if each > 0]
    assert len(visible) == 12  # one rendering of each
    assert all(0.9 < each <= 1.001 for each in visible), visible
    page.context.close()


def test_the_dark_colours_reach_the_charts(browser: Browser, address: str):
    def colour(scheme: str) -> str:
        page = shown(browser, address, 1280, scheme)
        bar = page.locator('.iv path[fill="var(--good)"]').first
        found: str = bar.evaluate("bar => getComputedStyle(bar).fill")
        page.context.close()
        return found

    assert colour("light") == "rgb(10, 98, 174)"
    assert colour("dark") == "rgb(98, 176, 242)"


def test_a_row_of_a_table_is_a_grid_on_a_phone_and_still_a_row(browser: Browser, address: str):
    page = shown(browser, address, 390, "light")
    row = page.get_by_role("row", name="Searches per client-day").first
    assert row.evaluate("row => getComputedStyle(row).display") == "grid"
    assert row.get_by_role("cell").count() == 3
    drawing = row.locator(".iv").bounding_box()
    assert drawing is not None
    assert drawing["width"] > 340
    page.context.close()


def test_a_selector_opens_over_the_page_without_a_script(browser: Browser, address: str):
    for width in WIDTHS:
        page = shown(browser, address, width, "light", script=False)
        before = page.locator(".strip").bounding_box()
        menu = page.locator(".choose").nth(3)
        menu.locator("summary").click()
        link = menu.get_by_role("link", name="Exposed units")
        box = link.bounding_box()
        assert box is not None
        assert box["x"] >= 0
        assert box["x"] + box["width"] <= width
        assert page.locator(".strip").bounding_box() == before
        link.click()
        assert page.url.endswith("#b")
        page.context.close()


@pytest.mark.parametrize(
    ("width", "absent"), [(700, "#port"), (1020, "none")], ids=["upright", "portfolio, across"]
)
def test_printed_on_a4_nothing_is_cut(browser: Browser, address: str, width: int, absent: str):
    page = shown(browser, address, width, "light")  # A4 without its margins
    page.locator(absent).evaluate_all("all => all.forEach(each => each.remove())")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert not page.locator(".pick").is_visible()
    page.context.close()
