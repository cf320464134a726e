"""`Bundle`: a saved classifier that anyone may load: data only, never code.

A folder with ``manifest.json`` and either ``weights.safetensors`` (a network) or
``estimator.skops`` (a scikit-learn classifier), to which ``arrays.safetensors`` is added if pixels
are centred. Everything is checked before anything is built: sizes before reading, hashes, our own
names in place of import paths, shapes, finiteness.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from fittingroom.bundles import manifest as manifests
from fittingroom.bundles import saved_classical
from fittingroom.bundles.manifest import (
    Calibrated,
    Classical,
    Data,
    Facts,
    File,
    FitFacts,
    Manifest,
    Network,
    Validation,
    check,
)
from fittingroom.data.catalog import row_of_content
from fittingroom.data.rendering import Preparation
from fittingroom.errors import BundleError
from fittingroom.evaluation.calibration import at_temperature, fit_temperature
from fittingroom.evaluation.conformal import (
    COVERAGE,
    class_quantiles,
    conformal_quantile,
    conformal_threshold,
)
from fittingroom.evaluation.metrics import accuracy, log_loss, macro_f1
from fittingroom.evaluation.unlike import unlike_scores
from fittingroom.files import folder_aside
from fittingroom.models.pixel_classifier import PixelClassifier
from fittingroom.untrusted import read_bytes

if TYPE_CHECKING:
    from fittingroom.bundles.predictor import Prediction

#: Share of images like the data that mustn't be called unlike it.
LIKE = 0.995
#: What takes only a moment: so many multiplications of a network, so many pixels for any other
#: classifier.
QUICK, SMALL_IMAGE = 2e10, 2**14
_PACKAGES = ("fittingroom", "numpy", "scikit-learn", "torch")


@dataclass(frozen=True, eq=False)
class Bundle:
    """A fitted classifier and the facts about it.

    Attributes
    ----------
    facts : as in `manifest.json`
    classifier : fitted; its labels are indices into `facts.class_names`
    """

    facts: Facts
    classifier: BaseEstimator

    @property
    def preparation(self) -> Preparation:
        """How to turn a picture into an image like those that it was fitted on.

        A bundle of format 1 doesn't say; its data set does, if the catalogue has it.
        """
        if self.facts.preparation is not None:
            return self.facts.preparation
        row = row_of_content(self.facts.data.sha256)
        return row.preparation if row else "image"

    @property
    def class_names(self) -> tuple[str, ...]:
        """The names of `classifier.classes_`, in their order."""
        return tuple(self.facts.class_names[label] for label in self.facts.classes)

    def predict_proba(self, images: ArrayLike) -> NDArray[np.float32]:
        """Calibrated probabilities (n, classes) of images (n, height, width) in 0..255.

        Raises
        ------
        InputError : images that the classifier can't take
        """
        images = np.asarray(images)
        probabilities = self.classifier.predict_proba(images.reshape(len(images), -1))
        calibrated = self.facts.calibrated
        if calibrated is None:
            return probabilities  # type: ignore[no-any-return]
        return at_temperature(probabilities, calibrated.temperature).astype(np.float32)

    def predict(self, images: ArrayLike) -> NDArray[np.str_]:
        """The names of the most probable classes (n,); images and errors as `predict_proba`."""
        first = self.predict_proba(images).argmax(axis=1)
        names: NDArray[np.str_] = np.array(self.class_names)[first]
        return names

    def predict_photo(self, photo: Path | str | bytes) -> Prediction:
        """Classify a picture file (PNG, JPEG, WebP), as `fittingroom predict` does.

        Parameters
        ----------
        photo : a path, or the file's bytes

        Raises
        ------
        DataError : it isn't such a picture, or is damaged
        InputError : the classifier can't take images made of photos
        """
        # Half a second of imports that no fit needs.
        from fittingroom.bundles.predictor import predict_picture
        from fittingroom.data.decode import LONGEST, decode

        longest = max(LONGEST, *self.facts.image_shape)
        return predict_picture(self, decode(photo, longest=longest))

    def save(self, path: Path | str) -> Path:
        """Write the bundle as a new folder, aside and renamed into place.

        Raises
        ------
        BundleError : the path exists already, or the folder can't be written
        """
        path = Path(path)
        if path.exists() or path.is_symlink():
            raise BundleError(f"{path} already exists; a bundle is a new folder.")
        with folder_aside(path.parent, BundleError) as folder:
            self.write(folder)
            folder.rename(path)
        return path

    def write(self, folder: Path) -> None:
        """Write the bundle's files into an existing folder."""
        files = _files_of(self.classifier)
        for name, data in files.items():
            (folder / name).write_bytes(data)
        manifest = Manifest.of(self.facts, files)
        (folder / manifests.FILE).write_bytes(manifest.to_json().encode())


def bundle_of(
    classifier: BaseEstimator,
    *,
    model: str,
    class_names: Sequence[str],
    image_shape: tuple[int, int],
    data: Data,
    preparation: Preparation = "image",
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
    validation: tuple[NDArray[np.floating], NDArray[np.integer]] | None = None,
    calibration: tuple[NDArray[np.floating], NDArray[np.integer]] | None = None,
) -> Bundle:
    """Make a bundle of a fitted classifier of the catalogue.

    Parameters
    ----------
    classifier : its labels are indices into `class_names`
    model : its name in the catalogue
    data : what it was fitted on
    preparation : how its images were made from pictures
    parameters : the settings that replace the catalogue's, as JSON values
    validation : probabilities (n, len(class_names)) and labels of images that it wasn't fitted on
    calibration : those of them that nothing was chosen by: every other one, from the first, fits
        the temperature, the rest fit the quantiles of sets and the threshold

    Raises
    ------
    BundleError : the classifier can't be saved as data alone
    NotFittedError : it isn't fitted
    """
    check_is_fitted(classifier)
    description = _describe(classifier)
    facts = Facts(
        model=model,
        parameters=dict(parameters or {}),
        class_names=list(class_names),
        classes=[int(label) for label in classifier.classes_],
        image_shape=image_shape,
        preparation=preparation,
        data=data,
        fitted=FitFacts(
            seed=seed,
            engine=getattr(classifier, "engine_", f"torch {metadata.version('torch')}"),
        ),
        versions={name: metadata.version(name) for name in _PACKAGES},
        validation=_measure(*validation) if validation else None,
        calibrated=_calibrate(*calibration, classifier.classes_) if calibration else None,
        classifier=description,
    )
    check(facts)
    return Bundle(facts, classifier)


