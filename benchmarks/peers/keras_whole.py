"""A published network in Keras, as a whole program: read the files, train, test, print.

    .venv-peers/bin/python benchmarks/peers/keras_whole.py FILES JOB

FILES is the folder of the four IDX files; JOB is JSON, such as ``{"model": "cnn-32", "variant":
"published", "seed": 0, "epochs": 10, "batch_size": 512, "held_out": 6000, "watched": 3000, "keep":
"last", "patience": null, "watch": "loss", "restore": false}``, where the recipe is the catalogue's.
Of the images that are held out from training only as many are evaluated after each epoch as our
own fit watches. The seed is that of the split alone: with a global one TensorFlow shuffles each
epoch alike, and a network ends up to three points below its accuracy. The last line of the output
is JSON with the test accuracy.
"""

from __future__ import annotations

import gzip
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras  # type: ignore[import-not-found]
import numpy as np
from keras_networks import ONE_HOT, build, feed  # type: ignore[import-not-found]


def read(folder: Path, name: str) -> np.ndarray:
    """Images (n, height, width) or labels (n,) of an IDX file, compressed or not."""
    path = folder / name
    data = path.read_bytes() if path.exists() else gzip.decompress(Path(f"{path}.gz").read_bytes())
    dimensions = data[3]
    shape = np.frombuffer(data, ">i4", dimensions, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)


def split(folder: Path, name: str, model: str) -> tuple[np.ndarray, np.ndarray]:
    """The images of a split as the network takes them, and their labels."""
    x = read(folder, f"{name}-images-idx3-ubyte")[..., None].astype("float32") / 255
    if model == "cnn-6-16-120":  # its author resized the images once, before training
        x = keras.ops.convert_to_numpy(keras.ops.image.resize(x, (32, 32)))
    y = read(folder, f"{name}-labels-idx1-ubyte").astype(np.int64)
    return x, keras.utils.to_categorical(y, 10) if model in ONE_HOT else y


def chosen_by(job: dict[str, Any], weights: Path) -> list[Any]:
    """The callbacks by which an author chose an epoch, or stopped."""
    found: list[Any] = []
    if job["keep"] != "last":
        watched = {"best-accuracy": "val_accuracy", "best-loss": "val_loss"}[job["keep"]]
        found.append(
            keras.callbacks.ModelCheckpoint(
                weights, monitor=watched, save_best_only=True, save_weights_only=True
            )
        )
    if job["patience"] is not None:
        found.append(
            keras.callbacks.EarlyStopping(
                monitor=f"val_{job['watch']}",
                patience=job["patience"],
                restore_best_weights=job["restore"],
            )
        )
    return found


def train(job: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Train as the job says; the accuracy on all test images."""
    model = job["model"]
    x, y = split(folder, "train", model)
    order = np.random.default_rng(job["seed"]).permutation(len(x))
    held_out, rest = order[: job["held_out"]], order[job["held_out"] :]
    watched = held_out[: job["watched"]]
    net, batch = build(model, job["variant"], x.shape[1])
    assert batch == job["batch_size"], f"{model}: batches of {batch} here"
    with tempfile.TemporaryDirectory() as temporary:
        weights = Path(temporary) / "best.weights.h5"
        history = net.fit(
            **feed(model, x[rest], y[rest], batch),
            validation_data=(x[watched], y[watched]),
            epochs=job["epochs"],
            callbacks=chosen_by(job, weights),
            verbose=0,
        )
        if weights.exists():
            net.load_weights(weights)
    _, accuracy = net.evaluate(*split(folder, "t10k", model), verbose=0)
    return {
        "test_accuracy": round(float(accuracy), 4),
        "epochs": len(history.history["loss"]),
        "parameters": sum(int(np.prod(weight.shape)) for weight in net.trainable_weights),
    }


def main() -> None:
    folder, job = Path(sys.argv[1]), json.loads(sys.argv[2])
    print(json.dumps(train(job, folder)))


if __name__ == "__main__":
    main()
