"""The catalogue: every classifier by name, one row each.

A row is data: the classifier's builder or, for a network, its options and recipe; how long a fit
takes and what accuracy to expect. Reading it imports neither scikit-learn nor torch: making a
classifier does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.models import classical, zalando
from fittingroom.models.rows import ClassicalRow, ModelRow, NetworkRow
from fittingroom.models.zalando_grid import GRIDS
from fittingroom.training.recipe import Recipe


def row_of(name: str) -> ModelRow:
    """The row with that name or alias.

    Raises
    ------
    UnknownNameError : there is none; the message suggests similar names
    """
    name = ALIASES.get(name, name)
    row = MODELS.get(name) or BASELINES.get(name)
    if row is None:
        raise UnknownNameError("model", name, [*MODELS, *ALIASES, *BASELINES])
    return row


def names_of(models: Sequence[str] | str) -> tuple[str, ...]:
    """The names of the rows for a suite's name or a list of names, without duplicates.

    Raises
    ------
    UnknownNameError : no such suite or row
    UsageError : the list is empty
    """
    if not models:
        raise UsageError("there are no models to compare; name at least one.")
    if isinstance(models, str):
        if models not in SUITES:
            raise UnknownNameError("suite", models, SUITES)
        return SUITES[models]
    return tuple(dict.fromkeys(row_of(name).name for name in models))


def baselines_of(names: Sequence[str] | None) -> tuple[str, ...]:
    """The rows of the makers' benchmark with these names, without duplicates, or all of them.

    Raises
    ------
    UnknownNameError : no such row
    UsageError : the list is empty
    """
    if names is None:
        return tuple(BASELINES)
    if not names:
        raise UsageError("there are no models to compare; name at least one.")
    for name in names:
        if name not in BASELINES:
            raise UnknownNameError("classifier of the suite zalando", name, BASELINES)
    return tuple(dict.fromkeys(names))


#: Common to all search spaces.
_SCHEDULED = {
    "schedule": "constant|one-cycle|cosine",
    "batch_size": "64|128|256|512",
    "label_smoothing": "0..0.2",
}
_BY_ADAM = {"learning_rate": "3e-4..1e-2:log", "weight_decay": "1e-4..1e-1:log", **_SCHEDULED}
_BY_SGD = {"learning_rate": "0.01..1:log", "momentum": "0..0.98", **_SCHEDULED}
#: Convolutional networks benefit from augmentation and more epochs.
_CNN = {"epochs": "10..30:5", **_BY_ADAM, "augmentation": "none|crop-flip|crop-erase"}
#: Our networks' schedule is one cycle over a fixed number of epochs.
_CYCLE = {
    "learning_rate": "0.03..1:log",
    "momentum": "0.8..0.97",
    "weight_decay": "1e-5..5e-3:log",
    "batch_size": "128|256|512",
    "label_smoothing": "0..0.2",
}

#: Of 127,000 images of 28×28, nine tenths of which scikit-learn-intelex's SVM copies nine times.
_INTEL_SVM_PIXELS = 99e6

#: For `swift` and its variants: Nesterov SGD over one cycle, shifts of one pixel, mirroring. Rows
#: give their options in full, since the net's defaults are those of runs saved before the options
#: existed.
_SWIFT = Recipe(
    optimizer="sgd",
    learning_rate=0.2,
    momentum=0.9,
    nesterov=True,
    weight_decay=5e-4,
    schedule="one-cycle",
    batch_size=256,
    label_smoothing=0.1,
    augmentation="crop-flip",
)

MODELS: dict[str, ModelRow] = {
    "logistic": ClassicalRow(
        name="logistic",
        about="multinomial logistic regression, converged",
        build=classical.logistic,
        seconds=15,
        stock_seconds=30,
        bytes_per_pixel=1.8,
        accuracy=(0.836, 1.0),
        deterministic=True,
        space={"C": "1e-3..10:log"},
    ),
    "linear-svm": ClassicalRow(
        name="linear-svm",
        about="linear SVM, one class against the rest, primal",
        source="S2-SVM",
        build=classical.linear_svm,
        seconds=160,
        accuracy=(0.832, 0.845),
        deterministic=True,
        space={"C": "1e-4..10:log"},
    ),
    "svm-rbf": ClassicalRow(
        name="svm-rbf",
        about="SVM with a Gaussian kernel, C 10",
        build=classical.svm_rbf,
        seconds=50,
        stock_seconds=310,
        intel_pixels=_INTEL_SVM_PIXELS,
        growth=2.0,
        bytes_per_pixel=4.5,
        accuracy=(0.895, 1.0),
        deterministic=True,
        space={"C": "1..100:log", "gamma": "3e-3..0.1:log"},
    ),
    "knn": ClassicalRow(
        name="knn",
        about="5 nearest neighbours",
        source="S2-KNN",
        build=classical.knn,
        seconds=8,
        stock_seconds=20,
        growth=1.8,  # each image of the validation part is compared with all others
        bytes_per_pixel=1.8,
        accuracy=(0.849, 0.857),
        deterministic=True,
        space={"n_neighbors": "1..15", "weights": "uniform|distance"},
    ),
    "random-forest": ClassicalRow(
        name="random-forest",
        about="random forest, 100 trees",
        source="S2-RF",
        build=classical.random_forest,
        seconds=25,
        stock_seconds=35,
        growth=1.1,
        bytes_per_pixel=1.8,
        accuracy=(0.868, 0.882),
        space={"n_estimators": "50..400:50", "max_depth": "10..40"},
    ),
    "hist-gradient-boosting": ClassicalRow(
        name="hist-gradient-boosting",
        about="gradient-boosted trees on binned pixels",
        build=classical.hist_gradient_boosting,
        seconds=300,
        accuracy=(0.885, 1.0),
        deterministic=True,
        space={
            "max_iter": "50..300:50",
            "learning_rate": "0.03..0.3:log",
            "max_leaf_nodes": "15..127:log",
            "l2_regularization": "0.01..10:log",
        },
    ),
    "hog-svm": ClassicalRow(
        name="hog-svm",
        about="histograms of oriented gradients, then an SVM with a Gaussian kernel",
        build=classical.hog_svm,
        seconds=90,
        stock_seconds=470,
        intel_pixels=_INTEL_SVM_PIXELS,
        growth=2.0,
        bytes_per_pixel=4.5,
        accuracy=(0.91, 1.0),
        deterministic=True,
        space={"C": "1..100:log", "gamma": "0.3..5:log", "orientations": "6..12"},
    ),
    "mlp-10-10": NetworkRow(
        name="mlp-10-10",
        about="two hidden layers of 10, 100 epochs",
        source="S1-MLP",
        net="mlp",
        options={"hidden": (10, 10)},
        recipe=Recipe(epochs=100),
        seconds=50,
        accuracy=(0.835, 0.865),
        parameters=8_070,
        space=_BY_ADAM,
    ),
    "mlp-532": NetworkRow(
        name="mlp-532",
        about="one hidden layer of 532, plain SGD",
        source="S2-ANN1",
        net="mlp",
        options={"hidden": (532,)},
        recipe=Recipe(optimizer="sgd", learning_rate=0.01, epochs=20),
        seconds=30,
        accuracy=(0.865, 0.890),
        parameters=422_950,
        space=_BY_SGD,
    ),
    # Its author kept the best epoch by hand.
    "mlp-256-256": NetworkRow(
        name="mlp-256-256",
        about="two hidden layers of 256, SGD with momentum",
        source="S0-ANN-sparse",
        net="mlp",
        options={"hidden": (256, 256)},
        recipe=Recipe(
            optimizer="sgd",
            learning_rate=0.01,
            momentum=0.9,
            epochs=20,
            batch_size=64,
            keep="best-accuracy",
        ),
        seconds=25,
        accuracy=(0.880, 0.902),
        parameters=269_322,
        space=_BY_SGD,
    ),
    # As S0-ANN-onehot really ran: it differs in more than the form of the loss.
    "mlp-256-256-onehot": NetworkRow(
        name="mlp-256-256-onehot",
        about="two hidden layers of 256, one-hot labels, plain SGD, 100 epochs",
        source="S0-ANN-onehot",
        net="mlp",
        options={"hidden": (256, 256)},
        recipe=Recipe(
            loss="onehot", optimizer="sgd", learning_rate=0.01, epochs=100, batch_size=64
        ),
        seconds=90,
        accuracy=(0.880, 0.902),
        parameters=269_322,
        space=_BY_SGD,
    ),
    "cnn-6-16-120": NetworkRow(
        name="cnn-6-16-120",
        about="LeNet's widths on images resized to 32×32",
        source="S0-CNN-OLD",
        net="cnn",
        options={"features": (6, "pool", 16, "pool", 120), "hidden": (84,), "resize": 32},
        recipe=Recipe(epochs=50, batch_size=128, keep="best-accuracy"),
        seconds=70,
        accuracy=(0.893, 0.917),
        parameters=180_554,
        space=_CNN,
    ),
    "cnn-16-16-100": NetworkRow(
        name="cnn-16-16-100",
        about="three convolutions, two dense layers",
        source="S0-CNN",
        net="cnn",
        options={"features": (16, "pool", 16, "pool", 100), "hidden": (120,)},
        recipe=Recipe(epochs=50, batch_size=128, keep="best-accuracy"),
        seconds=50,
        accuracy=(0.893, 0.917),
        parameters=126_310,
        space=_CNN,
    ),
    "cnn-32-64-64": NetworkRow(
        name="cnn-32-64-64",
        about="three convolutions, each pooled",
        source="S2-CNN1",
        net="cnn",
        options={"features": (32, "pool", 64, "pool", 64, "pool"), "hidden": (64,)},
        recipe=Recipe(epochs=10),
        seconds=30,
        accuracy=(0.875, 0.905),
        parameters=60_554,
        space=_CNN,
    ),
    "cnn-64x4": NetworkRow(
        name="cnn-64x4",
        about="four convolutions of 64",
        source="S2-CNN2",
        net="cnn",
        options={"features": (64, "pool", 64, 64, 64, "pool"), "hidden": (13,)},
        recipe=Recipe(epochs=10),
        seconds=60,
        accuracy=(0.893, 0.915),
        parameters=119_065,
        space=_CNN,
    ),
    "cnn-32": NetworkRow(
        name="cnn-32",
        about="one convolution, two dense layers",
        source="S3-CNN1",
        net="cnn",
        options={"features": (32, "pool"), "hidden": (128,)},
        recipe=Recipe(epochs=10, batch_size=512),
        seconds=30,
        accuracy=(0.886, 0.908),
        parameters=693_962,
        space=_CNN,
    ),
    "cnn-32-64": NetworkRow(
        name="cnn-32-64",
        about="two convolutions, four dense layers, dropout",
        source="S3-CNN2",
        net="cnn",
        options={
            "features": (32, "pool", 64, "pool"),
            "stride": 2,
            "hidden": (128, 256, 128),
            "dropout": (0.25, 0.25, 0.0),
        },
        recipe=Recipe(epochs=20, batch_size=512),
        seconds=85,
        accuracy=(0.890, 0.913),
        parameters=159_882,
        space=_CNN,
    ),
    "cnn-64-128-64": NetworkRow(
        name="cnn-64-128-64",
        about="three convolutions, five dense layers, dropout",
        source="S3-CNN3",
        net="cnn",
        options={
            "features": (64, "pool", 128, "pool", 64, "pool"),
            "stride": 2,
            "hidden": (128, 256, 256, 128),
            "dropout": (0.25, 0.5, 0.25, 0.1),
        },
        recipe=Recipe(epochs=50, batch_size=512),
        seconds=500,
        accuracy=(0.893, 0.915),
        parameters=289_610,
        space=_CNN,
    ),
    # Hours on a laptop, for about 0.944; after 10 epochs, some 12 min, 0.880 to 0.925. Its author
    # compared it with `augmentation=False` and, in the text only, with `pooling=True`; the test
    # images decided there when to stop, here the validation images do.
    "cnn-16-32-64-128": NetworkRow(
        name="cnn-16-32-64-128",
        about="four convolutions without pooling, batch norm, augmentation",
        source="S4-CNN",
        net="normalized-cnn",
        options={"pooling": False},
        recipe=Recipe(
            epochs=500,
            batch_size=128,
            augmentation="keras-shift-flip",
            patience=50,
            watch="loss",
            restore=True,
        ),
        augmentation_switch=True,
        seconds=30000,
        parameters=6_662_474,
        space=_BY_ADAM | {"pooling": "true|false", "augmentation": "none|keras-shift-flip"},
    ),
    # Half the widths, one epoch without augmentation.
    "swift-90": NetworkRow(
        name="swift-90",
        about="swift at half the widths, for one epoch",
        net="swift",
        options={
            "widths": (32, 64),
            "hidden": 128,
            "pool_first": True,
            "mirror_views": False,
        },
        recipe=replace(_SWIFT, learning_rate=0.3, epochs=1, augmentation="none"),
        seconds=8,
        accuracy=(0.90, 1.0),
        parameters=98_666,
        space=_CYCLE,
    ),
    "swift-93": NetworkRow(
        name="swift-93",
        about="swift for six epochs",
        net="swift",
        options={"widths": (64, 128), "pool_first": True},
        mirror_option="mirror_views",
        recipe=replace(_SWIFT, epochs=6),
        seconds=55,
        accuracy=(0.93, 1.0),
        parameters=381_482,
        space=_CYCLE,
    ),
    # If mirroring keeps the class it trains on mirror images too, and predicts the mean of both
    # views' logits. The epochs of it and its variants were chosen on training images alone, by
    # `benchmarks/presets.py`.
    "swift": NetworkRow(
        name="swift",
        about="ours: whitened patches, two convolutions, one cycle, mirrored views",
        net="swift",
        options={"widths": (64, 128), "pool_first": True},
        mirror_option="mirror_views",
        recipe=replace(_SWIFT, epochs=12),
        seconds=100,
        accuracy=(0.94, 1.0),
        parameters=381_482,
        space=_CYCLE,
    ),
    # A third convolution, before any pooling. It predicts from shifted views too, six in all if
    # mirroring keeps the class. The time is extrapolated from sixteen epochs.
    "swift-95": NetworkRow(
        name="swift-95",
        about="swift on larger maps, three convolutions, twenty-four epochs, six views",
        net="swift",
        options={"widths": (64, 128, 256), "pool_first": False, "shift_views": True},
        mirror_option="mirror_views",
        recipe=replace(_SWIFT, epochs=24),
        seconds=800,
        accuracy=(0.945, 1.0),
        parameters=971_818,
        space=_CYCLE,
    ),
    # Three in five images are made to look like cut-out photos, see `training.imitation`, and a
    # fifth of those is spoilt, so that it is undecided about images of none of the classes.
    "swift-photo": NetworkRow(
        name="swift-photo",
        about="swift-95's network, trained to expect photos",
        net="swift",
        options={"widths": (64, 128, 256), "pool_first": False, "shift_views": True},
        mirror_option="mirror_views",
        recipe=replace(_SWIFT, epochs=16, augmentation="photo"),
        seconds=720,
        accuracy=(0.93, 1.0),
        parameters=971_818,
        space=_CYCLE,
    ),
    # For accuracy, on a GPU. Not yet run at full length, and not on a GPU at all: we hope for
    # 0.960, since published networks of this kind reach 0.959 to 0.967 with less augmentation or
    # longer schedules. On two laptop cores an epoch takes about 14 min, the whole run two days.
    #
    # Zagoruyko and Komodakis's recipe (arXiv 1605.07146: Nesterov SGD, batch 128, decay 5e-4), with
    # five epochs of warm-up, half a cosine down, label smoothing and an average of the weights.
    # Images are shifted by up to four pixels and mirrored, parts of them erased, and parts of
    # others pasted in. None of it was tuned on Fashion-MNIST.
    "wide-resnet": NetworkRow(
        name="wide-resnet",
        about="ours: WRN-40-4 with erasing and CutMix, 200 epochs; for a GPU",
        net="wide-resnet",
        mirror_option="mirror_views",
        recipe=Recipe(
            optimizer="sgd",
            learning_rate=0.1,
            momentum=0.9,
            nesterov=True,
            weight_decay=5e-4,
            schedule="cosine",
            warmup=0.025,
            epochs=200,
            batch_size=128,
            label_smoothing=0.1,
            augmentation="crop-erase-mix",
            averaging=0.999,
        ),
        seconds=200_000,
        parameters=8_948_922,
        space=_CYCLE,
    ),
}

#: The classifiers of the makers' own benchmark; a point of a grid adds its parameters.
BASELINES: dict[str, ModelRow] = {
    grid.name: ClassicalRow(
        name=grid.name,
        build=zalando.BUILDERS[grid.name],
        about=grid.about,
        seconds=grid.seconds,
        deterministic=grid.deterministic,
        kept=False,
    )
    for grid in GRIDS
}

#: Other names for rows.
ALIASES = {"swift-94": "swift"}

#: The suites for `compare --suite`. While a perceptron is fitted a core is free: in a new
#: installation the kernels of later models are compiled then (`execution/ahead.py`).
SUITES: dict[str, tuple[str, ...]] = {
    "quick": (
        "logistic",
        "knn",
        "mlp-256-256",
        "random-forest",
        "svm-rbf",
        "cnn-32",
        "swift",
    ),
    "published": tuple(name for name, row in MODELS.items() if row.source is not None),
    "all": tuple(MODELS),
}
