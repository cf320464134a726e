"""Are honest claims left in peace? Verdicts on figures that were come by honestly.

    python benchmarks/honest_claims.py --runs runs/honest-claims --out benchmarks/results/honest-claims.json

Simulated: the source fits a recipe once and measures it honestly, on the official test images, on
images that it held out of the training ones, or on a split of its own; we fit it again with other
seeds. Or it says what one setting gains over another; which of two models is better, by one run of
each; which of six values is the best, by one run of each on images of its own; or that a value is
the best of 40, where none is better, or another by 1.3 points. The images are those of
`honesty.py`.

Real, on Fashion-MNIST: twenty sources, each with a split of its own, fit logistic regression, or a
small perceptron. "Before" stands for the rules as they were: a verdict by Student's interval of one
more run, or of the mean difference, without the draw of the images, each claim by itself. At most 5%
may be accused, up to one standard error of the simulation.
"""  # noqa: E501

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

import honesty
import numpy as np
import record
from scipy import stats

from fittingroom.bench.claims.arms import Arm
from fittingroom.bench.claims.best_value import judge_best
from fittingroom.bench.claims.claim import Claim, Figure
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ArmResult, redraw_of, with_spreads
from fittingroom.bench.claims.verdict import (
    Verdict,
    judge_accuracy,
    judge_difference,
    judge_order,
)
from fittingroom.bench.claims.verify import verify
from fittingroom.cli.progress import ProgressDisplay
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.evaluation.paired_difference import compare_pair
from fittingroom.evaluation.ranking import adjust_p_values
from fittingroom.runs.spec import RunSpec

AT_MOST = 0.05
ACCUSED: set[Verdict] = {"too-high", "too-low", "not-what-it-says"}
POOL, TEST, OWN_TEST = 70_000, 10_000, 14_000
MIN_SD = 0.001
#: Test images by where the claimed figure was measured; each names a claim of that kind.
MEASURED = {"official": "s2-cnn1", "held out": "s3-cnn2", "own split": "s0-cnn"}
REAL = {
    "logistic": ("logistic", {}),
    "perceptron": ("mlp-10-10", {"epochs": 10}),
}
SOURCES = 20


def evidence(correct: np.ndarray, name: str, *, deterministic: bool = False) -> ArmResult:
    """Runs of an arm that have these images right, bool (seeds, n)."""
    model = "knn" if deterministic else "mlp-10-10"
    arm = Arm(
        name=name,
        candidates=(RunSpec(dataset="simulated", model=model, parameters={"name": name}),),
        seeds=tuple(range(len(correct))),
        measure="selection" if name.startswith("value") else "test",
        seconds=1,
    )
    return ArmResult(
        arm=arm,
        runs=(),
        accuracies=tuple(float(row.mean()) for row in correct),
        correct=correct,
        index=np.arange(correct.shape[1]),
    )


def chance_of(rng: np.random.Generator, images: int, accuracy: float) -> np.ndarray:
    """How likely a fit is to have each image right, (images,)."""
    difficulty = rng.normal(0, honesty.SHARED_SD, images) + rng.normal(0, honesty.OWN_SD, images)
    return honesty.logistic(honesty.offset_for(accuracy) + difficulty)


def accuracy_claims(
    rng: np.random.Generator, measured: str, seeds: int, spread: float
) -> tuple[Verdict, Verdict]:
    """The verdict on a claim whose recipe is deterministic where `seeds` is 0; and as before."""
    fixed = seeds == 0
    chance = chance_of(rng, POOL, 0.88)
    if fixed:
        right = rng.random((1, POOL)) < chance
        runs = np.repeat(right, 3, axis=0)
    else:
        runs = honesty.fits(rng, chance, 2 * seeds + 1, spread)
    order = rng.permutation(POOL)
    own = {
        "official": np.arange(POOL - TEST, POOL),
        "held out": order[order < POOL - TEST][: TEST + 2000],
        "own split": order[:OWN_TEST],
    }[measured]
    n = max(1, seeds)
    used = evidence(runs[1 : 1 + n][:, own], "as claimed", deterministic=fixed)
    honest = evidence(runs[-n:][:, -TEST:], "honest", deterministic=fixed)
    used, honest = with_spreads([used, honest])
    (claim,) = load_claims([MEASURED[measured]])
    claim = claim.model_copy(update={"claimed": f"{runs[0, own].mean():.4f}"})
    redraw = redraw_of(claim, SIZES)
    now = judge_accuracy(claim, used, honest, redraw=redraw).verdict
    assert claim.figure is not None
    return now, _before(claim.figure, used, honest)


