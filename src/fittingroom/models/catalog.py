"""The catalogue: every classifier by name, one row each.

To read it takes neither scikit-learn nor torch: they are imported when a row is built.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Literal

from fittingroom.errors import FittingroomError, UnknownNameError, UsageError
from fittingroom.models.zalando_grid import GRIDS

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

    from fittingroom.data.dataset import Dataset


#: Pixels of all training images of Fashion-MNIST, which the rows' times are for.
_REFERENCE_PIXELS = 60_000 * 28 * 28
#: No run is expected to take less, however few its images are: its process has to start.
_LEAST_SECONDS = 3.0


@dataclass(frozen=True, kw_only=True)
class ModelRow:
    """One classifier of the catalogue.

    Attributes
    ----------
    builder : module and function that make the unfitted classifier
    about : what it is, in one line
    source : the published experiment that it re-creates
    seconds : expected time to fit 54,000 images of 28×28 and to predict 16,000, on two laptop
        cores; outside the suite ``quick`` an estimate
    stock_seconds : the same without scikit-learn-intelex; None where that changes nothing
    deterministic : two fits with different seeds are equal
    parameters : numbers in a network for 28×28 images of ten classes
    kept : a fitted one can be saved as a bundle
    space : what ``tune`` searches unless it is told otherwise; see ``bench.space``
    """

    name: str
    family: Literal["classical", "network"]
    builder: str
    about: str
    source: str | None = None
    seconds: float
    stock_seconds: float | None = None
    deterministic: bool = False
    parameters: int | None = None
    kept: bool = True
    space: Mapping[str, str] = field(default_factory=dict)

    @property
    def build(self) -> Callable[..., BaseEstimator]:
        """Makes the unfitted classifier; its keyword arguments are the row's parameters."""
        module, function = self.builder.split(".")
        build: Callable[..., BaseEstimator] = getattr(
            import_module(f"fittingroom.models.{module}"), function
        )
        return build

    def expected_seconds(
        self, dataset: Dataset | None = None, *, epochs: int | None = None
    ) -> float:
        """Expected time of a run on this installation, at least what its process takes to start.

        Parameters
        ----------
        dataset : what it is fitted on; None is Fashion-MNIST. Time is taken to grow with the pixels
            of all training images together, also where it grows faster with the images (SVMs) or
            with the classes.
        epochs : of a network, in place of its recipe's
        """
        seconds = self.seconds
        if self.stock_seconds is not None and find_spec("sklearnex") is None:
            seconds = self.stock_seconds
        if dataset is not None:
            seconds *= dataset.train.images.size / _REFERENCE_PIXELS
        if epochs is not None:
            seconds *= epochs / self.build().recipe.epochs
        return max(_LEAST_SECONDS, seconds)


def row_of(name: str) -> ModelRow:
    """The row of that name, or that it is another name of.

    Raises
    ------
    UnknownNameError : there is none; the message proposes what is near
    """
    name = ALIASES.get(name, name)
    row = MODELS.get(name) or BASELINES.get(name)
    if row is None:
        raise UnknownNameError("model", name, [*MODELS, *ALIASES, *BASELINES])
    return row


def names_of(models: Sequence[str] | str) -> tuple[str, ...]:
    """The rows that a suite's name or a list of names means, each once.

    Raises
    ------
    UnknownNameError : no such suite or row
    UsageError : the list is empty
    """
    if not models:
        raise UsageError("there is no model to compare; name at least one.")
    if isinstance(models, str):
        if models not in SUITES:
            raise UnknownNameError("suite", models, SUITES)
        return SUITES[models]
    return tuple(dict.fromkeys(row_of(name).name for name in models))


