"""A network as a scikit-learn classifier."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from typing import Any, Self

import numpy as np
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from fittingroom.data.mapped import MappedRows, memory_map
from fittingroom.data.splits import validation_split
from fittingroom.errors import FittingroomError, InputError, UnknownNameError, UsageError
from fittingroom.models.pixels import (
    check_mapped,
    check_mapped_and_labels,
    check_pixels,
    check_pixels_and_labels,
    image_shape,
)
from fittingroom.models.settings import settings_in_words
from fittingroom.nets.cnn import CNN, NormalizedCNN
from fittingroom.nets.mlp import MLP
from fittingroom.nets.swift import Swift
from fittingroom.nets.wide_resnet import WideResNet
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.epoch import Epoch
from fittingroom.training.loop import predict, to_unit, train
from fittingroom.training.rate_range import RateRange, rate_range
from fittingroom.training.recipe import Recipe
from fittingroom.training.shuffle import BUFFER, Images

#: Networks by the names that the catalogue's rows and saved classifiers use. Options are
#: keyword-only, with bounds in their annotations (`nets/bounds.py`).
NETS: dict[str, Callable[..., nn.Module]] = {
    "mlp": MLP,
    "cnn": CNN,
    "normalized-cnn": NormalizedCNN,
    "swift": Swift,
    "wide-resnet": WideResNet,
}


class NetworkClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """A scikit-learn classifier that trains a network by a recipe.

    Parameters
    ----------
    net : name of a network (a key of ``NETS``), or a function without arguments that returns an
        nn.Module of your own, which maps float32 (batch, 1, height, width) in 0..1 to logits
        (batch, classes); the seed draws its initial weights. Or such a module itself: it is copied,
        never changed, and starts from its present weights whatever the seed, which draws only
        those of lazy layers
    recipe : how to train it
    net_options : keyword arguments of the named network
    image_shape : (height, width); None takes it from images (n, height, width), or assumes a
        square
    mirror_keeps_class : whether augmentation may mirror images
    random_state : seed of the initial weights, order, augmentation and dropout

    Attributes
    ----------
    classes_ : labels (n_classes,), sorted
    n_features_in_ : height · width
    image_shape_ : (height, width)
    net_ : the trained module, float32, on the CPU
    n_parameters_ : the network's number of parameters, without batch norm's running statistics
    history_ : an ``Epoch`` for every epoch trained
    kept_epoch_ : the epoch whose weights were kept, 1-based
    precision_, device_ : what the recipe's ``"auto"`` resolved to
    seconds_before_ : spent on this training by processes that were killed
    """

    def __init__(
        self,
        net: str | nn.Module | Callable[[], nn.Module] = "mlp",
        *,
        recipe: Recipe | None = None,
        net_options: Mapping[str, Any] | None = None,
        image_shape: tuple[int, int] | None = None,
        mirror_keeps_class: bool = False,
        random_state: int | np.random.RandomState | None = 0,
    ) -> None:
        self.net = net
        self.recipe = recipe
        self.net_options = net_options
        self.image_shape = image_shape
        self.mirror_keeps_class = mirror_keeps_class
        self.random_state = random_state

    def fit(
        self,
        X: Any,
        y: Any,
        *,
        validation: tuple[Any, Any] | None = None,
        checkpoint: Checkpoint | None = None,
        on_epoch: Callable[[Epoch, int], None] | None = None,
    ) -> Self:
        """Train the network.

        Parameters
        ----------
        X : array (n, height*width) or (n, height, width), pixels in 0..255. Bytes of a read-only
            memory map (or `MappedRows` of one) that are too large for a buffer stay on disk, and
            are shuffled in blocks.
        y : labels (n,)
        validation : images and labels to evaluate on after every epoch and, if the recipe says so,
            to choose the epoch by. If the recipe needs them and there are none, a stratified tenth
            of X is held out of training.
        checkpoint : written from time to time, and resumed if it holds a state of this training
        on_epoch : called after every epoch with its figures and the number of epochs planned

        Raises
        ------
        InputError : the images or labels are invalid
        UnknownNameError : there is no network with that name
        NotFiniteError : the loss became NaN or infinite
        DataError : the file of a memory map changed during training
        """
        images, labels = self._check_training_data(X, y)
        recipe = self.recipe if self.recipe is not None else Recipe()
        held_out: tuple[Images, Tensor] | None = None
        if validation is not None:
            held_out = self._validation(*validation)
        elif recipe.needs_validation:
            split = validation_split(labels.numpy())
            held_out = _take(images, split.validation), labels[split.validation]
            images, labels = _take(images, split.train), labels[split.train]

        seed = self._draw_seed()
        self.net_ = self._build(seed)
        result = train(
            self.net_,
            images,
            labels,
            recipe,
            validation=held_out,
            seed=seed,
            mirror_keeps_class=self.mirror_keeps_class,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        self.n_parameters_ = count_parameters(self.net_)
        self.history_ = list(result.history)
        self.kept_epoch_ = result.kept_epoch
        self.precision_ = result.precision
        self.device_ = result.device
        self.seconds_before_ = result.seconds_before
        return self

    def rate_range(
        self, X: Any, y: Any, *, on_step: Callable[[int, int], None] | None = None
    ) -> RateRange:
        """Run a learning-rate range test; leaves the classifier unfitted.

        Parameters
        ----------
        X, y : images and labels as for ``fit``
        on_step : called after every step with the number of steps done and the greatest number

        Raises
        ------
        InputError, UnknownNameError : as ``fit``
        """
        images, labels = self._check_training_data(X, y)
        seed = self._draw_seed()
        return rate_range(
            self._build(seed),
            images,
            labels,
            self.recipe if self.recipe is not None else Recipe(),
            seed=seed,
            mirror_keeps_class=self.mirror_keeps_class,
            on_step=on_step,
        )

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probabilities (n, n_classes), computed in float32; columns as in ``classes_``."""
        check_is_fitted(self, "net_")
        return predict(self.net_, self._check_images(X)).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each image (n,)."""
        probabilities = self.predict_proba(X)
        labels: np.ndarray = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def _check_training_data(self, X: Any, y: Any) -> tuple[Images, Tensor]:
        """Check and convert images and labels (n,); sets `classes_` and `image_shape_`."""
        shape = image_shape(X)
        check = check_mapped_and_labels if isinstance(X, MappedRows) else check_pixels_and_labels
        X, y = check(self, X, y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.image_shape_ = self._resolve_image_shape(shape)
        return self._images(X), torch.from_numpy(codes.astype(np.int64))

    def _resolve_image_shape(self, shape: tuple[int, ...] | None) -> tuple[int, int]:
        """The parameter, else the images' own shape, else a square."""
        features = self.n_features_in_
        if self.image_shape is not None:
            height, width = self.image_shape
        elif shape is not None:
            height, width = shape
        elif (side := math.isqrt(features)) ** 2 == features:
            height, width = side, side
        elif self.net == "mlp":
            height, width = 1, features  # a dense layer doesn't care
        else:
            raise InputError(
                f"rows of {features} numbers aren't square images; pass image_shape=(height, "
                "width) or an array (n, height, width)."
            )
        if height * width != features:
            raise InputError(
                f"image_shape {height}×{width} makes {height * width} pixels, but the rows have "
                f"{features}; give the images' own shape."
            )
        return int(height), int(width)

    def _check_images(self, X: Any) -> Images:
        """Check images against those of training; returns (n, height, width)."""
        check = check_mapped if isinstance(X, MappedRows) else check_pixels
        return self._images(check(self, X, reset=False))

    def _images(self, X: np.ndarray | MappedRows) -> Images:
        """(n, features) to (n, height, width), as uint8 if that loses nothing.

        Those of a memory map stay on disk, unless they fit into one training buffer.
        """
        if isinstance(X, np.ndarray) and X.dtype == np.uint8 and memory_map(X) is not None:
            X = MappedRows(X)
        if isinstance(X, MappedRows):
            if X.nbytes > BUFFER:
                return X.reshape(*self.image_shape_)
            X = X[:]
        if X.dtype == np.uint8 or (X.dtype.kind in "iu" and X.min() >= 0 and X.max() <= 255):
            X = X.astype(np.uint8, copy=False)
        else:
            X = X.astype(np.float32, copy=False)
        if not X.flags.writeable:
            X = X.copy()  # torch has no read-only tensors
        return torch.from_numpy(X.reshape(len(X), *self.image_shape_))

    def _validation(self, X: Any, y: Any) -> tuple[Images, Tensor]:
        images = self._check_images(X)
        labels = np.asarray(y)
        if labels.shape != (len(images),):
            raise InputError(
                f"there are {len(images)} validation images but labels of shape {labels.shape}; "
                "give one label for each image."
            )
        unknown = np.setdiff1d(labels, self.classes_)
        if len(unknown):
            raise InputError(
                f"validation label {unknown[0].item()!r} isn't among the training labels; "
                "train on images of that class or leave it out."
            )
        codes = np.searchsorted(self.classes_, labels)
        return images, torch.from_numpy(codes.astype(np.int64))

    def _draw_seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _build(self, seed: int) -> nn.Module:
        if not isinstance(self.net, str):
            if self.net_options:
                raise UsageError("net_options need a named network; set them in your own module.")
            net = self._own_module(self.net, seed)
            self._check_module(net, seed)
            return net
        if self.net not in NETS:
            raise UnknownNameError("network", self.net, NETS)
        options = dict(self.net_options or {})
        _refuse_empty_layers(options)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                return NETS[self.net](self.image_shape_, len(self.classes_), **options)
        except FittingroomError:
            raise
        except (TypeError, ValueError, IndexError, RuntimeError) as error:
            raise UsageError(
                f"a {self.net} can't be made with {settings_in_words(options)}: {error}."
            ) from error

    def _own_module(self, net: nn.Module | Callable[[], nn.Module], seed: int) -> nn.Module:
        """A copy of the caller's module, or one that the caller's function builds from a seed."""
        if isinstance(net, nn.Module):
            return copy.deepcopy(net)
        try:
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(seed)
                built = net()
        except Exception as error:  # whatever a user's function raises
            message = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(f"the network can't be built: {message}") from error
        if not isinstance(built, nn.Module):
            raise InputError(
                f"the function returns a {type(built).__name__}, where a torch module is needed."
            )
        return built

    def _check_module(self, net: nn.Module, seed: int) -> None:
        """Refuse a module that can't take these images or has another number of classes.

        Lazy layers, which have no weights before they see an image, are initialised.
        """
        black = torch.zeros(2, *self.image_shape_, dtype=torch.uint8)
        height, width = self.image_shape_
        try:
            if any(map(is_lazy, [*net.parameters(), *net.buffers()])):
                with torch.random.fork_rng(devices=[]), torch.no_grad():
                    torch.manual_seed(seed)
                    net.eval()(to_unit(black))
            logits = predict(copy.deepcopy(net), black)
        except Exception as error:  # whatever a user's module raises
            message = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"the network can't take images (batch, 1, {height}, {width}): {message}"
            ) from error
        if logits.shape != (2, len(self.classes_)):
            outputs = "×".join(str(size) for size in logits.shape[1:])
            raise InputError(
                f"the network gives {outputs} outputs per image, but there are "
                f"{len(self.classes_)} classes; its last layer must have one output per class."
            )


def _refuse_empty_layers(options: Mapping[str, Any]) -> None:
    """A network with an empty layer learns nothing, or torch can't build it."""
    for name, value in options.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if type(number) is int and number < 1 and name != "dropout":
                raise UsageError(f"{name} must be whole numbers of at least 1, not {value!r}.")


def _take(images: Images, index: np.ndarray) -> Images:
    return images.rows(index) if isinstance(images, MappedRows) else images[index]


def count_parameters(net: nn.Module) -> int:
    """A network's number of weights; batch norm's running statistics aren't parameters."""
    return sum(weight.numel() for weight in net.parameters())
