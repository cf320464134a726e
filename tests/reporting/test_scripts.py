"""What the scripts of a comparison's page do, in a real browser: headless Chromium."""

from __future__ import annotations

import base64
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.javascript import inline_modules

if TYPE_CHECKING:
    from tests.conftest import Browser

#: The element and the visible ones of a selector.
VISIBLE = "return [...document.querySelectorAll(arguments[0])].filter(e => e.offsetParent).length"
COUNT = "#images .count"


@pytest.fixture
def report(browser: Browser, pages: dict[str, Path]) -> Browser:
    """The page of a comparison, just opened."""
    browser.open(pages["report"])
    return browser


def wrong_of(analysis: Analysis, model: str) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    return np.asarray(analysis.models[model].probabilities.argmax(axis=1) != analysis.labels)


def n_images(text: str) -> int:
    match = re.match(r"([\d,]+) of the [\d,]+ images on this page", text)
    assert match is not None, text
    return int(match[1].replace(",", ""))


def test_a_cell_of_a_confusion_matrix_opens_its_images(report: Browser, compared: Analysis) -> None:
    name = next(iter(compared.models))
    predicted = compared.models[name].probabilities.argmax(axis=1)
    true, wrong = compared.labels, wrong_of(compared, name)
    pairs = np.bincount(10 * true[wrong] + predicted[wrong], minlength=100)
    label, other = divmod(int(pairs.argmax()), 10)
    cell = f"[data-confusion] tbody tr:nth-child({label + 1}) td:nth-child({other + 2}) a"
    report.run("document.querySelector(arguments[0]).click()", cell)
    (text,) = report.texts(COUNT)
    assert n_images(text) == pairs.max()
    assert text.endswith("predictions of seed 0.")
    shown = report.texts("#images .gallery li")
    assert len(shown) == min(60, pairs.max())
    classes = compared.board.class_names
    assert all(f": {classes[label]} → {classes[other]}, " in caption for caption in shown)
    report.driver.back()
    assert "#" not in report.driver.current_url
    assert report.errors() == []


def test_images_are_filtered_by_class_probability_and_number(
    report: Browser, compared: Analysis
) -> None:
    models = [*compared.models]
    every = np.all([wrong_of(compared, name) for name in models], axis=0)
    report.choose("#images [name=wrong]", "all")
    assert n_images(report.texts(COUNT)[0]) == every.sum()
    report.choose("#images [name=true]", "6")
    assert n_images(report.texts(COUNT)[0]) == (every & (compared.labels == 6)).sum()
    assert report.driver.current_url.endswith("#images?true=6&model=0&wrong=all")
    report.find("#images [name=clear]").click()
    report.choose("#images [name=from]", "30")
    report.choose("#images [name=to]", "50")
    report.choose("#images [name=order]", "surest")
    shares = [int(text[:-1].rpartition(" ")[2]) for text in report.texts("#images .gallery li")]
    assert shares
    assert shares == sorted(shares, reverse=True)
    assert 30 <= min(shares) <= max(shares) <= 50
    report.find("#images [name=clear]").click()
    position = int(np.flatnonzero(every)[0])
    report.choose("#images [name=index]", str(position))
    assert [text.split(":")[0] for text in report.texts("#images .gallery li")] == [str(position)]


def test_a_view_can_be_linked_to(
    browser: Browser, pages: dict[str, Path], compared: Analysis
) -> None:
    a, b = list(compared.models)[:2]
    browser.open(f"{pages['report'].as_uri()}#images?model=1&right=0&wrong=1")
    fixed = wrong_of(compared, b) & ~wrong_of(compared, a)
    assert n_images(browser.texts(COUNT)[0]) == fixed.sum()
    assert browser.run("return document.querySelector('#images [name=model]').value") == "1"
    assert browser.run("return document.getElementById('images').getBoundingClientRect().top") < 300
    browser.open(f"{pages['report'].as_uri()}#images?true=a&model=77&nonsense=1")
    assert browser.errors() == []