def baselines_of(names: Sequence[str] | None) -> tuple[str, ...]:
    """Rows of the makers' benchmark: those of the names, each once, or all.

    Raises
    ------
    UnknownNameError : no such row
    UsageError : the list is empty
    """
    if names is None:
        return tuple(BASELINES)
    if not names:
        raise UsageError("there is no model to compare; name at least one.")
    for name in names:
        if name not in BASELINES:
            raise UnknownNameError("classifier of the suite zalando", name, BASELINES)
    return tuple(dict.fromkeys(names))


def make_classifier(
    name: str,
    *,
    dataset: Dataset | None = None,
    random_state: int | None = 0,
    **parameters: Any,
) -> BaseEstimator:
    """An unfitted classifier of the catalogue.

    Parameters
    ----------
    name : a key of ``MODELS`` or ``BASELINES``
    dataset : tells the images' shape, and whether a mirrored image keeps its class
    random_state : seed, for classifiers that draw lots
    parameters : replace those of the row's builder; for a network, also fields of its recipe

    Raises
    ------
    UnknownNameError : no such classifier, or it has no such parameter
    UsageError : a parameter makes no sense
    """
    return classifier_of(name, parameters, dataset=dataset, random_state=random_state)


def classifier_of(
    name: str,
    overrides: Mapping[str, Any],
    *,
    dataset: Dataset | None = None,
    random_state: int | None = 0,
) -> BaseEstimator:
    """The same with the parameters in a mapping, whatever they are called.

    The seed is none of them: it belongs to a run.

    Raises
    ------
    UnknownNameError : no such classifier, or it has no such parameter
    UsageError : a parameter makes no sense
    """
    build = row_of(name).build
    known = inspect.signature(build).parameters
    takes_any = any(p.kind is p.VAR_KEYWORD for p in known.values())  # then the builder checks
    if "random_state" in overrides:
        raise UsageError(f"random_state is no parameter of {name}; it is the seed of a run.")
    for parameter in overrides:
        if not (takes_any or parameter in known):
            options = known.keys() - {"random_state"}
            raise UnknownNameError(f"parameter of {name}", parameter, options)
    given: dict[str, Any] = {"random_state": random_state}
    if dataset is not None:
        given["image_shape"] = dataset.image_shape
        given["mirror_keeps_class"] = dataset.mirror_keeps_class
    given = {key: value for key, value in given.items() if takes_any or key in known}
    try:
        return build(**{**given, **overrides})
    except FittingroomError:
        raise
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} can't be made with these parameters: {error}.") from error


#: What any recipe leaves open.
_SCHEDULED = {
    "schedule": "constant|one-cycle|cosine",
    "batch_size": "64|128|256|512",
    "label_smoothing": "0..0.2",
}
_BY_ADAM = {"learning_rate": "3e-4..1e-2:log", "weight_decay": "1e-4..1e-1:log", **_SCHEDULED}
_BY_SGD = {"learning_rate": "0.01..1:log", "momentum": "0..0.98", **_SCHEDULED}
#: Networks with convolutions can use images that are changed, and more epochs of them.
_CNN = {"epochs": "10..30:5", **_BY_ADAM, "augmentation": "none|crop-flip|crop-erase"}
#: Ours are laid out over one cycle of a certain length.
_CYCLE = {
    "learning_rate": "0.03..1:log",
    "momentum": "0.8..0.97",
    "weight_decay": "1e-5..5e-3:log",
    "batch_size": "128|256|512",
    "label_smoothing": "0..0.2",
}

