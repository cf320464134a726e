"""The files of a saved classifier hold the fitted classifier: read back here, without our code
where that is possible, they predict what the live one predicts."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops.io
import torch
from safetensors.torch import load_file
from scipy.special import softmax
from sklearn.base import BaseEstimator
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from torch import nn

from fittingroom.bundles.bundle import save_model
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError
from fittingroom.models import classical
from fittingroom.models.hog import HogFeatures
from fittingroom.models.network import NETS, NetworkClassifier
from fittingroom.training.recipe import Recipe

BUILDERS = {
    "logistic": classical.logistic,
    "linear_svm": classical.linear_svm,
    "svm_rbf": classical.svm_rbf,
    "knn": classical.knn,
    "random_forest": lambda: classical.random_forest(n_estimators=10),
    "hist_gradient_boosting": lambda: classical.hist_gradient_boosting(max_iter=3),
    "hog_svm": classical.hog_svm,
}
# What skops doesn't know by itself; nothing here runs code of its own when it is built.
TRUSTED = [
    "sklearn.ensemble._hist_gradient_boosting.binning._BinMapper",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn._loss.link.Interval",
    "sklearn._loss.link.MultinomialLogit",
    "sklearn._loss.loss.HalfMultinomialLoss",
    "sklearn.tree._tree.Tree",
]


@pytest.fixture(scope="module")
def images(small: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """400 training images (n, 784) uint8, their class names, and 1,000 test images."""
    names = np.array(small.class_names)[small.train.labels[::5]]
    train = small.train.images[::5].reshape(400, -1)
    return train, names, small.test.images.reshape(1000, -1)


def read_back(folder: Path, X: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Probabilities (n, classes) and labels from the files of a classical model alone."""
    card = json.loads((folder / "model.json").read_text())
    unknown = skops.io.get_untrusted_types(file=folder / "estimator.skops")
    assert set(unknown) <= set(TRUSTED)
    estimator = skops.io.load(folder / "estimator.skops", trusted=unknown)
    assert type(estimator).__module__.split(".")[0] == "sklearn"
    inputs = X.astype(np.float32) / card["scale"]
    if card["mean"] is not None:
        inputs -= np.array(card["mean"], np.float32)
    if card["hog"] is not None:
        shape = card["hog"].pop("shape")
        inputs = HogFeatures(**{**card["hog"], "image_shape": tuple(shape)}).fit_transform(inputs)
    if card["temperature"] is None:
        return estimator.predict_proba(inputs), card["classes"]
    return softmax(estimator.decision_function(inputs) / card["temperature"], axis=1), card[
        "classes"
    ]


@pytest.mark.parametrize("name", BUILDERS)
def test_a_classical_model_is_in_its_files(name: str, images: Any, tmp_path: Path) -> None:
    train, names, test = images
    model: Any = BUILDERS[name]().fit(train, names)
    save_model(model, tmp_path / "model")
    assert {p.name for p in (tmp_path / "model").iterdir()} == {"model.json", "estimator.skops"}

    probabilities, classes = read_back(tmp_path / "model", test)
    live = model.predict_proba(test)
    np.testing.assert_allclose(probabilities, live, atol=1e-5)
    np.testing.assert_array_equal(np.array(classes)[live.argmax(axis=1)], model.predict(test))
    same = np.array(classes)[probabilities.argmax(axis=1)] == model.predict(test)
    assert same.mean() >= 0.999
    card = json.loads((tmp_path / "model" / "model.json").read_text())
    assert card["engine"] == model.engine_
    assert card["schema_version"] == 1


def test_a_classical_model_is_compressed(images: Any, tmp_path: Path) -> None:
    train, names, _ = images
    save_model(classical.knn().fit(train, names), tmp_path)
    saved = tmp_path / "estimator.skops"
    with zipfile.ZipFile(saved) as archive:
        assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_DEFLATED}
    assert saved.stat().st_size < 0.3 * 4 * train.size  # the images alone, as float32


@pytest.mark.parametrize(
    ("net", "options"),
    [
        ("mlp", {"hidden": (16,)}),
        ("cnn", {"features": (4, "pool"), "hidden": (8,)}),
        ("swift", {}),
        ("wide-resnet", {"depth": 10, "width": 1}),
    ],
)
def test_a_network_is_in_its_files(
    net: str, options: dict[str, Any], images: Any, tmp_path: Path
) -> None:
    train, names, test = images
    recipe = Recipe(epochs=2, batch_size=64)
    model = NetworkClassifier(net, recipe=recipe, net_options=options).fit(train, names)
    save_model(model, tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"model.json", "weights.safetensors"}

    card = json.loads((tmp_path / "model.json").read_text())
    module = NETS[card["net"]](
        tuple(card["image_shape"]), len(card["classes"]), **card["net_options"]
    )
    module.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    with torch.inference_mode():
        logits = module.eval()(torch.tensor(test.reshape(-1, 1, 28, 28)) / 255)
    probabilities = logits.softmax(dim=1).numpy()
    np.testing.assert_allclose(probabilities, model.predict_proba(test), atol=1e-5)
    predicted = np.array(card["classes"])[probabilities.argmax(axis=1)]
    assert (predicted == model.predict(test)).mean() >= 0.999
    assert Recipe(**card["recipe"]) == recipe


def test_a_module_of_your_own_leaves_its_weights(images: Any, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    model = NetworkClassifier(module, recipe=Recipe(epochs=1)).fit(*images[:2])
    save_model(model, tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["net"] is None
    weights = load_file(tmp_path / "weights.safetensors")
    torch.testing.assert_close(weights, dict(model.net_.state_dict()), rtol=0, atol=0)


def test_whole_number_classes_stay_whole_numbers(images: Any, tmp_path: Path) -> None:
    train, names, _ = images
    save_model(classical.knn().fit(train, np.unique(names, return_inverse=True)[1]), tmp_path)
    assert json.loads((tmp_path / "model.json").read_text())["classes"] == list(range(10))


def test_a_stranger_is_refused(images: Any, tmp_path: Path) -> None:
    stranger: BaseEstimator = LogisticRegression(max_iter=5000).fit(
        images[0][:20] / 255, np.arange(20) % 2
    )
    with pytest.raises(StoreError, match="a LogisticRegression can't be saved as data alone"):
        save_model(stranger, tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_an_unfitted_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotFittedError):
        save_model(classical.knn(), tmp_path / "model")
    assert not (tmp_path / "model").exists()
