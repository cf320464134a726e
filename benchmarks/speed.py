"""How fast are the published networks, beside Keras and PyTorch in the same sitting?

    make bench
    python benchmarks/speed.py --rounds 3 --out benchmarks/results/speed.json

Each network is trained for an epoch over its share of the training images: by us, by Keras as
published and with ``mixed_bfloat16`` (and ``jit_compile`` with ``--jit``), by plain PyTorch in
float32 and with bfloat16 autocast. They take turns, several times, so that a slow minute of the
machine strikes all of them; what is told is the ratio within a turn. A first epoch warms each of
them up and isn't timed. Keras is at its best in the fastest of its variants. Networks that `--out`
holds by this state of the code are kept, so a long sitting may be held in parts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import record

from fittingroom.data.sources import load_dataset
from fittingroom.execution.children import SPIN

PEERS = Path(__file__).parent / "peers"
PEERS_PYTHON = record.ROOT / ".venv-peers" / "bin" / "python"

#: Images of an epoch: a few seconds of training for the slowest.
IMAGES = {
    "mlp-10-10": 30_000,
    "mlp-532": 20_000,
    "mlp-256-256": 30_000,
    "mlp-256-256-onehot": 30_000,
    "cnn-6-16-120": 20_000,
    "cnn-16-16-100": 20_000,
    "cnn-32-64-64": 8_000,
    "cnn-64x4": 5_000,
    "cnn-32": 30_000,
    "cnn-32-64": 20_000,
    "cnn-64-128-64": 10_000,
    "cnn-16-32-64-128": 2_560,
}

KERAS = ("published", "mixed_bfloat16", "jit")
PYTORCH = ("float32", "bfloat16")


class Peer:
    """A process that trains what it is told to, and says how fast it was."""

    def __init__(
        self,
        python: Path | str,
        script: str,
        data: Path,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._process = subprocess.Popen(
            [str(python), str(PEERS / script), str(data)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**(environment or {}), **os.environ},
        )

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def ask(self, **job: Any) -> dict[str, Any]:
        stdin, stdout = self._pipes()
        stdin.write(json.dumps(job) + "\n")
        stdin.flush()
        if not (line := stdout.readline()):
            raise SystemExit(f"{self._process.args!r} ended with {self._process.wait()}.")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _pipes(self) -> tuple[IO[str], IO[str]]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        return self._process.stdin, self._process.stdout


#: Who makes which variant.
Peers = Mapping[str, Peer]


def compare(model: str, peers: Peers, rounds: int) -> dict[str, Any]:
    """Images a second of each variant, turn by turn, and the ratios of ours to theirs."""
    speeds: dict[str, list[float]] = {variant: [] for variant in peers}
    parameters = set()
    for _ in range(rounds):
        for variant, peer in peers.items():
            answer = peer.ask(model=model, images=IMAGES[model], epochs=1, variant=variant)
            speeds[variant].append(answer["images_per_second"])
            parameters.add(answer["parameters"])
    assert len(parameters) == 1, f"{model}: not the same network, {parameters}"

    def ratios(variants: Sequence[str]) -> dict[str, float]:
        best = map(max, zip(*(speeds[variant] for variant in variants), strict=True))
        return spread([mine / theirs for mine, theirs in zip(speeds["ours"], best, strict=True)])

    return {
        "images_per_second": {name: list(map(round, seen)) for name, seen in speeds.items()},
        "as_published": ratios(["published"]),
        "at_its_best": ratios([variant for variant in KERAS if variant in peers]),
        "pytorch": {variant: ratios([variant]) for variant in PYTORCH},
    }


def spread(ratios: Sequence[float]) -> dict[str, float]:
    """Median and range of ratios, one a turn."""
    return {
        "turns": len(ratios),
        "median": round(statistics.median(ratios), 3),
        "min": round(min(ratios), 3),
        "max": round(max(ratios), 3),
    }


def range_of(ratios: dict[str, float]) -> str:
    """A `spread` as text."""
    if ratios["min"] == ratios["max"]:
        return f"{ratios['median']:.2f}, one turn"
    return f"{ratios['median']:.2f} ({ratios['min']:.2f} to {ratios['max']:.2f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(IMAGES), help="separated by commas")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jit", action="store_true", help="jit_compile too; minutes of compiling")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    train = load_dataset("fashion-mnist").train
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "train.npz"
        np.savez(data, images=train.images, labels=train.labels)
        keras = Peer(PEERS_PYTHON, "keras_networks.py", data)
        plain = Peer(sys.executable, "torch_networks.py", data)
        peers = {
            "ours": Peer(sys.executable, "our_networks.py", data, {"GOMP_SPINCOUNT": SPIN}),
            **dict.fromkeys(KERAS if options.jit else KERAS[:2], keras),
            **dict.fromkeys(PYTORCH, plain),
        }
        found: dict[str, Any] = record.kept(options.out).get("keras_speedup", {})
        for model in options.models.split(","):
            if model not in found:
                found[model] = compare(model, peers, options.rounds)
                keep(options.out, found)
            medians = [found[model][kind]["median"] for kind in ("as_published", "at_its_best")]
            print(f"{model:20} {medians[0]:6.2f} {medians[1]:6.2f}", flush=True)
    means = keep(options.out, found).values()
    print("geometric mean      ", *(f"{mean:6.2f}" for mean in means))


def keep(out: Path, found: dict[str, Any]) -> dict[str, float]:
    """Write what was found so far; the geometric means over it."""
    means = {
        kind: round(statistics.geometric_mean([row[kind]["median"] for row in found.values()]), 3)
        for kind in ("as_published", "at_its_best")
    }
    record.write(out, {"keras_speedup": found, "geometric_mean": means})
    return means


if __name__ == "__main__":
    main()
