"""The networks of the catalogue: twelve published experiments, ``swift`` and ``wide-resnet``.

A builder takes any field of ``Recipe`` (``epochs=3``), any option of its network
(``hidden=(64,)``), and ``image_shape``, ``mirror_keeps_class`` and ``random_state``. Each says
where it comes from, how long it takes on two laptop cores and what accuracy to expect on the
official Fashion-MNIST test images after training on 54,000. The times of ``mlp-256-256``,
``cnn-32`` and ``swift`` were measured so; the others are estimates from fits on one thread. The
cores have bfloat16 matrix instructions.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import Any

from fittingroom.errors import UnknownNameError
from fittingroom.models.network import NETS, NetworkClassifier
from fittingroom.training.recipe import Recipe

_FOR_CLASSIFIER = {"image_shape", "mirror_keeps_class", "random_state"}
_FOR_RECIPE = {field.name for field in dataclasses.fields(Recipe)}


def mlp_10_10(**options: Any) -> NetworkClassifier:
    """Two hidden layers of 10: S1-MLP, 100 epochs of Adam. About 50 s; 0.835 to 0.865."""
    return _classifier("mlp", {"hidden": (10, 10)}, Recipe(epochs=100), options)


def mlp_532(**options: Any) -> NetworkClassifier:
    """One hidden layer of 532: S2-ANN1, 20 epochs of plain SGD. About 30 s; 0.865 to 0.890."""
    recipe = Recipe(optimizer="sgd", learning_rate=0.01, epochs=20)
    return _classifier("mlp", {"hidden": (532,)}, recipe, options)


def mlp_256_256(**options: Any) -> NetworkClassifier:
    """Two hidden layers of 256: S0-ANN-sparse, momentum. About 25 s; 0.880 to 0.902.

    Keeps the epoch of the best validation accuracy of 20, as its author did by hand.
    """
    recipe = Recipe(
        optimizer="sgd",
        learning_rate=0.01,
        momentum=0.9,
        epochs=20,
        batch_size=64,
        keep="best-accuracy",
    )
    return _classifier("mlp", {"hidden": (256, 256)}, recipe, options)


def mlp_256_256_onehot(**options: Any) -> NetworkClassifier:
    """The same with one-hot labels, as S0-ANN-onehot really ran. About 90 s; 0.880 to 0.902.

    Plain SGD and 100 epochs: not only the form of the loss differs from ``mlp-256-256``.
    """
    recipe = Recipe(loss="onehot", optimizer="sgd", learning_rate=0.01, epochs=100, batch_size=64)
    return _classifier("mlp", {"hidden": (256, 256)}, recipe, options)


def cnn_6_16_120(**options: Any) -> NetworkClassifier:
    """LeNet's widths on images resized to 32 × 32: S0-CNN-OLD. About 5 min; 0.893 to 0.917.

    Keeps the epoch of the best validation accuracy of 50.
    """
    net = {"features": (6, "pool", 16, "pool", 120), "hidden": (84,), "resize": 32}
    return _classifier("cnn", net, Recipe(epochs=50, batch_size=128, keep="best-accuracy"), options)


def cnn_16_16_100(**options: Any) -> NetworkClassifier:
    """Three convolutions: S0-CNN. About 3 min; 0.893 to 0.917.

    Keeps the epoch of the best validation accuracy of 50.
    """
    net = {"features": (16, "pool", 16, "pool", 100), "hidden": (120,)}
    return _classifier("cnn", net, Recipe(epochs=50, batch_size=128, keep="best-accuracy"), options)


def cnn_32_64_64(**options: Any) -> NetworkClassifier:
    """Three convolutions, each pooled: S2-CNN1. About 2 min; 0.875 to 0.905."""
    net = {"features": (32, "pool", 64, "pool", 64, "pool"), "hidden": (64,)}
    return _classifier("cnn", net, Recipe(epochs=10), options)


def cnn_64x4(**options: Any) -> NetworkClassifier:
    """Four convolutions of 64: S2-CNN2. About 3 min; 0.893 to 0.915."""
    net = {"features": (64, "pool", 64, 64, 64, "pool"), "hidden": (13,)}
    return _classifier("cnn", net, Recipe(epochs=10), options)


def cnn_32(**options: Any) -> NetworkClassifier:
    """One convolution, two dense layers: S3-CNN1. About 30 s; 0.886 to 0.908."""
    net = {"features": (32, "pool"), "hidden": (128,)}
    return _classifier("cnn", net, Recipe(epochs=10, batch_size=512), options)


def cnn_32_64(**options: Any) -> NetworkClassifier:
    """Two convolutions, four dense layers, dropout: S3-CNN2. About 85 s; 0.890 to 0.913."""
    net = {
        "features": (32, "pool", 64, "pool"),
        "stride": 2,
        "hidden": (128, 256, 128),
        "dropout": (0.25, 0.25, 0.0),
    }
    return _classifier("cnn", net, Recipe(epochs=20, batch_size=512), options)


def cnn_64_128_64(**options: Any) -> NetworkClassifier:
    """Three convolutions, five dense layers, dropout: S3-CNN3. About 8 min; 0.893 to 0.915."""
    net = {
        "features": (64, "pool", 128, "pool", 64, "pool"),
        "stride": 2,
        "hidden": (128, 256, 256, 128),
        "dropout": (0.25, 0.5, 0.25, 0.1),
    }
    return _classifier("cnn", net, Recipe(epochs=50, batch_size=512), options)


def cnn_16_32_64_128(
    *, pooling: bool = False, augmentation: bool | str = True, **options: Any
) -> NetworkClassifier:
    """Four convolutions without pooling, batch norm, augmentation: S4-CNN.

    Hours on a laptop; about 0.944. After 10 epochs (some 12 min) 0.880 to 0.925. Up to 500
    epochs, stopped when the validation loss hasn't improved for 50, the best epoch's weights
    kept; its author let the test images decide that, here the validation images do.

    Parameters
    ----------
    pooling : max-pool the first two convolutions' maps; the author compared this in words only
    augmentation : shifts of up to a tenth and flips (True), none (False), or a row's name
    """
    if augmentation is True:
        augmentation = "keras-shift-flip"
    recipe = Recipe(
        epochs=500,
        batch_size=128,
        augmentation=augmentation or "none",  # type: ignore[arg-type]
        patience=50,
        watch="loss",
        restore=True,
    )
    return _classifier("normalized-cnn", {"pooling": pooling}, recipe, options)


def swift_90(**options: Any) -> NetworkClassifier:
    """``swift`` at half the widths, for one epoch of images as they are. About 8 s; 0.911."""
    options = {"learning_rate": 0.3, "augmentation": "none", **options}
    net = {"widths": (32, 64), "hidden": 128, "mirror_views": False}
    return _swift(net, 1, options)


def swift_93(**options: Any) -> NetworkClassifier:
    """``swift`` for six epochs. About 55 s."""
    return _swift({}, 6, options)


def swift(**options: Any) -> NetworkClassifier:
    """A small network of ours with batch norm and whitened patches. About 95 s.

    Nesterov SGD over one cycle, label smoothing, shifts of one pixel. Where mirroring keeps the
    class it trains on mirror images too and predicts the mean of both views' logits. How long it
    and its other lengths train was chosen on training images alone, by ``benchmarks/presets.py``.
    """
    return _swift({}, 12, options)


def wide_resnet(**options: Any) -> NetworkClassifier:
    """A wide residual network, WRN-40-4, with strong augmentation: for accuracy, on a GPU.

    ``fittingroom fit wide-resnet``. Never run at full length yet, on a GPU not at all: 0.960 is
    hoped for, since published networks of this kind reach 0.959 to 0.967 with less augmentation or
    longer schedules. On two laptop cores an epoch takes about 14 min, the whole two days.

    Zagoruyko and Komodakis's recipe (arXiv 1605.07146: Nesterov SGD, batch 128, decay 5e-4), with
    five epochs of warm-up, half a cosine down, label smoothing and an average of the weights.
    Images are shifted by up to four pixels and mirrored, parts of them erased, and parts of
    others pasted in. None of it was tuned on Fashion-MNIST. Where mirroring keeps the class the
    mean of both views' logits is predicted.
    """
    recipe = Recipe(
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
    )
    mirror = options.setdefault("mirror_keeps_class", False)
    return _classifier("wide-resnet", {"mirror_views": mirror}, recipe, options)


def swift_95(**options: Any) -> NetworkClassifier:
    """``swift`` on larger maps, for twenty-four epochs. About 13 min, going by sixteen.

    It has three convolutions, the first of them before any pooling, and predicts from shifted views
    too, six in all where mirroring keeps the class.
    """
    return _swift({"pool_first": False, "widths": (64, 128, 256), "shift_views": True}, 24, options)


def swift_photo(**options: Any) -> NetworkClassifier:
    """``swift-95``'s network trained on imitated photos too, for real ones. About 12 min; 0.94.

    Three images of five are made to look like cut-out photos, see ``training.imitation``, and a
    fifth of those is spoilt, so that it is undecided about what is none of the classes.
    """
    options = {"augmentation": "photo", "epochs": 16, **options}
    return swift_95(**options)


def _swift(net: dict[str, Any], epochs: int, options: dict[str, Any]) -> NetworkClassifier:
    recipe = Recipe(
        optimizer="sgd",
        learning_rate=0.2,
        momentum=0.9,
        nesterov=True,
        weight_decay=5e-4,
        schedule="one-cycle",
        epochs=epochs,
        batch_size=256,
        label_smoothing=0.1,
        augmentation="crop-flip",
    )
    mirror = options.setdefault("mirror_keeps_class", False)
    # Said in full, since the defaults are those of runs that were saved before there was a choice.
    net = {"widths": (64, 128), "pool_first": True, "mirror_views": mirror, **net}
    return _classifier("swift", net, recipe, options)


def _classifier(
    net: str, net_options: dict[str, Any], recipe: Recipe, options: dict[str, Any]
) -> NetworkClassifier:
    """A classifier of that network and recipe, each option put where it belongs."""
    for_net = {
        name
        for name, parameter in inspect.signature(NETS[net]).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    known = for_net | _FOR_RECIPE | _FOR_CLASSIFIER
    for name in options:
        if name not in known:
            raise UnknownNameError("option", name, known)

    if options.get("augmentation", "") is None:  # what `--set augmentation=none` says
        options = {**options, "augmentation": "none"}

    def chosen(names: set[str]) -> dict[str, Any]:
        return {name: value for name, value in options.items() if name in names}

    return NetworkClassifier(
        net,
        recipe=dataclasses.replace(recipe, **chosen(_FOR_RECIPE)),
        net_options={**net_options, **chosen(for_net)},
        **chosen(_FOR_CLASSIFIER),
    )