def load(path: Path | str) -> Bundle:
    """Read a bundle, or the one in a run's folder. Nothing in it is executed.

    Raises
    ------
    BundleError : it isn't one, or was changed after it was written
    """
    folder = Path(path)
    if not (folder / manifests.FILE).exists() and (folder / "model").is_dir():
        folder = folder / "model"
    if not folder.is_dir():
        raise BundleError(f"{path} doesn't exist or isn't a folder; a bundle is a folder.")
    if not os.path.lexists(folder / manifests.FILE):
        raise BundleError(f"{path} isn't a bundle: it has no {manifests.FILE}.")
    manifest = Manifest.parse(
        read_bytes(folder / manifests.FILE, BundleError, most=manifests.MAX_BYTES, within=folder)
    )
    description = manifest.facts.classifier
    expected = manifests.files_of(description)
    if set(manifest.files) != expected:
        raise BundleError(
            f"{manifests.FILE} must name exactly the files {', '.join(sorted(expected))}."
        )
    files = {name: _read_verified(folder, name, file) for name, file in manifest.files.items()}
    bundle = Bundle(manifest.facts, _build(manifest.facts, description, files))
    if _is_quick(bundle):
        _try(bundle)
    return bundle


def _describe(classifier: BaseEstimator) -> Network | Classical:
    """How a manifest describes a fitted classifier of the catalogue; raises BundleError."""
    if isinstance(classifier, PixelClassifier):
        return saved_classical.describe(classifier)
    # Imported late: a classical model is loaded, and predicts a picture, without torch.
    from fittingroom.bundles import saved_network
    from fittingroom.models.network import NetworkClassifier

    if isinstance(classifier, NetworkClassifier):
        return saved_network.describe(classifier)
    raise BundleError(
        f"a {type(classifier).__name__} can't be saved as data alone; only classifiers of the "
        "catalogue can."
    )


def _build(
    facts: Facts, description: Network | Classical, files: Mapping[str, bytes]
) -> BaseEstimator:
    """The fitted classifier that the files hold; raises BundleError."""
    if isinstance(description, Classical):
        return saved_classical.build(facts, description, files)
    from fittingroom.bundles import saved_network

    return saved_network.build(facts, description, files)


def _files_of(classifier: BaseEstimator) -> dict[str, bytes]:
    if isinstance(classifier, PixelClassifier):
        return saved_classical.files_of(classifier)
    from fittingroom.bundles import saved_network

    return saved_network.files_of(classifier)


def _measure(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> Validation:
    return Validation(
        images=len(labels),
        accuracy=accuracy(probabilities, labels),
        macro_f1=macro_f1(probabilities, labels),
        log_loss=log_loss(probabilities, labels),
    )


def _calibrate(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    classes: NDArray[np.integer],
) -> Calibrated:
    temperature = fit_temperature(probabilities[::2], labels[::2])
    calibrated = at_temperature(probabilities[1::2], temperature)
    in_classes = np.isin(labels[1::2], classes)
    columns = np.searchsorted(classes, labels[1::2][in_classes])
    by_class = class_quantiles(calibrated[in_classes][:, classes], columns)
    return Calibrated(
        temperature=temperature,
        coverage=COVERAGE,
        quantile=conformal_quantile(calibrated, labels[1::2]),
        class_quantiles=None if by_class is None else by_class.tolist(),
        like=LIKE,
        unlike=conformal_threshold(unlike_scores(calibrated), LIKE),
    )


def _read_verified(folder: Path, name: str, file: File) -> bytes:
    data = read_bytes(folder / name, BundleError, most=file.bytes, within=folder)
    if len(data) != file.bytes or hashlib.sha256(data).hexdigest() != file.sha256:
        raise BundleError(f"{folder / name} isn't the file that {manifests.FILE} describes.")
    return data


def _is_quick(bundle: Bundle) -> bool:
    """Whether predicting an image takes only a moment."""
    facts = bundle.facts
    if isinstance(facts.classifier, Network):
        from fittingroom.bundles.weights import multiplications

        weights = bundle.classifier.net_.state_dict()
        return multiplications(facts.classifier, facts.image_shape, weights) <= QUICK
    return math.prod(facts.image_shape) <= SMALL_IMAGE


def _try(bundle: Bundle) -> None:
    """Predict two images, so that a broken classifier fails here and not later."""
    facts = bundle.facts
    images = np.zeros((2, *facts.image_shape), np.uint8)
    images[1] = 255
    try:
        probabilities = bundle.predict_proba(images)
    except Exception as error:  # untrusted numbers may make it raise anything
        raise BundleError(f"it can't predict ({type(error).__name__}: {error!s:.200}).") from error
    sums = probabilities.sum(axis=1)
    if probabilities.shape != (2, len(facts.classes)) or not np.allclose(sums, 1, atol=1e-3):
        raise BundleError("its predictions aren't probabilities.")