MODELS: dict[str, ModelRow] = {
    "logistic": ModelRow(
        name="logistic",
        family="classical",
        builder="classical.logistic",
        about="multinomial logistic regression, converged",
        seconds=15,
        stock_seconds=30,
        deterministic=True,
        space={"C": "1e-3..10:log"},
    ),
    "linear-svm": ModelRow(
        name="linear-svm",
        family="classical",
        builder="classical.linear_svm",
        about="linear SVM, one class against the rest, primal",
        source="S2-SVM",
        seconds=160,
        deterministic=True,
        space={"C": "1e-4..10:log"},
    ),
    "svm-rbf": ModelRow(
        name="svm-rbf",
        family="classical",
        builder="classical.svm_rbf",
        about="SVM with a Gaussian kernel, C 10",
        seconds=50,
        stock_seconds=310,
        deterministic=True,
        space={"C": "1..100:log", "gamma": "3e-3..0.1:log"},
    ),
    "knn": ModelRow(
        name="knn",
        family="classical",
        builder="classical.knn",
        about="5 nearest neighbours",
        source="S2-KNN",
        seconds=8,
        stock_seconds=20,
        deterministic=True,
        space={"n_neighbors": "1..15", "weights": "uniform|distance"},
    ),
    "random-forest": ModelRow(
        name="random-forest",
        family="classical",
        builder="classical.random_forest",
        about="random forest, 100 trees",
        source="S2-RF",
        seconds=25,
        stock_seconds=35,
        space={"n_estimators": "50..400:50", "max_depth": "10..40"},
    ),
    "hist-gradient-boosting": ModelRow(
        name="hist-gradient-boosting",
        family="classical",
        builder="classical.hist_gradient_boosting",
        about="gradient-boosted trees on binned pixels",
        seconds=300,
        deterministic=True,
        space={
            "max_iter": "50..300:50",
            "learning_rate": "0.03..0.3:log",
            "max_leaf_nodes": "15..127:log",
            "l2_regularization": "0.01..10:log",
        },
    ),
    "hog-svm": ModelRow(
        name="hog-svm",
        family="classical",
        builder="classical.hog_svm",
        about="histograms of oriented gradients, then an SVM with a Gaussian kernel",
        seconds=90,
        stock_seconds=470,
        deterministic=True,
        space={"C": "1..100:log", "gamma": "0.3..5:log", "orientations": "6..12"},
    ),
    "mlp-10-10": ModelRow(
        name="mlp-10-10",
        family="network",
        builder="published.mlp_10_10",
        about="two hidden layers of 10, 100 epochs",
        source="S1-MLP",
        seconds=50,
        parameters=8_070,
        space=_BY_ADAM,
    ),
    "mlp-532": ModelRow(
        name="mlp-532",
        family="network",
        builder="published.mlp_532",
        about="one hidden layer of 532, plain SGD",
        source="S2-ANN1",
        seconds=30,
        parameters=422_950,
        space=_BY_SGD,
    ),
    "mlp-256-256": ModelRow(
        name="mlp-256-256",
        family="network",
        builder="published.mlp_256_256",
        about="two hidden layers of 256, SGD with momentum",
        source="S0-ANN-sparse",
        seconds=25,
        parameters=269_322,
        space=_BY_SGD,
    ),
    "mlp-256-256-onehot": ModelRow(
        name="mlp-256-256-onehot",
        family="network",
        builder="published.mlp_256_256_onehot",
        about="two hidden layers of 256, one-hot labels, plain SGD, 100 epochs",
        source="S0-ANN-onehot",
        seconds=90,
        parameters=269_322,
        space=_BY_SGD,
    ),
    "cnn-6-16-120": ModelRow(
        name="cnn-6-16-120",
        family="network",
        builder="published.cnn_6_16_120",
        about="LeNet's widths on images resized to 32×32",
        source="S0-CNN-OLD",
        seconds=290,
        parameters=180_554,
        space=_CNN,
    ),
    "cnn-16-16-100": ModelRow(
        name="cnn-16-16-100",
        family="network",
        builder="published.cnn_16_16_100",
        about="three convolutions, two dense layers",
        source="S0-CNN",
        seconds=190,
        parameters=126_310,
        space=_CNN,
    ),
    "cnn-32-64-64": ModelRow(
        name="cnn-32-64-64",
        family="network",
        builder="published.cnn_32_64_64",
        about="three convolutions, each pooled",
        source="S2-CNN1",
        seconds=110,
        parameters=60_554,
        space=_CNN,
    ),
    "cnn-64x4": ModelRow(
        name="cnn-64x4",
        family="network",
        builder="published.cnn_64x4",
        about="four convolutions of 64",
        source="S2-CNN2",
        seconds=190,
        parameters=119_065,
        space=_CNN,
    ),
    "cnn-32": ModelRow(
        name="cnn-32",
        family="network",
        builder="published.cnn_32",
        about="one convolution, two dense layers",
        source="S3-CNN1",
        seconds=30,
        parameters=693_962,
        space=_CNN,
    ),
    "cnn-32-64": ModelRow(
        name="cnn-32-64",
        family="network",
        builder="published.cnn_32_64",
        about="two convolutions, four dense layers, dropout",
        source="S3-CNN2",
        seconds=85,
        parameters=159_882,
        space=_CNN,
    ),
    "cnn-64-128-64": ModelRow(
        name="cnn-64-128-64",
        family="network",
        builder="published.cnn_64_128_64",
        about="three convolutions, five dense layers, dropout",
        source="S3-CNN3",
        seconds=500,
        parameters=289_610,
        space=_CNN,
    ),
    "cnn-16-32-64-128": ModelRow(
        name="cnn-16-32-64-128",
        family="network",
        builder="published.cnn_16_32_64_128",
        about="four convolutions without pooling, batch norm, augmentation",
        source="S4-CNN",
        seconds=30000,
        parameters=6_663_402,
        space=_BY_ADAM | {"pooling": "true|false", "augmentation": "none|keras-shift-flip"},
    ),
    "swift-90": ModelRow(
        name="swift-90",
        family="network",
        builder="published.swift_90",
        about="swift at half the widths, for one epoch",
        seconds=8,
        parameters=99_114,
        space=_CYCLE,
    ),
    "swift-93": ModelRow(
        name="swift-93",
        family="network",
        builder="published.swift_93",
        about="swift for six epochs",
        seconds=55,
        parameters=382_378,
        space=_CYCLE,
    ),
    "swift": ModelRow(
        name="swift",
        family="network",
        builder="published.swift",
        about="ours: whitened patches, two convolutions, one cycle, mirrored views",
        seconds=100,
        parameters=382_378,
        space=_CYCLE,
    ),
    "swift-95": ModelRow(
        name="swift-95",
        family="network",
        builder="published.swift_95",
        about="swift on larger maps, three convolutions, twenty-four epochs, six views",
        seconds=800,
        parameters=973_226,
        space=_CYCLE,
    ),
    "swift-photo": ModelRow(
        name="swift-photo",
        family="network",
        builder="published.swift_photo",
        about="swift-95's network, trained to expect photos",
        seconds=720,
        parameters=973_226,
        space=_CYCLE,
    ),
    "wide-resnet": ModelRow(
        name="wide-resnet",
        family="network",
        builder="published.wide_resnet",
        about="ours: WRN-40-4 with erasing and CutMix, 200 epochs; for a GPU",
        seconds=200_000,
        parameters=8_959_706,
        space=_CYCLE,
    ),
}

#: The classifiers of the makers' own benchmark; a point of a grid is one with its parameters.
BASELINES: dict[str, ModelRow] = {
    grid.name: ModelRow(
        name=grid.name,
        family="classical",
        builder=f"zalando.{grid.name.removeprefix('zalando-').replace('-', '_')}",
        about=grid.about,
        seconds=grid.seconds,
        deterministic=grid.deterministic,
        kept=False,
    )
    for grid in GRIDS
}

#: Other names of rows.
ALIASES = {"swift-94": "swift"}

#: What `compare --suite` takes.
SUITES: dict[str, tuple[str, ...]] = {
    "quick": (
        "logistic",
        "knn",
        "random-forest",
        "svm-rbf",
        "mlp-256-256",
        "cnn-32",
        "swift",
    ),
    "published": tuple(name for name, row in MODELS.items() if row.source is not None),
    "all": tuple(MODELS),
}
