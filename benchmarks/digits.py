"""How right is a model of MNIST about digits that don't come as in its files?

    python benchmarks/digits.py RUN... --out benchmarks/results/digits.json

`RUN` are folders of saved runs or bundles that were fitted on MNIST. 500 images of the half of the
validation part that decides settings come as they are in the file, inverted, enlarged, drawn on a
large canvas, and as ink on unevenly lit paper; each goes through all that `fittingroom predict`
does. About ten milliseconds a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record
from numpy.typing import NDArray
from PIL import Image

from fittingroom.bundles.bundle import Bundle, load
from fittingroom.bundles.predictor import predict_picture
from fittingroom.data.decode import Picture
from fittingroom.data.sources import load_dataset
from fittingroom.data.splits import validation_split
from fittingroom.evaluation.intervals import wilson

IMAGES = 500
Pixels = NDArray[np.uint8]
Draw = Callable[[Pixels, np.random.Generator], NDArray[np.floating] | Pixels]


def enlarged(image: Pixels, side: int) -> Pixels:
    return np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BICUBIC))


def on_canvas(image: Pixels, random: np.random.Generator) -> NDArray[np.floating]:
    """Black on white, about a quarter of the canvas, anywhere on it."""
    canvas = np.full((280, 300), 255.0)
    top, left = random.integers(0, 130), random.integers(0, 150)
    canvas[top : top + 150, left : left + 150] -= enlarged(image, 150)
    return canvas


def on_paper(image: Pixels, random: np.random.Generator) -> NDArray[np.floating]:
    """Ink on grey paper with light from one corner, and noise."""
    paper = np.add.outer(np.linspace(120, 200, 400), np.linspace(-30, 40, 320))
    top, left = random.integers(20, 180), random.integers(20, 100)
    paper[top : top + 200, left : left + 200] *= 1 - 0.75 * enlarged(image, 200) / 255.0
    return paper + random.normal(0, 6, paper.shape)


FORMS: dict[str, Draw] = {
    "as in the file": lambda image, _: image,
    "inverted": lambda image, _: 255 - image,
    "ten times as large": lambda image, _: np.kron(image, np.ones((10, 10), np.uint8)),
    "inverted, five times as large": lambda image, _: 255 - enlarged(image, 140),
    "on a canvas": on_canvas,
    "on paper": on_paper,
}


def right(bundle: Bundle, images: Pixels, labels: NDArray[np.int64], draw: Draw) -> int:
    """How many of the images are told right when they come in that form."""
    random, count = np.random.default_rng(0), 0
    for image, label in zip(images, labels, strict=True):
        grey = np.clip(draw(image, random), 0, 255).astype(np.uint8)
        picture = Picture(np.repeat(grey[..., None], 3, axis=2))
        count += predict_picture(bundle, picture).top(1)[0][0] == bundle.facts.class_names[label]
    return count


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("runs", type=Path, nargs="+")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    train = load_dataset("mnist").train
    choose = validation_split(train.labels).selection[:: 3000 // IMAGES][:IMAGES]
    images, labels = np.asarray(train.images[choose]), train.labels[choose]
    found: dict[str, dict[str, Any]] = {}
    for run in options.runs:
        bundle = load(run)
        of_model = found[bundle.facts.model] = {}
        for form, draw in FORMS.items():
            count = right(bundle, images, labels, draw)
            interval = wilson(count, len(labels))
            of_model[form] = {
                "right": count,
                "n": len(labels),
                "share": count / len(labels),
                "this_fit_ci95": [interval.low, interval.high],
            }
            print(f"{bundle.facts.model:10} {form:30} {count / len(labels):6.1%}")
    if options.out:
        record.write(options.out, {"models": found})


if __name__ == "__main__":
    main()
