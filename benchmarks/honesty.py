"""Do the leaderboard's tests keep their promise? Simulated recipes whose truth is known.

    python benchmarks/honesty.py --out benchmarks/results/honesty.json
    python benchmarks/honesty.py --only unbalanced --out benchmarks/results/honesty-unbalanced.json

Each simulation draws new test images and new seeds. Images have a difficulty that all recipes share
(logit-normal, so that most are easy), each recipe finds some images easier than others do, and each
fit has its own luck on every image. Two fits of one recipe disagree about 6% of the images and fits
of two recipes about 8%: what perceptrons do on Fashion-MNIST (5 to 6% and 7%).

Beside ours stand two other tests of the same fits: the usual one (exact McNemar for one fit each,
else Student's t with Satterthwaite's degrees of freedom and a spread for each recipe by itself),
and the one that takes the spread of all recipes for the same.

A table is wrong where some pair is called different though all recipes are equal: at most 6.5% may
be, up to one standard error of the simulation. "Looks" are of tables that are shown again and again
with more seeds each time: wrong is any of them that calls a pair different. Where recipes do differ
no fewer pairs are to be found than by the spread that is taken for the same. Takes more than an
hour on two cores; `--simulations 100 --only pairs` a minute.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import cache, partial
from itertools import combinations
from pathlib import Path
from typing import Any, Literal

import numpy as np
import record
from numpy.typing import NDArray
from scipy import stats

from fittingroom.evaluation.paired_difference import mcnemar
from fittingroom.evaluation.ranking import ALPHA, Ranking, adjust_p_values, rank_models
from fittingroom.evaluation.recipe_fits import Fits
from fittingroom.evaluation.seed_spread import SeedVariance

SHARED_SD = 6.0  # of the images' difficulty on the logit scale
OWN_SD = 2.0  # of what one recipe finds easier than another
#: The widest spread over seeds and the narrowest, in points, where they are unequal.
LEAST, MOST = 0.05, 2.6
#: By how much a collapsed fit is worse, in points.
COLLAPSE = 20.0
AT_MOST = 0.065
#: Of the intervals of balanced accuracies, at least so many hold the truth.
HOLD = 0.935

Right = NDArray[np.bool_]
Spread = float | Literal["unequal", "one wild", "same"]


@dataclass(frozen=True)
class Scenario:
    """A table of recipes.

    Attributes
    ----------
    seeds : of each recipe, in turn; 0 is a deterministic one
    spread : standard deviation over seeds, in points; `unequal`: evenly on a logarithmic scale
        from 0.05 to 2.6; `one wild`: one of 2.6, the others 0.05; `same`: 0.3, of one recipe
    measured : seeds by which each spread was measured beforehand
    gap : by how many points the first recipe is better than all others
    copies : near-copies of each test image, the image counted
    ratio : how many times as many images the largest class has as the smallest, which is the
        hardest; above 1 all classes count alike
    classes : how many
    opposite : to every second recipe the smallest class is the easiest, so that recipes of the same
        balanced accuracy are right about other images
    collapsing : share of the seeds that fail to learn
    looks : how many seeds each recipe has where the table is shown, one time after the other
    """

    group: str
    models: int
    seeds: tuple[int, ...]
    spread: Spread = 0.3
    measured: int = 0
    gap: float = 0.0
    images: int = 10_000
    accuracy: float = 0.90
    copies: int = 1
    ratio: float = 1.0
    classes: int = 10
    opposite: bool = False
    collapsing: float = 0.0
    looks: tuple[int, ...] = ()

    @property
    def spreads(self) -> list[float]:
        if self.spread == "unequal":
            return [*map(float, np.geomspace(LEAST, MOST, self.models))]
        if self.spread == "one wild":
            return [MOST, *[LEAST] * (self.models - 1)]
        return [0.3 if self.spread == "same" else float(self.spread)] * self.models

    @property
    def accuracies(self) -> NDArray[np.float64]:
        """The true ones of the recipes."""
        gaps = np.array([0.0, *[self.gap] * (self.models - 1)])
        collapsed = [0.0 if not seeds else self.collapsing * COLLAPSE for seeds in self.all_seeds]
        return self.accuracy - (gaps + collapsed) / 100

    @property
    def all_seeds(self) -> list[int]:
        return [self.seeds[i % len(self.seeds)] for i in range(self.models)]


def scenarios() -> Iterator[Scenario]:
    """All that is simulated."""
    spreads: tuple[Spread, ...] = (0.0, 0.1, 0.3, 1.0, "unequal")
    of_looks: tuple[Spread, ...] = (0.3, 1.0, "unequal")
    for models, group in ((2, "pairs"), (7, "sevens"), (20, "twenties")):
        for spread in spreads:
            yield Scenario(group, models, (1,), spread, measured=10)
            for seeds in (2, 3, 5, 10):
                yield Scenario(group, models, (seeds,), spread)
        for seeds in (2, 3, 5):
            yield Scenario(group, models, (seeds,), "one wild")
            yield Scenario(group, models, (seeds,), "same")
        yield Scenario(group, models, (3,), 0.3, gap=1.5)
        yield Scenario(group, models, (3,), 0.3, measured=10, gap=1.5)
        yield Scenario(group, models, (1,), 0.3, measured=10, gap=1.5)
    for spread in (0.3, 1.0):
        yield Scenario("mixtures", 2, (0, 2), spread)
        yield Scenario("mixtures", 2, (0, 3), spread)
        yield Scenario("mixtures", 7, (0, 0, 3), spread)
        yield Scenario("mixtures", 7, (0, 2, 3, 5, 10), spread)
    for unequal in ((2, 10), (10, 2), (1, 10), (1, 2, 3, 5, 10)):
        yield Scenario("mixtures", 2 if len(unequal) == 2 else 7, unequal, "unequal")
    for images in (100, 300, 1000):
        for accuracy in (0.5, 0.7, 0.9, 0.97, 0.997):
            for kind in ((0,), (3,), (0, 3)):
                yield Scenario("images", 2, kind, 0.3, images=images, accuracy=accuracy)
        yield Scenario("images", 7, (3,), 0.3, images=images)
        yield Scenario("images", 7, (0,), images=images)
    for accuracy in (0.5, 0.7, 0.97, 0.997):
        for kind in ((0,), (3,), (0, 3)):
            yield Scenario("images", 2, kind, 0.3, accuracy=accuracy)
    for kind in ((0,), (3,), (0, 3)):
        yield Scenario("near-copies", 2, kind, 0.1, copies=4)
    for collapsing in (0.05, 0.2):
        for seeds in (2, 3, 5, 10):
            yield Scenario("collapses", 7, (seeds,), collapsing=collapsing)
        yield Scenario("collapses", 7, (1,), measured=10, collapsing=collapsing)
    for models in (2, 7):
        for looks in ((3, 10), (2, 3, 4, 5, 6, 7, 8, 9, 10), (3, 5, 10, 15, 20)):
            for spread in of_looks:
                yield Scenario("looks", models, (looks[-1],), spread, looks=looks)
        yield Scenario("looks", models, (10,), 0.3, measured=10, looks=tuple(range(1, 11)))


def unbalanced() -> Iterator[Scenario]:
    """Of balanced accuracies; a result of their own."""
    group = partial(Scenario, "unbalanced", images=1000, ratio=10.0)
    for ratio in (3.0, 10.0, 100.0):
        for images in (300, 1000, 10_000):
            for kind in ((0,), (3,), (0, 3)):
                yield group(2, kind, 0.3, images=images, ratio=ratio)
        for kind in ((0,), (3,)):
            yield group(2, kind, 0.3, ratio=ratio, opposite=True)
            yield group(7, kind, 0.3, ratio=ratio)
        yield group(7, (1,), 0.3, measured=10, ratio=ratio)
    for kind in ((0,), (3,)):
        for ratio in (10.0, 100.0):
            yield group(2, kind, 0.3, classes=2, ratio=ratio)
            yield group(2, kind, 0.3, classes=2, ratio=ratio, opposite=True)
        for accuracy in (0.5, 0.7, 0.97):
            yield group(2, kind, 0.3, accuracy=accuracy)
        yield group(2, kind, 0.1, copies=4)
    yield group(2, (3,), 0.3, images=10_000, gap=1.5)


def logistic(logits: NDArray[np.float64]) -> NDArray[np.float64]:
    return 1 / (1 + np.exp(-logits))


def harder(classes: int) -> NDArray[np.float64]:
    """By how much each class is harder than the mean, on the logit scale; the smallest most."""
    return np.linspace(-2.0, 2.0, classes)


def classes_of(n: int, of: int, ratio: float) -> NDArray[np.int64]:
    """The class of each of n images, (n,): their numbers fall from class to class by a factor."""
    shares = np.geomspace(1.0, 1 / ratio, of)
    ends = np.linspace(0, 1, n, endpoint=False) * shares.sum()
    return np.asarray(np.searchsorted(np.cumsum(shares), ends, side="right"))


@cache
def offset_for(accuracy: float, classes: int = 0) -> float:
    """The mean logit at which a model's expected accuracy over images is `accuracy`.

    Where there are `classes`, as `harder` has them, its expected balanced accuracy.
    """
    shifts = harder(classes) if classes else np.zeros(1)
    nodes = np.linspace(-8, 8, 2001)
    weights = np.exp(-(nodes**2) / 2)
    spread = float(np.hypot(SHARED_SD, OWN_SD))
    low, high = -60.0, 60.0
    for _ in range(60):
        middle = (low + high) / 2
        logits = middle - shifts[:, None] + spread * nodes
        reached = (logistic(logits) @ weights).mean() / weights.sum()
        low, high = (middle, high) if reached < accuracy else (low, middle)
    return (low + high) / 2


def fits(
    rng: np.random.Generator,
    chance: NDArray[np.float64],
    seeds: int,
    seed_sd: float,
    collapsing: float = 0.0,
) -> Right:
    """Which images each seed has right, (seeds, n), given a recipe's chance on every image (n,).

    A seed's expected accuracy is off by a normal draw of `seed_sd` points, spread over the
    images that can go either way; p (1 - p) keeps every chance between 0 and 1.
    """
    either_way = chance * (1 - chance)
    shift = rng.normal(0.0, seed_sd / 100, size=(seeds, 1))
    lifted = chance + shift * either_way / either_way.mean()
    lifted -= (rng.random((seeds, 1)) < collapsing) * chance * COLLAPSE / 100 / chance.mean()
    return np.asarray(rng.random((seeds, len(chance))) < lifted)


def table(scenario: Scenario, rng: np.random.Generator) -> dict[str, Fits]:
    """One draw of images and seeds."""
    n = scenario.images // scenario.copies
    shared = rng.normal(0.0, SHARED_SD, n)
    classes, k = None, 0
    if scenario.ratio > 1:
        k = scenario.classes
        classes = classes_of(n, k, scenario.ratio)
    own = rng.normal(0.0, OWN_SD, n)
    recipes = {}
    for number, seeds in enumerate(scenario.all_seeds):
        reached = scenario.accuracy - (scenario.gap / 100 if number else 0.0)
        logits = offset_for(reached, k) + shared
        if classes is not None:
            shifts = harder(k)[:: -1 if scenario.opposite and number % 2 else 1]
            logits -= shifts[classes]
        if scenario.spread != "same":
            own = rng.normal(0.0, OWN_SD, n)
        chance = logistic(logits + own)
        drawn = partial(fits, rng, chance, collapsing=scenario.collapsing)
        spread = scenario.spreads[number]
        right = fits(rng, chance, 1, 0.0) if not seeds else drawn(seeds, spread)
        known = None
        if scenario.measured:
            known = SeedVariance.of(drawn(scenario.measured, spread), classes).measured()
        recipes[f"recipe {number:02}"] = Fits(
            np.repeat(right, scenario.copies, axis=1),
            deterministic=not seeds,
            known=known,
            copies=np.repeat(np.arange(n), scenario.copies) if scenario.copies > 1 else None,
            classes=None if classes is None else np.repeat(classes, scenario.copies),
        )
    return recipes


def usual(recipes: Mapping[str, Fits], *, pooled: bool = False) -> list[float]:
    """p of each pair by Student's t, or by exact McNemar where there is one fit each."""
    each = list(recipes.values())
    shares = np.stack([fits.correct.mean(axis=0) for fits in each])  # (models, n)
    covariance = np.cov(shares) / shares.shape[1]
    known = [SeedVariance.of(fits.correct) for fits in each]
    df = sum(one.degrees_of_freedom for one in known)
    mean = sum(one.variance * one.degrees_of_freedom for one in known) / max(df, 1)
    found = []
    for a, b in combinations(range(len(each)), 2):
        if each[a].n_seeds == each[b].n_seeds == 1:
            only_a, only_b = each[a].correct & ~each[b].correct, each[b].correct & ~each[a].correct
            found.append(mcnemar(int(only_a.sum()), int(only_b.sum())))
            continue
        parts = [(covariance[a, a] + covariance[b, b] - 2 * covariance[a, b], shares.shape[1] - 1)]
        if pooled:
            counted = [1 / fits.n_seeds for fits in (each[a], each[b]) if not fits.deterministic]
            parts.append((mean * sum(counted), df))
        else:
            parts += [
                (known[i].variance / each[i].n_seeds, each[i].n_seeds - 1)
                for i in (a, b)
                if each[i].n_seeds > 1
            ]
        total = sum(variance for variance, _ in parts)
        if total == 0:
            found.append(1.0)
            continue
        degrees = total**2 / sum(variance**2 / of for variance, of in parts)
        distance = abs(shares[a].mean() - shares[b].mean()) / np.sqrt(total)
        found.append(float(2 * stats.t.sf(distance, degrees)))
    return found


