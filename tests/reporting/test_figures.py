"""figures.py: each figure shows its results, and labels don't overlap."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from itertools import combinations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex, to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.comparison.rows import Row
from fittingroom.evaluation.confusion import ConfusionMatrix
from fittingroom.reporting import figures, style
from fittingroom.reporting.references import Reference


def texts_of(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def x_of(line: Line2D) -> list[float]:
    return [*map(float, np.asarray(line.get_xdata()))]


def against_time(board: Leaderboard) -> Figure:
    figure = figures.accuracy_against_time(board)
    assert figure is not None
    return figure


def test_accuracy_intervals_show_every_tested_model(board: Callable[..., Leaderboard]) -> None:
    axes = figures.accuracy_intervals(board()).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["swift", "svm-rbf", "cnn-32", "theirs"]
    assert texts_of(axes) == ["94.12", "90.21", "90.04", "88.00"]
    intervals = [x_of(line) for line in axes.lines if len(x_of(line)) == 2]
    assert np.allclose(intervals[0], [93.62, 94.62])
    low, high = axes.get_xlim()
    assert all(low < end < high for interval in intervals for end in interval)
    first, last = axes.transData.transform([(94, 0), (94, 3)])
    assert first[1] > last[1]  # the first model stands on top


def test_references_are_shown_if_they_are_close(
    board: Callable[..., Leaderboard], row: Callable[..., Row]
) -> None:
    rows = (row("a", 0.93, 1), row("b", 0.90, 2))  # with intervals from 89.5 to 93.5
    references = [Reference("far", "", 0.85, ""), Reference("near", "", 0.86, ""),
              Reference("within", "", 0.92, "")]  # fmt: skip
    axes = figures.accuracy_intervals(board(rows=rows), references).axes[0]
    assert texts_of(axes) == ["93.00", "90.00", "near 86.0", "within 92.0"]
    dotted = [x_of(line)[0] for line in axes.lines if line.get_linestyle() == ":"]
    assert dotted == [86, 92]
    (empty,) = figures.accuracy_intervals(board(rows=()), references).axes
    assert texts_of(empty) == []


def test_the_first_model_and_those_indistinguishable_from_it_are_blue(
    board: Callable[..., Leaderboard], row: Callable[..., Row]
) -> None:
    rows = (row("a", 0.91, 1, ["b"]), row("b", 0.909, 1, ["a", "c"]), row("c", 0.9, 2, ["b"]))
    axes = figures.accuracy_intervals(board(rows=rows)).axes[0]
    colors = [to_hex(line.get_color()) for line in axes.lines if len(x_of(line)) == 1]
    assert colors == [style.BLUE, style.BLUE, style.MUTED]


def test_accuracy_against_time_omits_models_without_a_time(
    board: Callable[..., Leaderboard], row: Callable[..., Row]
) -> None:
    axes = against_time(board()).axes[0]
    assert texts_of(axes) == ["swift", "svm-rbf", "cnn-32"]
    assert axes.get_xscale() == "log"
    assert figures.accuracy_against_time(board(rows=(row("a", 0.9, 1, seconds=None),))) is None


def test_the_pareto_front_is_blue(
    board: Callable[..., Leaderboard], row: Callable[..., Row]
) -> None:
    rows = (
        row("a", 0.94, 1, seconds=90),
        row("b", 0.91, 2, seconds=300),
        row("c", 0.90, 3, seconds=0.0),
    )
    axes = against_time(board(rows=rows)).axes[0]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    colors = [to_hex(point.get_color()) for point in points]
    assert colors == [style.BLUE, style.MUTED, style.BLUE]
    assert all(np.isfinite(x_of(point)).all() for point in points)
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert "1 min" in ticks
    assert "10 s" in ticks


def test_labels_of_points_do_not_overlap(
    board: Callable[..., Leaderboard], row: Callable[..., Row]
) -> None:
    rng = np.random.default_rng(0)
    rows = tuple(
        row(f"model-{i}", 0.85 + 0.1 * rng.random(), 1, seconds=10 ** rng.uniform(0, 3))
        for i in range(14)
    )
    figure = against_time(board(rows=rows))
    figure.draw_without_rendering()
    axes = figure.axes[0]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == 14
    assert not any(a.overlaps(b) for a, b in combinations(boxes, 2))
    frame = axes.get_window_extent()
    assert all(frame.x0 - 2 <= box.x0 and box.x1 <= frame.x1 + 2 for box in boxes)


def test_confusion_shows_shares_of_the_true_class(board: Callable[..., Leaderboard]) -> None:
    counts = np.array([[180, 20, 0], [0, 0, 0], [0.1, 49.9, 950]])
    axes = figures.confusion(ConfusionMatrix(counts), ["x", "y", "z"]).axes[0]
    assert texts_of(axes) == ["90.0", "10.0", "·", "5.0", "95.0"]
    cells = [patch for patch in axes.patches if isinstance(patch, Rectangle)]
    assert [to_hex(cell.get_facecolor()) for cell in cells] == [
        style.BLUE,
        style.ORANGE,
        style.ORANGE,
        style.ORANGE,
        style.BLUE,
    ]
    depth = [alpha for cell in cells if (alpha := cell.get_alpha()) is not None]
    assert len(depth) == len(cells)
    assert depth[1] == max(depth[1:4])
    assert depth[3] == pytest.approx(depth[1] / 2, rel=0.01)


def test_confusion_without_errors() -> None:
    axes = figures.confusion(ConfusionMatrix(np.eye(2, dtype=int)), ["x", "y"]).axes[0]
    assert texts_of(axes) == ["100.0", "100.0"]


class Elements(HTMLParser):
    """Every start tag with its attributes; `open` is empty if all tags were closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))
        self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_svg_has_a_label_for_screen_readers(board: Callable[..., Leaderboard]) -> None:
    label = 'Accuracy of "a" & <b>'
    elements = Elements(style.inline_svg(figures.accuracy_intervals(board()), label))
    assert not elements.open
    tag, attributes = elements.tags[0]
    assert tag == "svg"
    assert attributes["role"] == "img"
    assert attributes["aria-label"] == label


