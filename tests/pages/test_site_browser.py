"""The published demo in a real browser: what people do with it."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page

from sonde.lake import Lake
from sonde.project import Project
from sonde.serve.access import OwnMachine
from sonde.site import Site
from tests.serve.conftest import Serving, serving

PUBLIC = {
    "aa-october",
    "weekly-digest-tab",
    "search-as-you-type",
    "prefetch-top-sites",
    "new-tab-density",
    "vertical-tabs",
    "sync-prompt-on-exit",
}
PRIVATE = "sponsored-shortcuts"
MOST_BYTES = 150_000


@pytest.fixture(scope="module")
def project(demo: Project) -> Project:
    return demo


@pytest.fixture(scope="module")
def running(project: Project) -> Iterator[Serving]:
    with serving(Lake.open(project.settings.lake_url), OwnMachine) as each:
        yield each


@pytest.fixture(params=[True, False], ids=["with scripts", "without scripts"])
def owner(request, browser: Browser, running: Serving) -> Iterator[Page]:
    """Somebody who may see everything."""
    context = browser.new_context(java_script_enabled=request.param)
    page = context.new_page()
    page.goto(f"{running.address}/?token={running.access.token}")
    yield page
    context.close()


@pytest.fixture
def reader(browser: Browser, running: Serving) -> Iterator[Page]:
    """Somebody without a right."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def slugs(page: Page) -> set[str]:
    return {str(each.get_attribute("data-slug")) for each in page.locator("tr[data-slug]").all()}


def test_the_portfolio_has_all_eight(owner: Page):
    assert slugs(owner) == {*PUBLIC, PRIVATE}
    assert owner.locator("tr[data-slug] td.vd b").count() == 8
    assert owner.get_by_text("private", exact=True).count() == 1
    row = owner.locator(f'tr[data-slug="{PRIVATE}"]')
    row.get_by_role("link").click()
    assert owner.url.endswith(f"/experiments/{PRIVATE}.html")
    assert owner.locator("h1").inner_text() == "Sponsored shortcuts"


def test_without_a_right_the_private_one_does_not_exist(reader: Page, running: Serving):
    reader.goto(running.address)
    assert slugs(reader) == PUBLIC
    for path in ("index.html", "metrics.html", "runs.html", "api/experiments.json"):
        reader.goto(f"{running.address}/{path}")
        content = reader.content()
        assert PRIVATE not in content
        assert "Sponsored" not in content
    answer = reader.goto(f"{running.address}/experiments/{PRIVATE}.html")
    assert answer is not None
    assert answer.status == 404


def test_selectors_change_the_numbers_and_the_address(owner: Page, running: Serving):
    owner.goto(f"{running.address}/experiments/search-as-you-type.html")
    first = numbers(owner)
    choose(owner, "Window", "Week 1")
    assert "week_1" in owner.url
    week = numbers(owner)
    assert week != first
    choose(owner, "Basis", "Exposed units")
    assert "exposures.week_1" in owner.url
    assert numbers(owner) not in (first, week)
    choose(owner, "Baseline", "treatment")
    assert "control" in owner.locator("table.forest").first.inner_text() or numbers(owner) != week
    assert owner.url.endswith(".treatment.html")
    choose(owner, "Segment", "Regular users")
    assert "exposures.week_1.regular_users.treatment" in owner.url
    owner.get_by_role("link", name="Back to what the page begins with").click()
    assert numbers(owner) == first


def numbers(page: Page) -> list[str]:
    return page.locator("#all td.val b").all_inner_texts()


def choose(page: Page, menu: str, option: str) -> None:
    found = page.locator("details.choose").filter(has_text=menu).first
    found.locator("summary").click()
    found.get_by_role("link", name=option, exact=True).click()


def test_the_keyboard_is_enough(browser: Browser, running: Serving):
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{running.address}/experiments/search-as-you-type.html")
    page.keyboard.press("Tab")
    assert page.locator(":focus").inner_text() == "Skip to content"
    before = page.url
    for _ in range(40):
        page.keyboard.press("Tab")
        focused = page.locator(":focus")
        if focused.evaluate("e => e.tagName") == "SUMMARY" and "Window" in focused.inner_text():
            break
    page.keyboard.press("Enter")
    for _ in range(12):
        page.keyboard.press("Tab")
        if page.locator(":focus").inner_text() == "Week 1":
            break
    outline = page.locator(":focus").evaluate("e => getComputedStyle(e).outlineStyle")
    assert outline != "none"
    page.keyboard.press("Enter")
    page.wait_for_url("**/*week_1*")
    assert page.url != before
    context.close()


