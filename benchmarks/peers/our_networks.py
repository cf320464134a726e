"""The published networks as the catalogue has them: the same questions as `keras_networks.py`."""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np

from fittingroom.models.making import make_classifier


def measure(job: dict[str, Any], images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    n, epochs = job["images"], job["epochs"]
    classifier = make_classifier(
        job["model"],
        epochs=1 + epochs,
        keep="last",
        patience=None,
        restore=False,
        mirror_keeps_class=True,
    )
    classifier.fit(images[:n], labels[:n])
    seconds = sum(epoch.seconds for epoch in classifier.history_[1:])  # the first one warms up
    return {
        **job,
        "parameters": classifier.n_parameters_,
        "seconds": seconds,
        "images_per_second": n * epochs / seconds,
        "train_accuracy": classifier.history_[-1].train_accuracy,
    }


def main() -> None:
    with np.load(sys.argv[1]) as data:
        images, labels = data["images"], data["labels"]
    for line in sys.stdin:
        print(json.dumps(measure(json.loads(line), images, labels)), flush=True)


if __name__ == "__main__":
    main()
