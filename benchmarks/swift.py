"""How long do the presets of `swift` take, and how accurate are they, over several seeds?

    python benchmarks/swift.py --seeds 5 --out benchmarks/results/swift.json

The unit is K, the time that Keras takes for ten epochs of ``cnn-32`` in the same sitting. All
60,000 training images, the last epoch of a schedule fixed in advance, one reading of the test
images a seed. Seeds run in turn over the presets, and K is measured before and after.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import record
from speed import PEERS, PEERS_PYTHON, Peer

from fittingroom.bench.executor import SPIN
from fittingroom.data.sources import load_dataset


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--presets", default="swift-90,swift-93,swift-94,swift-95")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    presets = options.presets.split(",")
    units = [keras_seconds()]
    fits = [fit(preset, seed) for seed in range(options.seeds) for preset in presets]
    units.append(keras_seconds())
    unit = statistics.mean(units)
    figures = {}
    for preset in presets:
        of_preset = [each for each in fits if each["preset"] == preset]
        accuracies = [each["accuracy"] for each in of_preset]
        seconds = [each["fit_seconds"] + each["predict_seconds"] for each in of_preset]
        figures[preset] = {
            "accuracy_mean": round(statistics.mean(accuracies), 5),
            "accuracy_sd": round(statistics.stdev(accuracies), 5) if len(accuracies) > 1 else None,
            "seeds": options.seeds,
            "seconds": seconds,
            "multiple_of_k": round(statistics.median(seconds) / unit, 3),
        }
        print(preset, json.dumps(figures[preset]))
    print(f"K: {', '.join(f'{unit:.1f} s' for unit in units)}")
    record.write(options.out, {"k_seconds": units, "swift": figures, "fits": fits})


if __name__ == "__main__":
    main()
