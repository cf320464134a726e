"""How much memory does stock scikit-learn take for a classical model? One line of JSON.

    python benchmarks/peers/stock_memory.py knn

As in ``classical.py``: scaled images as float32, ready in memory, ``n_jobs=-1`` where it has an
effect; the same training, validation and test images as a fit of ours, all predicted. A pipeline's
features (``hog-svm``) are ours. The largest resident size of this process, and its seconds.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np
from sklearn.base import clone

from fittingroom.data.sources import load_dataset
from fittingroom.models.making import make_classifier


def main() -> None:
    dataset = load_dataset("fashion-mnist")
    split, images = dataset.validation_split(), dataset.train.images
    ours = make_classifier(sys.argv[1], dataset=dataset)
    stock = clone(ours.estimator)
    if sys.argv[1] in ("random-forest", "knn"):  # the others can't use it
        stock.set_params(n_jobs=-1)
    parts = [images[split.train], images[split.validation], dataset.test.images]
    inputs = [part.reshape(len(part), -1).astype(np.float32) / ours.scale for part in parts]
    if ours.features is not None:
        features = clone(ours.features).fit(inputs[0])
        inputs = [features.transform(part) for part in inputs]
    start = time.perf_counter()
    stock.fit(inputs[0], dataset.train.labels[split.train])
    for unseen in inputs[1:]:
        stock.predict(unseen)
    seconds = round(time.perf_counter() - start, 1)
    # Not by `runs.fit`, which imports torch: stock scikit-learn doesn't.
    assert "torch" not in sys.modules
    peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak_memory_bytes": peak, "seconds": seconds}))


if __name__ == "__main__":
    main()
