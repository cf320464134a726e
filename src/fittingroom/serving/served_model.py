"""A saved classifier that answers requests, by its ONNX graph where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.export import safe_name
from fittingroom.bundles.manifest import Facts
from fittingroom.bundles.onnx import write_onnx
from fittingroom.bundles.parity import Predict, onnx_predictor, verify
from fittingroom.data.rendering import Preparation
from fittingroom.errors import BundleError, InputError
from fittingroom.serving.training_images import TrainingImages

#: Images on which the graph must agree with the classifier before it answers anybody.
PROBES = 64
ONNX, OURS = "onnxruntime", "fittingroom"


@dataclass(frozen=True, eq=False)
class ServedModel:
    """A bundle with a name, and the fastest function that computes its probabilities.

    Attributes
    ----------
    runtime : what computes: "onnxruntime", or "fittingroom" where the graph can't
    reason : why it can't
    training : the images that it was fitted on, to be shown beside pictures; None without them
    """

    name: str
    bundle: Bundle
    runtime: str
    predict: Predict
    reason: str | None = None
    training: TrainingImages | None = None

    @property
    def facts(self) -> Facts:
        return self.bundle.facts

    @property
    def preparation(self) -> Preparation:
        return self.bundle.preparation

    @property
    def class_names(self) -> tuple[str, ...]:
        return self.bundle.class_names

    @property
    def image_shape(self) -> tuple[int, int]:
        return self.facts.image_shape

    def predict_proba(self, images: ArrayLike) -> NDArray[np.float32]:
        """Calibrated probabilities (n, classes) of images (n, height, width), whole numbers 0..255.

        Raises InputError for images of another shape.
        """
        array = np.asarray(images)
        if array.shape[1:] != self.image_shape:
            raise InputError(
                f"images have the shape {array.shape}; {self.name} takes (n, "
                f"{self.image_shape[0]}, {self.image_shape[1]})."
            )
        return self.predict(np.ascontiguousarray(array, np.uint8))


def name_bundles(bundles: Sequence[Bundle]) -> dict[str, Bundle]:
    """Bundles by their models' names; of two with the same name, the second gets a number."""
    named: dict[str, Bundle] = {}
    for bundle in bundles:
        base = unique = safe_name(bundle.facts.model)
        number = 1
        while unique in named:
            number += 1
            unique = f"{base}-{number}"
        named[unique] = bundle
    return named


def serve_bundle(name: str, bundle: Bundle, *, threads: int = 0) -> ServedModel:
    """Make a bundle ready to answer, on so many threads of onnxruntime; 0 means all cores.

    Its ONNX graph is made and compared with it on random images; where that fails, because the
    graph can't express the classifier, the classifier itself answers.
    """
    with TemporaryDirectory(prefix="fittingroom-") as folder:
        try:
            file = write_onnx(bundle, Path(folder) / "model.onnx")
            verify(file, bundle, _probes(bundle.facts.image_shape))
            predict = onnx_predictor(file, threads=threads, spinning=False)
        except BundleError as error:
            predict = _one_at_a_time(bundle.predict_proba)
            return ServedModel(name, bundle, OURS, predict, reason=str(error))
    return ServedModel(name, bundle, ONNX, predict)


def _one_at_a_time(predict: Predict) -> Predict:
    """Tensors and photos come from several threads, and our kernels use all cores already."""
    lock = Lock()

    def locked(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        with lock:
            return predict(images)

    return locked


def _probes(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Random images (n, height, width) with large bright and dark parts, as pictures have."""
    random = np.random.default_rng(0)
    coarse = random.random((PROBES, 7, 7))
    rows, columns = (np.arange(size) * 7 // size for size in shape)
    smooth = coarse[:, rows][:, :, columns] + 0.1 * random.random((PROBES, *shape))
    return np.asarray(255 * smooth / 1.1).astype(np.uint8)
