"""A small leaderboard with every kind of row."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import Analysis, analyse
from fittingroom.bench.comparison.leaderboard import Leaderboard
from fittingroom.bench.comparison.rows import Pair, Row, Scores
from fittingroom.bench.explore import Exploration, explore
from fittingroom.bench.tuning.tuning import Tuning
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.confusion import ConfusionMatrix
from fittingroom.files import replace_file
from fittingroom.reporting.comparison_page import render_comparison
from fittingroom.reporting.data_page import render_data
from fittingroom.reporting.tune_page import render_tuning
from fittingroom.runs.external import add_predictions
from fittingroom.runs.store import open_store

CLASSES = ("T-shirt/top", "Pullover", "Coat", "Shirt")
COUNTS = np.array([[90, 2, 1, 7], [3, 88, 9, 0], [0, 9, 91, 0], [14, 9, 8, 69]])


def scores(
    accuracy: float, half: float = 0.005, sd: float | None = 0.002, known: bool = True
) -> Scores:
    ends = (accuracy - half, accuracy + half)
    return Scores(
        accuracy=accuracy,
        accuracy_sd=sd,
        ci95=ends if known else None,
        this_fit_ci95=ends if sd is None else None,
        metrics={"macro_f1": accuracy - 0.001, "log_loss": 0.2},
    )


def make_row(
    model: str,
    accuracy: float,
    rank: int | tuple[int, int],
    alike: Sequence[str] = (),
    seconds: float | None = 10.0,
    **fields: Any,
) -> Row:
    defaults: dict[str, Any] = {
        "seeds": 3,
        "trained_on": 54_000,
        "predict_us_per_image": 12.3,
        "parameters": 123_456,
        "engine": "torch 2.13.0",
        "precision": "bfloat16",
        "test": scores(accuracy),
        "validation": scores(accuracy + 0.01),
    }
    return Row(
        model=model,
        rank=rank if isinstance(rank, tuple) else (rank, rank),
        indistinguishable_from=tuple(alike),
        fit_seconds=seconds,
        **{**defaults, **fields},
    )


ROWS = (
    make_row("swift", 0.9412, (1, 1), seconds=95.0),
    make_row(
        "svm-rbf", 0.9021, (2, 3), ["cnn-32", "theirs"], 75.0, deterministic=True, seeds=1,
        parameters=None, test=scores(0.9021, sd=None), engine="scikit-learn 1.9.1", precision=None,
    ),
    make_row("cnn-32", 0.9004, (2, 3), ["svm-rbf", "theirs"], 68.0),
    make_row(
        "theirs", 0.88, (1, 4), ["svm-rbf", "cnn-32"], None, seeds=1, validation=None,
        trained_on=None, test=scores(0.88, sd=None, known=False), predict_us_per_image=None,
        engine=None, precision=None,
    ),
    Row(
        model="untested", seeds=1, trained_on=54_000, validation=scores(0.9, sd=None),
        fit_seconds=5.0, reason="the test split was not read",
    ),
    Row(model="cnn-64x4", seeds=3, status="out-of-memory", reason="it passed 8 GB in epoch 3"),
    Row(model="hog-svm", seeds=1, status="interrupted"),
)  # fmt: skip


def pair(a: str, b: str, difference: float) -> Pair:
    return Pair(
        a=a,
        b=b,
        difference=difference,
        ci95=(difference - 0.005, difference + 0.005),
        p=1e-9 if abs(difference) > 0.01 else 0.5,
        p_adjusted=1e-8 if abs(difference) > 0.01 else 0.5,
        p_these_fits=None,
        only_a_right=310.4,
        only_b_right=290.0,
        method="Behrens-Fisher over images and seeds",
        standard_error=0.0025,
        degrees_of_freedom=12.0,
        single_seed=False,
    )


BOARD = Leaderboard(
    dataset_name="fashion-mnist",
    dataset_title="Fashion-MNIST",
    dataset_sha256="ab" * 32,
    class_names=CLASSES,
    n_test=10_000,
    test_reads=8,
    rows=ROWS,
    pairs=(pair("svm-rbf", "swift", -0.0391), pair("cnn-32", "svm-rbf", -0.0017)),
    winner_ci95=(0.9361, 0.9462),
    notes=("One seed tells nothing about a re-run: theirs.",),
    command="fittingroom compare --seeds 3",
    confusions={"swift": ConfusionMatrix(COUNTS)},
    environment={"processor": "Some processor", "torch": "2.13.0"},
    folder=Path(),
)


@pytest.fixture
def board() -> Callable[..., Leaderboard]:
    """`board(rows=..., ...)`: the leaderboard with some of its fields replaced."""
    return lambda **fields: dataclasses.replace(BOARD, **fields)


@pytest.fixture(scope="session", params=[2, 47])
def unusual(
    request: pytest.FixtureRequest, small: Dataset, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Analysis, Dataset]:
    """An analysis and its data set: 2 or 47 classes with names of 200 characters.

    One model never predicts the last class; neither has a history.
    """
    classes, folder = request.param, tmp_path_factory.mktemp("unusual")
    names = [f"{number} {'long name ' * 20}"[:199] + "." for number in range(classes)]
    dataset = Dataset.from_arrays(
        small.train.images,
        np.arange(len(small.train)) % classes,
        small.test.images,
        np.arange(len(small.test)) % classes,
        class_names=names,
    )
    store, rng = open_store(folder, dataset), np.random.default_rng(0)
    for name, never in (("some", classes), ("never-the-last", classes - 1)):
        noise = rng.random((len(dataset.test), classes)) + 2 * np.eye(classes)[dataset.test.labels]
        noise[:, never:] = 0
        probabilities = noise / noise.sum(axis=1, keepdims=True)
        np.savez(folder / "added.npz", probabilities=probabilities)
        add_predictions(store, dataset, name, folder / "added.npz")
    return analyse(store, dataset), dataset


@pytest.fixture
def analysis(board: Callable[..., Leaderboard]) -> Callable[..., Analysis]:
    """`analysis(rows=..., ...)`: an analysis of such a leaderboard, without models."""
    empty = np.empty(0, np.int64)
    return lambda **fields: Analysis(
        board=board(**fields),
        labels=empty,
        models={},
        close_pairs=(),
        agreement=None,
        wrong_for_all=empty,
        average=None,
        train_suspects=None,
        sensitivity=None,
    )


@pytest.fixture
def row() -> Callable[..., Row]:
    """`row(model, accuracy, rank, alike, seconds, **fields)`: a row with test figures."""
    return make_row


@pytest.fixture(scope="session")
def exploration(small: Dataset) -> Exploration:
    """What is to be seen in `small`."""
    return explore(small)


@pytest.fixture(scope="session")
def doubled(small: Dataset) -> Dataset:
    """500 images, some of them copies, or nearly.

    Three training images copy others, one of its own class; two test images copy training images,
    one of which has another label, and one more is a little lighter than a training image.
    """
    train, test = small.train.images[:400].copy(), small.test.images[:100].copy()
    labels, test_labels = small.train.labels[:400], small.test.labels[:100].copy()
    of_class = [np.flatnonzero(labels == label) for label in (2, 6)]
    train[of_class[0][0]] = train[of_class[0][1]]
    train[of_class[0][2:4]] = train[of_class[1][:2]]
    test[:2], test_labels[:2] = train[90:92], [labels[90], (labels[91] + 1) % 10]
    test[2] = np.where(train[300] < 250, train[300] + 3, 250)
    test_labels[2] = labels[300]
    return Dataset.from_arrays(
        train, labels, test, test_labels, class_names=small.class_names, name="doubled"
    )


@pytest.fixture(scope="session")
def doubled_exploration(doubled: Dataset) -> Exploration:
    """What is to be seen in `doubled`."""
    return explore(doubled)


@pytest.fixture(scope="session")
def data_pages(
    small: Dataset,
    exploration: Exploration,
    doubled: Dataset,
    doubled_exploration: Exploration,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Pages of two data sets, one without copies and one with them."""
    folder = tmp_path_factory.mktemp("data-pages")
    doubled_page = render_data(doubled_exploration, doubled)
    return {
        "data": replace_file(folder / "data.html", render_data(exploration, small)),
        "doubled": replace_file(folder / "doubled.html", doubled_page),
    }


@pytest.fixture(scope="session")
def pages(
    compared: Analysis,
    small: Dataset,
    tuning: Tuning,
    data_pages: dict[str, Path],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Path]:
    """Pages of a comparison, of data sets and of a search."""
    folder = tmp_path_factory.mktemp("pages")
    return {
        "report": replace_file(folder / "report.html", render_comparison(compared, small)),
        **data_pages,
        "tune": replace_file(folder / "tune.html", render_tuning(tuning)),
    }
