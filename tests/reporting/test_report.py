"""report.py: one page that says everything and fetches nothing."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest

from fittingroom.errors import StoreError
from fittingroom.evaluation.confusion import ConfusionMatrix
from fittingroom.reporting.report import render, write_report

VOID = {"meta", "br", "img", "link", "input", "hr"}


class Page(HTMLParser):
    """The page as a reader meets it: attributes, words, and tables as rows of cells."""

    def __init__(self, text):
        super().__init__()
        self.attributes, self.words, self.tables, self.open = [], [], [], []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value) for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            span = int(dict(attributes).get("colspan", 1))
            self.tables[-1][-1] += [""] * span
            self.cell = len(self.tables[-1][-1]) - span

    def handle_startendtag(self, tag, attributes):
        self.attributes += [(tag, name, value) for name, value in attributes]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, text):
        if "style" in self.open:
            return
        self.words.append(text)
        if "td" in self.open or ("tr" in self.open and "th" in self.open):
            row = self.tables[-1][-1]
            row[self.cell] = " ".join(f"{row[self.cell]} {text}".split())

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_the_page_fetches_nothing_and_is_small(board):
    html = render(board())
    assert len(html.encode()) < 2_000_000
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert all(target.startswith("#") for target in re.findall(r"url\(([^)]*)\)", html))
    page = Page(html)
    fetching = {"src", "srcset", "data", "poster", "action", "background", "xlink:href"}
    assert not [found for found in page.attributes if found[1] in fetching]
    assert all(value.startswith("#") for _, name, value in page.attributes if name == "href")
    assert not re.search(r"<(script|link|iframe|object|embed|img|base)\b", html)


def test_the_same_leaderboard_gives_the_same_page(board):
    assert render(board()) == render(board())


def test_the_answer_comes_first(board):
    html = render(board())
    heading = re.search(r"<h1>(.*?)</h1>", html)[1].replace("\u2060", "")
    assert heading.startswith("swift is best: 94.1% (95% interval 93.6–94.6, 3 seeds)")
    assert html.index("<h1>") < html.index("<table")
    assert "One seed tells nothing about a re-run: theirs." in Page(html).text


def test_every_row_stands_in_the_table_with_its_figures(board):
    head, *rows = Page(render(board())).tables[0]
    assert all(len(row) == len(head) for row in rows)
    cells = {row[1].split()[0]: dict(zip(head, row, strict=True)) for row in rows}
    assert list(cells) == [row.model for row in board().rows]
    assert cells["swift"] == {
        "Rank": "1",
        "Model": "swift 3 seeds, 54,000 images",
        "Test accuracy": "94.12% 93.62–94.62",
        "sd over seeds": "0.20%",
        "Macro F1": "0.9402",
        "Log loss": "0.200",
        "Validation accuracy": "95.12%",
        "Time to fit": "1 min 35 s",
        "Predict, µs an image": "12",
        "Parameters": "123,456",
        "Engine, precision": "torch 2.13.0 bfloat16",
        "Can’t be told apart from": "–",
    }
    assert cells["svm-rbf"]["Can’t be told apart from"] == "cnn-32"
    assert cells["svm-rbf"]["sd over seeds"] == "none"
    assert cells["theirs"]["sd over seeds"] == "?"
    assert cells["theirs"]["Time to fit"] == "–"
    assert cells["untested"]["Test accuracy"] == "the test split was not read"
    assert cells["untested"]["Validation accuracy"] == "90.00%"
    assert cells["cnn-64x4"]["Test accuracy"] == "out-of-memory : it passed 8 GB in epoch 3"
    assert cells["hog-svm"]["Test accuracy"] == "interrupted"
    assert cells["hog-svm"]["Rank"] == "–"


def test_every_pair_is_there(board):
    _, swift, close = Page(render(board())).tables[1]
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
    assert len(Page(render(board(pairs=()))).tables) == 1


def test_the_hardest_class_of_the_best_model_is_named(board):
    html = render(board())
    sentence = (
        "Shirt is the hardest class: 69% right; taken for T-shirt/top 14%, Pullover 9%, Coat 8%."
    )
    assert f"<p>{sentence}</p>" in html
    other = ConfusionMatrix(np.diag([9, 10, 10, 10]) + np.eye(4, k=1, dtype=int))
    changed = render(board(confusions={"swift": other}))
    assert sentence not in changed
    assert "T-shirt/top is the hardest class" in changed


def test_three_pictures_each_with_words(board):
    labels = [
        value for tag, name, value in Page(render(board())).attributes
        if tag == "svg" and name == "aria-label"
    ]  # fmt: skip
    assert len(labels) == 3
    assert "swift 94.12% (93.62–94.62); svm-rbf 90.21%" in labels[0]
    assert "cnn-32 90.04% in 1 min 8 s" in labels[1]
    assert labels[2].startswith("Confusion matrix of swift. Shirt is the hardest class")


def test_where_the_figures_come_from(board):
    text = Page(render(board())).text
    for said in ("ab" * 32, "fittingroom compare --seeds 3", "Some processor", "10,000 test"):
        assert said in text
    assert re.search(r"Saved runs that read the test split\s+8\b", text)
    assert "Command" not in Page(render(board(command=None))).text


def test_names_from_users_are_only_text(board, row):
    wicked = '<script>alert("x")</script>'
    rows = (row(wicked, 0.9, 1, ["b"]), row("b", 0.89, 1, [wicked]))
    html = render(
        board(
            rows=rows,
            pairs=(),
            confusions={wicked: board().confusions["swift"]},
            class_names=(wicked, "$", "$x$", "&"),
            dataset_title=wicked,
            notes=(wicked,),
            command=wicked,
            environment={wicked: wicked},
        )
    )
    assert "<script" not in html
    assert wicked in Page(html).text


def test_nothing_was_tested(board):
    html = render(board(rows=board().rows[4:], pairs=(), confusions={}))
    assert "No model has test figures." in html
    assert "<svg" not in html
    assert "it passed 8 GB" in html
    assert "<table" in render(board(rows=(), pairs=(), confusions={}))


def test_a_model_without_a_time_leaves_that_picture_out(board, row):
    html = render(board(rows=(row("a", 0.9, 1, seconds=None),), pairs=(), confusions={}))
    assert html.count("<svg") == 1


def test_the_page_replaces_the_old_one_whole(board, tmp_path):
    path = tmp_path / "report.html"
    path.write_text("old", encoding="utf8")
    assert write_report(board(), path) == path
    assert path.read_text(encoding="utf8") == render(board())
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


def test_a_folder_that_is_not_there_is_one_sentence(board, tmp_path):
    with pytest.raises(StoreError, match="can't be written"):
        write_report(board(), tmp_path / "nowhere" / "report.html")