def test_nothing_is_asked_of_anybody_else(browser: Browser, running: Serving, project: Project):
    context = browser.new_context()
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    said: list[str] = []
    context.on("console", lambda message: said.append(message.text))
    page = context.new_page()
    page.goto(f"{running.address}/?token={running.access.token}")
    for path in sorted(site_paths(project))[:60]:
        if path.endswith(".html"):
            page.goto(f"{running.address}/{path.replace('%', '%25')}")
    assert len(asked) > 40
    assert all(url.startswith((running.address, "data:")) for url in asked)
    assert said == []  # not even the policy of the page has anything to say
    context.close()


def site_paths(project: Project) -> set[str]:
    site = Site(Lake.open(project.settings.lake_url))
    site.refresh()
    return set(site.paths(private=True))


VIEWS = [
    "index.html",
    "metrics.html",
    "runs.html",
    "metrics/active_hours.html",
    "experiments/search-as-you-type.html",
    "experiments/sync-prompt-on-exit.html",
    "experiments/new-tab-density.html",
    "experiments/search-as-you-type/exposures.week_1.all.control.html",
    "experiments/prefetch-top-sites.report.html",
]


@pytest.mark.parametrize("path", VIEWS)
def test_axe_finds_nothing_serious(browser: Browser, running: Serving, path: str):
    context = browser.new_context(bypass_csp=True)  # axe runs as an inline script
    page = context.new_page()
    page.goto(f"{running.address}/{path}")
    page.locator("details").evaluate_all("all => all.forEach(each => each.open = true)")
    found = Axe().run(page).response["violations"]
    grave = [each for each in found if each["impact"] in {"serious", "critical"}]
    assert [(each["id"], each["nodes"][0]["html"][:200]) for each in grave] == []
    context.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_nothing_is_wider_than_the_window(browser: Browser, running: Serving, width: int):
    context = browser.new_context(viewport={"width": width, "height": 800})
    page = context.new_page()
    for path in VIEWS:
        page.goto(f"{running.address}/{path}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    context.close()


def test_a_long_name_stays_in_its_cell(browser: Browser, running: Serving):
    """A light's note may be the name of a table, without a place to break at."""
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.goto(f"{running.address}/experiments/search-as-you-type.html")
    notes = page.locator(".strip .s").all()
    assert notes
    for note in notes:
        note.evaluate("node => { node.textContent = 'mozdata.search.'.repeat(9) }")
        assert note.evaluate(
            "node => node.getBoundingClientRect().right <= "
            "node.parentElement.getBoundingClientRect().right"
        )
    page.close()


def test_no_page_is_heavy(project: Project):
    site = Site(Lake.open(project.settings.lake_url))
    site.refresh()
    sizes = {}
    for path in site.paths(private=True):
        file = site.get(path, private=True)
        assert file is not None
        if path.endswith(".html"):
            sizes[path] = len(file.body)
            assert b"<script" not in gzip.decompress(file.body)
    assert max(sizes.values()) < MOST_BYTES
    assert len(sizes) > 100


def test_the_report_opens_from_disk(browser: Browser, project: Project, tmp_path: Path):
    site = Site(Lake.open(project.settings.lake_url))
    site.refresh()
    file = site.get("experiments/new-tab-density.report.html", private=False)
    assert file is not None
    path = tmp_path / "report.html"
    path.write_bytes(gzip.decompress(file.body))
    context: BrowserContext = browser.new_context(offline=True)
    page = context.new_page()
    page.goto(path.as_uri())
    assert page.locator("h1").inner_text() == "Denser new tab"
    assert page.locator("figure svg").count() > 4
    assert page.locator("table.forest").first.evaluate("e => getComputedStyle(e).borderCollapse")
    assert page.locator("a[href^=http]").count() == 0
    printed = page.pdf(format="A4", print_background=True)
    assert printed.count(b"/Type /Page\n") + printed.count(b"/Type /Page ") >= 2
    context.close()
