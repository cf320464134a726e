"""onnx.py: a graph predicts what the bundle does, for any batch, and describes itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from fittingroom.bundles import onnx as onnx_models
from fittingroom.bundles.bundle import Bundle, bundle_of
from fittingroom.bundles.manifest import Calibrated, Data
from fittingroom.bundles.onnx import to_onnx, write_onnx
from fittingroom.bundles.parity import onnx_predictor, parity
from fittingroom.data.dataset import Dataset
from fittingroom.errors import BundleError
from fittingroom.models.catalog import MODELS
from fittingroom.models.making import make_classifier

#: Settings that make every catalogue model quick to fit.
SMALLER: dict[str, dict[str, Any]] = {
    "random-forest": {"n_estimators": 10},
    "hist-gradient-boosting": {"max_iter": 3},
    "cnn-16-32-64-128": {"epochs": 1, "batch_size": 100, "pooling": True},
    "wide-resnet": {"depth": 16, "width": 2, "epochs": 1},
}


def fitted(small: Dataset, model: str, **options: Any) -> Bundle:
    """A bundle of a model, fitted on 200 images, with a made-up calibration."""
    classifier = make_classifier(model, dataset=small, **options)
    classifier.fit(small.train.images[::10], small.train.labels[::10])
    bundle = bundle_of(
        classifier,
        model=model,
        class_names=small.class_names,
        image_shape=small.image_shape,
        data=Data(name=small.name, sha256=small.sha256, images=200),
    )
    calibrated = Calibrated(temperature=1.3, coverage=0.9, quantile=0.5, like=0.95, unlike=0.5)
    return Bundle(bundle.facts.model_copy(update={"calibrated": calibrated}), bundle.classifier)


def test_a_graph_predicts_what_the_bundle_does(
    model: str, bundles: Mapping[str, Bundle], test_images: np.ndarray, tmp_path: Path
) -> None:
    bundle = bundles[model]
    file = write_onnx(bundle, tmp_path / "model.onnx")
    result = parity(file, bundle, test_images)
    assert result.images == result.labels_equal == 300
    assert result.largest_difference < 1e-5
    predict = onnx_predictor(file, threads=1)
    for n in (1, 3):  # any batch size
        np.testing.assert_allclose(
            predict(test_images[:n]), bundle.predict_proba(test_images[:n]), atol=1e-5
        )


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_model_of_the_catalogue(name: str, small: Dataset, tmp_path: Path) -> None:
    row = MODELS[name]
    epochs = {"epochs": 1, "batch_size": 20} if row.family == "network" else {}
    bundle = fitted(small, name, **SMALLER.get(name, epochs))
    result = parity(write_onnx(bundle, tmp_path / "model.onnx"), bundle, small.test.images)
    assert result.images == result.labels_equal == 1000
    assert result.largest_difference < 1e-5


def test_a_model_describes_itself(bundles: Mapping[str, Bundle], small: Dataset) -> None:
    bundle = bundles["logistic"]
    model = to_onnx(bundle)
    said = properties(model)
    assert bundle.facts.calibrated is not None
    assert json.loads(said["labels"]) == list(small.class_names)
    of_two = replace(bundle, facts=bundle.facts.model_copy(update={"classes": (2, 5)}))
    assert json.loads(onnx_models.properties(of_two)["labels"]) == ["Pullover", "Sandal"]
    assert json.loads(said["image_shape"]) == [28, 28]
    assert json.loads(said["temperature"]) == bundle.facts.calibrated.temperature
    assert said["data_sha256"] == small.sha256
    assert said["fittingroom"] == model.producer_version == bundle.facts.versions["fittingroom"]
    (images,), (probabilities,) = model.graph.input, model.graph.output
    assert images.type.tensor_type.elem_type == onnx.TensorProto.UINT8
    shape = [d.dim_param or d.dim_value for d in images.type.tensor_type.shape.dim]
    assert shape == ["batch", 28, 28]
    shape = [d.dim_param or d.dim_value for d in probabilities.type.tensor_type.shape.dim]
    assert shape == ["batch", 10]


def test_a_graph_that_no_file_can_hold(
    bundles: Mapping[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_models, "MAX_BYTES", 50_000)
    with pytest.raises(BundleError, match=r"this logistic has 6\d,\d{3} bytes"):
        to_onnx(bundles["logistic"])


def properties(model: onnx.ModelProto) -> dict[str, str]:
    return {prop.key: prop.value for prop in model.metadata_props}