def test_an_image_opens_with_every_models_probabilities(
    report: Browser, compared: Analysis
) -> None:
    report.run("document.querySelector('#images').scrollIntoView()")
    report.find("#images .gallery button").click()
    title = report.texts("#image h2")[0]
    position = int(title.split(":")[0].removeprefix("Test image ").replace(",", ""))
    assert title.endswith(compared.board.class_names[compared.labels[position]])
    assert report.texts("#image tbody th") == [*compared.models]
    for number, model in enumerate(compared.models.values(), 1):
        shown = report.texts(f"#image tbody tr:nth-child({number}) td")
        shares = [float(text[:-1]) for text in shown]
        np.testing.assert_allclose(shares, 100 * model.probabilities[position], atol=0.75)
    assert report.violations() == []
    report.driver.switch_to.active_element.send_keys("\ue014")  # arrow right
    assert report.texts("#image h2")[0] != title
    report.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    assert not report.run("return document.getElementById('image').open")
    assert report.run("return document.activeElement.matches('#images .gallery button')")


def test_two_models_are_compared_live(report: Browser, compared: Analysis) -> None:
    names = [*compared.models]
    report.choose("#pair [name=b]", "0")
    report.choose("#pair [name=a]", str(len(names) - 1))
    best, last = wrong_of(compared, names[0]), wrong_of(compared, names[-1])
    rows = {
        row.split("\t")[0]: row.split("\t")[1:3]
        for row in report.run(
            "return [...document.querySelectorAll('#pair tbody tr')].map(row =>"
            "[...row.cells].map(cell => cell.textContent).join('\t'))"
        )
    }
    for label, name in enumerate(compared.board.class_names):
        of_class = compared.labels == label
        counts = [int((of_class & last & ~best).sum()), int((of_class & best & ~last).sum())]
        assert [*map(int, rows.get(name, [0, 0]))] == counts
    sentence = report.texts("#pair .content > p")[0]
    assert (
        f"In their first fits, {names[0]} is right on {(last & ~best).sum():,} images" in sentence
    )
    report.run("document.querySelector('#pair .content > p:last-of-type a').click()")
    assert n_images(report.texts(COUNT)[0]) == (best & ~last).sum()
    report.driver.back()
    report.find("#pair th:last-child button").click()
    nets = report.run(
        "return [...document.querySelectorAll('#pair tbody td:last-child')]"
        ".map(cell => cell.dataset.value)"
    )
    assert [*map(int, nets)] == sorted(map(int, nets))
    report.choose("#pair [name=a]", "0")
    assert report.texts("#pair .content") == ["Choose two different models."]


def test_a_cell_of_the_differences_opens_the_pair(report: Browser, compared: Analysis) -> None:
    report.run("document.querySelector('.pairs tbody tr:nth-child(1) td:last-child a').click()")
    first, *_, last = compared.models
    chosen = "return document.querySelector(arguments[0]).selectedOptions[0].textContent"
    assert report.run(chosen, "#pair [name=b]") == first
    assert report.run(chosen, "#pair [name=a]") == last


def test_cells_and_points_lead_to_what_is_behind_them(report: Browser, compared: Analysis) -> None:
    """A class of a model, a bin of a reliability diagram, a row of the pairwise tests."""
    first, *_ = compared.models
    report.run("document.querySelector('[data-view^=images][data-view*=true] a').click()")
    wrong_shirts = wrong_of(compared, first) & (compared.labels == 0)
    assert n_images(report.texts(COUNT)[0]) == wrong_shirts.sum()
    report.run(
        "const points = document.querySelectorAll('g[data-view*=from]');"
        "points[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))"
    )
    report.run("return new Promise(setTimeout)")
    low, high = (
        float(report.run(f"return document.querySelector('#images [name={name}]').value"))
        for name in ("from", "to")
    )
    assert 0 <= low < high <= 100
    report.run("document.querySelector('.appendix td[data-view^=pair] a').click()")
    assert "#pair?a=" in report.driver.current_url
    assert report.errors() == []


