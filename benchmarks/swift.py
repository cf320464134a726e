"""How long do the presets of `swift` take, and how accurate are they, over several seeds?

    python benchmarks/swift.py --seeds 5 --out benchmarks/results/swift.json

The unit is K, the time that Keras takes for ten epochs of ``cnn-32`` in the same sitting. All
60,000 training images, the last epoch of a schedule fixed in advance, one reading of the test
images a seed; no seed is one by which the lengths were chosen or the spread over seeds measured. A
round is one seed of every preset, with K measured before the last of them; it is written when it is
done, and started again the benchmark goes on with the next.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
from speed import PEERS, PEERS_PYTHON, Peer

from fittingroom.data.sources import load_dataset
from fittingroom.execution.children import SPIN

#: Of those before two chose how long the presets train, and ten measured how much they vary.
FIRST_SEED = 10


def keras_seconds() -> float:
    """K, in seconds; an epoch before it warms Keras up."""
    train = load_dataset("fashion-mnist").train
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.npz"
        np.savez(data, images=train.images, labels=train.labels)
        with Peer(PEERS_PYTHON, "keras_networks.py", data) as keras:
            job = {"model": "cnn-32", "variant": "published", "images": 60_000, "epochs": 10}
            return float(keras.ask(**job)["seconds"])


def fit(preset: str, seed: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, str(PEERS / "our_swift.py"), preset, str(seed)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env={"GOMP_SPINCOUNT": SPIN, **os.environ},
    )
    answer: dict[str, Any] = json.loads(done.stdout)
    print(json.dumps(answer), flush=True)
    return answer


def one_round(presets: Sequence[str], seed: int) -> dict[str, Any]:
    fits = [fit(preset, seed) for preset in presets[:-1]]
    unit = keras_seconds()
    print(f"K {unit:.1f} s", flush=True)
    return {"k_seconds": unit, "fits": [*fits, fit(presets[-1], seed)]}


def summary(preset: str, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    fits = [(r["k_seconds"], each) for r in rounds for each in r["fits"]]
    accuracies = [each["accuracy"] for _, each in fits if each["preset"] == preset]
    multiples = [
        (each["fit_seconds"] + each["predict_seconds"]) / unit
        for unit, each in fits
        if each["preset"] == preset
    ]
    return {
        "accuracy_mean": round(statistics.mean(accuracies), 5),
        "accuracy_sd": round(statistics.stdev(accuracies), 5) if len(accuracies) > 1 else None,
        "seeds": len(accuracies),
        "multiple_of_k": round(statistics.median(multiples), 3),
        "least_multiple": round(min(multiples), 3),
        "largest_multiple": round(max(multiples), 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="swift-90,swift-93,swift-94,swift-95")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    presets = options.presets.split(",")
    rounds = record.kept(options.out).get("rounds", [])
    for seed in range(len(rounds), options.seeds):
        rounds.append(one_round(presets, FIRST_SEED + seed))
        figures = {preset: summary(preset, rounds) for preset in presets}
        reads = sum(len(each["fits"]) for each in rounds)
        record.write(options.out, {"swift": figures, "rounds": rounds}, test_reads=reads)
    for preset in presets:
        print(preset, json.dumps(summary(preset, rounds)))


if __name__ == "__main__":
    main()
