from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.naive_bayes import GaussianNB

from fittingroom.data.dataset import Dataset
from fittingroom.models.pixel_classifier import PixelClassifier


@pytest.fixture(scope="module")
def images(small: Dataset) -> tuple[np.ndarray, np.ndarray]:
    return small.train.images[::10], small.train.labels[::10]


@pytest.mark.parametrize("scale", [255.0, 1, 40])
@pytest.mark.parametrize("centre", [True, False])
def test_pixels_are_divided_centred_and_made_features(
    scale: float, centre: bool, images: tuple[np.ndarray, np.ndarray], small: Dataset
) -> None:
    X, y = images
    features = PCA(5, svd_solver="full")
    ours = PixelClassifier(GaussianNB(), features=features, scale=scale, centre=centre).fit(X, y)
    rows, unseen = (x.reshape(len(x), -1) / np.float32(scale) for x in (X, small.test.images))
    pca = PCA(5, svd_solver="full").fit(rows)
    mean = rows.mean(axis=0) if centre else np.zeros(784)
    by_hand = GaussianNB().fit(pca.transform(rows - mean), y)
    expected = by_hand.predict_proba(pca.transform(unseen - mean))
    np.testing.assert_allclose(ours.predict_proba(small.test.images), expected, atol=2e-3)
    assert not hasattr(features, "components_"), "the caller's transformer was fitted"


def test_a_second_fit_forgets_the_first(images: tuple[np.ndarray, np.ndarray]) -> None:
    X, y = images
    model = PixelClassifier(GaussianNB(), features=PCA(5), centre=True).fit(X, y)
    model.set_params(features=None, centre=False).fit(X, y)
    fresh = PixelClassifier(GaussianNB()).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), fresh.predict_proba(X))


class Undecided(GaussianNB):  # type: ignore[misc]
    def predict_proba(self, X: Any) -> np.ndarray:
        return np.tile([0.2, 0.4, 0.4], (len(X), 1))


def test_of_equally_probable_labels_the_first_is_predicted(
    images: tuple[np.ndarray, np.ndarray],
) -> None:
    names = np.array(["shirt", "bag", "coat"])[images[1] % 3]
    model = PixelClassifier(Undecided()).fit(images[0], names)
    assert set(model.predict(images[0])) == {"coat"}  # bag, coat, shirt
