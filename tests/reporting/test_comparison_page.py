"""comparison_page.py: one page that shows everything and fetches nothing."""

import json
import re
from collections.abc import Callable
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from time import process_time

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import Analysis, analyse
from fittingroom.bench.comparison.rows import Row
from fittingroom.data.catalog import DATASETS
from fittingroom.data.dataset import Dataset
from fittingroom.reporting import heat_table
from fittingroom.reporting.comparison_page import render_comparison
from fittingroom.reporting.tables import CSV_FILES
from fittingroom.runs.external import add_predictions
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """The parsed page: attributes, words, and tables as rows of cells."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str, str]] = []
        self.words: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.open: list[str] = []
        self.images: list[dict[str, str | None]] = []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "img":
            self.images.append(dict(attributes))
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            span = int(dict(attributes).get("colspan") or 1)
            self.tables[-1][-1] += [""] * span
            self.cell = len(self.tables[-1][-1]) - span

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.attributes += [(tag, name, value or "") for name, value in attributes]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if "style" in self.open or "script" in self.open:
            return
        self.words.append(text)
        if "td" in self.open or ("tr" in self.open and "th" in self.open):
            row = self.tables[-1][-1]
            row[self.cell] = " ".join(f"{row[self.cell]} {text}".split())

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def svg_labels(html: str) -> list[str]:
    """The label of each drawing for screen readers."""
    attributes = Page(html).attributes
    return [value for tag, name, value in attributes if (tag, name) == ("svg", "aria-label")]


def test_the_page_fetches_nothing_and_is_small(analysis: Callable[..., Analysis]) -> None:
    html = render_comparison(analysis())
    assert len(html.encode()) < 2_000_000
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert "url(" not in html, "only tiles have a picture"
    page = Page(html)
    fetching = {"src", "srcset", "data", "poster", "action", "background", "xlink:href"}
    sources = [value for _, name, value in page.attributes if name in fetching]
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert all(value.startswith("#") for _, name, value in page.attributes if name == "href")
    assert not re.search(r"<(link|iframe|object|embed|base)\b", html)


def test_rendering_is_deterministic(analysis: Callable[..., Analysis]) -> None:
    assert render_comparison(analysis()) == render_comparison(analysis())


def test_the_summary_comes_first(analysis: Callable[..., Analysis]) -> None:
    html = render_comparison(analysis())
    heading = re.search(r"<h1>(.*?)</h1>", html)
    assert heading is not None
    assert (
        heading[1]
        .replace("\u2060", "")
        .startswith("swift is best: 94.1% (95% interval 93.6–94.6, 3 seeds)")
    )
    assert html.index("<h1>") < html.index("<table")
    assert "One seed tells nothing about a re-run: theirs." in Page(html).text


def test_the_table_has_every_row_with_its_values(analysis: Callable[..., Analysis]) -> None:
    head, *rows = Page(render_comparison(analysis())).tables[0]
    assert all(len(row) == len(head) for row in rows)
    cells = {row[1].split()[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(cells) == [row.model for row in analysis().board.rows]
    assert cells["swift"] == {
        "Rank": "1",
        "Model": "swift 3 seeds, 54,000 images",
        "Test accuracy": "94.12% 93.62–94.62",
        "SD over seeds": "0.20%",
        "Macro F1": "0.9402",
        "Log loss": "0.200",
        "Validation accuracy": "95.12%",
        "Training time": "1 min 35 s",
        "Inference time, µs per image": "12",
        "Parameters": "123,456",
        "Engine, precision": "torch 2.13.0 bfloat16",
        "Indistinguishable from": "–",
    }
    assert cells["svm-rbf"]["Indistinguishable from"] == "cnn-32, theirs"
    assert cells["svm-rbf"]["SD over seeds"] == "deterministic"
    assert cells["theirs"]["SD over seeds"] == "?"
    assert cells["theirs"]["Training time"] == "–"
    assert cells["untested"]["Test accuracy"] == "the test split was not read"
    assert cells["untested"]["Validation accuracy"] == "90.00%"
    assert cells["cnn-64x4"]["Test accuracy"] == "out-of-memory : it passed 8 GB in epoch 3"
    assert cells["hog-svm"]["Test accuracy"] == "interrupted"
    assert cells["hog-svm"]["Rank"] == "–"


def test_a_page_of_unbalanced_classes_names_the_figure(
    analysis: Callable[..., Analysis], row: Callable[..., Row]
) -> None:
    rows = [row("swift", 0.95, 1), row("knn", 0.9, 2)]
    balanced = [
        replace(each, test=replace(each.test, balanced_accuracy=share))
        for each, share in zip(rows, (0.7, 0.6), strict=True)
        if each.test is not None
    ]
    unbalanced = analysis(rows=tuple(balanced), pairs=(), winner_ci95=(0.65, 0.75))
    page = Page(render_comparison(unbalanced))
    head, first, _ = page.tables[0]
    told = dict(zip(head, first, strict=True))
    assert told["Test balanced accuracy"].startswith("70.00%")
    assert told["Accuracy"] == "95.00%"
    assert "swift reaches" not in page.text
    assert "a balanced accuracy of 70.0%" in page.text.replace("\u2060", "")
    assert "the mean of that share over classes" in page.text
    plain = Page(render_comparison(analysis(rows=tuple(rows), pairs=())))
    assert "balanced" not in plain.text


def test_the_table_has_every_pair(analysis: Callable[..., Analysis]) -> None:
    *_, (head, swift, close) = Page(render_comparison(analysis())).tables
    assert head[:3] == ["A", "B", "A − B, points"]
    assert swift == [
        "svm-rbf",
        "swift",
        "−3.91",
        "−4.41 to −3.41",
        "< 0.0001",
        "< 0.0001",
        "310",
        "290",
    ]
    assert close[2:6] == ["−0.17", "−0.67 to 0.33", "0.50", "0.50"]
    assert "A − B, points" not in Page(render_comparison(analysis(pairs=()))).text


def test_overview_figures_have_labels(analysis: Callable[..., Analysis]) -> None:
    html = render_comparison(analysis())
    _, intervals, differences, *_ = Page(html).tables
    assert [row[0] for row in intervals[1:5]] == ["swift", "svm-rbf", "cnn-32", "theirs"]
    assert differences[1] == ["swift", "", "+3.9", "", ""]
    training, inference = svg_labels(html)
    assert "cnn-32 90.04% in 1 min 8 s" in training
    assert "svm-rbf 90.21% in 12.3 µs" in inference


def test_provenance(analysis: Callable[..., Analysis]) -> None:
    text = Page(render_comparison(analysis())).text
    for fact in (
        "ab" * 32,
        "Reproduce with fittingroom compare --seeds 3",
        "Some processor",
        "10,000 test",
    ):
        assert fact in text
    assert re.search(r"Saved runs that read the test split\s+8\b", text)
    assert "Reproduce with" not in Page(render_comparison(analysis(command=None))).text


def test_names_from_users_are_escaped(
    analysis: Callable[..., Analysis], row: Callable[..., Row]
) -> None:
    hostile = '<script>alert("x")</script>'
    rows = (row(hostile, 0.9, 1, ["b"]), row("b", 0.89, 1, [hostile]))
    html = render_comparison(
        analysis(
            rows=rows,
            pairs=(),
            confusions={hostile: analysis().board.confusions["swift"]},
            class_names=(hostile, "$", "$x$", "&"),
            dataset_title=hostile,
            notes=(hostile,),
            command=hostile,
            environment={hostile: hostile},
        )
    )
    assert html.count("<script") == 1, "our own"
    assert hostile in Page(html).text


def test_no_model_was_tested(analysis: Callable[..., Analysis]) -> None:
    html = render_comparison(analysis(rows=analysis().board.rows[4:], pairs=(), confusions={}))
    assert "No model has test results." in html
    assert "<svg" not in html
    assert "it passed 8 GB" in html
    assert "<table" in render_comparison(analysis(rows=(), pairs=(), confusions={}))


def test_without_times_there_is_no_plot_of_times(
    analysis: Callable[..., Analysis], row: Callable[..., Row]
) -> None:
    timeless = row("a", 0.9, 1, seconds=None, predict_us_per_image=None)
    html = render_comparison(analysis(rows=(timeless,), pairs=(), confusions={}))
    assert svg_labels(html) == []


@pytest.fixture(scope="module")
def html(compared: Analysis, small: Dataset) -> str:
    """The page of a real comparison."""
    return render_comparison(compared, small)


def test_every_model_has_a_section(compared: Analysis, html: str) -> None:
    text = Page(html).text
    order = [row.model for row in compared.board.rows if row.test]
    sections = re.findall(r'<section class="model" id="model-\d+" aria-label="([^"]+)"', html)
    assert sections == order
    for title in (
        "Most confident errors",
        "Least confident correct predictions",
        "Random predictions",
    ):
        assert text.count(title) == len(order)
    assert html.count(">Learning curves</h3>") == 3
    assert text.count("expected calibration error") >= 4
    assert "Calibration (reliability diagram)" in text
    assert "of the three models that are best on validation images" in text
    assert "training labels may be wrong" in text
    assert len(html.encode()) < 2_000_000


def test_the_page_with_images_fetches_nothing(html: str) -> None:
    page = Page(html)
    assert all(target.startswith("data:") for target in re.findall(r"url\(([^)]{,20})", html))
    assert html.count('<i class="tile"') > 100
    sources = [value for tag, name, value in page.attributes if (tag, name) == ("img", "src")]
    assert all(value.startswith("data:image/png;base64,") for value in sources)
    assert all("alt" in image for image in page.images)


def test_the_page_works_without_the_data(compared: Analysis) -> None:
    html = render_comparison(compared, None)
    assert "<img" not in html
    assert 'class="tile"' not in html
    assert "Most confident errors" not in Page(html).text
    assert ">Confusion matrix</h3>" in html
    assert 'id="data"' not in html


def test_the_first_pair_says_why_the_best_model_is_better(compared: Analysis, html: str) -> None:
    best, second, *_ = compared.models
    text = Page(html).text
    assert f"Only {best} correct: true → predicted by {second}, probability" in text
    assert f"Only {second} correct: true → predicted by {best}, probability" in text


@pytest.mark.slow
def test_few_and_many_classes_with_long_names(unusual: tuple[Analysis, Dataset]) -> None:
    html = render_comparison(*unusual)
    page = Page(html)
    names = unusual[1].class_names
    assert all(
        page.text.count(name) >= 3 for name in names
    )  # in tables; elsewhere they are shortened
    captions = re.findall(r"</i><span>(.*?)</span>", html)
    assert captions
    assert all(len(caption) < 120 for caption in captions)
    assert len(html.encode()) < 5_000_000
    never = [row for table in page.tables for row in table if row[0] == names[-1]]
    assert ["–", "0.000", "0.000"] in [row[1:4] for row in never]  # precision is undefined
    assert "Learning curves" not in page.text


def test_only_fashion_mnist_has_references(
    analysis: Callable[..., Analysis],
) -> None:
    html = render_comparison(analysis(dataset_sha256=DATASETS["fashion-mnist"].content))
    assert "83.5%: Humans without fashion expertise" in Page(html).text
    assert "makers' SVM 89.7" in unescape(html)
    other_data = render_comparison(analysis(dataset_name="fashion-mnist"))
    assert "Humans without fashion" not in other_data
    assert "makers" not in other_data


def test_ids_are_unique(html: str) -> None:
    ids = [value for _, name, value in Page(html).attributes if name == "id"]
    assert len(ids) == len(set(ids))


FEW_IMAGES: dict[str, tuple[dict[int, int], dict[int, int]]] = {
    "one test image": ({0: 40, 1: 40}, {0: 1}),
    "two test images": ({0: 40, 1: 40}, {0: 1, 1: 1}),
    "25 test images": ({0: 40, 1: 40}, {0: 13, 1: 12}),
    "the fewest training images": ({0: 10, 1: 10, 2: 10}, {0: 20, 1: 20, 2: 1}),
    "classes missing": ({0: 40, 1: 40}, {0: 20, 2: 20, 3: 1}),
}


@pytest.mark.parametrize("kind", FEW_IMAGES)
def test_few_images(kind: str, some_of: Callable[..., Dataset], tmp_path: Path) -> None:
    """A page of real fits, without NaN and without warnings, which are errors here."""
    train, test = FEW_IMAGES[kind]
    data = some_of(train, test)
    store = open_store(tmp_path, data)
    for model, seed in (("knn", 0), ("random-forest", 0), ("random-forest", 1)):
        fit(spec_of(data, model, seed=seed), data, store, keep_model=False)
    fit(spec_of(data, "knn", folds=2), data, store)
    analysis = analyse(store, data)
    json.dumps(analysis.to_dict(), allow_nan=False)
    text = Page(render_comparison(analysis, data)).text
    assert text.count("Random predictions") == len(analysis.models) == 2
    assert "nan" not in text.lower().replace("fashion", "").split()
    assert "−0.0" not in text.replace("−0.05", "")
    for text_of in CSV_FILES.values():
        text_of(analysis)


def test_of_many_models_only_the_best_have_sections(
    some_of: Callable[..., Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heat_table, "MODELS", 3)
    data = some_of({0: 10, 1: 10}, {0: 20, 1: 20})
    store, rng = open_store(tmp_path, data), np.random.default_rng(0)
    models = heat_table.MODELS + 2
    for number in range(models):
        labels = np.where(rng.random(len(data.test)) < number / models, data.test.labels, 0)
        np.savez(tmp_path / "added.npz", labels=labels)
        add_predictions(store, data, f"model-{number}", tmp_path / "added.npz")
    html = render_comparison(analyse(store))
    page = Page(html)
    assert len(page.tables[0]) == 1 + models
    assert html.count('<section class="model"') == heat_table.MODELS
    assert "The tables list 2 more" in page.text
    assert f"The first {heat_table.MODELS} models. Test accuracy of the row's model" in page.text


@pytest.mark.slow
def test_the_maximum_number_of_classes(small: Dataset, tmp_path: Path) -> None:
    classes = 256
    data = Dataset.from_arrays(
        small.train.images,
        np.arange(len(small.train)) % classes,
        small.test.images,
        np.arange(len(small.test)) % classes,
    )
    store, rng = open_store(tmp_path, data), np.random.default_rng(0)
    for name in ("a", "b"):
        labels = np.where(rng.random(1000) < 0.5, data.test.labels, rng.integers(0, classes, 1000))
        np.savez(tmp_path / "added.npz", labels=labels)
        add_predictions(store, data, name, tmp_path / "added.npz")
    start = process_time()
    html = render_comparison(analyse(store, data), data)
    assert process_time() - start < 60
    assert len(html.encode()) < 3_000_000
    page = Page(html)
    assert page.text.count("only confusions.csv has the counts") == 2
    assert f"The {heat_table.CLASSES} hardest classes." in page.text
