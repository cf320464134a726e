"""Do the leaderboard's tests keep their promise? Simulated models whose truth is known.

    python benchmarks/honesty.py --out benchmarks/results/honesty.json

Each simulation draws new test images and new seeds. Images have a difficulty that both models
share (logit-normal, so that most are easy), each model finds some images easier than the other
does, and each fit has its own luck on every image. Two fits of one model disagree about 5% of the
images and fits of two models about 8%: what perceptrons do on Fashion-MNIST (5 to 6% and 7%).
Takes about 10 s on one core; the expectation is at most 6.5% called different where the expected
accuracies are equal, and at least 80% where they are one point apart (5 seeds).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import record
from numpy.typing import NDArray

from fittingroom.evaluation.significance import ALPHA, PairedDifference, compare_pair

ACCURACY = 0.90
SHARED_SD = 6.0  # of the images' difficulty on the logit scale
OWN_SD = 2.0  # of what one model finds easier than another


@dataclass(frozen=True)
class Scenario:
    """Two models: seeds of each, true gap and seed standard deviation in points of accuracy.

    `fixed_a`: model A is deterministic, fitted once. `at_most` and `at_least` bound the share
    of simulations that may, or must, be called different.
    """

    seeds: int
    gap: float
    seed_sd: float
    fixed_a: bool = False
    at_most: float | None = None
    at_least: float | None = None


SCENARIOS = (
    Scenario(seeds=3, gap=0.0, seed_sd=0.0, at_most=0.065),
    Scenario(seeds=3, gap=0.0, seed_sd=0.3, at_most=0.065),
    Scenario(seeds=5, gap=0.0, seed_sd=0.0, at_most=0.065),
    Scenario(seeds=5, gap=0.0, seed_sd=0.3, at_most=0.065),
    Scenario(seeds=5, gap=1.0, seed_sd=0.0, at_least=0.80),
    Scenario(seeds=5, gap=1.0, seed_sd=0.3, at_least=0.80),
    Scenario(seeds=3, gap=0.0, seed_sd=0.3, fixed_a=True),
    Scenario(seeds=5, gap=0.0, seed_sd=0.3, fixed_a=True),
    Scenario(seeds=1, gap=0.0, seed_sd=0.0, fixed_a=True),
)


@dataclass(frozen=True)
class Outcome:
    """What the simulations of one scenario gave; standard errors and gaps in points."""

    scenario: Scenario
    simulations: int
    called_different: float
    interval_holds_truth: float
    mean_standard_error: float | None
    true_standard_error: float

    @property
    def met(self) -> bool:
        low, high = self.scenario.at_least, self.scenario.at_most
        return (low is None or self.called_different >= low) and (
            high is None or self.called_different <= high
        )

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "met": self.met}


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits))


def offset_for(accuracy: float) -> float:
    """The mean logit at which a model's expected accuracy over images is `accuracy`."""
    nodes = np.linspace(-8, 8, 2001)
    weights = np.exp(-(nodes**2) / 2)
    spread = float(np.hypot(SHARED_SD, OWN_SD))
    low, high = -20.0, 20.0
    for _ in range(60):
        middle = (low + high) / 2
        reached = weights @ logistic(middle + spread * nodes) / weights.sum()
        low, high = (middle, high) if reached < accuracy else (low, middle)
    return (low + high) / 2


def fits(
    rng: np.random.Generator, chance: NDArray[np.float64], seeds: int, seed_sd: float
) -> NDArray[np.bool_]:
    """Which images each seed has right, (seeds, n), given a model's chance on every image (n,).

    A seed's expected accuracy is off by a normal draw of `seed_sd` points, spread over the
    images that can go either way; p (1 - p) keeps every chance between 0 and 1.
    """
    either_way = chance * (1 - chance)
    shift = rng.normal(0.0, seed_sd / 100, size=(seeds, 1))
    lifted = chance + shift * either_way / either_way.mean()
    return np.asarray(rng.random((seeds, len(chance))) < lifted)


def simulate(
    scenario: Scenario, simulations: int, images: int = 10_000, seed: int = 0
) -> list[PairedDifference]:
    """Compare A and B, which truly differ by `gap` points, once for each simulation."""
    rng = np.random.Generator(np.random.SFC64(seed))
    offsets = [offset_for(ACCURACY), offset_for(ACCURACY - scenario.gap / 100)]
    results = []
    for _ in range(simulations):
        shared = rng.normal(0.0, SHARED_SD, images)
        a, b = (logistic(offset + shared + rng.normal(0.0, OWN_SD, images)) for offset in offsets)
        fits_a = fits(rng, a, 1, 0.0) if scenario.fixed_a else None
        if fits_a is None:
            fits_a = fits(rng, a, scenario.seeds, scenario.seed_sd)
        fits_b = fits(rng, b, scenario.seeds, scenario.seed_sd)
        results.append(compare_pair(fits_a, fits_b, fixed_a=scenario.fixed_a))
    return results


def outcome(scenario: Scenario, results: Sequence[PairedDifference]) -> Outcome:
    """How often "different" was said, and how far the standard error is from the true one."""
    errors = [result.standard_error for result in results if result.standard_error is not None]
    truth = scenario.gap / 100
    return Outcome(
        scenario=scenario,
        simulations=len(results),
        called_different=sum(result.p <= ALPHA for result in results) / len(results),
        interval_holds_truth=sum(truth in result.interval for result in results) / len(results),
        mean_standard_error=100 * float(np.sqrt(np.mean(np.square(errors)))) if errors else None,
        true_standard_error=100 * float(np.std([result.difference for result in results], ddof=1)),
    )


def line(found: Outcome) -> str:
    scenario = found.scenario
    bound = ""
    if scenario.at_most is not None:
        bound = f"at most {scenario.at_most:.1%}"
    if scenario.at_least is not None:
        bound = f"at least {scenario.at_least:.0%}"
    judged = ("met" if found.met else "MISSED") if bound else ""
    seeds = f"{'1 fixed' if scenario.fixed_a else scenario.seeds} / {scenario.seeds}"
    error = "" if found.mean_standard_error is None else f"{found.mean_standard_error:.3f}"
    return (
        f"{seeds:>12} {scenario.gap:>6.1f} {scenario.seed_sd:>8.1f} {found.called_different:>10.1%}"
        f" {bound:>14} {judged:>7} {found.interval_holds_truth:>9.1%}"
        f" {error:>9} {found.true_standard_error:>8.3f}"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000, help="of each scenario (1000)")
    parser.add_argument("--images", type=int, default=10_000, help="test images of each (10000)")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (0)")
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args(arguments)
    print(
        f"{'seeds A / B':>12} {'gap':>6} {'seed sd':>8} {'different':>10} {'bound':>14} {'':>7}"
        f" {'in ci95':>9} {'mean SE':>9} {'true SE':>8}   (gap, sd and SE in points)"
    )
    found = []
    for scenario in SCENARIOS:
        results = simulate(scenario, options.simulations, options.images, options.seed)
        found.append(outcome(scenario, results))
        print(line(found[-1]), flush=True)
    if options.out:
        figures = {
            "simulations": options.simulations,
            "images": options.images,
            "seed": options.seed,
            "alpha": ALPHA,
            "scenarios": [each.to_dict() for each in found],
        }
        record.write(options.out, figures, arguments)
    return 0 if all(each.met for each in found) else 1


if __name__ == "__main__":
    sys.exit(main())
