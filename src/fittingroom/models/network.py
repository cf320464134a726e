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

#: Networks by the names that rows of the catalogue and saved classifiers have for them. Options are
#: keyword-only, with their bounds beside their types (`nets/bounds.py`).
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
    net : name of a network (a key of ``NETS``), or an nn.Module of your own that takes float32
        (batch, 1, height, width) in 0..1 and gives logits (batch, classes); it is copied, never
        changed, and starts with the weights it has; those of lazy layers come from the seed
    recipe : how it is trained
    net_options : keyword arguments of the named network
    image_shape : (height, width); None takes it from images (n, height, width), or assumes a
        square
    mirror_keeps_class : whether augmentation may mirror images
    random_state : seed of the first weights, order, augmentation and dropout

    Attributes
    ----------
    classes_ : labels (n_classes,), sorted
    n_features_in_ : height · width
    image_shape_ : (height, width)
    net_ : the trained module, float32, on the CPU
    n_parameters_ : numbers in the network, running figures of batch norm included
    history_ : an ``Epoch`` for every epoch trained
    kept_epoch_ : the epoch whose weights were kept, 1-based
    precision_, device_ : what the recipe's ``"auto"`` came to
    seconds_before_ : spent on this training by processes that were killed
    """

    def __init__(
        self,
        net: str | nn.Module = "mlp",
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
            memory map (or `MappedRows` of one) that no buffer would hold stay on disk, and are
            shuffled in blocks.
        y : labels (n,)
        validation : images and labels to measure after every epoch and, where the recipe says
            so, to choose the epoch by. Where the recipe needs them and there are none, a
            stratified tenth of X is held out of the training.
        checkpoint : written now and then, and resumed if it holds a state of this training
        on_epoch : called after every epoch with its figures and the number of epochs planned

        Raises
        ------
        InputError : images or labels that it can't take
        UnknownNameError : no network has that name
        NotFiniteError : the loss became NaN or infinite
        DataError : the file of a memory map changed meanwhile
        """
        images, labels = self._learned_from(X, y)
        recipe = self.recipe if self.recipe is not None else Recipe()
        held_out: tuple[Images, Tensor] | None = None
        if validation is not None:
            held_out = self._validation(*validation)
        elif recipe.needs_validation:
            split = validation_split(labels.numpy())
            held_out = _some(images, split.validation), labels[split.validation]
            images, labels = _some(images, split.train), labels[split.train]

        seed = self._seed()
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
        """How the loss goes while the learning rate rises; leaves the classifier unfitted.

        Parameters
        ----------
        X, y : images and labels as for ``fit``
        on_step : called after every step with how many are done and how many there are at most

        Raises
        ------
        InputError, UnknownNameError : as ``fit``
        """
        images, labels = self._learned_from(X, y)
        seed = self._seed()
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
        return predict(self.net_, self._checked(X)).numpy()

    def predict(self, X: Any) -> np.ndarray:
        """The most probable label of each image (n,)."""
        probabilities = self.predict_proba(X)
        labels: np.ndarray = self.classes_[probabilities.argmax(axis=1)]
        return labels

    def _learned_from(self, X: Any, y: Any) -> tuple[Images, Tensor]:
        """Images and labels (n,) as codes, checked; sets `classes_` and `image_shape_`."""
        shape = image_shape(X)
        check = check_mapped_and_labels if isinstance(X, MappedRows) else check_pixels_and_labels
        X, y = check(self, X, y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        self.image_shape_ = self._resolve_image_shape(shape)
        return self._images(X), torch.from_numpy(codes.astype(np.int64))

    def _resolve_image_shape(self, seen: tuple[int, ...] | None) -> tuple[int, int]:
        """From the parameter, else from the images' own shape, else a square."""
        features = self.n_features_in_
        if self.image_shape is not None:
            height, width = self.image_shape
        elif seen is not None:
            height, width = seen
        elif (side := math.isqrt(features)) ** 2 == features:
            height, width = side, side
        elif self.net == "mlp":
            height, width = 1, features  # a dense layer doesn't mind
        else:
            raise InputError(
                f"rows of {features} numbers are no square images; pass image_shape=(height, "
                "width) or an array (n, height, width)."
            )
        if height * width != features:
            raise InputError(
                f"image_shape {height}×{width} makes {height * width} pixels, but the rows have "
                f"{features}; give the shape that the images have."
            )
        return int(height), int(width)

    def _checked(self, X: Any) -> Images:
        """Images as those of the training, (n, height, width)."""
        check = check_mapped if isinstance(X, MappedRows) else check_pixels
        return self._images(check(self, X, reset=False))

    def _images(self, X: np.ndarray | MappedRows) -> Images:
        """(n, features) to (n, height, width): bytes where they hold every value.

        Those of a memory map stay where they are, unless one buffer of the training holds them.
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
        images = self._checked(X)
        labels = np.asarray(y)
        if labels.shape != (len(images),):
            raise InputError(
                f"there are {len(images)} validation images but labels of shape {labels.shape}; "
                "give one label for each image."
            )
        strange = np.setdiff1d(labels, self.classes_)
        if len(strange):
            raise InputError(
                f"validation label {strange[0].item()!r} is no class of the training labels; "
                "train on images of that class or leave it out."
            )
        codes = np.searchsorted(self.classes_, labels)
        return images, torch.from_numpy(codes.astype(np.int64))

    def _seed(self) -> int:
        if isinstance(self.random_state, int | np.integer):
            return int(self.random_state)
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _build(self, seed: int) -> nn.Module:
        if isinstance(self.net, nn.Module):
            if self.net_options:
                raise UsageError("net_options are for a named network; build your own with them.")
            net = copy.deepcopy(self.net)
            self._try(net, seed)
            return net
        if self.net not in NETS:
            raise UnknownNameError("network", str(self.net), NETS)
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

    def _try(self, net: nn.Module, seed: int) -> None:
        """Refuse a module that can't take these images or has another number of classes.

        Lazy layers, which have no weights before they are shown an image, get them.
        """
        black = torch.zeros(2, *self.image_shape_, dtype=torch.uint8)
        height, width = self.image_shape_
        try:
            if any(map(is_lazy, [*net.parameters(), *net.buffers()])):
                with torch.random.fork_rng(devices=[]), torch.no_grad():
                    torch.manual_seed(seed)
                    net.eval()(to_unit(black))
            logits = predict(copy.deepcopy(net), black)
        except Exception as error:  # whatever a stranger's module raises
            said = " ".join(f"{type(error).__name__}: {error}".split())
            raise InputError(
                f"the network can't take images (batch, 1, {height}, {width}): {said}"
            ) from error
        if logits.shape != (2, len(self.classes_)):
            outputs = "×".join(str(size) for size in logits.shape[1:])
            raise InputError(
                f"the network gives {outputs} outputs an image, but there are "
                f"{len(self.classes_)} classes; its last layer must have one output for each."
            )


def _refuse_empty_layers(options: Mapping[str, Any]) -> None:
    """Layers of no outputs make a network that learns nothing, or that torch can't make."""
    for name, value in options.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if type(number) is int and number < 1 and name != "dropout":
                raise UsageError(f"{name} must have whole numbers of at least 1, not {value!r}.")


def _some(images: Images, index: np.ndarray) -> Images:
    return images.rows(index) if isinstance(images, MappedRows) else images[index]


def count_parameters(net: nn.Module) -> int:
    """Numbers that a network holds, batch norm's running figures included."""
    return sum(t.numel() for t in net.state_dict().values() if t.is_floating_point())
