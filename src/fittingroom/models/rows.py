"""What the catalogue says of a classifier: a row, which is data."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from fittingroom.training.recipe import Recipe

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from fittingroom.data.dataset import Dataset

#: Kinds of classifiers; a fit of either has a process of its own.
Family = Literal["classical", "network"]

#: Training images of Fashion-MNIST, and the pixels of each, for which the rows give times.
_REFERENCE_IMAGES, _REFERENCE_PIXELS = 60_000, 28 * 28
#: The least expected time of a run, however few its images: its process has to start.
_MIN_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One classifier of the catalogue: a `ClassicalRow` or a `NetworkRow`.

    Attributes
    ----------
    about : what it is, in one line
    source : the published experiment that it reproduces
    seconds : expected time to fit 54,000 images of 28×28 and predict 16,000, on two laptop cores;
        outside the suite ``quick`` an estimate
    stock_seconds : the same without scikit-learn-intelex; None if that changes nothing
    intel_pixels : pixels of the training split above which scikit-learn itself fits ten classes,
        since scikit-learn-intelex would copy too much (``engine.suits_intel``)
    growth : the time grows with the number of images to about this power, above some 60,000; see
        ``benchmarks/growth.py``
    bytes_per_pixel : what a fit holds at once of each pixel of the training split, at the least;
        0 for a network, which reads a large file in blocks
    accuracy : the expected range on the official test images of Fashion-MNIST after training on
        54,000; None if the row wasn't measured as it is
    deterministic : fits with different seeds are equal
    parameters : a network's number of parameters for 28×28 images of ten classes
    kept : whether a fitted one can be saved as a bundle
    space : what ``tune`` searches by default; see ``bench.tuning.space``
    """

    family: ClassVar[Family]

    name: str
    about: str
    source: str | None = None
    seconds: float
    stock_seconds: float | None = None
    intel_pixels: float = math.inf
    growth: float = 1.0
    bytes_per_pixel: float = 0.0
    accuracy: tuple[float, float] | None = None
    deterministic: bool = False
    parameters: int | None = None
    kept: bool = True
    space: Mapping[str, str] = field(default_factory=dict)

    def expected_seconds(
        self, dataset: Dataset | None = None, *, epochs: int | None = None
    ) -> float:
        """Expected time of a run on this installation, including its process's start.

        Parameters
        ----------
        dataset : the training data; None is Fashion-MNIST. Time is assumed to be proportional to
            the pixels of an image and to a power of the number of images, whatever the classes.
        epochs : of a network, instead of its recipe's
        """
        seconds = self.seconds
        pixels = 0 if dataset is None else dataset.train.images.size
        is_stock = pixels > self.intel_pixels or find_spec("sklearnex") is None
        if self.stock_seconds is not None and is_stock:
            seconds = self.stock_seconds
        if dataset is not None:
            images = dataset.train.images
            seconds *= images[0].size / _REFERENCE_PIXELS
            seconds *= (len(images) / _REFERENCE_IMAGES) ** self.growth
        if epochs is not None:
            seconds *= self._time_factor(epochs)
        return max(_MIN_SECONDS, seconds)

    def least_bytes(self, dataset: Dataset) -> int:
        """Bytes that a fit on this data set holds at once, whatever else it takes."""
        return round(self.bytes_per_pixel * dataset.train.images.size)

    def _time_factor(self, epochs: int) -> float:
        return 1.0  # without a recipe there are no epochs


@dataclass(frozen=True, kw_only=True)
class ClassicalRow(ModelRow):
    """A classical model.

    Attributes
    ----------
    build : creates it, unfitted; its keyword arguments are the model's parameters
    bytes_per_pixel : by default those of the images without the validation part, as bytes
    """

    family = "classical"

    bytes_per_pixel: float = 0.9
    build: Callable[..., BaseEstimator]


@dataclass(frozen=True, kw_only=True)
class NetworkRow(ModelRow):
    """A network and how it is trained.

    Any field of the recipe and any option of the network can be set, not only those in the row.

    Attributes
    ----------
    net : a key of ``models.network.NETS``
    options : keyword arguments of that network
    recipe : how it is trained
    mirror_option : an option of the network whose default is whether a mirrored image keeps its
        class
    augmentation_switch : whether ``augmentation`` may be True, the recipe's, or False, none
    """

    family = "network"

    net: str
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: Recipe
    mirror_option: str | None = None
    augmentation_switch: bool = False

    def _time_factor(self, epochs: int) -> float:
        return epochs / self.recipe.epochs
