"""predictor.py: the prediction for a picture follows from those for its views."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fittingroom.bundles.bundle import Bundle, load
from fittingroom.bundles.hub import card, write_hub
from fittingroom.bundles.parity import onnx_predictor
from fittingroom.bundles.predictor import (
    Prediction,
    combine_views,
    odds_of_photos,
    predict_picture,
    preparation_as,
)
from fittingroom.data.catalog import DATASETS
from fittingroom.data.dataset import Dataset
from fittingroom.data.decode import Picture, decode
from fittingroom.data.preparation import prepare
from fittingroom.data.rendering import Preparation
from fittingroom.data.sources import load_dataset
from fittingroom.evaluation.unlike import unlike_scores
from fittingroom.runs.fit import fit
from fittingroom.runs.run import Run
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store

#: How somebody's pictures may look: of an image of the data a picture, saved as a file.
FORMS: dict[str, tuple[str, Callable[[np.ndarray], Image.Image]]] = {
    "dark on white": ("png", lambda image: Image.fromarray(255 - image)),
    "bright on black": ("png", lambda image: Image.fromarray(image)),
    "colour, wider": ("png", lambda image: _tinted(image).resize((40, 24))),
    "JPEG": ("jpg", lambda image: _tinted(image).resize((32, 32))),
    "dark, transparent": ("png", lambda image: _cut_out(image, bright=False)),
    "bright, transparent": ("png", lambda image: _cut_out(image, bright=True)),
}
PER_CLASS = 30


def _tinted(image: np.ndarray) -> Image.Image:
    return Image.fromarray(np.stack([image, image // 2, 255 - image], axis=2))


def _cut_out(image: np.ndarray, bright: bool) -> Image.Image:
    """Dark or bright on the object, transparent elsewhere, in between at the edges."""
    grey = 255 - image // 2 if bright else image // 2
    return Image.fromarray(np.dstack([grey] * 3 + [np.minimum(image, 63) * 4]))


def pictures_of(small: Dataset, folder: Path, form: str) -> None:
    """Class folders of some images of the data, each saved as a picture in that form."""
    suffix, drawn = FORMS[form]
    for name, split in (("train", small.train), ("test", small.test)):
        for label in range(3):
            of_class = folder / name / f"class {label}"
            of_class.mkdir(parents=True)
            for number, image in enumerate(split.images[split.labels == label][:PER_CLASS]):
                drawn(image).save(of_class / f"{number:03}.{suffix}")


def fitted(dataset: Dataset, folder: Path) -> Run:
    return fit(spec_of(dataset, "logistic"), dataset, open_store(folder, dataset))


@pytest.mark.parametrize("form", FORMS)
def test_own_pictures_get_the_tables_predictions(form: str, small: Dataset, tmp_path: Path) -> None:
    """By `predict`, by the exported graph, and by the exported card's instructions."""
    pictures_of(small, tmp_path / "pictures", form)
    dataset = load_dataset(tmp_path / "pictures")
    run = fitted(dataset, tmp_path / "runs")
    bundle = load(run.folder)
    assert run.test is not None
    assert run.test.correct.mean() > 0.7
    files = sorted((tmp_path / "pictures" / "test").glob("*/*"))
    expected = bundle.predict_proba(dataset.test.images)
    (tmp_path / "hub").mkdir()
    graph = onnx_predictor(write_hub(bundle, tmp_path / "hub", "mine"))
    for file, theirs in zip(files, expected, strict=True):
        prediction = predict_picture(bundle, decode(file))
        np.testing.assert_allclose(prediction.probabilities, theirs, atol=5e-6)
        views = prepare(file, bundle.preparation, bundle.facts.image_shape).views
        np.testing.assert_allclose(graph(views)[0], theirs, atol=1e-4)
    (text,) = re.findall(
        r"## From a picture.*?```python\n(.*?)```", card(bundle, "mine", None), re.S
    )
    namespace: dict[str, np.ndarray] = {}
    text = text.replace("picture.png", str(files[0]))
    exec(text.replace("model.onnx", str(tmp_path / "hub" / "model.onnx")), namespace)
    # A half-transparent pixel may be rounded differently.
    np.testing.assert_allclose(namespace["probabilities"][0], expected[0], atol=2e-2)


