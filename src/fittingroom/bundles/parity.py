"""Compare an ONNX file's predictions in onnxruntime with its bundle's, image by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.onnx import INPUT, OUTPUT
from fittingroom.errors import BundleError

#: Probabilities may differ by this; labels not at all.
TOLERANCE = 1e-4
#: Images compared at once: the graph of nearest neighbours takes 0.6 MB for each.
BATCH = 500

Predict = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class Parity:
    """How far two predictions of the same images agree.

    Attributes
    ----------
    images : how many were compared
    labels_equal : how many have the same most probable class
    largest_difference : of any probability
    """

    images: int
    labels_equal: int
    largest_difference: float

    @property
    def holds(self) -> bool:
        return self.labels_equal == self.images and self.largest_difference <= TOLERANCE


def onnx_predictor(file: Path, *, threads: int = 0, spinning: bool = True) -> Predict:
    """A function that computes an ONNX file's probabilities of uint8 images (n, height, width).

    It runs on the CPU; `threads` as in onnxruntime: 0 means all cores. Threads that are `spinning`
    while they wait are quicker, and keep the cores from others.

    Raises
    ------
    BundleError : onnxruntime can't read the file
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", str(int(spinning)))
    options.log_severity_level = 3  # it warns of graphs that it can't make faster
    try:
        session = onnxruntime.InferenceSession(
            str(file), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # its errors have no common base
        raise BundleError(f"onnxruntime can't read {file.name}: {error!s:.200}") from error

    def predict(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        probabilities: Any = session.run([OUTPUT], {INPUT: images})[0]
        return np.asarray(probabilities, np.float32)

    return predict


def parity(file: Path, bundle: Bundle, images: NDArray[np.uint8]) -> Parity:
    """Compare an ONNX file's predictions of images (n, height, width) with the bundle's.

    Raises
    ------
    BundleError : onnxruntime can't read or run it
    """
    predict = onnx_predictor(file)
    ours, theirs = [], []
    for start in range(0, len(images), BATCH):
        batch = np.ascontiguousarray(images[start : start + BATCH])
        ours.append(bundle.predict_proba(batch))
        try:
            theirs.append(predict(batch))
        except Exception as error:
            raise BundleError(f"onnxruntime can't run {file.name}: {error!s:.200}") from error
    return compare(np.concatenate(ours), np.concatenate(theirs))


def compare(ours: NDArray[np.floating], theirs: NDArray[np.floating]) -> Parity:
    """How far two predictions (n, classes) of the same images agree."""
    equal = int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum())
    # NaN must not get lost, as max might drop it.
    difference = np.nan_to_num(np.abs(ours - theirs), nan=np.inf)
    return Parity(len(ours), equal, float(difference.max()))


def verify(file: Path, bundle: Bundle, images: NDArray[np.uint8]) -> Parity:
    """The same, but a difference is an error.

    Raises
    ------
    BundleError : the predictions differ, or as for `parity`
    """
    measured = parity(file, bundle, images)
    if not measured.holds:
        differing = measured.images - measured.labels_equal
        raise BundleError(
            f"onnxruntime predicts other labels than the bundle for {differing:,} of "
            f"{measured.images:,} images, and probabilities that differ by up to "
            f"{measured.largest_difference:.1g}."
        )
    return measured
