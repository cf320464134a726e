"""words.py: sentences follow from the results."""

import dataclasses
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from fittingroom.bench.comparison.analysis import Calibration, ModelAnalysis, PairAnalysis
from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.comparison.rows import Row
from fittingroom.evaluation.calibration import reliability
from fittingroom.evaluation.conformal import set_coverage
from fittingroom.reporting import words
from fittingroom.reporting.words import fit_count, listed, summary


def test_one_model_is_best(board: Callable[..., Leaderboard]) -> None:
    assert summary(board()) == (
        "swift is best: 94.1% (95% interval 93.6–94.6, 3 seeds), "
        "3.9 points (95% interval 3.4–4.4) ahead of svm-rbf."
    )


def test_the_first_model_is_indistinguishable_from_others(
    board: Callable[..., Leaderboard], row: Callable[..., Row]
) -> None:
    alike = row("a", 0.91, 1, ["b", "c"])
    b, c, d = row("b", 0.908, 1, ["a"]), row("c", 0.905, 1, ["a"]), row("d", 0.8, 4)
    first = "a comes first with 91.0% (95% interval 90.3–91.4, 3 seeds), but can't be told apart"
    board = partial(board, winner_ci95=(0.903, 0.914))  # not the one in the table
    assert summary(board(rows=(alike, b, c))) == f"{first} from b and c."
    assert summary(board(rows=(alike, b, c, d))) == f"{first} from b and c; it is better than d."
    more = tuple(row(f"e{i}", 0.7, 5) for i in range(4))
    assert summary(board(rows=(alike, b, c, d, *more))).endswith("than the other 5 models.")


def test_little_to_compare(board: Callable[..., Leaderboard], row: Callable[..., Row]) -> None:
    assert summary(board(rows=())) == "No model has test results."
    assert summary(board(rows=board().rows[4:])) == "No model has test results."
    once = row("one", 0.9, 1, deterministic=True, seeds=1)
    assert summary(board(rows=(once,), winner_ci95=(0.895, 0.905))) == (
        "one reaches 90.0% (95% interval 89.5–90.5, deterministic); no other model was tested."
    )
    unknown = row("one", 0.9, 1, seeds=1)
    assert summary(board(rows=(unknown,), winner_ci95=None)).startswith(
        "one reaches 90.0% (one seed, variation between seeds unknown); "
    )
    assert summary(board(pairs=(), rows=(once, row("b", 0.8, 2)))).endswith("deterministic).")


def test_number_of_fits(row: Callable[..., Row]) -> None:
    assert fit_count(row("a", 0.9, 1)) == "3 seeds"
    assert fit_count(row("a", 0.9, 1, seeds=1)) == "one seed"
    assert fit_count(row("a", 0.9, 1, seeds=1, deterministic=True)) == "deterministic"


def test_lists() -> None:
    assert [listed(n) for n in ([], ["a"], ["a", "b"], ["a", "b", "c"])] == [
        "",
        "a",
        "a and b",
        "a, b and c",
    ]


def test_a_close_pair_is_described_from_the_second_models_side(
    board: Callable[..., Leaderboard],
) -> None:
    pair = board().pairs[1]  # cnn-32 is 0.17 points behind svm-rbf
    analysed = PairAnalysis(pair, fixed=np.arange(1200), broken=np.arange(7))
    assert words.close_pair(analysed) == (
        "svm-rbf is 0.17 points ahead of cnn-32 (95% interval −0.33 to 0.67, p 0.50 adjusted for "
        "all pairs). In their first fits, svm-rbf is right on 1,200 images that cnn-32 gets "
        "wrong, and wrong on 7 that cnn-32 gets right."
    )
    unknown = dataclasses.replace(pair, p=None, p_adjusted=None, ci95=None)
    assert words.close_pair(dataclasses.replace(analysed, pair=unknown)).startswith(
        "svm-rbf is 0.17 points ahead of cnn-32 (one seed, so the variation between seeds is "
        "unknown). In their first fits"
    )
    behind = dataclasses.replace(pair, difference=0.0017)
    assert " 0.17 points behind cnn-32 " in words.close_pair(
        dataclasses.replace(analysed, pair=behind)
    )


@pytest.mark.parametrize(
    ("p", "text"),
    [(None, "unknown"), (0.00004, "< 0.0001"), (0.0041, "0.0041"), (0.049, "0.05"), (1.0, "1.00")],
)
def test_p_values_have_significant_digits(p: float | None, text: str) -> None:
    assert words.p_value(p) == text


def test_equal_models_are_neither_ahead_nor_behind(board: Callable[..., Leaderboard]) -> None:
    pair = dataclasses.replace(board().pairs[1], difference=0.0, ci95=(0.0, 0.0))
    analysed = PairAnalysis(pair, fixed=np.arange(0), broken=np.arange(0))
    assert words.close_pair(analysed).startswith(
        "svm-rbf is as accurate as cnn-32 (95% interval 0.00 to 0.00, p 0.50"
    )


def test_long_lists_of_names_are_cut(
    board: Callable[..., Leaderboard], row: Callable[..., Row]
) -> None:
    rows = [row(f"m{i}", 0.9, 1, [f"m{j}" for j in range(60) if j != i]) for i in range(60)]
    assert summary(board(rows=tuple(rows))).endswith(
        "but can't be told apart from m1, m2, m3 and 56 others."
    )


def test_names_in_sentences_are_shortened_and_isolated() -> None:
    arabic = "\u0642\u0645\u064a\u0635"
    long, isolated, plain = words.short_names(("n" * 400, arabic, "Coat"))
    assert len(long) == words.LONGEST
    assert isolated == f"\u2068{arabic}\u2069"
    assert plain == "Coat"


def calibrated(labels: NDArray[np.int64], class_sets: bool = True) -> ModelAnalysis:
    """A model whose prediction sets always hold the first class and never the second."""
    probabilities = np.tile([0.7, 0.2, 0.1], (10, 1))
    bins = reliability(probabilities, labels)
    sets = set_coverage(np.tile([True, False, True], (10, 1)), labels)
    full_sets = set_coverage(np.ones((10, 3), bool), labels)
    calibration = Calibration(0.5, 4, bins, bins, sets, full_sets if class_sets else None)
    return cast("ModelAnalysis", SimpleNamespace(calibration=calibration))


def test_coverage_of_sets_names_the_worst_class() -> None:
    labels = np.array([0] * 7 + [1] * 3)  # no image of the third
    names = ("Coat", "Shirt", "Bag")
    assert words.sets(calibrated(labels), names) == (
        "Conformal prediction sets with 90% target coverage: one threshold for all classes covers "
        "70% of the test images and 0% of Shirt, the worst class, with 2.00 classes per set; one "
        "threshold per class, 100% of the test images and 100% of Coat, the worst class, with 3.00 "
        "classes per set."
    )
    assert words.sets(calibrated(labels, False), names).endswith(
        "per set; at least one class has too few validation images for a threshold of its own."
    )


def test_calibration_error_is_compared_with_chance() -> None:
    labels = np.array([0] * 7 + [1] * 3)  # 70% right at 70%
    by_chance = 100 * np.sqrt(2 / np.pi) * np.sqrt(0.7 * 0.3 / 10)
    assert words.calibration(calibrated(labels)) == (
        "The model is well calibrated: expected calibration error 0.0%, and 0.0% "
        f"at temperature 0.50 (perfectly calibrated probabilities would show {by_chance:.1f}% by "
        "chance)."
    )