@pytest.mark.parametrize("preparation", ["image", "garment", "digit"])
def test_test_images_as_files_get_the_tables_predictions(
    preparation: Preparation, small: Dataset, tmp_path: Path
) -> None:
    """The data's own images are left alone, even if garments were cut out or ink was centred."""
    dataset = dataclasses.replace(small, preparation=preparation)
    run = fitted(dataset, tmp_path)
    bundle = load(run.folder)
    assert bundle.preparation == preparation
    assert run.test is not None
    for number in range(0, len(small.test), 4):
        Image.fromarray(small.test.images[number]).save(tmp_path / "image.png")
        prediction = predict_picture(bundle, decode(tmp_path / "image.png"))
        right = prediction.top(1)[0][0] == small.class_names[small.test.labels[number]]
        assert right == run.test.correct[number]


def test_the_user_may_choose_the_preparation(bundles: Mapping[str, Bundle], photo: Picture) -> None:
    bundle = bundles["logistic"]
    predictions = {
        how: predict_picture(bundle, photo, how) for how in ("image", "garment", "digit")
    }
    assert not predictions["image"].rendering.is_photo
    assert predictions["garment"].rendering.is_photo
    assert (predictions["image"].odds == 1).all()
    assert (predictions["garment"].odds != 1).any()
    np.testing.assert_array_equal(
        predictions["garment"].probabilities, predict_picture(bundle, photo).probabilities
    )


@pytest.mark.parametrize(
    ("trained_on", "by_default", "as_photo", "as_image"),
    [
        ("image", "image", "garment", "image"),
        ("image-on-black", "image-on-black", "garment", "image-on-black"),
        ("garment", "garment", "garment", "image"),
        ("digit", "digit", "digit", "image"),
    ],
)
def test_preparation_of_pictures(
    trained_on: str,
    by_default: str,
    as_photo: str,
    as_image: str,
    bundles: Mapping[str, Bundle],
) -> None:
    bundle = bundles["logistic"]
    facts = bundle.facts.model_copy(update={"preparation": trained_on})
    bundle = dataclasses.replace(bundle, facts=facts)
    assert preparation_as(bundle, None) == by_default
    assert preparation_as(bundle, "photo") == as_photo
    assert preparation_as(bundle, "image") == as_image


def test_the_preparation_of_format_1_follows_from_its_data(bundles: Mapping[str, Bundle]) -> None:
    bundle = bundles["logistic"]
    for name, content, preparation in (
        ("mine", DATASETS["fashion-mnist"].content, "garment"),
        ("mnist", DATASETS["mnist"].content, "digit"),
        ("fashion-mnist", bundle.facts.data.sha256, "image"),
    ):
        data = bundle.facts.data.model_copy(update={"name": name, "sha256": content})
        facts = bundle.facts.model_copy(update={"format": 1, "preparation": None, "data": data})
        assert dataclasses.replace(bundle, facts=facts).preparation == preparation


def of_the_data(image: np.ndarray) -> Picture:
    return Picture(np.repeat(image[:, :, None], 3, axis=2))


@pytest.fixture(scope="module")
def photo(small: Dataset) -> Picture:
    """A test image as a photo: large, dark on a red background."""
    image = np.kron(small.test.images[0], np.ones((8, 8), np.uint8))
    ground = np.full((300, 260, 3), (170, 30, 40), np.uint8)
    ground[40:264, 18:242][image > 8] = (255 - image[image > 8])[:, None]
    return Picture(ground)


@pytest.fixture(scope="module")
def seen(bundles: Mapping[str, Bundle], photo: Picture) -> Prediction:
    return predict_picture(bundles["logistic"], photo)