def test_one_model_is_shown_at_a_time(report: Browser, compared: Analysis) -> None:
    assert report.run(VISIBLE, ".model") == 1
    second = list(compared.models)[1]
    report.run("document.querySelector('.leaderboard tbody tr:nth-child(2) a').click()")
    report.run("return new Promise(setTimeout)")
    assert report.run(VISIBLE, ".model") == 1
    assert report.run(VISIBLE, f".model[aria-label='{second}']") == 1
    printed = "return getComputedStyle(document.querySelector('.model.unchosen')).display"
    report.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": "print"})
    assert report.run(printed) == "block"
    report.driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"media": ""})


def test_models_can_be_hidden(report: Browser, compared: Analysis) -> None:
    _first, *others = compared.models
    rows, columns = ".leaderboard tbody tr", ".pairs thead th"
    assert report.run(VISIBLE, columns) == len(others) + 1
    report.find("#shown-models input").click()
    assert report.run(VISIBLE, rows) == len(compared.board.rows) - 1
    assert report.run(VISIBLE, columns) == len(others)
    assert report.run(VISIBLE, ".intervals tbody tr") == len(others)
    report.find("#shown-models input").click()
    assert report.run(VISIBLE, columns) == len(others) + 1


def test_tables_can_be_copied(report: Browser, compared: Analysis) -> None:
    report.run(
        "window.copied = []; navigator.clipboard.writeText = async (text) => copied.push(text);"
        "for (const b of document.querySelectorAll('.copy button')) b.click();"
        "return new Promise(setTimeout)"
    )
    markdown, csv, *_ = report.run("return copied")
    lines = markdown.splitlines()
    assert lines[0].startswith("| Rank | Model | Test accuracy |")
    assert len(lines) == 2 + len(compared.board.rows)
    assert len({line.count("|") for line in lines}) == 1
    assert csv.startswith("Rank,Model,Test accuracy,")
    assert report.texts(".copy [role=status]")[0] == "Copied."


def test_tips_say_what_a_mark_stands_for(report: Browser, compared: Analysis) -> None:
    report.run("document.querySelector('.pairs td a').focus()")
    (tip,) = report.texts(".tip")
    assert re.fullmatch(
        r"\S+ minus \S+: [+−]?[\d.]+ points, 95% interval \S+ to \S+, adjusted p .+", tip
    )
    report.driver.switch_to.active_element.send_keys("\ue014")  # arrow right
    (other,) = report.texts(".tip")
    assert other != tip
    report.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    assert report.run(VISIBLE, ".tip") == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_accessibility_violations(
    browser: Browser, pages: dict[str, Path], scheme: str
) -> None:
    browser.open(pages["report"], browser.PHONE if scheme == "dark" else browser.DESKTOP, scheme)
    browser.run("for (const details of document.querySelectorAll('details')) details.open = true")
    assert browser.violations() == []


def test_the_summary_fits_on_four_pages(report: Browser) -> None:
    """What is printed before the appendix."""

    def n_pages() -> int:
        printed = report.driver.execute_cdp_cmd("Page.printToPDF", {})
        return len(re.findall(rb"/Type\s*/Page\b", base64.b64decode(printed["data"])))

    everything = n_pages()
    report.run("document.body.classList.add('summary-only')")
    assert n_pages() <= 4 < everything


@pytest.mark.parametrize("entry", ["report.js", "data_page.js", "page.js"])
def test_a_pages_script_is_short_enough_to_read(entry: str) -> None:
    script = inline_modules(files("fittingroom.reporting").joinpath("scripts"), entry)
    assert 10 < len(script.splitlines()) <= 600
