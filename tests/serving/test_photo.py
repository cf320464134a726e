"""photo.py: what a request for a picture's predictions may ask for."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fittingroom.bundles.predictor import predict_rendering
from fittingroom.data.dataset import Dataset
from fittingroom.data.decode import decode
from fittingroom.data.preparation import prepare
from fittingroom.data.rendering import Rendering
from fittingroom.errors import InputError
from fittingroom.serving import photo
from fittingroom.serving.photo import PhotoQuery, classify_photo
from fittingroom.serving.served_model import ServedModel
from fittingroom.serving.training_images import TrainingImages

Served = dict[str, ServedModel]
COAT = (Path(__file__).parent / "photos" / "coat.jpg").read_bytes()


def pixels_of(uri: str) -> np.ndarray:
    kind, _, content = uri.partition(",")
    assert kind == "data:image/png;base64"
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content))))


@pytest.fixture(scope="module")
def models(served: Served, small: Dataset) -> list[ServedModel]:
    training = TrainingImages(small.train, small.class_names)
    return [replace(served[name], training=training) for name in ("logistic", "mlp-10-10")]


@pytest.fixture(scope="module")
def rendering() -> Rendering:
    return prepare(decode(COAT), "garment", (28, 28))


def test_an_answer_has_no_more_than_was_asked_for(
    models: list[ServedModel], rendering: Rendering
) -> None:
    entries = classify_photo(models, COAT, PhotoQuery.parse({}))
    for model, entry in zip(models, entries, strict=True):
        assert entry == predict_rendering(model, rendering).to_dict()


def test_what_the_models_saw_and_what_is_near_to_it(
    models: list[ServedModel], rendering: Rendering, small: Dataset
) -> None:
    query = PhotoQuery.parse({"show": "true", "nearest": "3", "model": "logistic"})
    image = rendering.views[0]
    distances = np.linalg.norm(small.train.images.astype(float) - image, axis=(1, 2))
    entries = classify_photo(models, COAT, query)
    assert len(entries) == 2
    for entry in entries:
        np.testing.assert_array_equal(pixels_of(entry["image"]), image)
        assert entry["views"] == len(rendering.views) > 1
        assert len(entry["outline"]) >= 1
        assert [near["position"] for near in entry["nearest"]] == np.argsort(distances)[:3].tolist()
        for near in entry["nearest"]:
            position = near["position"]
            assert near["label"] == small.class_names[small.train.labels[position]]
            assert near["distance"] == pytest.approx(distances[position], abs=0.05)
            np.testing.assert_array_equal(pixels_of(near["image"]), small.train.images[position])


def test_a_drawing_is_taken_as_it_is(served: Served, small: Dataset) -> None:
    """Also one whose ground is light, which would be taken for a photo."""
    drawing = 255 - small.test.images[0]
    file = io.BytesIO()
    Image.fromarray(drawing).save(file, "png")
    for taken_as, is_photo in (("image", False), (None, True)):
        query = PhotoQuery(taken_as, show=True)  # type: ignore[arg-type]
        (entry,) = classify_photo([served["logistic"]], file.getvalue(), query)
        assert entry["is_photo"] is is_photo
        assert (pixels_of(entry["image"]) == drawing).all() == (not is_photo)


def test_a_photo_is_prepared_once_for_all_models(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    ways = []

    def watched(picture: Any, *way: Any) -> Rendering:
        ways.append(way)
        return prepare(picture, *way)

    monkeypatch.setattr(photo, "prepare", watched)
    model = served["logistic"]
    digits = model.facts.model_copy(update={"preparation": "digit"})
    other = replace(model, bundle=replace(model.bundle, facts=digits))
    classify_photo([model, served["mlp-10-10"], other], COAT, PhotoQuery())
    assert ways == [("garment", (28, 28)), ("digit", (28, 28))]


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("as", "digit", "as is photo or image, not 'digit'."),
        ("show", "1", "show is true or false, not '1'."),
        ("nearest", "25", "nearest is a whole number from 0 to 24, not '25'."),
        ("nearest", "-1", "nearest is a whole number from 0 to 24, not '-1'."),
        ("nearest", "²", "nearest is a whole number from 0 to 24, not '²'."),
        ("nearest", "9" * 5000, "nearest is a whole number from 0 to 24, not '99"),
    ],
)
def test_other_parameters_are_refused(name: str, value: str, sentence: str) -> None:
    with pytest.raises(InputError) as refused:
        PhotoQuery.parse({name: value})
    assert str(refused.value).startswith(sentence)
    assert len(str(refused.value)) < 200


def test_over_http(serve: Callable[..., Any], served: Served, small: Dataset) -> None:
    ask = serve([*served.values()])
    file = io.BytesIO()
    Image.fromarray(small.test.images[0]).save(file, "png")
    answer = ask("POST", "/v1/photo?model=logistic&show=true&nearest=2", file.getvalue())
    entry = answer.json["predictions"]["logistic"]
    assert (entry["views"], entry["outline"], entry["nearest"]) == (1, [], None)
    refused = ask("POST", "/v1/photo?nearest=x", COAT)
    assert (refused.status, refused.json["error"][:25]) == (400, "nearest is a whole number")
