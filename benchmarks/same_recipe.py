"""Tables of eight "models" that are one recipe: how often is one called better than another?

    python benchmarks/seed_spread.py --models mlp-10-10,mlp-256-256,cnn-32,swift-90 --seeds 48 --runs runs/spread --out four.json
    python benchmarks/same_recipe.py --runs runs/spread --out benchmarks/results/same-recipe.json

Real fits of Fashion-MNIST, 48 seeds of each recipe. Each table draws eight disjoint groups of 1, 2,
3 or 5 seeds at random; whatever is called different differs by its seeds alone. "Measured": each
group goes by the spread of some of the other seeds too, five for a single fit, four for two and three
for three, as if that had been measured beforehand. The tables of a recipe share its fits.
"""  # noqa: E501

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import honesty
import numpy as np
import record
from seed_spread import correct_of

from fittingroom.evaluation.ranking import ALPHA, adjust_p_values, rank_models
from fittingroom.evaluation.recipe_fits import Fits
from fittingroom.evaluation.seed_spread import SeedVariance
from fittingroom.runs.run import Run
from fittingroom.runs.store import find_store

MODELS, SEEDS = 8, 48
GROUPS = (1, 2, 3, 5)


def recipes(folder: Path) -> dict[str, np.ndarray]:
    """Which test images the saved fits of each recipe have right, (48 seeds or more, n)."""
    found: dict[tuple[str, str], list[Run]] = {}
    for run in find_store(folder).runs():
        if run.test is not None and not run.record.deterministic:
            found.setdefault((run.record.spec.model, run.record.spec.key), []).append(run)
    return {
        model: correct_of(sorted(runs, key=lambda run: run.record.spec.seed))
        for (model, _), runs in sorted(found.items())
        if len(runs) >= SEEDS
    }


def tables(
    correct: np.ndarray, group: int, measured: bool, n_tables: int
) -> Iterator[dict[str, Fits]]:
    """Tables of disjoint groups of the fits (48, n)."""
    random = np.random.default_rng(0)
    for _ in range(n_tables):
        order = random.permutation(len(correct))
        each = len(order) // MODELS
        yield {
            f"model {i}": Fits(
                correct[seeds[:group]],
                known=SeedVariance.of(correct[seeds[group:]]).measured() if measured else None,
            )
            for i, seeds in enumerate(order[: MODELS * each].reshape(MODELS, each))
        }


def shares(correct: np.ndarray, group: int, measured: bool, n_tables: int) -> dict[str, float]:
    """Of the tables, those that call some pair different; and of the pairs."""
    wrong, pairs, usual = [], [], []
    for recipes in tables(correct, group, measured, n_tables):
        ranking = rank_models(recipes)
        called = [(pair.p_adjusted or 1.0) <= ALPHA for pair in ranking.pairs]
        wrong.append(any(called))
        pairs.append(np.mean(called))
        usual.append(min(adjust_p_values(honesty.usual(recipes))) <= ALPHA)
    return {
        "tables": n_tables,
        "wrong_tables": float(np.mean(wrong)),
        "wrong_pairs": float(np.mean(pairs)),
        "wrong_tables_by_the_usual_test": float(np.mean(usual)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--tables", type=int, default=1000)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    found = []
    print(
        f"{'recipe':14} {'seeds':>5} {'measured':>8} {'wrong':>7} {'usual':>7}  of tables of eight"
    )
    for model, correct in recipes(options.runs).items():
        for group in GROUPS:
            for measured in (True, False):
                if group == (5 if measured else 1):  # too few others; nothing known
                    continue
                share = shares(correct, group, measured, options.tables)
                found.append({"model": model, "seeds": group, "measured": measured, **share})
                ours, usual = share["wrong_tables"], share["wrong_tables_by_the_usual_test"]
                print(f"{model:14} {group:5} {measured!s:>8} {ours:7.1%} {usual:7.1%}", flush=True)
    if options.out:
        record.write(options.out, {"models": MODELS, "of": SEEDS, "recipes": found})


if __name__ == "__main__":
    main()
