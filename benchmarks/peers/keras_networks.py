"""The published networks in Keras, trained for a while: images a second, one line of JSON a job.

    .venv-peers/bin/python benchmarks/peers/keras_networks.py DATA.npz

Runs in an environment of its own (``benchmarks/requirements-peers.txt``). A job is a line of JSON
on standard input, such as ``{"model": "cnn-32", "variant": "published", "images": 60000, "epochs":
1}``. One epoch warms up; then that many are timed. The networks stand here as their authors wrote
them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras  # type: ignore[import-not-found]
import numpy as np
from keras import layers


def dense(*widths: int) -> list[Any]:
    return [layers.Dense(width, activation="relu") for width in widths]


def conv(channels: int, **options: Any) -> Any:
    return layers.Conv2D(channels, 3, activation="relu", **options)


def pool() -> Any:
    return layers.MaxPooling2D(2)


def half(channels: int) -> Any:
    return conv(channels, strides=2, padding="same")


def normalized(layer: Any) -> list[Any]:
    return [layer, layers.BatchNormalization(), layers.Dropout(0.2)]


def sgd(momentum: float = 0.0) -> Any:
    return keras.optimizers.SGD(0.01, momentum=momentum)


# Layers before the softmax, optimiser, batch size.
NETWORKS: dict[str, Any] = {
    "mlp-10-10": lambda: ([layers.Flatten(), *dense(10, 10)], "adam", 32),
    "mlp-532": lambda: ([layers.Flatten(), *dense(532)], sgd(), 32),
    "mlp-256-256": lambda: ([layers.Flatten(), *dense(256, 256)], sgd(0.9), 64),
    "mlp-256-256-onehot": lambda: ([layers.Flatten(), *dense(256, 256)], sgd(), 64),
    "cnn-6-16-120": lambda: (
        [conv(6), pool(), conv(16), pool(), conv(120), layers.Flatten(), *dense(84)],
        "adam",
        128,
    ),
    "cnn-16-16-100": lambda: (
        [conv(16), pool(), conv(16), pool(), conv(100), layers.Flatten(), *dense(120)],
        "adam",
        128,
    ),
    "cnn-32-64-64": lambda: (
        [conv(32), pool(), conv(64), pool(), conv(64), pool(), layers.Flatten(), *dense(64)],
        "adam",
        32,
    ),
    "cnn-64x4": lambda: (
        [conv(64), pool(), conv(64), conv(64), conv(64), pool(), layers.Flatten(), *dense(13)],
        "adam",
        32,
    ),
    "cnn-32": lambda: ([conv(32), pool(), layers.Flatten(), *dense(128)], "adam", 512),
    "cnn-32-64": lambda: (
        [
            *(conv(32), pool(), half(64), pool(), layers.Flatten()),
            *(*dense(128), layers.Dropout(0.25), *dense(256), layers.Dropout(0.25), *dense(128)),
        ],
        "adam",
        512,
    ),
    "cnn-64-128-64": lambda: (
        [
            *(conv(64), pool(), half(128), pool(), half(64), pool(), layers.Flatten()),
            *(*dense(128), layers.Dropout(0.25), *dense(256), layers.Dropout(0.5)),
            *(*dense(256), layers.Dropout(0.25), *dense(128), layers.Dropout(0.1)),
        ],
        "adam",
        512,
    ),
    "cnn-16-32-64-128": lambda: (
        [
            *(part for channels in (16, 32, 64, 128) for part in normalized(conv(channels))),
            layers.Flatten(),
            *(part for width in (128, 64, 32) for part in normalized(*dense(width))),
        ],
        "adam",
        128,
    ),
}
ONE_HOT = {"mlp-256-256-onehot", "cnn-16-32-64-128"}


def build(name: str, variant: str, side: int) -> tuple[Any, int]:
    """The compiled network and its batch size; `variant`: published, mixed_bfloat16 or jit."""
    keras.config.set_dtype_policy("mixed_bfloat16" if variant == "mixed_bfloat16" else "float32")
    hidden, optimizer, batch = NETWORKS[name]()
    net = keras.Sequential(
        [
            keras.Input((side, side, 1)),
            *hidden,
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )
    loss = "categorical_crossentropy" if name in ONE_HOT else "sparse_categorical_crossentropy"
    net.compile(optimizer, loss, metrics=["accuracy"], jit_compile=variant == "jit")
    return net, batch


def feed(name: str, x: np.ndarray, y: np.ndarray, batch: int) -> dict[str, Any]:
    """What `fit` is given: arrays, or the generator with the one network that augments."""
    if name != "cnn-16-32-64-128":
        return {"x": x, "y": y, "batch_size": batch}
    from keras.src.legacy.preprocessing.image import (  # type: ignore[import-not-found]
        ImageDataGenerator,
    )

    generator = ImageDataGenerator(
        width_shift_range=0.1, height_shift_range=0.1, horizontal_flip=True
    )
    return {"x": generator.flow(x, y, batch_size=batch)}


def measure(job: dict[str, Any], images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    n, name = job["images"], job["model"]
    x = images[:n, :, :, None].astype("float32") / 255
    if name == "cnn-6-16-120":  # its author resized the images once, before training
        x = keras.ops.convert_to_numpy(keras.ops.image.resize(x, (32, 32)))
    y = keras.utils.to_categorical(labels[:n]) if name in ONE_HOT else labels[:n]
    net, batch = build(name, job["variant"], x.shape[1])
    given = feed(name, x, y, batch)
    net.fit(**given, epochs=1, verbose=0)
    start = time.perf_counter()
    history = net.fit(**given, epochs=job["epochs"], verbose=0)
    seconds = time.perf_counter() - start
    return {
        **job,
        "parameters": sum(int(np.prod(weight.shape)) for weight in net.trainable_weights),
        "seconds": seconds,
        "images_per_second": n * job["epochs"] / seconds,
        "train_accuracy": history.history["accuracy"][-1],
    }


def main() -> None:
    with np.load(sys.argv[1]) as data:
        images, labels = data["images"], data["labels"]
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line), images, labels)), flush=True)


if __name__ == "__main__":
    main()
