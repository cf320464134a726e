"""The pages in a real browser: headless Chromium."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.bench.explore import explore
from fittingroom.bench.tuning.tuning import Tuning
from fittingroom.data.dataset import Dataset
from fittingroom.files import replace_file
from fittingroom.reporting.comparison_page import render_comparison
from fittingroom.reporting.data_page import render_data
from fittingroom.reporting.tune_page import render_tuning

webdriver = pytest.importorskip("selenium.webdriver", reason="selenium isn't installed")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
DRIVER = shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(
    not (CHROMIUM and DRIVER), reason="chromium or chromedriver isn't installed"
)

PHONE, DESKTOP = (390, 844), (1280, 900)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM or ""
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def pages(
    compared: Analysis, small: Dataset, tuning: Tuning, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    return {
        "report": replace_file(folder / "report.html", render_comparison(compared, small)),
        "data": replace_file(folder / "data.html", render_data(explore(small), small)),
        "tune": replace_file(folder / "tune.html", render_tuning(tuning)),
    }


def open_page(browser: Any, page: Path, size: tuple[int, int] = DESKTOP) -> Any:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size == PHONE},
    )
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(page.as_uri())
    # On a busy machine `get` may return before the page is loaded.
    WebDriverWait(browser, 60).until(
        lambda driver: driver.execute_script("return document.readyState") == "complete"
    )
    return browser


def texts(browser: Any, selector: str) -> list[str]:
    contents: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.textContent.trim())",
        selector,
    )
    return contents


@pytest.mark.parametrize("name", ["report", "data", "tune"])
def test_the_page_fetches_nothing_and_logs_no_errors(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    open_page(browser, pages[name])
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert urls[0] == pages[name].as_uri()
    assert all(url.startswith("data:") for url in urls[1:])
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("name", ["report", "data", "tune"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP])
def test_the_page_does_not_scroll_sideways(
    browser: Any, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    open_page(browser, pages[name], size)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    width = browser.execute_script("return document.documentElement.scrollWidth")
    assert width <= size[0]


def test_long_names_do_not_scroll_sideways(
    browser: Any, unusual: tuple[Analysis, Dataset], tmp_path: Path
) -> None:
    open_page(browser, replace_file(tmp_path / "report.html", render_comparison(*unusual)), PHONE)
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= PHONE[0]
    assert browser.get_log("browser") == []


@pytest.mark.parametrize("name", ["report", "data"])
def test_a_tables_caption_is_seen_whole_on_a_phone(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    """Also after the table was scrolled."""
    open_page(browser, pages[name], PHONE)
    browser.execute_script(
        "for (const d of document.querySelectorAll('details')) d.open = true;"
        "for (const box of document.querySelectorAll('.scroll')) box.scrollLeft = 60"
    )
    ends = browser.execute_script(
        "return [...document.querySelectorAll('.scroll caption')].map("
        "c => c.getBoundingClientRect()).map(c => [c.left, c.right])"
    )
    assert bool(ends) == (name == "report")
    assert all(left >= 0 and right <= PHONE[0] for left, right in ends), ends


def test_buttons_in_the_head_sort_the_leaderboard(browser: Any, pages: dict[str, Path]) -> None:
    open_page(browser, pages["report"])
    head = texts(browser, ".leaderboard thead th")
    column = head.index("Training time") + 1
    cells = f".leaderboard tbody tr > :nth-child({column})"
    seconds = "return [...document.querySelectorAll(arguments[0])].map(e => e.dataset.value)"
    button = browser.find_element("css selector", f".leaderboard th:nth-child({column}) button")
    for order, reverse in (("ascending", False), ("descending", True)):
        button.click()
        values = browser.execute_script(seconds, cells)
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers, reverse=reverse)
        assert [bool(value) for value in values] == [True] * len(numbers) + [False]  # "theirs"
        assert button.find_element("xpath", "..").get_attribute("aria-sort") == order


def test_the_keyboard_sorts_too(browser: Any, pages: dict[str, Path]) -> None:
    open_page(browser, pages["report"])
    before = texts(browser, ".leaderboard tbody th")
    button = browser.find_element("css selector", ".leaderboard th:nth-child(2) button")
    button.send_keys("\ue007")  # Enter
    after = texts(browser, ".leaderboard tbody th")
    assert after == sorted(before)


def test_slides_show_one_image_at_a_time(browser: Any, pages: dict[str, Path]) -> None:
    open_page(browser, pages["data"])

    def visible() -> list[str]:
        shown: list[str] = browser.execute_script(
            "return [...document.querySelectorAll('.slides li')]"
            ".filter(e => e.offsetParent).map(e => e.textContent.trim())"
        )
        return shown

    (first,) = visible()
    browser.find_element("xpath", "//button[text()='Next']").click()
    (second,) = visible()
    browser.find_element("xpath", "//button[text()='Previous']").click()
    assert visible() == [first] != [second]


@pytest.mark.parametrize("name", ["report", "data", "tune"])
def test_the_page_can_be_printed(browser: Any, pages: dict[str, Path], name: str) -> None:
    open_page(browser, pages[name])
    printed = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 50_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark_mode(
    browser: Any, pages: dict[str, Path], scheme: str
) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    open_page(browser, pages["report"])
    paper, ink = browser.execute_script(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    )
    assert contrast(paper, ink) > 7
    drawn = browser.execute_script(
        "return getComputedStyle(document.querySelector('svg text')).fill"
    )
    assert contrast(paper, drawn) > 4.5
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def contrast(a: str, b: str) -> float:
    """The WCAG 2.1 contrast ratio of two colours, each `rgb(r, g, b)`."""

    def luminance(color: str) -> float:
        channels = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)
