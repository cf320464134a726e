"""A classical model as a bundle's files: its scikit-learn estimator, and the mean image.

Nothing here imports torch, so that a saved classical model answers soon.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import numpy as safetensors

from fittingroom.bundles.estimator import estimator_bytes, load_estimator
from fittingroom.bundles.manifest import ARRAYS, ESTIMATOR, FILE, Classical, Facts, Hog
from fittingroom.errors import BundleError
from fittingroom.models.calibrated_svm import CalibratedSVM
from fittingroom.models.engine import accelerate
from fittingroom.models.hog import HogFeatures
from fittingroom.models.pixel_classifier import PixelClassifier

#: Features of an image; the catalogue's HOG descriptor of 28 x 28 pixels has a thousand.
MAX_FEATURES = 2**22


def describe(classifier: PixelClassifier) -> Classical:
    """How a manifest describes it."""
    features = classifier.features_
    hog = None
    if features is not None:
        hog = Hog(**{**features.get_params(), "image_shape": features.shape_})
    return Classical(
        kind="classical",
        estimator=type(classifier.estimator).__name__,
        scale=float(classifier.scale),
        centred=classifier.mean_ is not None,
        hog=hog,
        temperature=classifier.temperature_ if isinstance(classifier, CalibratedSVM) else None,
    )


def files_of(classifier: PixelClassifier) -> dict[str, bytes]:
    """Its files by name; raises BundleError for an estimator that no bundle may hold."""
    files = {ESTIMATOR: estimator_bytes(classifier.estimator_)}
    if classifier.mean_ is not None:
        files[ARRAYS] = safetensors.save({"mean": np.ascontiguousarray(classifier.mean_)})
    return files


def build(facts: Facts, description: Classical, files: Mapping[str, bytes]) -> PixelClassifier:
    """The fitted classifier; raises BundleError if the files don't fit the description."""
    pixels = math.prod(facts.image_shape)
    features = _features(description, facts.image_shape)
    n_features = pixels if features is None else features.count_features()
    if n_features > MAX_FEATURES:
        raise BundleError(f"it would compute {n_features:,} features of an image.")
    mean = _mean_image(files[ARRAYS], pixels) if description.centred else None
    n_classes = len(facts.classes)
    estimator = load_estimator(files[ESTIMATOR], description.estimator, n_features, n_classes)
    unfitted = type(estimator)(**estimator.get_params(deep=False))
    options: dict[str, Any] = {
        "features": features,
        "scale": description.scale,
        "centre": description.centred,
    }
    if description.temperature is None:
        classifier = PixelClassifier(unfitted, **options)
    else:
        classifier = CalibratedSVM(unfitted, **options)
        classifier.temperature_ = description.temperature
    classifier.estimator_ = accelerate(estimator)
    classifier.features_ = features
    classifier.mean_ = mean
    classifier.engine_ = facts.fitted.engine
    classifier.classes_ = np.array(facts.classes)
    classifier.n_features_in_ = pixels
    return classifier


def _features(description: Classical, image_shape: tuple[int, int]) -> HogFeatures | None:
    if description.hog is None:
        return None
    if description.hog.image_shape not in (None, image_shape):
        raise BundleError(f"{FILE} describes images of two shapes.")
    features = HogFeatures(**description.hog.model_dump())
    return features.fit(np.empty((0, math.prod(image_shape)), np.float32))


def _mean_image(data: bytes, pixels: int) -> NDArray[np.float32]:
    """The mean training image (pixels,) of a safetensors file."""
    try:
        arrays = safetensors.load(data)
    except Exception as error:  # untrusted bytes may make it raise anything
        raise BundleError(f"{ARRAYS} isn't a safetensors file ({str(error)[:200]}).") from error
    if set(arrays) != {"mean"} or arrays["mean"].shape != (pixels,):
        raise BundleError(f"{ARRAYS} doesn't hold a mean image.")
    mean = arrays["mean"]
    if mean.dtype.kind != "f" or not np.isfinite(mean).all():
        raise BundleError(f"{ARRAYS} holds numbers that are not finite (mean).")
    return mean
