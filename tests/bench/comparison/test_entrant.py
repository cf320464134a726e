from __future__ import annotations

import functools
import importlib
import logging
import os
import re
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor, nn

from fittingroom import compare
from fittingroom.bench.comparison.analysis import analyse
from fittingroom.bench.comparison.entrant import Entrant, entrants_of
from fittingroom.bench.comparison.leaderboard import leaderboard
from fittingroom.bench.comparison.rows import Row
from fittingroom.bench.progress import Progress
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.models.catalog import SUITES
from fittingroom.models.network import NetworkClassifier
from fittingroom.runs.store import find_store
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.recipe import Recipe

SHORT = Recipe(epochs=1, batch_size=256)


class Nearest(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts the class with the nearest mean image, with probability `weight`."""

    def __init__(self, weight: float = 0.9) -> None:
        self.weight = weight

    def fit(self, X: np.ndarray, y: np.ndarray) -> Nearest:
        self.classes_ = np.unique(y)
        self.means_ = np.stack([X[y == label].mean(axis=0) for label in self.classes_])
        return self

    def labels(self, X: np.ndarray) -> np.ndarray:
        # |x|² is the same for all classes
        distances = (self.means_**2).sum(axis=1) - 2.0 * (X @ self.means_.T)
        return np.asarray(distances.argmin(axis=1))

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        probabilities = np.full((len(X), 10), (1 - self.weight) / 9)
        probabilities[np.arange(len(X)), self.labels(X)] = self.weight
        return probabilities


def rows_of(
    small: Dataset, models: Mapping[str, Any], runs: Path, **options: Any
) -> tuple[dict[str, Row], list[tuple[str, int]]]:
    """The rows of a comparison by model, and what was fitted for them."""
    steps: list[Progress] = []
    board = compare(small, models, runs=runs, on_progress=steps.append, **options)
    started = [(step.model, step.seed) for step in steps if step.kind == "started"]
    return {row.model: row for row in board.rows}, started


def switched(on: bool) -> NetworkClassifier:
    class Switched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
            self.on = on

        def forward(self, x: Tensor) -> Tensor:
            scores: Tensor = self.layers(x if self.on else x.flip(3) * 0)
            return scores

    torch.manual_seed(0)
    return NetworkClassifier(Switched(), recipe=SHORT)


def test_models_are_names_objects_or_a_suite() -> None:
    nothings: list[Any] = [[], {}, ""]
    for nothing in nothings:
        with pytest.raises(UsageError, match="there are no models to compare"):
            entrants_of(nothing)
    assert [entrant.name for entrant in entrants_of("quick")] == list(SUITES["quick"])
    named = Entrant(name="knn", settings={"n_neighbors": 3})
    assert entrants_of(["knn", named, "knn"]) == [Entrant(name="knn"), named]
    own = KNeighborsClassifier(3)
    assert [entrant.own for entrant in entrants_of({"mine": own, "knn": None})] == [own, None]


def test_a_module_with_another_switch_is_another_model(tmp_path: Path, small: Dataset) -> None:
    on, _ = rows_of(small, {"mine": switched(True)}, tmp_path, n_seeds=2)
    _, started = rows_of(small, {"mine": switched(True)}, tmp_path, n_seeds=2)
    assert started == []
    off, started = rows_of(small, {"mine": switched(False)}, tmp_path, n_seeds=2)
    assert started == [("mine", 0), ("mine", 1)]
    assert on["mine"].test is not None
    assert off["mine"].test is not None
    assert on["mine"].test.accuracy > 0.5 > off["mine"].test.accuracy


def test_a_function_starts_each_seed_from_other_weights(tmp_path: Path, small: Dataset) -> None:
    """A module starts all from the same, which the table says."""

    def build() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    ours = NetworkClassifier("mlp", net_options={"hidden": (10,)})
    models = {"built": build, "given": build(), "ours": ours}
    one_seed = compare(small, {"given": models["given"]}, n_seeds=1, runs=tmp_path)
    assert not [note for note in one_seed.notes if "starts from the same weights" in note]
    board = compare(small, models, n_seeds=2, runs=tmp_path)
    (note,) = (note for note in board.notes if "starts from the same weights" in note)
    assert note.endswith("understated: given. Give a function that builds the module.")
    _, started = rows_of(small, models, tmp_path, n_seeds=2)
    assert started == [], "the function is recognised"


FILES = {
    "helping.py": """
def sure(label, n):
    return [float(i == (label * FACTOR) % n) for i in range(n)]
""",
    "basis.py": """
from sklearn.base import BaseEstimator, ClassifierMixin
import helping

class Basis(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        self.classes_ = sorted(set(y.tolist()))
        return self

    def predict_proba(self, X):
        return [helping.sure(int(row.sum()) % 10, 10) for row in X]
""",
    "mine.py": "from basis import Basis\n\nclass Mine(Basis):\n    pass\n",
}


def test_another_base_class_or_helper_in_another_file_is_another_model(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def started(**changed: str) -> int:
        for name, text in FILES.items():
            (tmp_path / name).write_text(changed.get(name.removesuffix(".py"), text))
            sys.modules.pop(name.removesuffix(".py"), None)
        importlib.invalidate_caches()
        mine = importlib.import_module("mine").Mine()
        rows, fitted = rows_of(small, {"mine": mine}, tmp_path / "runs")
        assert rows["mine"].status == "ok"
        return len(fitted)

    helping = FILES["helping.py"]
    assert started(helping="FACTOR = 1\n" + helping) == 1
    assert started(helping="FACTOR = 1\n" + helping) == 0
    assert started(helping="FACTOR = 3\n" + helping) == 1  # a constant that a helper names
    assert started(helping="FACTOR = 1\n" + helping.replace("*", "+")) == 1
    basis = FILES["basis.py"].replace("% 10, 10", "% 7, 10")
    assert started(helping="FACTOR = 1\n" + helping, basis=basis) == 1
    assert started(helping="FACTOR = 1\n" + helping) == 0


TYPED = """
from fittingroom import compare
from fittingroom.models.network import NetworkClassifier
from fittingroom.training.recipe import Recipe
from torch import nn

def fitted(net):
    steps = []
    mine = NetworkClassifier(net, recipe=Recipe(epochs=1, batch_size=256))
    compare({small!r}, {{"mine": mine}}, n_seeds=1, runs={runs!r}, on_progress=steps.append)
    print([step.kind for step in steps])

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(10)
    def forward(self, x):
        return self.layer(x.flatten(1))

fitted(Mine())

class Mine(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.LazyLinear(10)
    def forward(self, x):
        return self.layer(0 * x.flatten(1))

fitted(Mine())
fitted(Mine())
"""


@pytest.mark.slow
def test_a_class_redefined_interactively_is_another_model(
    tmp_path: Path, small_folder: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-iq"],
        input=TYPED.format(small=str(small_folder), runs=str(tmp_path)).replace("\n\n", "\n\n\n"),
        env=dict(os.environ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        "['started', 'step', 'saved']",
        "['started', 'step', 'saved']",
        "['saved']",
    ]


class Locked(Nearest):
    def __init__(self, weight: float = 0.9) -> None:
        super().__init__(weight)
        self.lock = threading.Lock()


def test_an_unidentifiable_model_is_fitted_anew_and_says_so(
    tmp_path: Path, small: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    for number in (1, 2):
        with caplog.at_level(logging.WARNING):
            rows, started = rows_of(small, {"mine": Locked()}, tmp_path, n_seeds=2)
        assert started == [("mine", 0)]
        assert rows["mine"].status == "ok"
        store = find_store(tmp_path)
        board = leaderboard(store)
        assert [(row.model, row.rank) for row in board.rows] == [("mine", (1, 1))]
        (note,) = [note for note in board.notes if "refitted" in note]
        assert note == (
            "mine is refitted in every comparison: Locked.lock holds a _thread.lock, which "
            "can't be fingerprinted."
        )
        assert len(store.runs()) == board.test_reads == number
        (warning,) = caplog.messages
        assert warning.startswith(note)
        assert str(store.folder / "mine") in warning
        caplog.clear()


class Seeded(Locked):
    def __init__(self, random_state: int = 0) -> None:
        super().__init__()
        self.random_state = random_state


def test_all_seeds_of_a_model_fitted_anew_are_in_its_row(
    tmp_path: Path, small: Dataset, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        caplog.clear()
        rows, started = rows_of(small, {"mine": Seeded()}, tmp_path, n_seeds=2)
        assert started == [("mine", 0), ("mine", 1)]
        assert (rows["mine"].status, rows["mine"].seeds) == ("ok", 2)
        assert ["is refitted in every comparison" in text for text in caplog.messages] == [True]


def test_a_training_that_cannot_be_resumed_leaves_no_checkpoint(
    tmp_path: Path, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Unknown(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            import mine_alone  # type: ignore[import-not-found]  # noqa: F401

            return super().forward(x.flatten(1))

    often = functools.partial(Checkpoint, interval=0)
    monkeypatch.setattr("fittingroom.training.checkpoint.Checkpoint", often)
    monkeypatch.setitem(sys.modules, "mine_alone", logging)

    def stop(step: Progress) -> None:
        if step.step is not None and step.step.done == 2:
            raise KeyboardInterrupt

    mine = NetworkClassifier(Unknown(784, 10), recipe=Recipe(epochs=3, batch_size=256))
    with pytest.raises(KeyboardInterrupt):
        compare(small, {"mine": mine}, n_seeds=1, runs=tmp_path, on_progress=stop)
    assert list(tmp_path.rglob(".checkpoint-*")) == []


class Doubled(Nearest):
    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return 2 * super().predict_proba(X)


class Modified(Nearest):
    def __init__(self, weight: float = 0.9) -> None:
        self.weight = [weight]  # type: ignore[assignment]


class Starred(Nearest):
    def __init__(self, *weights: float) -> None:
        self.weight = 0.9


class Speechless(Nearest):
    def get_params(self, deep: bool = True) -> dict[str, Any]:
        raise RuntimeError("no parameters")


class Raising:
    """Has no repr, equals nothing and can't be copied."""

    def __repr__(self) -> str:
        raise ValueError("no repr")

    def __eq__(self, other: object) -> bool:
        raise ValueError("no equality")

    def __deepcopy__(self, memo: Any) -> Raising:
        raise ValueError("no copy")


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(784, 10)

    def forward(self, x: Tensor) -> Any:
        return self.layer(x.flatten(1)), x


@pytest.mark.parametrize(
    ("mine", "says"),
    [
        (Doubled(), r"the probabilities of image \d+ sum to 2, not to 1\."),
        (Modified(), "RuntimeError: Cannot clone object"),
        (Starred(), "RuntimeError: scikit-learn estimators should always specify"),
        (Speechless(), "RuntimeError: no parameters"),
        (Nearest(Raising()), "ValueError: no "),  # type: ignore[arg-type]
        (nn.Linear(784, 10), r"can't take images \(batch, 1, 28, 28\): RuntimeError: mat1"),
        (Pair(), r"can't take images \(batch, 1, 28, 28\): AttributeError: 'tuple'"),
        (nn.Sequential(nn.Flatten(), nn.Linear(784, 7)), "gives 7 outputs per image"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_unusable_model_is_a_failed_row_and_the_others_finish(
    tmp_path: Path, small: Dataset, mine: Any, says: str
) -> None:
    models = {"mine": mine, "nearest": Nearest()}
    rows, _ = rows_of(small, models, tmp_path, n_seeds=2)
    assert rows["nearest"].rank == (1, 1)
    assert rows["mine"].status == "failed"
    assert rows["mine"].reason is not None
    assert re.search(says, rows["mine"].reason)
    store = find_store(tmp_path)
    assert [run.record.spec.model for run in store.runs()] == ["nearest"]
    assert analyse(store, small).board.rows[1].reason == rows["mine"].reason


class Full(Nearest):
    def fit(self, X: np.ndarray, y: np.ndarray) -> Full:
        raise StoreError("runs can't be written: no space left on device.")


def test_a_run_that_cannot_be_saved_is_interrupted(tmp_path: Path, small: Dataset) -> None:
    rows, _ = rows_of(small, {"mine": Full()}, tmp_path)
    assert (rows["mine"].status, rows["mine"].reason) == (
        *("interrupted", "runs can't be written: no space left on device."),
    )


class Turned(Nearest):
    """Its columns are in another order, and its classes are of another type."""

    def fit(self, X: np.ndarray, y: np.ndarray) -> Turned:
        super().fit(X, y)
        self.classes_ = self.classes_[::-1].astype(self.kind)
        return self

    kind: Any = float

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        return super().predict_proba(X)[:, ::-1].astype(np.float16)


class Digits(Turned):
    kind = str


class Certain(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Predicts labels only, of any type, and has no classes_."""

    def __init__(self, kind: Any = int) -> None:
        self.kind = kind

    def fit(self, X: np.ndarray, y: np.ndarray) -> Certain:
        self.history_, self.precision_ = ["mine"], np.ones(3)  # which isn't what ours say
        self.nearest_ = Nearest().fit(X, y)
        return self

    def predict(self, X: np.ndarray) -> Any:
        return self.nearest_.labels(X).astype(self.kind)


def test_classes_and_labels_may_be_of_any_type_and_in_any_order(
    tmp_path: Path, small: Dataset
) -> None:
    models = {
        "nearest": Nearest(),
        "turned": Turned(),
        "digits": Digits(),
        "whole": Certain(),
        "floats": Certain(float),
        "words": Certain(str),
        "bayes": GaussianNB(),
    }
    rows, _ = rows_of(small, models, tmp_path, n_seeds=1)
    assert {row.status for row in rows.values()} == {"ok"}
    accuracies = {name: row.test.accuracy for name, row in rows.items() if row.test}
    assert accuracies["nearest"] > 0.6
    assert {accuracies[name] for name in models if name != "bayes"} == {accuracies["nearest"]}


def test_a_lazy_module_gets_its_weights_from_the_seed(tmp_path: Path, small: Dataset) -> None:
    lazy = nn.Sequential(nn.LazyConv2d(4, 3), nn.ReLU(), nn.Flatten(), nn.LazyLinear(10))
    models = {"mine": NetworkClassifier(lazy, recipe=SHORT)}
    rows, _ = rows_of(small, models, tmp_path, n_seeds=2)
    assert rows["mine"].test is not None
    assert rows["mine"].test.accuracy > 0.4
    assert rows["mine"].parameters == 4 * 9 + 4 + 4 * 26 * 26 * 10 + 10
    assert rows_of(small, models, tmp_path, n_seeds=2)[1] == []
    rows, _ = rows_of(small, models, tmp_path / "again", n_seeds=2)
    assert len({run.record.spec.key for run in find_store(tmp_path / "again").runs()}) == 1
    again = [run.test for run in find_store(tmp_path / "again").runs()]
    for part, other in zip([run.test for run in find_store(tmp_path).runs()], again, strict=True):
        assert part is not None
        assert other is not None
        np.testing.assert_array_equal(part.probabilities, other.probabilities)
