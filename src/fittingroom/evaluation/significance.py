"""Which of two models is better, and which of many can be told apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import special

from fittingroom.errors import InputError
from fittingroom.evaluation.intervals import (
    Interval,
    check_correct,
    integer_variance,
    paired_interval,
    seed_variance,
    standard_error,
)

ALPHA = 0.05


@dataclass(frozen=True)
class PairedDifference:
    """Accuracy of A minus accuracy of B on the same images.

    `only_a_right` is the expected number of images that a fit of A has right and a fit of B
    wrong, over all pairs of their seeds: a plain count where each has one seed. So
    `difference` is always (only_a_right - only_b_right) / n.
    `standard_error` and `degrees_of_freedom` are None where no t test was made.
    `single_seed`: a model that is not deterministic has one seed, so p and interval speak of
    the two fits at hand and say nothing about a re-run.
    """

    difference: float
    interval: Interval
    p: float
    only_a_right: float
    only_b_right: float
    method: str
    standard_error: float | None
    degrees_of_freedom: float | None
    single_seed: bool

    def to_dict(self) -> dict[str, object]:
        return {
            "difference": self.difference,
            "ci95": list(self.interval.bounds),
            "p": self.p,
            "only_a_right": self.only_a_right,
            "only_b_right": self.only_b_right,
            "method": self.method,
            "standard_error": self.standard_error,
            "degrees_of_freedom": self.degrees_of_freedom,
            "single_seed": self.single_seed,
        }


@dataclass(frozen=True)
class RankedPair:
    """Two models of a ranking: their difference, and p after Holm's correction over all pairs."""

    a: str
    b: str
    paired: PairedDifference
    p_holm: float

    def to_dict(self) -> dict[str, object]:
        return {"a": self.a, "b": self.b, **self.paired.to_dict(), "p_holm": self.p_holm}


