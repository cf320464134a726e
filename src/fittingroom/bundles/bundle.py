"""A saved classifier: a folder of data that anyone may load, with no code in it.

A network is ``model.json`` and ``weights.safetensors``. A classical model is ``model.json`` and
``estimator.skops``, which holds a plain scikit-learn estimator; everything around it (scaling, HOG,
temperature, labels) is numbers in ``model.json``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import skops.io
from safetensors.torch import save_file
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fittingroom.errors import StoreError
from fittingroom.models.calibrated_svm import CalibratedSVM
from fittingroom.models.engine import to_stock
from fittingroom.models.network import NetworkClassifier
from fittingroom.models.pixel_classifier import PixelClassifier
from fittingroom.training.recipe import Recipe

SCHEMA_VERSION = 1


def save_model(classifier: BaseEstimator, folder: Path) -> None:
    """Write a fitted classifier of the catalogue into `folder`, which is made if need be.

    Raises
    ------
    StoreError : a classifier that is none of the catalogue's
    sklearn.exceptions.NotFittedError : one that isn't fitted
    """
    check_is_fitted(classifier)
    save = next((save for kind, save in _SAVERS.items() if isinstance(classifier, kind)), None)
    if save is None:
        raise StoreError(
            f"a {type(classifier).__name__} can't be saved as data alone; "
            "only classifiers of the catalogue can."
        )
    folder.mkdir(parents=True, exist_ok=True)
    card = {
        "schema_version": SCHEMA_VERSION,
        **save(classifier, folder),
        "classes": classifier.classes_.tolist(),
        "pixels": int(classifier.n_features_in_),
    }
    text = json.dumps(card, indent=2, allow_nan=False) + "\n"
    (folder / "model.json").write_text(text, encoding="utf-8")


def _save_network(classifier: NetworkClassifier, folder: Path) -> dict[str, Any]:
    # A clone each: safetensors refuses tensors that share memory.
    weights = {name: t.clone().contiguous() for name, t in classifier.net_.state_dict().items()}
    save_file(weights, folder / "weights.safetensors")
    named = isinstance(classifier.net, str)
    return {
        "kind": "network",
        "net": classifier.net if named else None,  # a module of your own has no name here
        "net_options": dict(classifier.net_options or {}),
        "image_shape": list(classifier.image_shape_),
        "recipe": asdict(classifier.recipe or Recipe()),
        "kept_epoch": classifier.kept_epoch_,
        "precision": classifier.precision_,
    }


def _save_classical(classifier: PixelClassifier, folder: Path) -> dict[str, Any]:
    skops.io.dump(
        to_stock(classifier.estimator_),
        folder / "estimator.skops",
        compression=zipfile.ZIP_DEFLATED,
    )
    features = classifier.features_
    mean = classifier.mean_
    return {
        "kind": "classical",
        "scale": classifier.scale,
        "mean": None if mean is None else mean.tolist(),
        "hog": None if features is None else {**features.get_params(), "shape": features.shape_},
        "temperature": classifier.temperature_ if isinstance(classifier, CalibratedSVM) else None,
        "engine": classifier.engine_,
    }


_SAVERS: dict[type, Callable[[Any, Path], dict[str, Any]]] = {
    NetworkClassifier: _save_network,
    PixelClassifier: _save_classical,
}