class _Sizes:
    """As much of a data set as the draw of images depends on."""

    train, test = range(POOL - TEST), range(TEST)


SIZES = cast("Dataset", _Sizes())


def _before(figure: Figure, used: ArmResult, honest: ArmResult) -> Verdict:
    if _in(figure, _student(honest)):
        return "consistent"
    if _in(figure, _student(used)):
        return "not-what-it-says"
    return "too-high" if figure.value > honest.accuracy else "too-low"


def _student(arm: ArmResult) -> tuple[float, float]:
    seeds = len(arm.accuracies)
    if arm.arm.deterministic:
        half = stats.norm.ppf(0.975) * MIN_SD
    else:
        sd = max(float(np.std(arm.accuracies, ddof=1)), MIN_SD)
        half = stats.t.ppf(0.975, seeds - 1) * sd * np.sqrt(1 + 1 / seeds)
    return arm.accuracy - half, arm.accuracy + half


def _in(figure: Figure, interval: tuple[float, float]) -> bool:
    return figure.bounds[0] <= interval[1] and figure.bounds[1] >= interval[0]


def difference_claims(
    rng: np.random.Generator, seeds: int, spread: float, gap: float
) -> tuple[Verdict, Verdict]:
    """The verdict on what one run of a setting gained over one run of another."""
    arms = fits_apart(rng, [0.90 + gap / 100, 0.90], seeds + 1, spread, TEST)
    gained = float(arms[0][0].mean() - arms[1][0].mean())
    names = ("first", "second")
    first, second = with_spreads(
        [evidence(arm[1:], name) for arm, name in zip(arms, names, strict=True)]
    )
    if gained < 0:  # so the source would have said it the other way round
        first, second, gained = second, first, -gained
    (claim,) = load_claims(["s4-pooling"])
    claim = claim.model_copy(update={"claimed": f"{100 * gained:.1f}%"})
    paired = compare_pair(first.fits, second.fits)
    assert claim.figure is not None
    assert paired.interval is not None
    before: Verdict = "consistent" if _in(claim.figure, paired.interval.bounds) else "too-high"
    return judge_difference(claim, first, second).verdict, before


def best_claims(
    rng: np.random.Generator, seeds: int, spread: float, miss: float
) -> tuple[Verdict, Verdict]:
    """The verdict on a best value of 40 that another one misses by so many points."""
    (claim,) = load_claims(["s1-lr-sweep"])
    assert claim.search is not None
    values = claim.search.values
    place = min(range(len(values)), key=lambda i: abs(np.log(float(values[i]) / 0.003)))
    far = [min(abs(i - place + 8), 20) for i in range(len(values))]  # the best is eight below
    truth = [0.85 - (miss / 100 if i == place else 0.0015 * f) for i, f in enumerate(far)]
    rows = fits_apart(rng, truth, seeds, spread, 3000)
    tried = with_spreads([evidence(row, f"value {i}") for i, row in enumerate(rows)])
    return judge_best(claim, None, tried).verdict, _best_before(tried, place)


def order_claims(
    rng: np.random.Generator, seeds: int, spread: float, gap: float, measured: str
) -> tuple[Verdict, Verdict]:
    """The verdict on which of two models is better, as it came out in one run of each.

    By a split of its own, or on the official test images.
    """
    rows = fits_apart(rng, [0.90, 0.90 + gap / 100], seeds + 1, spread, POOL)
    elsewhere = measured == "own split"
    own = rng.permutation(POOL)[:OWN_TEST] if elsewhere else np.arange(POOL - TEST, POOL)
    if rows[0][0, own].mean() > rows[1][0, own].mean():
        rows.reverse()
    honest = with_spreads([evidence(row[1:, -TEST:], f"model {i}") for i, row in enumerate(rows)])
    (claim,) = load_claims(["s0-order"])
    claim = claim.model_copy(update={"members": claim.members[:2]})
    redraw = redraw_of(claim.members[0], SIZES) if elsewhere else 0.0
    paired = compare_pair(honest[1].fits, honest[0].fits)
    assert paired.p is not None
    told: Verdict = "consistent" if paired.p <= 0.05 else "cannot-tell"
    before = told if paired.difference > 0 or told == "cannot-tell" else "too-high"
    return judge_order(claim, [], honest, redraw=redraw).verdict, before