def test_svg_is_deterministic_and_refers_only_to_itself(
    board: Callable[..., Leaderboard],
) -> None:
    def svg(label: str = "x") -> str:
        return style.inline_svg(against_time(board()), label)

    first = svg()
    assert first == svg()
    ids = re.findall(r'\bid="([^"]+)"', first)
    assert len(ids) == len(set(ids))
    references = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', first)
    assert {a or b for a, b in references} <= set(ids)
    # Two figures on one page share no id, or one would be drawn with parts of the other.
    assert not set(ids) & set(re.findall(r'\bid="([^"]+)"', svg("y")))


def test_svg_takes_every_colour_from_the_page(board: Callable[..., Leaderboard]) -> None:
    for figure in (
        figures.accuracy_intervals(board()),
        against_time(board()),
        figures.confusion(board().confusions["swift"], board().class_names),
    ):
        svg = style.inline_svg(figure, "x")
        assert "var(--blue)" in svg
        colors = set(re.findall(r'(?:fill|stroke): *([^;"]+)', svg))
        assert all(color == "none" or color.startswith("var(--") for color in colors)
        assert "font-family" not in svg
        assert "DejaVu" not in svg


def test_names_with_dollars_and_angle_brackets_are_plain_text(
    board: Callable[..., Leaderboard],
) -> None:
    names = ["US$ or A$", "<b>", "a & b", r"\alpha$_$"]
    svg = style.inline_svg(figures.confusion(board().confusions["swift"], names), "x")
    for shown in ("US$ or A$", "&lt;b&gt;", "a &amp; b", r"\alpha$_$"):
        assert f">{shown}</text>" in svg


@pytest.mark.parametrize("classes", [2, 4])
def test_long_names_leave_room_for_the_cells(classes: int) -> None:
    matrix = ConfusionMatrix(np.eye(classes, dtype=int))
    figure = figures.confusion(matrix, [f"{n} {'long name ' * 9}" for n in range(classes)])
    style.inline_svg(figure, "x")  # lays it out; without room, matplotlib warns
    (axes,) = figure.axes
    assert axes.get_window_extent().width > 100


def test_many_classes_are_drawn_as_one_image() -> None:
    counts = np.eye(60, dtype=int) * 3
    counts[7, 9] = 2
    (axes,) = figures.confusion(ConfusionMatrix(counts), [str(n) for n in range(60)]).axes
    (image,) = axes.images
    assert not axes.patches
    colors = image.get_array()
    assert colors is not None
    assert colors.shape == (60, 60, 4)
    assert tuple(colors[7, 9]) == pytest.approx((*to_rgb(style.ORANGE), 0.75))
    assert tuple(colors[7, 7]) == pytest.approx((*to_rgb(style.BLUE), 0.6))
    assert colors[9, 7, 3] == 0


@pytest.mark.parametrize("draw", ["differences", "confusion"])
def test_the_label_below_few_columns_is_not_cut(
    board: Callable[..., Leaderboard], draw: str
) -> None:
    rows, two = board().rows[:2], ConfusionMatrix(np.eye(2, dtype=int))
    draws: dict[str, Callable[[], Figure | None]] = {
        "differences": lambda: figures.differences(board(rows=rows, pairs=board().pairs[:1])),
        "confusion": lambda: figures.confusion(two, ["a", "b"]),
    }
    figure = draws[draw]()
    assert figure is not None
    figure.draw_without_rendering()
    (axes,) = figure.axes
    box = axes.xaxis.label.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= figure.bbox.width
