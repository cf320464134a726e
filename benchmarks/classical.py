"""How fast are the classical models, beside stock scikit-learn in the same sitting?

    python benchmarks/classical.py --rounds 5 --out benchmarks/results/classical.json
    python benchmarks/classical.py --quick --out /tmp/classical.json

Fit on 60,000 images and predict 10,000: by us (from bytes), by scikit-learn (``n_jobs=-1``, scaled
images ready in memory, centred ones for the logistic regression, which halves its iterations), and
by scikit-learn-intelex alone. They take turns; what is told is the ratio within a turn. Turns that
`--out` holds by this state of the code are kept and added to, so a long sitting may be held in
parts. The forest's
seed is the number of its turn.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import record
from scipy.special import log_softmax
from sklearn.base import BaseEstimator, clone
from speed import spread

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.models.calibrated_svm import one_vs_one_scores
from fittingroom.models.engine import intel_estimators
from fittingroom.models.making import make_classifier
from fittingroom.models.pixel_classifier import PixelClassifier

MODELS = ("logistic", "random-forest", "knn", "svm-rbf")

#: Training images of `--quick`, and as many of each class; the SVM's time grows with their square.
FEWER = {"logistic": 20_000, "random-forest": 20_000, "knn": 60_000, "svm-rbf": 8_000}


def timed(model: BaseEstimator, X: Any, y: Any, unseen: Any) -> tuple[float, Any]:
    start = time.perf_counter()
    labels = model.fit(X, y).predict(unseen)
    return time.perf_counter() - start, labels


def turn(name: str, data: Dataset, n: int, seed: int, intel: bool) -> dict[str, Any]:
    """Seconds and accuracy of each, and how many of our labels are scikit-learn's."""
    pixels, y = data.train.images[:n].reshape(n, -1), data.train.labels[:n]
    unseen, truth = data.test.images.reshape(len(data.test), -1), data.test.labels
    ours: PixelClassifier = make_classifier(name, random_state=seed)
    stock = clone(ours.estimator)
    if name in ("random-forest", "knn"):  # the others can't use it
        stock.set_params(n_jobs=-1)
    inputs = [images.astype(np.float32) / np.float32(ours.scale) for images in (pixels, unseen)]
    if ours.centre:
        mean = inputs[0].mean(axis=0)
        inputs = [images - mean for images in inputs]
    rivals: dict[str, Callable[[], tuple[float, Any]]] = {
        "ours": lambda: timed(ours, pixels, y, unseen),
        "stock": lambda: timed(stock, inputs[0], y, inputs[1]),
    }
    if intel and (intel_estimator := intel_estimators().get(type(stock))):
        fast = intel_estimator(**stock.get_params())
        rivals["intelex"] = lambda: timed(fast, inputs[0], y, inputs[1])
    seconds, labels = {}, {}
    for rival, run in rivals.items():
        seconds[rival], labels[rival] = run()
    return {
        "trained_on": n,
        "engine": ours.engine_,
        "seconds": {rival: round(value, 3) for rival, value in seconds.items()},
        "accuracy": {rival: round(float(np.mean(p == truth)), 4) for rival, p in labels.items()},
        "labels_equal": round(float(np.mean(labels["ours"] == labels["stock"])), 4),
        **(objectives(ours.estimator_, stock, inputs[0], y) if name == "logistic" else {}),
        **(ties_broken(labels["ours"], stock, inputs[1]) if name == "svm-rbf" else {}),
    }


def ties_broken(labels: Any, stock: Any, unseen: Any) -> dict[str, float]:
    """The share of equal labels where scikit-learn too breaks ties of votes by the margins.

    As ``SVC(break_ties=True)`` does; by default the first class of those with equal votes wins.
    """
    scores = one_vs_one_scores(stock, unseen)
    return {"labels_equal_ties_broken": round(float(np.mean(labels == scores.argmax(axis=1))), 4)}


def objectives(ours: Any, stock: Any, X: Any, y: Any) -> dict[str, Any]:
    """Mean penalised log loss of both on the training images, and the iterations they took."""
    found = {}
    for name, model in (("ours", ours), ("stock", stock)):
        logits = X @ model.coef_.T + model.intercept_
        loss = -log_softmax(logits.astype(np.float64), axis=1)[np.arange(len(y)), y].mean()
        penalty = (model.coef_.astype(np.float64) ** 2).sum() / (2 * model.C * len(y))
        found[name] = {"loss": round(float(loss + penalty), 7), "iterations": int(model.n_iter_[0])}
    return {"objective": found}


def summary(turns: list[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = spread([t["seconds"]["stock"] / t["seconds"]["ours"] for t in turns])
    beside = [t["seconds"] for t in turns if "intelex" in t["seconds"]]
    if beside:
        found["by_intelex_alone"] = spread([s["stock"] / s["intelex"] for s in beside])
    found["labels_equal"] = min(t["labels_equal"] for t in turns)
    for rival in ("ours", "stock"):
        found[f"accuracy_{rival}"] = round(statistics.mean(t["accuracy"][rival] for t in turns), 4)
    return {**found, "each_turn": turns}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(MODELS), help="separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="fewer images, one round; 2 minutes")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    data = load_dataset("fashion-mnist")
    few = data.train.images[:500].reshape(500, -1)
    found: dict[str, Any] = record.kept(options.out).get("sklearn_speedup", {})
    for name in options.models.split(","):
        # Kernels are compiled once on a machine, and libraries loaded once in a process.
        make_classifier(name).fit(few, data.train.labels[:500]).predict(few)
        for _ in range(1 if options.quick else options.rounds):
            turns = found[name]["each_turn"] if name in found else []
            n = FEWER[name] if options.quick else len(data.train)
            turns.append(turn(name, data, n, len(turns), intel=not options.quick))
            found[name] = summary(turns)
            row = found[name]
            print(
                f"{name:14} {row['median']:6.2f} ({row['min']:.2f} to {row['max']:.2f})"
                f"  labels equal {row['labels_equal']:.4f}  {turns[-1]['seconds']}",
                flush=True,
            )
    mean = round(statistics.geometric_mean([row["median"] for row in found.values()]), 3)
    print(f"{'geometric mean':14} {mean:6.2f}")
    figures = {"sklearn_speedup": found, "geometric_mean": mean}
    # Deterministic models: each row reads once, by whatever library fits it.
    record.write(options.out, figures, test_reads=len(found))


if __name__ == "__main__":
    main()