def winner_claims(
    rng: np.random.Generator, seeds: int, spread: float, step: float
) -> tuple[Verdict, Verdict]:
    """The verdict on the best of six values, as it came out in one run of each elsewhere."""
    truth = [0.85 - step / 100 * i for i in range(6)]
    theirs = [row.mean() for row in fits_apart(rng, truth, 1, spread, 3000)]
    values = [0.001 * 2.0**i for i in range(6)]
    named = int(np.argmax(theirs))
    (claim,) = load_claims(["s1-lr-sweep"])
    assert claim.search is not None
    search = claim.search.model_copy(update={"values": values})
    claim = claim.model_copy(update={"search": search, "claimed": f"{values[named]:.3f}"})
    rows = fits_apart(rng, truth, seeds, spread, 3000)
    tried = with_spreads([evidence(row, f"value {i}") for i, row in enumerate(rows)])
    return judge_best(claim, None, tried).verdict, _best_before(tried, named)


def fits_apart(
    rng: np.random.Generator, accuracies: Sequence[float], seeds: int, spread: float, images: int
) -> list[np.ndarray]:
    """Fits of recipes with these accuracies on the same images, (seeds, images) each."""
    shared = rng.normal(0, honesty.SHARED_SD, images)
    return [
        honesty.fits(
            rng,
            honesty.logistic(
                honesty.offset_for(accuracy) + shared + rng.normal(0, honesty.OWN_SD, images)
            ),
            seeds,
            spread,
        )
        for accuracy in accuracies
    ]


def _best_before(tried: Sequence[ArmResult], place: int) -> Verdict:
    """Whether another value is significantly better."""
    ps = [compare_pair(each.fits, tried[place].fits) for i, each in enumerate(tried) if i != place]
    better = [p <= 0.05 for p in adjust_p_values([paired.p or 1.0 for paired in ps])]
    ahead = any(b and paired.difference > 0 for b, paired in zip(better, ps, strict=True))
    return "too-low" if ahead else "consistent"