def test_an_image_of_the_data_is_predicted_as_it_is(
    bundles: Mapping[str, Bundle], small: Dataset
) -> None:
    """Exactly: neither moved nor weighted."""
    images = small.test.images[:20]
    for model in ("random-forest", "swift-90"):
        bundle = bundles[model]
        for image, expected in zip(images, bundle.predict_proba(images), strict=True):
            prediction = predict_picture(bundle, of_the_data(image))
            np.testing.assert_array_equal(prediction.rendering.views, image[None])
            np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-6)


def test_the_set_holds_the_true_class_as_often_as_promised(
    bundles: Mapping[str, Bundle], small: Dataset
) -> None:
    bundle = bundles["svm-rbf"]
    assert bundle.facts.calibrated is not None
    covered = []
    for image, label in zip(small.test.images[::5], small.test.labels[::5], strict=True):
        prediction = predict_picture(bundle, of_the_data(image))
        covered.append(small.class_names[label] in prediction.labels)
        assert prediction.labels[0] == prediction.top(1)[0][0]
    assert 0.84 < np.mean(covered) < 0.97  # 50 images decide the quantile


def test_views_are_weighted_and_combined(bundles: Mapping[str, Bundle], photo: Picture) -> None:
    bundle = bundles["logistic"]
    prediction = predict_picture(bundle, photo)
    views = bundle.predict_proba(prediction.rendering.views).astype(float)
    weights = prediction.rendering.weights[:, None]
    mean = np.exp((weights * np.log(np.maximum(views, 1e-7))).sum(axis=0))
    mean /= mean.sum()
    weighted = mean * odds_of_photos(bundle)
    np.testing.assert_allclose(prediction.probabilities, weighted / weighted.sum())
    # Odds say what is more frequent, not what is like the data.
    assert prediction.unlike_score == pytest.approx(unlike_scores(mean[None])[0])
    assert prediction.probabilities.sum() == pytest.approx(1)


def test_odds_follow_classes_not_positions(bundles: Mapping[str, Bundle]) -> None:
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
    prediction = predict_picture(dataclasses.replace(bundle, facts=facts), photo)
    assert prediction.labels == ()
    assert prediction.unlike_data is None


def test_a_score_above_the_threshold_is_unlike_data(
    bundles: Mapping[str, Bundle], photo: Picture, seen: Prediction
) -> None:
    bundle = bundles["logistic"]
    for threshold, unlike in ((seen.unlike_score, False), (seen.unlike_score - 1e-9, True)):
        calibrated = bundle.facts.calibrated.model_copy(update={"unlike": threshold})  # type: ignore[union-attr]
        facts = bundle.facts.model_copy(update={"calibrated": calibrated})
        prediction = predict_picture(dataclasses.replace(bundle, facts=facts), photo)
        assert prediction.unlike_data is unlike


def test_the_most_probable_come_first(seen: Prediction) -> None:
    everything = seen.top()
    assert [name for name, _ in everything[:3]] == [name for name, _ in seen.top(3)]
    assert sorted(name for name, _ in everything) == sorted(seen.class_names)
    probabilities = [p for _, p in everything]
    assert probabilities == sorted(probabilities, reverse=True)


def test_views_that_contradict_each_other_are_undecided() -> None:
    probabilities = combine_views(np.array([[1.0, 0.0], [0.0, 1.0]]), np.array([0.5, 0.5]))
    np.testing.assert_allclose(probabilities, [0.5, 0.5])
    np.testing.assert_allclose(combine_views(np.array([[0.9, 0.1]]), np.ones(1)), [0.9, 0.1])
    heavier = combine_views(np.array([[0.9, 0.1], [0.1, 0.9]]), np.array([0.75, 0.25]))
    np.testing.assert_allclose(heavier, [0.75, 0.25])  # log odds of 9 to 1 by half