@dataclass(frozen=True)
class Ranking:
    """Ranks by what can be told apart.

    `order` holds the names by rank, then by mean accuracy; `ranks` and `indistinguishable_from`
    have one entry a name. "Can't be told apart" is not transitive: two models of one rank may
    well differ, and models of different ranks may not.
    """

    order: tuple[str, ...]
    ranks: Mapping[str, int]
    indistinguishable_from: Mapping[str, tuple[str, ...]]
    pairs: tuple[RankedPair, ...]

    def to_dict(self) -> dict[str, object]:
        return {
            "order": list(self.order),
            "ranks": dict(self.ranks),
            "indistinguishable_from": {
                name: list(others) for name, others in self.indistinguishable_from.items()
            },
            "pairs": [pair.to_dict() for pair in self.pairs],
        }


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Exact two-sided p of McNemar's test (1947, Psychometrika 12:153-157).

    Of the images that one model alone has right, each is equally likely to be A's or B's:
    a binomial test at one half, without mid-p.
    """
    if min(only_a, only_b) < 0:
        raise InputError(f"counts of images are {only_a} and {only_b}; they can't be negative.")
    tail = float(special.bdtr(min(only_a, only_b), only_a + only_b, 0.5))
    return min(1.0, 2 * tail)


def compare_pair(
    correct_a: NDArray[np.bool_],
    correct_b: NDArray[np.bool_],
    *,
    fixed_a: bool = False,
    fixed_b: bool = False,
) -> PairedDifference:
    """Compare two models by which images each seed has right.

    `correct_a` is bool (seeds of A, n), `correct_b` bool (seeds of B, n), over the same images.
    `fixed` marks a deterministic model, which another fit would not change; it has one row and no
    variance over seeds.

    One row each: exact McNemar and the interval of `paired_interval`. Otherwise a t test with
    SE² = variance over images of the seed-averaged difference / n + s²_A / S_A + s²_B / S_B,
    s² being the variance of the accuracy over seeds, with Satterthwaite's degrees of freedom.
    Where every image differs by the same amount, that variance is zero: an exact sign test.
    A single seed of a model that is not fixed gives s² = 0 for want of knowledge, and
    `single_seed`. Identical predictions give p = 1 and the interval [0, 0].
    """
    return _compare(_Tally.of(correct_a, fixed_a), _Tally.of(correct_b, fixed_b))


def holm(p: Sequence[float]) -> list[float]:
    """Adjust p values for having tested all of them (Holm 1979, Scand. J. Statist. 6:65-70)."""
    values = np.asarray(p, dtype=np.float64)
    if not np.all((values >= 0) & (values <= 1)):
        raise InputError(f"p values must lie between 0 and 1, not {list(p)}.")
    order = np.argsort(values, kind="stable")
    steps = np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1))
    adjusted = np.empty(len(values))
    adjusted[order] = np.minimum(1.0, steps)
    return [float(value) for value in adjusted]


def rank_models(
    names: Sequence[str],
    correct: Sequence[NDArray[np.bool_]],
    fixed: Sequence[bool],
    alpha: float = ALPHA,
) -> Ranking:
    """Rank = 1 + the number of models that are significantly better (Holm over all pairs).

    `correct[i]` is bool (seeds of model i, n); `fixed[i]` as in `compare_pair`.
    """
    if not len(names) == len(correct) == len(fixed) or len(set(names)) != len(names):
        raise InputError(f"models {list(names)} must be distinct, each with its predictions.")
    # By name, so that the order in which models were given leaves no trace in the result.
    tallies = {
        name: _Tally.of(rows, is_fixed)
        for name, rows, is_fixed in sorted(zip(names, correct, fixed, strict=True), key=_name)
    }
    couples = list(combinations(tallies, 2))
    compared = [_compare(tallies[a], tallies[b]) for a, b in couples]
    adjusted = holm([result.p for result in compared])
    pairs = [
        RankedPair(a, b, result, p_holm)
        for (a, b), result, p_holm in zip(couples, compared, adjusted, strict=True)
    ]
    beaten_by: dict[str, set[str]] = {name: set() for name in tallies}
    for pair in pairs:
        if pair.p_holm <= alpha:
            a_is_better = pair.paired.difference > 0
            worse, better = (pair.b, pair.a) if a_is_better else (pair.a, pair.b)
            beaten_by[worse].add(better)
    return _ranking(tallies, pairs, beaten_by)


@dataclass(frozen=True, eq=False)
class _Tally:
    """What a comparison needs of one model, in whole numbers so that sums are exact."""

    right: NDArray[np.int64]  # (n,) how many seeds have the image right
    seeds: int
    seed_variance: float
    fixed: bool

    @classmethod
    def of(cls, correct: NDArray[np.bool_], fixed: bool) -> _Tally:
        check_correct(correct)
        if fixed and len(correct) > 1:
            raise InputError(f"a fixed model has {len(correct)} rows of predictions; give one.")
        right = correct.sum(axis=0, dtype=np.int64)
        return cls(right, len(correct), seed_variance(correct), fixed)

    @property
    def accuracy(self) -> float:
        return int(self.right.sum()) / (self.seeds * len(self.right))


def _compare(a: _Tally, b: _Tally) -> PairedDifference:
    n = len(a.right)
    if n != len(b.right):
        raise InputError(
            f"one model has predictions of {n} images, the other of {len(b.right)}; "
            "compare them on the same images."
        )
    scale = a.seeds * b.seeds
    differences = b.seeds * a.right - a.seeds * b.right  # (n,) in units of 1 / scale
    difference = int(differences.sum()) / (n * scale)
    only_a = int(a.right @ (b.seeds - b.right)) / scale
    only_b = int(b.right @ (a.seeds - a.right)) / scale
    single_seed = any(model.seeds == 1 and not model.fixed for model in (a, b))
    if scale == 1:
        return PairedDifference(
            difference=difference,
            interval=paired_interval(int(only_a), int(only_b), n),
            p=mcnemar_exact(int(only_a), int(only_b)),
            only_a_right=only_a,
            only_b_right=only_b,
            method="exact McNemar",
            standard_error=None,
            degrees_of_freedom=None,
            single_seed=single_seed,
        )
    error = None
    if n > 1:  # a single image says nothing of the spread over images
        over_images = integer_variance(differences) / scale**2
        over_seeds = [(m.seed_variance / m.seeds, m.seeds - 1) for m in (a, b) if m.seeds > 1]
        error = standard_error([(over_images / n, n - 1), *over_seeds])
    if error is None:
        # Every image differs by the same amount: no spread for a t test, but a sign test stands.
        signs = (int((differences > 0).sum()), int((differences < 0).sum()))
        amount = abs(difference) if n > 1 else 1.0
        low, high = paired_interval(*signs, n).bounds
        interval, p = Interval(amount * low, amount * high), mcnemar_exact(*signs)
    else:
        interval, p = error.interval(difference, -1.0, 1.0), error.p_value(difference)
    return PairedDifference(
        difference=difference,
        interval=interval,
        p=p,
        only_a_right=only_a,
        only_b_right=only_b,
        method="t test over images and seeds" if error else "exact sign test",
        standard_error=error.value if error else None,
        degrees_of_freedom=error.degrees_of_freedom if error else None,
        single_seed=single_seed,
    )


def _ranking(
    tallies: Mapping[str, _Tally],
    pairs: Sequence[RankedPair],
    beaten_by: Mapping[str, set[str]],
) -> Ranking:
    ranks = {name: 1 + len(better) for name, better in beaten_by.items()}
    order = sorted(tallies, key=lambda name: (ranks[name], -tallies[name].accuracy, name))
    alike = {
        name: tuple(
            other
            for other in order
            if other != name and other not in beaten_by[name] and name not in beaten_by[other]
        )
        for name in order
    }
    return Ranking(tuple(order), {name: ranks[name] for name in order}, alike, tuple(pairs))


def _name(entry: tuple[str, NDArray[np.bool_], bool]) -> str:
    return entry[0]
