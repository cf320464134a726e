"""Choose the lengths of `swift` on training images alone.

    python benchmarks/presets.py --data FOLDER --out benchmarks/results/presets.json

Reads two files of FOLDER, the training images and their labels, and nothing else: it can't have seen
the test images, which need not be there. 10,000 of the training images, drawn by class, are held
out; every candidate is fitted on the other 50,000 with two seeds and measured on those.

The rule, fixed before any trial: a preset is the cheapest candidate whose mean accuracy stands so far
above the preset's goal that, were held-out and test images drawn alike, the same model's test
accuracy would reach the goal in 95 of 100 draws:

    accuracy >= goal + 1.645 sqrt(goal (1 - goal) (1 / held out + 1 / test images))

Candidates are four networks with 1 to 24 epochs. What an epoch of each costs is timed first, one after
the other; then they are tried from the cheapest on until all goals are met. Two fits run at a time,
each on a core. Each trial is written when it is done, and started again the script goes on with the
next.
"""  # noqa: E501

from __future__ import annotations

import argparse
import math
import multiprocessing
import statistics
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import record
from sklearn.model_selection import train_test_split

from fittingroom.data.idx import read_idx
from fittingroom.models.making import make_classifier

GOALS = {"swift-90": 0.90, "swift-93": 0.93, "swift": 0.94, "swift-95": 0.95}
HELD_OUT, TEST_IMAGES = 10_000, 10_000
SEEDS = (0, 1)
EPOCHS = (1, 2, 3, 4, 6, 8, 12, 16, 24)
#: A row of the catalogue and what replaces its parameters.
NETWORKS: dict[str, tuple[str, dict[str, Any]]] = {
    "small": ("swift-90", {}),
    "pooled": ("swift", {}),
    "wide maps": ("swift", {"widths": (32, 64, 128), "pool_first": False}),
    "large": ("swift-95", {}),
}


def needed(goal: float) -> float:
    """The mean accuracy on held-out images that a preset with this goal must have."""
    return goal + 1.645 * math.sqrt(goal * (1 - goal) * (1 / HELD_OUT + 1 / TEST_IMAGES))


def chosen(trials: Sequence[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Of each goal that is met the cheapest trial that meets it."""
    found = {}
    for preset, goal in GOALS.items():
        enough = [trial for trial in trials if trial["mean"] >= needed(goal)]
        if enough:
            found[preset] = min(enough, key=lambda trial: trial["cost"])
    return found


def fit(folder: str, network: str, epochs: int, seed: int, threads: int) -> dict[str, float]:
    """Fit one candidate with one seed; its accuracy on the held-out images, and its seconds."""
    import torch

    torch.set_num_threads(threads)
    images = read_idx(Path(folder) / "train-images-idx3-ubyte.gz", 3)
    labels = read_idx(Path(folder) / "train-labels-idx1-ubyte.gz", 1).astype(np.int64)
    train, held_out = train_test_split(
        np.arange(len(labels)), test_size=HELD_OUT, random_state=0, stratify=labels
    )
    row, parameters = NETWORKS[network]
    classifier = make_classifier(
        row, mirror_keeps_class=True, random_state=seed, epochs=epochs, **parameters
    )
    start = time.perf_counter()
    classifier.fit(images[train], labels[train])
    seconds = time.perf_counter() - start
    right = classifier.predict(images[held_out]) == labels[held_out]
    return {"accuracy": float(right.mean()), "seconds": round(seconds, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    kept = record.kept(options.out)
    trials, cost = kept.get("trials", []), kept.get("seconds_an_epoch", {})
    folder, fresh = str(options.data), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(SEEDS), mp_context=fresh) as pool:
        for network in [network for network in NETWORKS if network not in cost]:
            fit_seconds = [
                pool.submit(fit, folder, network, 1, 0, 1).result()["seconds"] for _ in range(3)
            ]
            cost[network] = min(fit_seconds)  # the first compiles
            print(f"{network}: {cost[network]:.1f} s an epoch", flush=True)
        candidates = sorted(
            (epochs * cost[network], network, epochs) for network in NETWORKS for epochs in EPOCHS
        )
        tried = {(trial["network"], trial["epochs"]) for trial in trials}
        for at, network, epochs in candidates:
            if len(chosen(trials)) == len(GOALS):
                break
            if (network, epochs) in tried:
                continue
            jobs = [pool.submit(fit, folder, network, epochs, seed, 1) for seed in SEEDS]
            fits = [job.result() for job in jobs]
            mean = statistics.mean(each["accuracy"] for each in fits)
            trial = {"network": network, "epochs": epochs, "cost": at, "mean": mean, "fits": fits}
            trials.append(trial)
            print(f"{network}, {epochs} epochs: {mean:.4f}, {at:.0f} s", flush=True)
            _write(options.out, cost, trials)
    _write(options.out, cost, trials)
    for preset, trial in chosen(trials).items():
        print(f"{preset}: {trial['network']}, {trial['epochs']} epochs, {trial['mean']:.4f}")


def _write(out: Path, cost: dict[str, float], trials: list[dict[str, Any]]) -> None:
    rule = {goal: {"goal": at, "needed": round(needed(at), 5)} for goal, at in GOALS.items()}
    figures = {
        "rule": rule,
        "held_out": HELD_OUT,
        "seconds_an_epoch": cost,
        "trials": trials,
        "chosen": chosen(trials),
    }
    record.write(out, figures)


if __name__ == "__main__":
    main()