@dataclass(frozen=True)
class Outcome:
    """Shares of the simulations.

    Attributes
    ----------
    called : of the pairs that differ; or, where none does, of the tables in which a pair is called
        different
    called_usual, called_pooled : the same by the two other tests
    differences_hold, accuracies_hold : of the 95% intervals, those that hold the truth
    winner_holds : the same of the best model's interval
    """

    scenario: Scenario
    simulations: int
    called: float
    called_usual: float
    called_pooled: float
    differences_hold: float | None
    accuracies_hold: float | None
    winner_holds: float | None

    @property
    def met(self) -> bool:
        """Within one standard error of the simulation: errors, or of recipes that differ power."""
        if self.scenario.gap:
            return self.called >= self.called_pooled - standard_error(self.called, self.simulations)
        holds = (self.accuracies_hold or 1.0) >= HOLD - standard_error(HOLD, self.simulations)
        few = self.called <= AT_MOST + standard_error(AT_MOST, self.simulations)
        return few and (holds or self.scenario.ratio == 1)

    def to_dict(self) -> dict[str, object]:
        return {**asdict(self), "met": self.met}


def standard_error(share: float, simulations: int) -> float:
    return float(np.sqrt(share * (1 - share) / simulations))


def simulate(scenario: Scenario, simulations: int, seed: int = 0) -> Outcome:
    rng = np.random.Generator(np.random.SFC64(seed))
    truth = scenario.accuracies
    apart = [truth[a] != truth[b] for a, b in combinations(range(scenario.models), 2)]
    rows = []
    for _ in range(simulations):
        recipes = table(scenario, rng)
        named = dict(zip(recipes, truth, strict=True))
        if scenario.looks:
            rows.append(_looked_at(recipes, scenario.looks, named))
            continue
        ranking = rank_models(recipes)
        ours = adjust_p_values([_or_one(pair.paired.p) for pair in ranking.pairs], scenario.models)
        tests = (
            ours,
            *(adjust_p_values(usual(recipes, pooled=pooled)) for pooled in (False, True)),
        )
        rows.append((*(_called(p, apart) for p in tests), *_held(ranking, named)))
    shares = (_mean([row[column] for row in rows]) for column in range(6))
    return Outcome(scenario, simulations, *shares)  # type: ignore[arg-type]


