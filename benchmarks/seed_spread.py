"""How much each recipe of the catalogue varies over seeds: what comes with the package.

    python benchmarks/seed_spread.py --models cnn-32,swift --seeds 10 --runs runs/spread

Fits what isn't saved yet, ten seeds of each recipe or more, on the training part of Fashion-MNIST,
and writes the variance of the test accuracy to `src/fittingroom/runs/measured_spread.json`. Recipes
whose runs aren't in that folder go. Of the test images only the spread is taken: no model and no
setting is chosen by it. What the file held before isn't counted as read once more.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import record

from fittingroom.bench.comparison.compare import compare
from fittingroom.cli.progress import ProgressDisplay
from fittingroom.evaluation.seed_spread import SeedVariance
from fittingroom.models.catalog import names_of, row_of
from fittingroom.runs.measured_spread import FILE
from fittingroom.runs.run import Run
from fittingroom.runs.store import find_store

OUT = record.ROOT / "src/fittingroom/runs" / FILE
#: Fewer seeds say too little of a spread to be brought along.
LEAST = 10


def correct_of(runs: list[Run]) -> np.ndarray:
    """Which test images each seed has right, (seeds, n), by seed."""
    ordered = sorted(runs, key=lambda run: run.record.spec.seed)
    return np.stack([run.test.correct for run in ordered if run.test is not None])


def saved(folder: Path) -> Mapping[tuple[str, str], list[Run]]:
    """The tested runs of each model by the key of what was asked."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in find_store(folder).runs():
        if run.test is not None and not run.record.deterministic:
            found.setdefault((run.record.spec.model, run.record.spec.key), []).append(run)
    return {of: runs for of, runs in found.items() if len(runs) >= LEAST}


def recipe(model: str, key: str, runs: list[Run]) -> dict[str, Any]:
    """The figures of one recipe."""
    correct = correct_of(runs)
    found = SeedVariance.of(correct)
    return {
        "model": model,
        "key": key,
        "seeds": len(correct),
        "accuracy": float(correct.mean()),
        "sd": found.variance**0.5,
        "variance": found.variance,
        "noise": found.noise,
        "precision": runs[0].record.precision,
        "processor": runs[0].record.environment.get("processor"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", help="fit these first")
    parser.add_argument("--seeds", type=int, default=LEAST, help="of each (10)")
    parser.add_argument("--runs", type=Path, required=True, help="the folder of the fits")
    parser.add_argument("--on", default="local:1")
    options = parser.parse_args()
    if options.models:
        names = names_of(options.models.split(","))
        planned: dict[str, tuple[int, float | None]] = {
            name: (options.seeds, row_of(name).expected_seconds()) for name in names
        }
        with ProgressDisplay(planned) as progress:
            compare(
                "fashion-mnist",
                names,
                n_seeds=options.seeds,
                runs=options.runs,
                keep_models="none",
                on=options.on,
                on_progress=progress,
            )
    recipes = [recipe(model, key, runs) for (model, key), runs in saved(options.runs).items()]
    ordered = sorted(recipes, key=lambda each: each["model"])
    for each in ordered:
        print(
            f"{each['model']:24} {each['seeds']:3} seeds {each['accuracy']:8.2%}"
            f"  sd {100 * each['sd']:.2f} points"
        )
    before = {each["key"]: each["seeds"] for each in json.loads(OUT.read_text("utf8"))["recipes"]}
    reads = sum(max(each["seeds"] - before.get(each["key"], 0), 0) for each in ordered)
    record.write(OUT, {"dataset": "fashion-mnist", "recipes": ordered}, test_reads=reads)


if __name__ == "__main__":
    main()
