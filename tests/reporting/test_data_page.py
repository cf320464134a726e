from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from fittingroom.bench.explore import Exploration, NearDuplicates, explore
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.data_page import RANDOM, SAMPLES, render_data

if TYPE_CHECKING:
    from tests.conftest import Browser

IMAGES, PAIRS = "#images .gallery li", "#duplicates .gallery li"


def text_of(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


def test_the_page_shows_the_data(exploration: Exploration, small: Dataset) -> None:
    html = render_data(exploration, small, "fittingroom data small --report x.html")
    text = text_of(html)
    assert "2,000 training and 1,000 test images" in text
    assert "in 10 classes, with 200 training images per class." in text
    for name in small.class_names:
        assert name in text
    first = " ".join(str(pixel) for pixel in small.train.images[0].ravel())
    assert first in text
    assert "fittingroom data small --report x.html" in text
    assert "the most similar other image is of the same class" in text
    assert html.count("<img ") == 10 * 2, "means and standard deviations"
    assert html.count("<li>") == 10 * SAMPLES + RANDOM
    assert len(html.encode()) < 6_000_000
    assert "http" not in html.replace("http-equiv", "")


def test_the_first_sentence_is_what_is_wrong(
    doubled: Dataset, doubled_exploration: Exploration
) -> None:
    html = render_data(doubled_exploration, doubled)
    heading = re.search(r"<h1>(.*?)</h1>", html)
    assert heading is not None
    assert text_of(heading[1]) == (
        "2 of 100 test images copy training images, pixel for pixel, and 1 more nearly does. "
        "See them"
    )
    assert (
        html.index("<h1>") < html.index("3 pairs of identical images have") < html.index("<main>")
    )


def test_near_duplicates_stand_side_by_side_without_the_script(
    doubled: Dataset, doubled_exploration: Exploration
) -> None:
    html = render_data(doubled_exploration, doubled)
    items = re.findall(r"<li>((?:<div>.*?</div>){2}.*?)</li>", html)
    assert len(items) == len(doubled_exploration.near_duplicates)
    captions = [text_of(item) for item in items]
    near = f"test 2: {doubled.class_names[doubled.test.labels[2]]} train 300: "
    assert captions[-1].startswith(near)
    assert sum(caption.endswith("identical, different labels") for caption in captions) == 3


def test_matplotlib_is_not_needed() -> None:
    """It takes half a second to import."""
    script = "import fittingroom.reporting.data_page, sys; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_rendering_is_deterministic(exploration: Exploration, small: Dataset) -> None:
    assert render_data(exploration, small) == render_data(exploration, small)


def test_names_are_escaped(small: Dataset) -> None:
    names = ('<script>alert("x")</script>', "$x$", "&", "n" * 200, *"efghij")
    hostile = Dataset.from_arrays(
        small.train.images,
        small.train.labels,
        small.test.images,
        small.test.labels,
        class_names=names,
    )
    html = render_data(explore(hostile), hostile)
    assert html.count("<script") == 2, "the page's own, and its data"
    assert "&lt;script&gt;" in html


@pytest.mark.parametrize("n_classes", [2, 47])
def test_few_and_many_classes(n_classes: int) -> None:
    random = np.random.default_rng(0)
    labels = np.arange(n_classes * 12) % n_classes
    pixels = random.integers(0, 256, (len(labels), 9, 13))
    data = Dataset.from_arrays(pixels, labels, pixels[:n_classes], labels[:n_classes])
    html = render_data(explore(data), data)
    assert f"in {n_classes} classes" in text_of(html)
    assert explore(data).copies["between"] == n_classes


def test_few_images_and_a_class_without_any(some_of: Callable[..., Dataset]) -> None:
    data = some_of({0: 3, 2: 2}, {0: 1})
    html = render_data(explore(data), data)
    text = text_of(html)
    assert "Trouser no training images – –" in text
    assert "No training image is of class Trouser." in text
    assert "with 0 to 3 training images per class" in text
    assert "All 5 images, placed by" in text
    assert html.count("<img ") == 2 * 2, "of two classes the mean and the standard deviation"


# What the page's scripts do, in a real browser.


@pytest.fixture
def page(browser: Browser, data_pages: dict[str, Path]) -> Browser:
    """The page of a data set without copies, just opened."""
    browser.open(data_pages["data"])
    return browser


@pytest.fixture
def doubled_page(browser: Browser, data_pages: dict[str, Path]) -> Browser:
    """The page of a data set with copies, just opened."""
    browser.open(data_pages["doubled"])
    return browser


def count(browser: Browser, section: str) -> int:
    """How many images or pairs a section says there are."""
    (text,) = browser.texts(f"{section} .count")
    return int(text.split()[0].replace(",", ""))


def test_images_are_filtered_by_class_split_and_number(page: Browser, small: Dataset) -> None:
    assert count(page, "#images") == 3000
    assert len(page.texts(IMAGES)) == 36
    page.find("#images > button").click()
    assert len(page.texts(IMAGES)) == 72
    page.choose("#images [name=class]", "3")
    assert count(page, "#images") == 300
    page.choose("#images [name=split]", "test")
    assert count(page, "#images") == 100
    assert page.driver.current_url.endswith("#images?class=3&split=test")
    positions = np.flatnonzero(small.test.labels == 3)
    for text, position in zip(page.texts(IMAGES), positions, strict=False):
        assert text.split("; nearest: ")[0] == f"test {position}: {small.class_names[3]}"
    page.find("#images [name=clear]").click()
    page.choose("#images [name=index]", "777")
    assert [text.split(":")[0] for text in page.texts(IMAGES)] == ["train 777", "test 777"]
    assert page.errors() == []


def test_images_are_filtered_and_sorted_by_their_nearest_neighbour(
    page: Browser, small: Dataset, exploration: Exploration
) -> None:
    nearest = exploration.nearest["train"]
    classes = small.train.labels[nearest.positions[:, 0]]
    page.choose("#images [name=split]", "train")
    page.choose("#images [name=nearest]", "other")
    assert count(page, "#images") == (classes != small.train.labels).sum()
    assert all("; nearest: " in text for text in page.texts(IMAGES))
    page.choose("#images [name=nearest]", "same")
    assert count(page, "#images") == (classes == small.train.labels).sum()
    page.choose("#images [name=nearest]", "")
    page.choose("#images [name=order]", "unusual")
    first = int(nearest.distances[:, 0].argmax())
    assert page.texts(IMAGES)[0].split(":")[0] == f"train {first:,}"
    page.choose("#images [name=order]", "usual")
    last = int(nearest.distances[:, 0].argmin())
    assert nearest.distances[last, 0] == pytest.approx(
        nearest.distances[int(page.texts(IMAGES)[0].split(":")[0].split()[1].replace(",", "")), 0],
        abs=0.01,
    )


def test_a_view_can_be_linked_to(browser: Browser, data_pages: dict[str, Path]) -> None:
    browser.open(f"{data_pages['data'].as_uri()}#images?class=5&split=train")
    assert count(browser, "#images") == 200
    assert browser.run("return document.getElementById('images').getBoundingClientRect().top") < 300
    browser.open(f"{data_pages['data'].as_uri()}#images?class=a&nonsense=1")
    assert browser.errors() == []


def test_a_cell_of_the_matrix_opens_its_images(page: Browser, exploration: Exploration) -> None:
    counts = exploration.neighbours.counts - np.diag(np.diag(exploration.neighbours.counts))
    label, other = divmod(int(counts.argmax()), 10)
    cell = f"#neighbours tbody tr:nth-child({label + 1}) td:nth-child({other + 2}) a"
    page.run("document.querySelector(arguments[0]).click()", cell)
    assert count(page, "#images") == counts.max()
    page.driver.back()
    assert "#" not in page.driver.current_url


def test_an_image_opens_with_its_nearest_neighbours(
    page: Browser, small: Dataset, exploration: Exploration
) -> None:
    page.choose("#images [name=split]", "test")
    page.choose("#images [name=index]", "7")
    page.find("#images .gallery button").click()
    assert page.texts("#image h2") == [f"test 7: {small.class_names[small.test.labels[7]]}"]
    nearest = exploration.nearest["test"]
    expected = [
        f"train {position:,}: {small.class_names[small.train.labels[position]]}, {distance:.1f}"
        for position, distance in zip(nearest.positions[7], nearest.distances[7], strict=True)
    ]
    assert page.texts("#image li") == expected
    assert page.violations() == []
    page.find("#image li button").click()
    assert page.texts("#image h2") == [expected[0].rpartition(", ")[0]]
    page.driver.switch_to.active_element.send_keys("\ue012")  # arrow left: whence the reader came
    assert page.texts("#image h2")[0].startswith("test 7: ")
    page.driver.switch_to.active_element.send_keys("\ue00c")  # escape
    assert not page.run("return document.getElementById('image').open")


def test_samples_open_too(page: Browser) -> None:
    page.run("document.querySelector('.samples button').click()")
    assert page.texts("#image h2") == page.texts(".samples li:first-child button")[:1]


def test_near_duplicates_are_filtered(
    doubled_page: Browser, doubled_exploration: Exploration
) -> None:
    pairs = doubled_exploration.near_duplicates
    assert len(doubled_page.texts(PAIRS)) == len(pairs)

    def differ(pair: NearDuplicates) -> bool:
        return pair.first.label != pair.second.label

    doubled_page.choose("#duplicates [name=where]", "between")
    between = [pair for pair in pairs if pair.where == "between"]
    assert count(doubled_page, "#duplicates") == len(between)
    doubled_page.choose("#duplicates [name=labels]", "different")
    assert count(doubled_page, "#duplicates") == sum(map(differ, between)) > 0
    assert doubled_page.driver.current_url.endswith("#duplicates?where=between&labels=different")
    (text,) = doubled_page.texts(PAIRS)
    assert text.startswith("test 1: ")
    assert "train 91: " in text
    assert text.endswith("identical, different labels")
    doubled_page.find("#duplicates [name=clear]").click()
    doubled_page.choose("#duplicates [name=kind]", "near")
    assert count(doubled_page, "#duplicates") == sum(pair.distance > 0 for pair in pairs)
    doubled_page.choose("#duplicates [name=kind]", "")
    doubled_page.choose("#duplicates [name=class]", "6")
    of_class = [pair for pair in pairs if 6 in (pair.first.label, pair.second.label)]
    assert count(doubled_page, "#duplicates") == len(of_class)
    assert doubled_page.errors() == []


def test_a_finding_leads_to_its_images(doubled_page: Browser) -> None:
    doubled_page.run("document.querySelector('header a[data-choices*=different]').click()")
    doubled_page.run("return new Promise(setTimeout)")
    assert doubled_page.texts("#duplicates .count")[0].startswith("3 pairs.")


def test_classes_of_the_embedding_stand_out(page: Browser) -> None:
    faded = "return document.querySelectorAll('#embedding g.faded').length"
    assert page.run(faded) == 0
    for expected in (9, 8):
        page.run("document.querySelectorAll('.legend button')[arguments[0]].click()", 9 - expected)
        assert page.run(faded) == expected
    page.run("for (const b of document.querySelectorAll('.legend [aria-pressed=true]')) b.click()")
    assert page.run(faded) == 0


def test_the_page_without_its_script_has_images_pairs_and_classes(
    browser: Browser, data_pages: dict[str, Path]
) -> None:
    browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.driver.get(data_pages["doubled"].as_uri())
        shown = browser.driver.find_elements("css selector", f"{IMAGES}, {PAIRS}")
        assert len(shown) > 36
        assert all(item.is_displayed() for item in shown)
        forms = browser.driver.find_elements("css selector", "section form")
        assert not any(form.is_displayed() for form in forms)
    finally:
        browser.driver.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_has_no_accessibility_violations(
    browser: Browser, data_pages: dict[str, Path], scheme: str
) -> None:
    size = browser.PHONE if scheme == "dark" else browser.DESKTOP
    browser.open(data_pages["doubled"], size, scheme)
    assert browser.violations() == []