def _looked_at(
    recipes: Mapping[str, Fits], looks: Sequence[int], truth: Mapping[str, float]
) -> tuple[float, ...]:
    """Whether any of the tables that are shown calls a pair different, by each of the tests."""
    called = np.zeros(3, bool)
    shown: list[dict[str, int]] = []
    for seeds in looks:
        now = {name: replace(fits, correct=fits.correct[:seeds]) for name, fits in recipes.items()}
        ranking = rank_models(now, shown)
        ours = [_or_one(pair.p_adjusted) for pair in ranking.pairs]
        tests = (ours, *(adjust_p_values(usual(now, pooled=pooled)) for pooled in (False, True)))
        called |= [min(p) <= ALPHA for p in tests]
        shown.append(dict.fromkeys(recipes, seeds))
    return (*map(float, called), *_held(ranking, truth))


def _mean(shares: Sequence[float]) -> float | None:
    """Over the tables that say something; None where none does."""
    known = [share for share in shares if not np.isnan(share)]
    return float(np.mean(known)) if known else None


def _or_one(p: float | None) -> float:
    return 1.0 if p is None else p


def _called(p: Sequence[float], apart: Sequence[bool]) -> float:
    called = np.array(p) <= ALPHA
    return float(called[apart].mean() if any(apart) else called.any())


