"""Trains in turns: so many images, then a pause in the middle of the epoch until it is told on.

    python in_turns.py FILES MODEL IMAGES

FILES is a folder of IDX files, MODEL a network of the catalogue. Trained on are the first IMAGES
images, copied into memory, or with 0 all of them, as `load_dataset` gives them.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import patch

from torch import Tensor

from fittingroom.data import idx
from fittingroom.data.mapped import memory_map
from fittingroom.data.sources import load_dataset
from fittingroom.models.making import make_classifier
from fittingroom.training import fit
from fittingroom.training.augment import Mixture
from fittingroom.training.step import make_step


class PacedStep:
    """A training step that waits for its turn, and says how long the last turn took."""

    def __init__(self, *arguments: Any) -> None:
        self._step = make_step(*arguments)
        self._left = self._images = 0
        self._began = 0.0

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        learning_rate: float,
        mixture: Mixture | None = None,
    ) -> Tensor:
        if self._left <= 0:
            self._next_turn()
        self._left -= len(labels)
        self._images += len(labels)
        return self._step(images, labels, learning_rate, mixture)

    def state(self) -> dict[str, Tensor]:
        return self._step.state()

    def _next_turn(self) -> None:
        if self._images:
            seconds = time.perf_counter() - self._began
            print(json.dumps({"images": self._images, "seconds": seconds}), flush=True)
        if not (line := sys.stdin.readline()):
            os._exit(0)
        self._left, self._images = json.loads(line)["images"], 0
        self._began = time.perf_counter()


def main() -> None:
    folder, model, n = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    if n:
        read = idx.read_folder(folder).arrays
        images, labels = read[idx.TRAIN_IMAGES][:n].copy(), read[idx.TRAIN_LABELS][:n].astype(int)
    else:
        train = load_dataset(folder).train
        images, labels = train.images, train.labels
    assert (memory_map(images) is None) == bool(n)
    classifier = make_classifier(
        *(model,),
        epochs=1000,
        keep="last",
        patience=None,
        restore=False,
        mirror_keeps_class=True,
    )
    with patch.object(fit, "make_step", PacedStep):
        classifier.fit(images, labels)


if __name__ == "__main__":
    main()
