"""predictor.py: what is said of a picture follows from what the classifier says of its views."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.predictor import Prediction, joined, odds_of_photos, predict_picture
from fittingroom.data.catalog import DATASETS
from fittingroom.data.dataset import Dataset
from fittingroom.data.decode import Picture
from fittingroom.evaluation.unlike import unlike_scores


def of_the_data(image: np.ndarray) -> Picture:
    return Picture(np.repeat(image[:, :, None], 3, axis=2), None)


@pytest.fixture(scope="module")
def photo(small: Dataset) -> Picture:
    """A test image as a photo: large, dark on a red ground."""
    image = np.kron(small.test.images[0], np.ones((8, 8), np.uint8))
    ground = np.full((300, 260, 3), (170, 30, 40), np.uint8)
    ground[40:264, 18:242][image > 8] = (255 - image[image > 8])[:, None]
    return Picture(ground, None)


@pytest.fixture(scope="module")
def seen(bundles: Mapping[str, Bundle], photo: Picture) -> Prediction:
    return predict_picture(bundles["logistic"], photo)


def test_an_image_of_the_data_is_predicted_as_it_is(
    bundles: Mapping[str, Bundle], small: Dataset
) -> None:
    """To the bit: neither moved nor weighted."""
    images = small.test.images[:20]
    for model in ("random-forest", "swift-90"):
        bundle = bundles[model]
        for image, given in zip(images, bundle.predict_proba(images), strict=True):
            found = predict_picture(bundle, of_the_data(image))
            np.testing.assert_array_equal(found.rendering.views, image[None])
            np.testing.assert_allclose(found.probabilities, given, atol=1e-6)


def test_the_set_holds_the_true_class_as_often_as_promised(
    bundles: Mapping[str, Bundle], small: Dataset
) -> None:
    bundle = bundles["svm-rbf"]
    assert bundle.facts.calibrated is not None
    held = []
    for image, label in zip(small.test.images[::5], small.test.labels[::5], strict=True):
        found = predict_picture(bundle, of_the_data(image))
        held.append(small.class_names[label] in found.labels)
        assert found.labels[0] == found.top(1)[0][0]
    assert 0.84 < np.mean(held) < 0.97  # 50 images decide the quantile


def test_views_are_joined_and_weighted(bundles: Mapping[str, Bundle], photo: Picture) -> None:
    bundle = bundles["logistic"]
    found = predict_picture(bundle, photo)
    views = bundle.predict_proba(found.rendering.views).astype(float)
    weights = found.rendering.weights[:, None]
    mean = np.exp((weights * np.log(np.maximum(views, 1e-7))).sum(axis=0))
    mean /= mean.sum()
    weighted = mean * odds_of_photos(bundle)
    np.testing.assert_allclose(found.probabilities, weighted / weighted.sum())
    # Odds say what is more usual, not what is like the data.
    assert found.unlike_score == pytest.approx(unlike_scores(mean[None])[0])
    assert found.probabilities.sum() == pytest.approx(1)


def test_odds_are_those_of_the_classes_not_of_their_places(bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles["logistic"]
    row = DATASETS["fashion-mnist"]
    expected = [row.photo_odds.get(name, 1.0) for name in row.class_names]
    np.testing.assert_array_equal(odds_of_photos(bundle), expected)
    assert len(set(expected)) > 1
    fewer = dataclasses.replace(bundle, facts=bundle.facts.model_copy(update={"classes": [2, 8]}))
    np.testing.assert_array_equal(odds_of_photos(fewer), [expected[2], expected[8]])
    names = [f"class {k}" for k in range(10)]
    other = dataclasses.replace(
        bundle, facts=bundle.facts.model_copy(update={"class_names": names})
    )
    np.testing.assert_array_equal(odds_of_photos(other), np.ones(10))


def test_without_calibration_nothing_is_promised(
    bundles: Mapping[str, Bundle], photo: Picture
) -> None:
    bundle = bundles["logistic"]
    facts = bundle.facts.model_copy(update={"calibrated": None})
    found = predict_picture(dataclasses.replace(bundle, facts=facts), photo)
    assert found.labels == ()
    assert found.unlike_data is None


def test_what_is_above_the_threshold_is_unlike(
    bundles: Mapping[str, Bundle], photo: Picture, seen: Prediction
) -> None:
    bundle = bundles["logistic"]
    for threshold, unlike in ((seen.unlike_score, False), (seen.unlike_score - 1e-9, True)):
        calibrated = bundle.facts.calibrated.model_copy(update={"unlike": threshold})  # type: ignore[union-attr]
        facts = bundle.facts.model_copy(update={"calibrated": calibrated})
        found = predict_picture(dataclasses.replace(bundle, facts=facts), photo)
        assert found.unlike_data is unlike


def test_the_most_probable_come_first(seen: Prediction) -> None:
    everything = seen.top()
    assert [name for name, _ in everything[:3]] == [name for name, _ in seen.top(3)]
    assert sorted(name for name, _ in everything) == sorted(seen.class_names)
    probabilities = [p for _, p in everything]
    assert probabilities == sorted(probabilities, reverse=True)


def test_views_that_contradict_each_other_are_undecided() -> None:
    found = joined(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(found, [0.5, 0.5])
    np.testing.assert_allclose(joined(np.array([[0.9, 0.1]]), np.ones(1)), [0.9, 0.1])
    heavier = joined(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0.75, 0.25]))
    np.testing.assert_allclose(heavier, [0.75, 0.25])  # log odds of 9 to 1 by half
