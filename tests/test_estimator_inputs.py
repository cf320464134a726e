"""Images and labels in whatever people have them, given to estimators and to `from_arrays`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from fittingroom.data.dataset import Dataset
from fittingroom.models.making import make_classifier


def rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(len(images), -1)


def named_frame(images: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(rows(images), columns=[f"pixel{i}" for i in range(784)])


def mapped(images: np.ndarray, folder: Path) -> np.ndarray:
    np.save(folder / "images.npy", images)
    loaded: np.ndarray = np.load(folder / "images.npy", mmap_mode="r")
    return loaded


IMAGES: dict[str, Callable[[np.ndarray], Any]] = {
    "rows": rows,
    "channel last": lambda images: images[..., None],
    "channel first": lambda images: images[:, None],
    "frame": named_frame,
    "tensor": lambda images: torch.from_numpy(images.copy()),
    "tensor of one channel": lambda images: torch.from_numpy(images[:, None].copy()),
    "list": lambda images: images.tolist(),
    "list of rows": lambda images: rows(images).tolist(),
    "integers": lambda images: images.astype(np.int64),
    "floats": lambda images: images.astype(np.float32),
    "not contiguous": lambda images: np.asfortranarray(images),
}
LABELS: dict[str, Callable[[np.ndarray], Any]] = {
    "list": lambda labels: labels.tolist(),
    "series": lambda labels: pd.Series(labels, index=np.arange(len(labels)) + 7),
    "tensor": lambda labels: torch.from_numpy(labels.copy()),
    "bytes": lambda labels: labels.astype(np.uint8),
    "text": lambda labels: np.array([f"class {label}" for label in labels]),
    "objects": lambda labels: np.array([f"class {label}" for label in labels], object),
}
MODELS = ("knn", "logistic", "hog-svm", "mlp-10-10")


def few(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return small.train.images[::10], small.train.labels[::10]


def made(model: str) -> Any:
    return make_classifier(model, epochs=1) if model == "mlp-10-10" else make_classifier(model)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("form", IMAGES)
def test_images_of_every_form_give_the_same_model(model: str, form: str, small: Dataset) -> None:
    images, labels = few(small)
    given = IMAGES[form](images)
    plain = made(model).fit(images, labels).predict_proba(images)
    np.testing.assert_array_equal(made(model).fit(given, labels).predict_proba(given), plain)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("form", LABELS)
def test_labels_of_every_form(model: str, form: str, small: Dataset) -> None:
    images, labels = few(small)
    given = LABELS[form](labels)
    fitted = made(model).fit(images, given)
    plain = made(model).fit(images, labels)
    np.testing.assert_array_equal(fitted.predict_proba(images), plain.predict_proba(images))
    assert fitted.score(images, given) == plain.score(images, labels)


@pytest.mark.parametrize("model", MODELS)
def test_a_memory_map_gives_the_same_model(model: str, small: Dataset, tmp_path: Path) -> None:
    """But for a network, which reads a map in another order."""
    images, labels = few(small)
    given = mapped(images, tmp_path)
    found = made(model).fit(given, labels).predict_proba(given)
    plain = made(model).fit(images, labels).predict_proba(images)
    if model != "mlp-10-10":
        np.testing.assert_array_equal(found, plain)
    assert found.shape == plain.shape


@pytest.mark.parametrize("form", IMAGES)
def test_a_data_set_from_images_of_every_form(form: str, small: Dataset) -> None:
    images, labels = few(small)
    plain = Dataset.from_arrays(images, labels, images, labels)
    given = IMAGES[form](images)
    assert Dataset.from_arrays(given, labels, given, labels).sha256 == plain.sha256
