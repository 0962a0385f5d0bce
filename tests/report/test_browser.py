"""The pages in a real browser: Debian's Chromium clicks through them, wide and narrow, light and dark."""

import shutil
from datetime import UTC, datetime

import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from frugal.plan_status import PlanStatus
from frugal.report.compare import differences, read_runs
from frugal.report.compare_page import page_of
from frugal.report.compare_settings import apart
from frugal.status import STATES, RunStatus
from frugal.status_page import write_page
from report import pages

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here: apt-get install chromium"),
    pytest.mark.xdist_group("pages"),
]
# The least contrast of all text with what lies behind it, and the text; AA asks for 4.5.
CONTRAST = """() => {
  const channel = (value) => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const parse = (colour) => colour.match(/[\\d.]+/g).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  let worst = [21, ""];
  for (const element of document.querySelectorAll("body *")) {
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own || !element.checkVisibility({ visibilityProperty: true }) || element.closest("svg")) continue;
    const [a, b] = [light(parse(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < worst[0]) worst = [contrast, element.textContent.slice(0, 80)];
  }
  return worst;
}"""


@pytest.fixture(scope="module")
def browser():
    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"])
        yield launched
        launched.close()


@pytest.fixture
def visit(browser, rendered):
    """Opens a page; at the end it must have said nothing on the console and asked no network for anything."""
    said, asked, contexts = [], [], []

    def opened(path="index.html", width=1280, height=900, **options):
        contexts.append(browser.new_context(viewport={"width": width, "height": height}, **options))
        page = contexts[-1].new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((rendered / path).as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert said == []
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def others(rendered, tmp_path_factory):
    """The pages of a comparison and of a status, as the scripts write them."""
    folder = tmp_path_factory.mktemp("others")
    before = read_runs(rendered)
    lost = before["test_accuracy"] - np.where(before["strategy"] == "full", 0.1, 0)
    after = before.assign(test_accuracy=lost, cpu="An <invented> CPU", git_commit=None)
    places, page = (rendered, folder / "another set"), folder / "compare.html"
    found, told = differences(before, after, 0.001, 0.01), apart(places, (before, after))
    page.write_text(page_of(places, page, found, told, {"A": ["a/b/c/d"], "B": []}, 0.001, 0.01))
    runs = [
        RunStatus(f"runs/cross/digits/cnn-tiny/{'long-' * 20}{state}/seed-0", state, 1.5, 3, 9, "why")
        for state in STATES
    ]
    state = PlanStatus("results/demo", {"cross": runs}, ["1 record is due again"], datetime.now(UTC), 1, 9, ("one",))
    write_page(state, folder / "status.html", watched=False)
    return folder


def shown(page) -> list[str]:
    """The strategies of the rows that can be seen, from the top."""
    return page.locator(".board tbody tr:not(.more):visible td:first-child").all_inner_texts()


def test_a_reader_explores_filters_sorts_opens_a_record_and_comes_back(visit):
    page = visit()
    chart = page.locator(".explorer .chart svg")
    chart.wait_for()
    assert page.locator(".explorer > svg").count() == 0, "the chart takes the place of its drawing"
    assert chart.bounding_box()["y"] < 900, "on the first screen"

    page.get_by_label("cost", exact=True).select_option("bytes")
    chart.get_by_text("accuracy against bytes, compression: digits, cnn-tiny").wait_for()
    page.locator(".explorer .mark-symbol.role-mark path").first.hover()
    tooltip = page.locator(".tip:visible")
    tooltip.wait_for()
    assert "exchange rate" in tooltip.inner_text()

    assert len(shown(page)) == 5 + 4 + 2
    page.get_by_label("search").fill("mean loss")
    assert shown(page) == ["infobatch"], "found by its idea"
    page.get_by_label("search").fill("")
    page.locator(".board").get_by_label("family").select_option("Controls")
    page.get_by_role("button", name="accuracy, %").click()
    accuracies = [
        float(text.split()[0])
        for text in page.locator(".board tr:not(.more):visible td:nth-child(4)").all_inner_texts()
    ]
    assert accuracies == sorted(accuracies, reverse=True)
    assert page.locator(".board output").inner_text() == f"rows: {len(accuracies)} of 11"

    page.locator(".explorer .mark-symbol.role-mark path").first.click()
    opened = page.locator(".board tr.more:visible")
    assert opened.count() == 1, "a point of the chart opens its row, filtered or not"
    opened.get_by_role("link", name="metrics").first.click()
    assert "test_accuracy" in page.content()
    page.go_back()
    page.locator(".explorer .chart svg").wait_for()
    assert page.locator(".board tr.more:visible").count() == 1, "the row is open still"


def test_a_report_has_its_sections_in_view_and_leads_to_the_others(visit):
    page = visit("reports/compression.html")
    contents = page.get_by_role("navigation", name="contents")
    contents.get_by_role("link", name="How to repeat this").click()
    assert page.get_by_role("heading", name="How to repeat this").bounding_box()["y"] < 400
    assert contents.bounding_box()["y"] == 0, "the list of sections stays"
    assert "hard samples at 16" in page.locator("code.strategy", has_text="ema-4-16").first.get_attribute("title")
    page.get_by_role("link", name="infobatch", exact=True).click()
    assert page.locator("h1").inner_text().startswith("InfoBatch")


def test_keys_alone_reach_search_headings_and_rows(visit):
    page = visit()
    page.get_by_label("search").focus()
    page.keyboard.type("infobatch")
    page.get_by_role("button", name="points").focus()
    page.keyboard.press("Enter")
    assert page.locator('th[aria-sort="descending"]').inner_text().startswith("difference, points")
    page.locator(".board td button", has_text="infobatch").first.focus()
    page.keyboard.press("Enter")
    assert page.locator(".board tr.more:visible").count() == 1


@pytest.mark.parametrize("path", ["index.html", *(f"reports/{name}.html" for name in pages.STUDIES)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_fit_a_phone_and_can_be_read(visit, path, scheme):
    page = visit(path, width=390, height=844, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    contrast, text = page.evaluate(CONTRAST)
    assert contrast >= 4.5, text


def test_on_a_phone_a_tap_on_a_point_shows_its_numbers_and_a_link_leads_to_its_row(visit):
    page = visit(width=390, height=844, has_touch=True, is_mobile=True)
    page.locator(".explorer .chart svg").wait_for()
    point = page.locator(".explorer .mark-symbol.role-mark path").first
    point.scroll_into_view_if_needed()
    box = point.bounding_box()
    page.touchscreen.tap(box["x"] + box["width"] + 8, box["y"])  # beside it: a finger is broad
    tooltip = page.locator(".tip:visible")
    assert "exchange rate" in tooltip.inner_text()
    assert page.locator(".board tr.more").count() == 0
    tooltip.get_by_role("link").tap()
    page.locator(".board tr.more:visible").wait_for()
    assert tooltip.count() == 0


def test_without_scripts_the_drawing_and_every_row_are_there(visit):
    page = visit(java_script_enabled=False)
    assert page.locator(".explorer > svg").is_visible()
    assert len(shown(page)) == 11
    assert not page.locator(".board .controls").is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["compare", "status"])
def test_a_comparison_and_a_status_fit_a_phone_and_can_be_read(visit, others, name, scheme):
    page = visit(others / f"{name}.html", width=390, height=844, color_scheme=scheme)
    for folded in page.locator("summary").all():
        folded.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    contrast, text = page.evaluate(CONTRAST)
    assert contrast >= 4.5, text
