"""One fit of a preset of `swift` in a fresh process: from images in memory to test probabilities.

    python benchmarks/peers/our_swift.py swift-90 0

Imports and reading the files are not in the clock, and told apart; loading or compiling the kernels
is in it.
"""

from __future__ import annotations

import json
import sys
import time

start = time.perf_counter()

from fittingroom.data.sources import load_dataset  # noqa: E402 (the clock starts first)
from fittingroom.models.making import make_classifier  # noqa: E402


def main() -> None:
    name, seed = sys.argv[1], int(sys.argv[2])
    dataset = load_dataset("fashion-mnist")
    classifier = make_classifier(name, dataset=dataset, random_state=seed)
    before = time.perf_counter()
    classifier.fit(dataset.train.images, dataset.train.labels)
    fitted = time.perf_counter()
    probabilities = classifier.predict_proba(dataset.test.images)
    done = time.perf_counter()
    answer = {
        "preset": name,
        "seed": seed,
        "import_seconds": round(before - start, 2),
        "fit_seconds": round(fitted - before, 2),
        "predict_seconds": round(done - fitted, 2),
        "accuracy": float((probabilities.argmax(axis=1) == dataset.test.labels).mean()),
    }
    print(json.dumps(answer))


if __name__ == "__main__":
    main()
