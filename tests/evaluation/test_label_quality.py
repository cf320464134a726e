from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from fittingroom.evaluation import label_quality
from fittingroom.evaluation.label_quality import confident_class, label_suspects

CLASSES = 4


def mislabelled(n: int = 2000, share: float = 0.05) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A good model's probabilities, labels with some exchanged, and the positions of those."""
    random = np.random.default_rng(1)
    truth = random.integers(CLASSES, size=n)
    logits = 4 * np.eye(CLASSES)[truth] + random.standard_normal((n, CLASSES))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    exchanged = random.random(n) < share
    labels = np.where(exchanged, (truth + random.integers(1, CLASSES, size=n)) % CLASSES, truth)
    return probabilities, labels, np.flatnonzero(exchanged)


@pytest.fixture(params=[False, True], ids=["plain", "cleanlab"])
def cleanlab(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """The plain method, and cleanlab's if it is installed."""
    if request.param:
        pytest.importorskip("cleanlab")
    else:
        hide: Callable[[str], Any] = lambda name: None  # noqa: E731
        monkeypatch.setattr(label_quality, "find_spec", hide)
    return bool(request.param)


def test_exchanged_labels_are_found(cleanlab: bool) -> None:
    probabilities, labels, exchanged = mislabelled()
    suspects = label_suspects(probabilities, labels)
    assert ("cleanlab" in suspects.method) is cleanlab
    hit = np.isin(suspects.positions, exchanged)
    assert hit.mean() > 0.95
    assert hit.sum() / len(exchanged) > 0.7
    assert hit[:20].all()
    assert (suspects.given == labels[suspects.positions]).all()
    assert (suspects.suggested != suspects.given).all()
    assert (np.diff(suspects.confidence) >= 0).all()


def test_confident_classes_by_hand() -> None:
    probabilities = np.array([[0.9, 0.1], [0.7, 0.3], [0.2, 0.8], [0.1, 0.9], [0.9, 0.1]])
    labels = np.array([0, 0, 1, 1, 1])  # thresholds: 0.8 for class 0, 0.6 for class 1
    assert confident_class(probabilities, labels).tolist() == [0, -1, 1, 1, 0]


def test_no_image_confidently_belongs_to_a_class_without_images() -> None:
    probabilities = np.array([[0.3, 0.7], [0.6, 0.4]])
    assert confident_class(probabilities, np.array([0, 0])).tolist() == [-1, 0]


@pytest.mark.parametrize(
    ("labels", "classes"), [([0], 2), ([1, 1, 1], 3), ([0, 1], 3), ([0, 2, 2, 0], 256)]
)
def test_few_images_and_empty_classes(cleanlab: bool, labels: list[int], classes: int) -> None:
    """Without a warning, too, which would be an error here."""
    for shift in (0, 1):  # all right, all confidently wrong
        probabilities = np.eye(classes)[(np.array(labels) + shift) % classes]
        suspects = label_suspects(probabilities, np.array(labels))
        assert len(suspects) <= shift * len(labels)


def test_labels_that_are_all_contradicted(cleanlab: bool) -> None:
    labels = np.arange(20) % CLASSES
    suspects = label_suspects(np.eye(CLASSES)[(labels + 1) % CLASSES], labels)
    assert len(suspects) >= 16
    alone = label_suspects(np.eye(CLASSES)[[1, 2, 3, 0]], np.arange(CLASSES))
    assert len(alone) in (0, 4)  # cleanlab leaves each class an image


def test_labels_that_nothing_contradicts(cleanlab: bool) -> None:
    labels = np.arange(40) % CLASSES
    suspects = label_suspects(np.eye(CLASSES)[labels] * 0.96 + 0.01, labels)
    assert len(suspects) == 0
    assert suspects.to_dict() == {"method": suspects.method, "suspects": []}
