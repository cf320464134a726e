"""The pages in a real browser: headless Chromium."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.data.dataset import Dataset
from fittingroom.files import replace_file
from fittingroom.reporting.comparison_page import render_comparison

if TYPE_CHECKING:
    from tests.conftest import Browser

PAGES = ["report", "data", "doubled", "tune"]


@pytest.mark.parametrize("name", PAGES)
def test_the_page_fetches_nothing_and_logs_no_errors(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    browser.open(pages[name])
    events = [
        json.loads(entry["message"])["message"] for entry in browser.driver.get_log("performance")
    ]
    urls = [
        event["params"]["request"]["url"]
        for event in events
        if event["method"] == "Network.requestWillBeSent"
    ]
    assert urls[0] == pages[name].as_uri()
    assert all(url.startswith("data:") for url in urls[1:])
    assert browser.errors() == []


@pytest.mark.parametrize("name", PAGES)
@pytest.mark.parametrize("size", [(390, 844), (1280, 900)])
def test_the_page_does_not_scroll_sideways(
    browser: Browser, pages: dict[str, Path], name: str, size: tuple[int, int]
) -> None:
    browser.open(pages[name], size)
    browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
    width = browser.run("return document.documentElement.scrollWidth")
    assert width <= size[0]


def test_long_names_do_not_scroll_sideways(
    browser: Browser, unusual: tuple[Analysis, Dataset], tmp_path: Path
) -> None:
    page = replace_file(tmp_path / "report.html", render_comparison(*unusual))
    browser.open(page, browser.PHONE)
    browser.run("for (const d of document.querySelectorAll('details')) d.open = true")
    assert browser.run("return document.documentElement.scrollWidth") <= browser.PHONE[0]
    assert browser.errors() == []


@pytest.mark.parametrize("name", ["report", "data"])
def test_a_tables_caption_is_seen_whole_on_a_phone(
    browser: Browser, pages: dict[str, Path], name: str
) -> None:
    """Also after the table was scrolled."""
    browser.open(pages[name], browser.PHONE)
    browser.run(
        "for (const d of document.querySelectorAll('details')) d.open = true;"
        "for (const box of document.querySelectorAll('.scroll')) box.scrollLeft = 60"
    )
    ends = browser.run(
        "return [...document.querySelectorAll('.scroll caption')].map("
        "c => c.getBoundingClientRect()).map(c => [c.left, c.right])"
    )
    assert bool(ends) == (name == "report")
    assert all(left >= 0 and right <= browser.PHONE[0] for left, right in ends), ends


def test_buttons_in_the_head_sort_the_leaderboard(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"])
    head = browser.texts(".leaderboard thead th")
    column = head.index("Training time") + 1
    cells = f".leaderboard tbody tr > :nth-child({column})"
    seconds = "return [...document.querySelectorAll(arguments[0])].map(e => e.dataset.value)"
    button = browser.find(f".leaderboard th:nth-child({column}) button")
    for order, reverse in (("ascending", False), ("descending", True)):
        button.click()
        values = browser.run(seconds, cells)
        numbers = [float(value) for value in values if value]
        assert numbers == sorted(numbers, reverse=reverse)
        assert [bool(value) for value in values] == [True] * len(numbers) + [False]  # "theirs"
        assert button.find_element("xpath", "..").get_attribute("aria-sort") == order


def test_the_keyboard_sorts_too(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["report"])
    before = browser.texts(".leaderboard tbody th")
    button = browser.find(".leaderboard th:nth-child(2) button")
    button.send_keys("\ue007")  # Enter
    after = browser.texts(".leaderboard tbody th")
    assert after == sorted(before)


@pytest.mark.parametrize("name", PAGES)
def test_the_page_can_be_printed(browser: Browser, pages: dict[str, Path], name: str) -> None:
    browser.open(pages[name])
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    assert len(printed["data"]) > 50_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_light_and_dark_mode(
    browser: Browser, pages: dict[str, Path], scheme: str
) -> None:
    browser.open(pages["report"], scheme=scheme)
    paper, ink = browser.run(
        "const s = getComputedStyle(document.body); return [s.backgroundColor, s.color]"
    )
    assert contrast(paper, ink) > 7
    drawn = browser.run("return getComputedStyle(document.querySelector('svg text')).fill")
    assert contrast(paper, drawn) > 4.5


def contrast(a: str, b: str) -> float:
    """The WCAG 2.1 contrast ratio of two colours, each `rgb(r, g, b)`."""

    def luminance(color: str) -> float:
        channels = [int(part) / 255 for part in color[color.index("(") + 1 : -1].split(",")[:3]]
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    darker, lighter = sorted((luminance(a), luminance(b)))
    return (lighter + 0.05) / (darker + 0.05)
