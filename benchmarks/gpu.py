"""How accurate are ``swift`` and ``wide-resnet`` on a GPU, and how long do they train?

    python benchmarks/gpu.py --seeds 3 --out benchmarks/results/gpu.json

All 60,000 training images, the last epoch of a schedule fixed in advance, one reading of the test
images a seed. A fit that is saved isn't made again, and one that was killed goes on from its
checkpoint, so a long one may take several sittings: start the same command again, with the same
``--runs``. A short fit before each model's first warms the GPU up. Predictions are made on the
processor and are no part of the seconds.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import record
import torch

from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.models.making import make_classifier
from fittingroom.runs.attempt import FitStep
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store, open_store

MODELS = "swift-90,swift-93,swift-94,wide-resnet"
#: Images of the fit that warms up: some steps at every batch size.
WARM_UP = 2048


def figures_of(store: Store, dataset: Dataset, model: str, seed: int) -> dict[str, Any]:
    """The figures of a saved run, or of a new one."""

    def on_step(step: FitStep) -> None:
        print(f"{model} seed {seed}: epoch {step.done} of {step.total}")

    run = fit(
        spec_of(dataset, model, settings={"device": "cuda"}, seed=seed, full=True),
        dataset,
        store,
        on_step=on_step,
    )
    assert run.test is not None
    return {
        "model": model,
        "seed": seed,
        "accuracy": float(run.test.correct.mean()),
        "fit_seconds": run.record.fit_seconds,
        "precision": run.record.precision,
        "device": run.record.device,
    }


def summary(fits: list[dict[str, Any]]) -> dict[str, Any]:
    """The models' figures over their seeds."""
    found = {}
    for model in dict.fromkeys(each["model"] for each in fits):
        accuracies, seconds = (
            [each[figure] for each in fits if each["model"] == model]
            for figure in ("accuracy", "fit_seconds")
        )
        found[model] = {
            "accuracy_mean": round(statistics.mean(accuracies), 5),
            "accuracy_sd": round(statistics.stdev(accuracies), 5) if len(accuracies) > 1 else None,
            "seeds": len(accuracies),
            "fit_seconds_median": round(statistics.median(seconds), 2),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=MODELS, help="separated by commas")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        raise SystemExit("there is no CUDA device here; run this on a machine that has one.")
    dataset = load_dataset("fashion-mnist")
    store = open_store(options.runs, dataset)
    fits: list[dict[str, Any]] = []
    for model in options.models.split(","):
        train = dataset.train
        warm = make_classifier(model, dataset=dataset, device="cuda", epochs=1)
        warm.fit(train.images[:WARM_UP], train.labels[:WARM_UP])
        for seed in range(options.seeds):
            fits.append(figures_of(store, dataset, model, seed))
            models = summary(fits)
            figures = {"gpu": torch.cuda.get_device_name(), "models": models, "fits": fits}
            # After each: a sitting may end at any time.
            record.write(options.out, figures, test_reads=len(fits))
            print(model, models[model], flush=True)


if __name__ == "__main__":
    main()
