"""Fit the whole catalogue on all of Fashion-MNIST and hold it against what is expected.

    python benchmarks/catalogue.py --out benchmarks/results/catalogue.json

prints the table of docs/models.md. With `--models` other rows stay if this state of the
code made them.

Of each recipe whose spread over seeds comes with the package (`benchmarks/seed_spread.py`) the mean
of ten seeds is held against its window, of all others one fit; trained on 54,000 images. That rule
is older than the accuracies: a network outside its window is a mistake in its re-creation until
shown otherwise. Runs that are saved already are used as they are, those of `seed_spread.py` too;
without them it takes most of a day on two laptop cores.
"""

from __future__ import annotations

import argparse
import math
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import record

from fittingroom.bench import fit_one
from fittingroom.cli.progress import ProgressDisplay
from fittingroom.data.sources import load_dataset
from fittingroom.models.catalog import MODELS, ModelRow
from fittingroom.runs.measured_spread import measured_variance
from fittingroom.runs.run import Run
from fittingroom.runs.spec import spec_of

#: Of a recipe whose spread over seeds was measured.
SEEDS = 10


@dataclass(frozen=True)
class Case:
    """A model, and the official test accuracy that its recipe must have: from `low` to `high`."""

    model: str
    low: float
    high: float = 1.0
    settings: dict[str, Any] = field(default_factory=dict)
    full: bool = False

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds, where that was measured."""
        dataset = load_dataset("fashion-mnist")
        spec = spec_of(dataset, self.model, settings=self.settings, full=self.full)
        known = measured_variance(spec.key, SEEDS)
        return None if known is None else math.sqrt(known.variance)

    def holds(self, accuracies: Sequence[float]) -> bool:
        """Whether their mean is in the window; that of a few of ten seeds may miss it by chance.

        A single fit is allowed 2.85 standard deviations, where that was measured.
        """
        missed = 3 * (self.sd or 0.0) * math.sqrt(max(0.0, 1 / len(accuracies) - 1 / SEEDS))
        mean = statistics.mean(accuracies)
        return self.low - missed <= mean <= self.high + missed


#: Beside the rows as they stand, on 54,000 images.
OTHERS = (
    Case("knn", 0.8551, 0.8557, full=True),
    Case("cnn-16-32-64-128", 0.88, 0.925, settings={"epochs": 10}),
    Case("wide-resnet", 0.75, 0.95, settings={"epochs": 1}),
)


def cases_of(row: ModelRow) -> list[Case]:
    """The row with the window that it has, if it has one, and what else is expected of it."""
    as_it_stands = [] if row.accuracy is None else [Case(row.name, *row.accuracy)]
    return as_it_stands + [case for case in OTHERS if case.model == row.name]


CASES = tuple(case for row in MODELS.values() for case in cases_of(row))


def fit(case: Case, runs: Path | str, seeds: int | None = None) -> dict[str, Any]:
    """Fit one case and return its figures: accuracies of all seeds, the others of the first.

    `seeds` are ten where the spread over seeds was measured, else one.
    """
    if seeds is None:
        seeds = 1 if case.sd is None else SEEDS
    found = [_fit(case, seed, runs) for seed in range(seeds)]
    accuracies = [float(run.test.correct.mean()) for run in found if run.test is not None]
    record = found[0].record
    return {
        "model": record.label,
        "trained_on": record.trained_on,
        "seeds": seeds,
        "test_accuracy": statistics.mean(accuracies),
        "test_accuracies": accuracies,
        "window": [case.low, case.high],
        "inside": case.holds(accuracies),
        "kept_epoch": record.kept_epoch,
        "fit_seconds": record.fit_seconds,
        "predict_us_per_image": record.predict_us_per_image,
        "processor": record.environment.get("processor"),
        "engine": record.engine,
        "precision": record.precision,
        "peak_memory_bytes": record.peak_memory_bytes,
        "model_bytes": record.model_bytes,
    }


def _fit(case: Case, seed: int, runs: Path | str) -> Run:
    with ProgressDisplay() as progress:
        return fit_one.fit(
            "fashion-mnist",
            case.model,
            settings=case.settings,
            seed=seed,
            full=case.full,
            runs=runs,
            on_progress=progress,
        )


def kept(out: Path, asked: Collection[str]) -> list[dict[str, Any]]:
    """The rows that `out` holds, by this state of the code, of models that aren't asked for."""
    return [row for row in record.kept(out).get("rows", []) if model_of(row) not in asked]


def model_of(row: dict[str, Any]) -> str:
    return str(row["model"].split("[")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--models", help="only these, separated by commas; others' rows stay")
    options = parser.parse_args()
    asked = options.models.split(",") if options.models else {case.model for case in CASES}
    rows = kept(options.out, asked)
    rows += [fit(case, options.runs) for case in CASES if case.model in asked]
    order = [case.model for case in CASES]
    rows.sort(key=lambda row: order.index(model_of(row)))
    for row in rows:
        low, high = row["window"]
        window = f"{low}–{high}" if high < 1 else f"≥ {low}"
        print(
            f"| `{row['model']}` | {row['trained_on']:,} | {row['test_accuracy']:.4f} "
            f"| {window}{'' if row['inside'] else ' **missed**'} |"
        )
    reads = sum(len(row["test_accuracies"]) for row in rows)
    record.write(options.out, {"rows": rows}, test_reads=reads)


if __name__ == "__main__":
    main()