def _held(ranking: Ranking, truth: Mapping[str, float]) -> tuple[float, float, float]:
    """Shares of intervals that hold the truth: of differences, of accuracies, of the best one's."""
    tiny = 1e-9
    differences = [
        pair.paired.interval.low - tiny
        <= truth[pair.a] - truth[pair.b]
        <= pair.paired.interval.high + tiny
        for pair in ranking.pairs
        if pair.paired.interval
    ]
    accuracies = [
        truth[name] in estimate.interval
        for name, estimate in ranking.accuracies.items()
        if estimate.interval
    ]
    winner = ranking.winner
    return (
        float(np.mean(differences)) if differences else np.nan,
        float(np.mean(accuracies)) if accuracies else np.nan,
        np.nan if winner is None else float(truth[ranking.order[0]] in winner),
    )


HEAD = (
    f"{'group':11} {'models':>6} {'seeds':>11} {'spread':>8} {'known':>5} {'gap':>4} {'images':>6}"
    f" {'acc.':>6} {'called':>7} {'usual':>7} {'pooled':>7} {'diff. in':>8} {'acc. in':>8}"
    f" {'best in':>8}"
)


def line(found: Outcome) -> str:
    of = found.scenario
    seeds = ",".join(map(str, of.seeds)) if not of.looks else f"{len(of.looks)} to {of.looks[-1]}"
    shares = (found.called, found.called_usual, found.called_pooled)
    held = (found.differences_hold, found.accuracies_hold, found.winner_holds)
    return (
        f"{of.group:11} {of.models:6} {seeds:>11} {of.spread!s:>8} {of.measured or '':>5}"
        f" {of.gap or '':>4} {of.images:6} {of.accuracy:6}"
        + "".join(f" {share:7.1%}" for share in shares)
        + "".join(f" {'' if share is None else f'{share:.1%}':>8}" for share in held)
        + ("" if found.met else "  MISSED")
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000, help="of each scenario (1000)")
    parser.add_argument("--of-twenty", type=int, default=500, help="of tables of twenty (500)")
    parser.add_argument("--images", type=int, help="test images of each scenario, at most")
    parser.add_argument("--only", help="one group of scenarios")
    parser.add_argument("--seed", type=int, default=0, help="of the random numbers (0)")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--out", type=Path, help="write the figures to this JSON file")
    options = parser.parse_args(arguments)
    known = scenarios() if options.only != "unbalanced" else unbalanced()
    wanted = [each for each in known if options.only in (None, each.group)]
    if options.images:
        wanted = [replace(each, images=min(each.images, options.images)) for each in wanted]
    counts = [options.simulations if each.models < 20 else options.of_twenty for each in wanted]
    print(HEAD)
    before = record.kept(options.out) if options.out else {}
    if (before.get("simulations"), before.get("seed")) != (options.simulations, options.seed):
        before = {}
    rows = before.get("scenarios", [])
    done = [each["scenario"] for each in rows]
    to_do = [of for of in zip(wanted, counts, strict=True) if _plain(of[0]) not in done]
    with ProcessPoolExecutor(options.processes) as pool:
        for outcome in pool.map(partial(_simulated, options.seed), to_do):
            rows.append(outcome.to_dict())
            print(line(outcome), flush=True)
            if options.out:  # after each: it takes long
                figures = {
                    "simulations": options.simulations,
                    "seed": options.seed,
                    "alpha": ALPHA,
                    "at_most": AT_MOST,
                    "standard_error": standard_error(AT_MOST, options.simulations),
                    "scenarios": rows,
                }
                record.write(options.out, figures, arguments)
    return 0 if all(row["met"] for row in rows) else 1


def _simulated(seed: int, of: tuple[Scenario, int]) -> Outcome:
    return simulate(*of, seed)


def _plain(scenario: Scenario) -> Any:
    """As JSON has it."""
    return json.loads(json.dumps(asdict(scenario)))


if __name__ == "__main__":
    sys.exit(main())