def simulated(simulations: int) -> Iterator[dict[str, Any]]:
    for measured in MEASURED:
        yield _of(simulations, "accuracy", accuracy_claims, measured=measured, seeds=0, spread=0.0)
        for seeds in (2, 3, 5, 10):
            for spread in (0.1, 0.3, 1.0):
                given = {"measured": measured, "seeds": seeds, "spread": spread}
                yield _of(simulations, "accuracy", accuracy_claims, **given)
    for seeds in (3, 5, 10):
        for spread in (0.1, 0.3, 1.0):
            for gap in (0.5, 2.5):
                given = {"seeds": seeds, "spread": spread, "gap": gap}
                yield _of(simulations, "difference", difference_claims, **given)
    for seeds in (5, 10, 20):
        for spread, gap in ((0.3, 0.3), (0.5, 0.7), (1.0, 0.5), (1.0, 1.0)):
            for measured in ("official", "own split"):
                given = {"seeds": seeds, "spread": spread, "gap": gap, "measured": measured}
                yield _of(max(1, simulations // 2), "order", order_claims, **given)
        for spread, step in ((0.3, 0.3), (1.0, 0.7), (1.5, 1.0)):
            given = {"seeds": seeds, "spread": spread, "step": step}
            yield _of(max(1, simulations // 2), "winner of six", winner_claims, **given)
    for seeds, spread in ((5, 0.3), (5, 1.5), (20, 1.5)):
        for miss in (0.0, 1.3):
            given = {"seeds": seeds, "spread": spread, "miss": miss}
            yield _of(max(1, simulations // 5), "best value", best_claims, **given)


def _of(simulations: int, kind: str, simulate: Any, **given: Any) -> dict[str, Any]:
    """Shares of each verdict, now and before."""
    rng = np.random.Generator(np.random.SFC64(0))
    verdicts = [simulate(rng, *given.values()) for _ in range(simulations)]
    now, before = (_shares(each) for each in zip(*verdicts, strict=True))
    most = AT_MOST + honesty.standard_error(AT_MOST, simulations)
    return {
        "kind": kind,
        **given,
        "simulations": simulations,
        "now": now,
        "before": before,
        "met": now["accused"] <= most,
    }


def _shares(verdicts: Sequence[str]) -> dict[str, float]:
    found = {name: verdicts.count(name) / len(verdicts) for name in sorted({*verdicts})}
    return {"accused": sum(found.get(name, 0.0) for name in ACCUSED), **found}


def real(runs: Path, dataset: Dataset, kind: str) -> dict[str, Any]:
    """Twenty sources that measured on splits of their own, judged one by one and all at once."""
    model, parameters = REAL[kind]
    (like,) = load_claims(["s0-cnn"])
    assert like.recipe is not None
    seeded = kind != "logistic"
    claims = [
        like.model_copy(
            update={
                "id": f"{kind}-{seed}",
                "recipe": like.recipe.model_copy(
                    update={"model": model, "parameters": parameters, "seconds": 15.0}
                ),
                "split": like.split.model_copy(update={"seed": seed}),
            }
        )
        for seed in range(SOURCES)
    ]
    # The figure of a source with seeds is that of its sixth; ours are the first five.
    with ProgressDisplay() as progress:
        first = verify(
            claims, dataset=dataset, runs=runs, n_seeds=6, on="local:2", on_progress=progress
        )
    figures = {
        checked.claim.id: f"{checked.judgement.accuracies['as claimed'][-1]:.4f}"
        for checked in first.claims
    }
    claims = [claim.model_copy(update={"claimed": figures[claim.id]}) for claim in claims]
    told: dict[str, list[str]] = {"one by one": [], "all at once": [], "before": []}
    judge = partial(verify, dataset=dataset, runs=runs, n_seeds=5)
    told["all at once"] = [each.judgement.verdict for each in judge(claims).claims]
    for claim in claims:
        (checked,) = judge([claim]).claims
        told["one by one"].append(checked.judgement.verdict)
        told["before"].append(_judged_before(claim, checked.judgement.accuracies, not seeded))
    return {
        "model": model,
        "test_reads": first.test_reads,
        "claimed": list(figures.values()),
        **{name: _shares(verdicts) for name, verdicts in told.items()},
    }


def _judged_before(claim: Claim, accuracies: Any, deterministic: bool) -> Verdict:
    arms = [
        replace(evidence(np.ones((1, 1), bool), name, deterministic=deterministic), accuracies=each)
        for name, each in accuracies.items()
    ]
    assert claim.figure is not None
    return _before(claim.figure, *arms)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--simulations", type=int, default=1000)
    parser.add_argument("--runs", type=Path, help="where real fits are kept; none without it")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    found: dict[str, Any] = {"simulated": [], "real": []}
    for row in simulated(options.simulations):
        found["simulated"].append(row)
        given = {k: v for k, v in row.items() if k not in ("now", "before", "simulations", "met")}
        missed = "" if row["met"] else "  MISSED"
        print(_line(given, row["now"], row["before"]) + missed, flush=True)
    if options.runs:
        dataset = load_dataset("fashion-mnist")
        for kind in REAL:
            row = real(options.runs, dataset, kind)
            found["real"].append(row)
            print(_line({"real": kind}, row["one by one"], row["before"]), flush=True)
    if options.out:
        reads = sum(row["test_reads"] for row in found["real"])
        record.write(options.out, found, arguments, test_reads=reads)
    return 0 if all(row["met"] for row in found["simulated"]) else 1


def _line(given: dict[str, Any], now: dict[str, float], before: dict[str, float]) -> str:
    what = ", ".join(f"{name} {value}" for name, value in given.items())
    told = ", ".join(f"{name} {share:.1%}" for name, share in now.items() if name != "accused")
    return f"{what}: accused {now['accused']:.1%} (before {before['accused']:.1%}); {told}"


if __name__ == "__main__":
    sys.exit(main())
