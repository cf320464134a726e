"""Classical models in corner cases: `python corners.py`, run by `test_catalog.py`.

Every case is fitted by the fastest engine, then by scikit-learn. One line of JSON per case reports
how much the process has grown so far, the engine, and how far apart the predictions are.
"""

from __future__ import annotations

import json
import sys
import warnings
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from fittingroom.models.making import make_classifier
from fittingroom.runs.fit import peak_memory

#: The limit of this process's memory in bytes, if the system can enforce one.
MAX_DATA = 6 * 2**30

#: Images, pixels per side, classes, and the models with their settings.
CORNERS: dict[str, tuple[int, int, int, dict[str, dict[str, Any]]]] = {
    "small": (60, 8, 3, {"logistic": {}, "knn": {}, "random-forest": {}, "svm-rbf": {}}),
    "four pixels": (
        *(50_000, 2, 2),
        {"logistic": {}, "knn": {}, "random-forest": {"n_estimators": 5}},
    ),
    "one image of a class": (
        *(200, 28, 3),
        {"logistic": {}, "knn": {}, "random-forest": {}, "svm-rbf": {}, "hog-svm": {}},
    ),
    "constant pixels": (
        *(200, 28, 3),
        {"logistic": {}, "knn": {}, "random-forest": {}, "svm-rbf": {}, "hog-svm": {}},
    ),
    "all images are neighbours": (40, 28, 3, {"knn": {"n_neighbors": 40}}),
    "all of more images than ours sort": (200, 28, 3, {"knn": {"n_neighbors": 200}}),
    "few large images, two classes": (
        *(60, 224, 2),
        {"logistic": {}, "knn": {}, "random-forest": {}, "svm-rbf": {}, "hog-svm": {}},
    ),
    "few large images, three classes": (60, 224, 3, {"logistic": {}}),
    "many classes": (
        *(1200, 28, 200),
        {"logistic": {}, "knn": {}, "random-forest": {"n_estimators": 10}, "svm-rbf": {}},
    ),
    "weights of many classes": (
        *(1200, 28, 200),
        {
            "logistic": {"class_weight": "balanced"},
            "random-forest": {"class_weight": "balanced", "n_estimators": 5},
        },
    ),
}


def images(
    corner: str, n: int, side: int, classes: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images uint8 (n, side²), noise around one pattern per class, and labels (n,)."""
    random = np.random.RandomState(seed)
    labels = np.arange(n) % classes
    if corner == "one image of a class":
        labels = np.where(np.arange(n) == 1, 1, labels // 2 * 2)
    patterns = np.random.RandomState(9).randint(0, 200, (classes, side**2))
    pixels = np.clip(patterns[labels] + random.randint(-70, 70, (n, side**2)), 0, 255)
    if corner == "constant pixels":
        pixels[:, ::2] = 7
    return pixels.astype(np.uint8), labels


def fit(corner: str, model: str, engine: str) -> tuple[str, np.ndarray]:
    """The engine, and probabilities (100, classes) for unseen images."""
    n, side, classes, models = CORNERS[corner]
    shape: Any = SimpleNamespace(image_shape=(side, side), mirror_keeps_class=False)
    classifier = make_classifier(model, dataset=shape, engine=engine, **models[model])
    classifier.fit(*images(corner, n, side, classes, seed=0))
    unseen, _ = images(corner, 100, side, classes, seed=1)
    return classifier.engine_, classifier.predict_proba(unseen)


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for model in CORNERS["small"][3]:  # imports and compilation aren't to be counted
        fit("small", model, "auto")
    if sys.platform == "linux":
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (MAX_DATA, MAX_DATA))
    cases = [(corner, model) for corner, (*_, models) in CORNERS.items() for model in models]
    before, ours = peak_memory(), {}
    for case in cases:
        ours[case] = (*fit(*case, "auto"), peak_memory() - before)
    for case in cases:
        engine, probabilities, growth = ours[case]
        _, expected = fit(*case, "scikit-learn")
        figures = {
            "corner": case[0],
            "model": case[1],
            "engine": engine.split()[0],
            "growth": growth,
            "same": float((probabilities.argmax(axis=1) == expected.argmax(axis=1)).mean()),
            "apart": float(np.abs(probabilities - expected).max()),
        }
        print(json.dumps(figures), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
