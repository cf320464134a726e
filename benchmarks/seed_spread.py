"""How accurate is each recipe of the catalogue, and how much does that vary from seed to seed?

    python benchmarks/seed_spread.py --models cnn-32,swift --out benchmarks/results/recipes/cnn.json

Fits ten seeds of each recipe on 54,000 training images of Fashion-MNIST, one of a deterministic
model, and predicts the official test images. Saved runs are used as they are, so the same command
goes on where it was stopped. Without `--models` it fits what no other result has yet. Each result
enters its reads of the test images in the ledger, those of saved runs too.

All results in that folder together make the table of docs/models.md, and
`src/fittingroom/runs/measured_spread.json`, which comes with the package: the spread of each recipe
that has at least ten seeds. `--tables` makes both anew and fits nothing.

The window of each recipe is older than its accuracy: a mean outside it is a mistake in the recipe
until shown otherwise. No model and no setting is chosen by what is found here.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import record
from speed_page import columns, put

from fittingroom.bench.bench import open_bench
from fittingroom.bench.progress import Reporter
from fittingroom.cli.progress import ProgressDisplay
from fittingroom.data.catalog import DATASETS
from fittingroom.data.sources import load_dataset
from fittingroom.evaluation.seed_spread import SeedVariance
from fittingroom.files import replace_file
from fittingroom.models.catalog import MODELS, names_of, row_of
from fittingroom.models.rows import ModelRow
from fittingroom.runs.measured_spread import FILE, measured_variance
from fittingroom.runs.run import Run
from fittingroom.runs.spec import RunSpec, expected_seconds, spec_of
from fittingroom.runs.store import open_store

DATASET = DATASETS["fashion-mnist"]
PAGE = record.ROOT / "docs" / "models.md"
RESULTS = record.RESULTS / "recipes"
SHIPPED = record.ROOT / "src" / "fittingroom" / "runs" / FILE
#: Fewer seeds say too little of a spread to be brought along.
SEEDS = 10


@dataclass(frozen=True)
class Case:
    """A recipe, and the official test accuracy that it must have: from `low` to `high`."""

    model: str
    low: float
    high: float = 1.0
    settings: Mapping[str, Any] = field(default_factory=dict)
    full: bool = False

    def spec(self, seed: int = 0) -> RunSpec:
        """What is fitted; the images themselves aren't needed for it."""
        dataset: Any = SimpleNamespace(
            sha256=DATASET.content,
            image_shape=(28, 28),
            mirror_keeps_class=DATASET.mirror_keeps_class,
        )
        return spec_of(dataset, self.model, settings=self.settings, seed=seed, full=self.full)

    @property
    def trained_on(self) -> int:
        return 60_000 if self.full else 54_000

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds, where that was measured."""
        known = measured_variance(self.spec().key, SEEDS)
        return None if known is None else math.sqrt(known.variance)

    def holds(self, mean: float, seeds: int) -> bool:
        """Whether the mean accuracy of so many seeds is in the window.

        That of a few of ten seeds may miss it by chance, where the spread was measured; a single
        fit by 2.85 standard deviations.
        """
        missed = 3 * (self.sd or 0.0) * math.sqrt(max(0.0, 1 / seeds - 1 / SEEDS))
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", help="these alone, separated by commas")
    parser.add_argument("--seeds", type=int, default=SEEDS, help="of each (10)")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="the folder of the fits")
    parser.add_argument("--on", default="local:1", help="where fits run, as that of compare")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--tables", action="store_true", help="fit nothing")
    options = parser.parse_args()
    if not options.tables:
        if options.out is None:
            parser.error("--out names the result, a file in benchmarks/results/recipes.")
        cases = cases_for(options.models, options.out)
        runs = fit(cases, options.runs, options.seeds, options.on)
        rows = [figures(case, found) for case, found in zip(cases, runs, strict=True)]
        reads = sum(row["seeds"] for row in rows)
        record.write(options.out, {"dataset": "fashion-mnist", "recipes": rows}, test_reads=reads)
    replace_file(SHIPPED, shipped())
    replace_file(PAGE, with_table(PAGE.read_text(encoding="utf-8")))


def cases_for(models: str | None, out: Path) -> list[Case]:
    """The cases of these models, separated by commas; or those that no other result has.

    Raises SystemExit where there are none, or `out` would be one result too many of a recipe.
    """
    known = measured(without=out)
    asked = names_of(models.split(",")) if models else tuple(MODELS)
    cases = [case for case in CASES if case.model in asked]
    if models is None:
        cases = [case for case in cases if case.spec().key not in known]
    if not cases:
        raise SystemExit("every recipe is in another result already; name some with --models.")
    twice = [case.model for case in cases if case.spec().key in known]
    if twice and out.resolve().parent == RESULTS:
        raise SystemExit(f"{', '.join(twice)}: another result in {RESULTS} has that already.")
    return cases


def fit(
    cases: Sequence[Case], runs: Path | str, seeds: int = SEEDS, on: str = "local:1"
) -> list[list[Run]]:
    """The runs of each case, by seed; those that aren't saved in `runs` yet are fitted.

    Raises SystemExit where a fit fails.
    """
    dataset = load_dataset("fashion-mnist")
    specs = [
        [case.spec(seed) for seed in range(1 if row_of(case.model).deterministic else seeds)]
        for case in cases
    ]
    asked = [spec for of_case in specs for spec in of_case]
    seconds = {spec.label: expected_seconds(spec, dataset) for spec in asked}
    plan = {
        label: (sum(spec.label == label for spec in asked), seconds[label]) for label in seconds
    }
    fitted: dict[RunSpec, Run] = {}
    with (
        ProgressDisplay(plan) as progress,
        open_bench(dataset, open_store(runs, dataset), on=on, keep_models=False) as bench,
    ):
        reporter = Reporter(
            progress,
            total=len(asked),
            at_once=lambda: bench.executor.at_once,
            expected=lambda spec: seconds[spec.label],
        )
        for attempt in bench.attempts(asked, reporter):
            if attempt.run is None:
                raise SystemExit(f"{attempt.spec.label} was not fitted: {attempt.reason}")
            fitted[attempt.spec] = attempt.run
            reporter.ended(attempt)
    return [[fitted[spec] for spec in of_case] for of_case in specs]


def correct_of(runs: Sequence[Run]) -> np.ndarray:
    """Which test images each run has right, (seeds, n)."""
    return np.stack([run.test.correct for run in runs if run.test is not None])


def figures(case: Case, runs: Sequence[Run]) -> dict[str, Any]:
    """The figures of one recipe; of its spread, where there are several seeds."""
    correct = correct_of(runs)
    accuracies = correct.mean(axis=1).tolist()
    spread = SeedVariance.of(correct)
    first = runs[0].record
    return {
        "model": first.label,
        "trained_on": first.trained_on,
        "key": case.spec().key,
        "seeds": len(runs),
        "accuracy": statistics.mean(accuracies),
        "accuracies": accuracies,
        **(
            {"sd": spread.variance**0.5, "variance": spread.variance, "noise": spread.noise}
            if len(runs) > 1
            else {}
        ),
        "precision": first.precision,
        "engine": first.engine,
        "processor": first.environment.get("processor"),
        "peak_memory_bytes": max(run.record.peak_memory_bytes or 0 for run in runs),
    }


def measured(without: Path | None = None) -> dict[str, dict[str, Any]]:
    """What all results but one say of each recipe, by its key.

    Raises SystemExit where two results have the same recipe.
    """
    found: dict[str, dict[str, Any]] = {}
    for path in sorted(RESULTS.glob("*.json")):
        if without is not None and path == without.resolve():
            continue
        for row in json.loads(path.read_text(encoding="utf-8"))["recipes"]:
            if row["key"] in found:
                raise SystemExit(f"{path} has {row['model']}, which another result has too.")
            found[row["key"]] = row
    return found


def shipped() -> str:
    """The file that comes with the package: of each recipe of ten seeds or more its spread."""
    rows = sorted(measured().values(), key=lambda row: str(row["model"]))
    kept = ("model", "key", "seeds", "variance", "noise")
    recipes = [{name: row[name] for name in kept} for row in rows if row["seeds"] >= SEEDS]
    return json.dumps({"dataset": "fashion-mnist", "recipes": recipes}, indent=2) + "\n"


def with_table(page: str) -> str:
    """The page on the models with its table of accuracies made anew."""
    known = measured()
    heads = ["model", "trained on", "test accuracy", "sd over seeds", "seeds", "expected"]
    lines = [columns(heads), columns(["---"] * len(heads))]
    rows = ((case, known.get(case.spec().key)) for case in CASES)
    lines += [columns(cells(case, row)) for case, row in rows if row]
    return put(page, "accuracies", lines)


def cells(case: Case, row: Mapping[str, Any]) -> list[str]:
    """A recipe's line in the table."""
    of_seeds = [f"{row['sd']:.4f}" if "sd" in row else "unknown", str(row["seeds"])]
    window = f"{case.low}–{case.high}" if case.high < 1 else f"≥ {case.low}"
    missed = "" if case.holds(row["accuracy"], row["seeds"]) else " **missed**"
    return [
        f"`{case.spec().label}`",
        f"{case.trained_on:,}",
        f"{row['accuracy']:.4f}",
        *(["none", "any"] if row_of(case.model).deterministic else of_seeds),
        window + missed,
    ]


if __name__ == "__main__":
    main()
