"""How often is a network called different from itself? Thirty real seeds in ten disjoint triples.

    python benchmarks/triples.py --out benchmarks/results/triples.json

Any two triples are fits of the same model with other seeds, so every difference that is called
significant at 5% is a false one. Ten triples are few and their 45 pairs share them, so the share of
false calls is also counted over many random pairs of triples from the same thirty fits. About 20
minutes on two laptop cores.
"""

from __future__ import annotations

import argparse
from itertools import combinations
from pathlib import Path

import numpy as np
import record

from fittingroom.bench.compare import compare
from fittingroom.cli.progress import ProgressDisplay
from fittingroom.evaluation.significance import compare_pair
from fittingroom.runs.store import find_store

MODEL, SEEDS = "mlp-256-256", 30
RANDOM_PAIRS = 2000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs/triples"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with ProgressDisplay({MODEL: (SEEDS, 40.0)}) as progress:
        compare(
            *("fashion-mnist", [MODEL]),
            seeds=SEEDS,
            runs=options.runs,
            keep_models="none",
            on_progress=progress,
        )
    runs = sorted(find_store(options.runs).runs(), key=lambda run: run.record.asked.seed)
    correct = np.stack([run.test.correct for run in runs if run.test is not None])  # (30, 10,000)
    triples = correct.reshape(SEEDS // 3, 3, -1)
    pairs = [compare_pair(a, b) for a, b in combinations(triples, 2)]
    disjoint = [compare_pair(triples[i], triples[i + 1]) for i in range(0, len(triples), 2)]
    random = np.random.default_rng(0)
    drawn = [random.permutation(SEEDS)[:6] for _ in range(RANDOM_PAIRS)]
    drawn_p = [compare_pair(correct[six[:3]], correct[six[3:]]).p for six in drawn]
    accuracies = correct.mean(axis=1)
    figures = {
        "model": MODEL,
        "seeds": SEEDS,
        "accuracy_mean": float(accuracies.mean()),
        "accuracy_sd": float(accuracies.std(ddof=1)),
        "accuracies": accuracies.tolist(),
        "pairs_of_triples": len(pairs),
        "called_different": sum(pair.p < 0.05 for pair in pairs),
        "disjoint_pairs": len(disjoint),
        "disjoint_called_different": sum(pair.p < 0.05 for pair in disjoint),
        "random_pairs": RANDOM_PAIRS,
        "random_share_called_different": float(np.mean(np.array(drawn_p) < 0.05)),
        "smallest_p": min(pair.p for pair in pairs),
    }
    for name, figure in figures.items():
        if name != "accuracies":
            print(f"{name:26} {figure}")
    record.write(options.out, figures)


if __name__ == "__main__":
    main()
