"""paired_difference.py: published figures, SciPy and a bootstrap as oracles, invariants."""

from random import Random

import honesty
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy import stats

from fittingroom.errors import InputError
from fittingroom.evaluation.intervals import Interval, paired_interval
from fittingroom.evaluation.looks import Look, sequential_p
from fittingroom.evaluation.paired_difference import (
    compare,
    compare_pair,
    image_variance,
    mcnemar,
)
from fittingroom.evaluation.recipe_fits import Fits
from fittingroom.evaluation.seed_spread import NO_SPREAD, SeedSpread, SeedVariance


def fits_of(seeds: int, n: int = 12) -> st.SearchStrategy[Fits]:
    return hnp.arrays(np.bool_, (seeds, n)).map(Fits)


SEVERAL = st.integers(1, 4).flatmap(fits_of)


@pytest.mark.parametrize(
    ("only_a", "only_b", "p"),
    [  # 121/59, 70/59, 80/59: the exact figures that statsmodels' own tests hold
        (121, 59, 4.434e-06),
        (70, 59, 0.378688),
        (80, 59, 0.08944),
        (0, 0, 1.0),
        (5, 5, 1.0),
        (6, 0, 2 / 64),
    ],
)
def test_mcnemar_as_published(only_a: int, only_b: int, p: float) -> None:
    assert mcnemar(only_a, only_b) == pytest.approx(p, rel=2e-4)


@given(st.integers(0, 600), st.integers(0, 600))
def test_mcnemar_is_the_binomial_test(only_a: int, only_b: int) -> None:
    if only_a + only_b:
        expected = stats.binomtest(only_a, only_a + only_b).pvalue
        assert mcnemar(only_a, only_b) == pytest.approx(expected, rel=1e-9)
        at = stats.binom.pmf(min(only_a, only_b), only_a + only_b, 0.5)
        middle = min(1.0, 2 * stats.binom.cdf(min(only_a, only_b), only_a + only_b, 0.5) - at)
        assert mcnemar(only_a, only_b, mid_p=True) == pytest.approx(middle, rel=1e-9)
    assert mcnemar(only_a, only_b) == mcnemar(only_b, only_a)


def test_p_and_interval_agree_if_each_model_has_one_fit() -> None:
    # Both are monotone in the split, so only the two splits beside the edge can disagree.
    disagreements = 0
    for discordant in range(6, 401):  # below 6 nothing is significant
        edge = max(k for k in range(discordant // 2) if mcnemar(k, discordant - k) <= 0.05)
        for only_a, significant in [(edge, True), (edge + 1, False)]:
            interval = paired_interval(only_a, discordant - only_a, 10_000)
            disagreements += (0.0 not in interval) != significant
    assert disagreements <= 10  # of 790 at the very edge


@pytest.mark.parametrize(("n", "method"), [(999, "mid-p McNemar"), (1000, "exact McNemar")])
def test_two_deterministic_models_are_compared_by_mcnemar(n: int, method: str) -> None:
    a, b = np.arange(n)[None] < n - 12, np.arange(n)[None] < n - 16
    b[0, :3] = False
    result = compare_pair(Fits(a, deterministic=True), Fits(b, deterministic=True))
    assert result.method == method
    assert (result.only_a_right, result.only_b_right) == (7, 0)
    assert result.difference == 7 / n
    assert result.p == result.p_these_fits == mcnemar(7, 0, mid_p=n < 1000)
    assert result.interval == paired_interval(7, 0, n, exact=n >= 1000)
    assert (result.standard_error, result.degrees_of_freedom) == (None, None)
    assert not result.single_seed


def test_one_fit_of_an_unknown_recipe_gives_neither_p_nor_interval() -> None:
    a, b = np.arange(1000)[None] < 900, np.arange(1000)[None] < 500
    for fixed in (True, False):
        result = compare_pair(Fits(a, deterministic=fixed), Fits(b))
        assert result.single_seed
        assert (result.p, result.interval) == (None, None)
        assert result.p_these_fits == mcnemar(400, 0)  # the fits at hand differ for sure
        assert result.method == "unknown spread over seeds"


def test_one_fit_of_a_recipe_measured_before_uses_its_measured_spread() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.random((1, 10_000)) < 0.91, rng.random((1, 10_000)) < 0.89
    steady = SeedVariance(0.001**2, 400, 0.0)
    wild = SeedVariance(0.05**2, 400, 0.0)
    sure = compare_pair(Fits(a, deterministic=True), Fits(b, known=steady))
    unsure = compare_pair(Fits(a, deterministic=True), Fits(b, known=wild))
    assert sure.p is not None
    assert sure.p < 0.01
    assert unsure.p is not None
    assert unsure.p > 0.5
    images = (a[0] != b[0]).mean() / 10_000
    for result, variance in ((sure, 0.001**2), (unsure, 0.05**2)):
        # The fit itself follows Student's t with 7 degrees of freedom.
        drawn = rng.normal(0, images**0.5, 10**6) + rng.standard_t(7, 10**6) * variance**0.5
        half = np.quantile(abs(drawn), 0.95)
        assert result.interval is not None
        assert result.interval.high - result.difference == pytest.approx(half, rel=0.03)
        p = (abs(drawn) >= result.difference).mean()
        assert result.p == pytest.approx(p, rel=0.1, abs=1e-5)
    assert sure.single_seed


def test_many_seeds_give_welchs_test_over_images_and_seeds() -> None:
    rng = np.random.default_rng(1)
    chances = rng.beta(4, 1, (2, 400))
    a, b = (rng.random((60, 400)) < chance for chance in chances)
    result = compare_pair(Fits(a), Fits(b))
    averaged = a.mean(axis=0) - b.mean(axis=0)
    noise = (a.var(axis=0, ddof=1).mean() + b.var(axis=0, ddof=1).mean()) / 60 / 400
    images = averaged.var(ddof=1) / 400 - noise + averaged.mean() ** 2 / 400 + 2 / 400**2
    seeds = (a.mean(axis=1).var(ddof=1) + b.mean(axis=1).var(ddof=1)) / 60
    assert result.difference == pytest.approx(averaged.mean())
    assert result.standard_error == pytest.approx(np.sqrt(images + seeds), rel=0.01)
    z = abs(averaged.mean()) / np.sqrt(images + seeds)
    assert result.p == pytest.approx(2 * stats.norm.sf(z), rel=0.05)
    pairs = [(i, j) for i in range(60) for j in range(60)]
    assert result.only_a_right == pytest.approx(np.mean([(a[i] & ~b[j]).sum() for i, j in pairs]))
    assert result.only_b_right == pytest.approx(np.mean([(b[j] & ~a[i]).sum() for i, j in pairs]))


@pytest.mark.parametrize("fixed", [False, True])
def test_a_look_at_more_seeds_allows_for_the_looks_at_fewer(fixed: bool) -> None:
    """By hand: the variance of a look at S seeds is that over images and sum of σ² / S."""
    rng = np.random.default_rng(0)
    b = Fits(rng.random((9, 4000)) < rng.beta(4, 1, 4000) - 0.01)
    a = Fits(b.correct[:1] ^ (rng.random((1, 4000)) < 0.1), deterministic=True)
    if not fixed:
        a = Fits(b.correct[:9] ^ (rng.random((9, 4000)) < 0.02))
    spread = SeedSpread(np.array([0.004]), np.ones(1))
    spreads = (NO_SPREAD if fixed else spread, spread)
    seen = [(3, 3), (9, 9), (20, 20), (5, 5), (5, 5)]  # looks at as many or more use nothing up
    if fixed:
        seen = [(1, of_b) for _, of_b in seen]
    result = compare(a, spreads[0], b, spreads[1], seen)
    images = image_variance(a, b)
    error = compare(a, NO_SPREAD, b, NO_SPREAD, None).standard_error
    assert error is not None
    assert images == pytest.approx(error**2)
    looks = [
        Look((np.inf if fixed else n, n), images + 0.004**2 / n * (1 if fixed else 2))
        for n in (3, 5, 9)
    ]
    assert result.p is not None
    assert result.p_looks is not None
    assert result.p_looks == pytest.approx(sequential_p(result.p, looks))
    assert result.p_first_look is not None
    assert result.p_first_look == pytest.approx(sequential_p(result.p, looks[-1:]))
    assert result.p < result.p_first_look < result.p_looks
    nobody = compare(a, spreads[0], b, spreads[1], None)
    assert nobody.p == nobody.p_looks == nobody.p_first_look == result.p


def test_few_seeds_alone_are_less_certain_than_welchs_test() -> None:
    rng = np.random.default_rng(2)
    chances = rng.beta(4, 1, 2000) + np.array([[0.02], [0.0]])
    a, b = (rng.random((3, 2000)) < chance for chance in chances)
    result = compare_pair(Fits(a), Fits(b))
    welch = stats.ttest_ind(a.mean(axis=1), b.mean(axis=1), equal_var=False)
    assert result.p is not None
    assert result.p > welch.pvalue
    assert result.degrees_of_freedom is not None
    assert result.degrees_of_freedom < 6
    assert result.method == "Behrens-Fisher over images and seeds"


def test_identical_predictions_are_not_different() -> None:
    row = np.array([[1, 0, 1, 1]], dtype=bool)
    fixed = compare_pair(Fits(row, deterministic=True), Fits(row, deterministic=True))
    assert (fixed.p, fixed.interval) == (1.0, Interval(0.0, 0.0))
    several = compare_pair(Fits(row.repeat(3, axis=0)), Fits(row.repeat(5, axis=0)))
    assert several.p == 1.0
    assert several.interval is not None
    assert several.interval.low < 0 < several.interval.high


@pytest.mark.parametrize("n", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("seeds", [(1, 3), (2, 3), (10, 10)])
def test_however_one_sided_five_images_are_too_few(n: int, seeds: tuple[int, int]) -> None:
    """A single one has no spread of its own."""
    right, wrong = np.ones((seeds[0], n), dtype=bool), np.zeros((seeds[1], n), dtype=bool)
    result = compare_pair(Fits(right, deterministic=seeds[0] == 1), Fits(wrong))
    assert result.difference == 1.0
    assert result.p is not None
    assert result.p > 0.05
    assert result.p == pytest.approx(max(result.p, mcnemar(n, 0)), abs=0.45 / n)
    assert result.interval is not None
    assert result.interval.low < 0
    assert result.interval.high == 1.0


@given(SEVERAL, SEVERAL)
def test_swapping_a_and_b_changes_only_signs(a: Fits, b: Fits) -> None:
    result, swapped = compare_pair(a, b), compare_pair(b, a)
    assert swapped.difference == -result.difference
    assert swapped.only_a_right == result.only_b_right
    assert swapped.only_b_right == result.only_a_right
    assert result.only_a_right - result.only_b_right == pytest.approx(12 * result.difference)
    if result.p is None:
        assert 1 in (a.n_seeds, b.n_seeds)
        return
    assert swapped.p == pytest.approx(result.p, abs=1e-9)
    assert result.interval is not None
    assert swapped.interval is not None
    assert swapped.interval.bounds == pytest.approx((-result.interval.high, -result.interval.low))
    assert 0 <= result.p <= 1
    assert result.difference in result.interval


@given(SEVERAL, SEVERAL, st.randoms(use_true_random=False))
def test_the_order_of_images_and_seeds_does_not_matter(a: Fits, b: Fits, random: Random) -> None:
    images = random.sample(range(12), 12)
    seeds = random.sample(range(a.n_seeds), a.n_seeds)
    mixed = Fits(a.correct[seeds][:, images]), Fits(b.correct[:, images])
    assert compare_pair(*mixed) == compare_pair(a, b)


def test_copies_of_an_image_count_once() -> None:
    rng = np.random.default_rng(3)
    a, b = rng.random((1, 2500)) < 0.90, rng.random((1, 2500)) < 0.88
    copies = np.repeat(np.arange(2500), 4)
    once = compare_pair(Fits(a, deterministic=True), Fits(b, deterministic=True))
    separate, counted = (
        compare_pair(*(Fits(row.repeat(4, axis=1), True, copies=of) for row in (a, b)))
        for of in (None, copies)
    )
    assert once.p is not None
    assert separate.p is not None
    assert separate.p < 0.1 * once.p  # four times the images, or so it seems
    assert counted.p == pytest.approx(once.p, rel=0.2)
    assert once.interval is not None
    assert counted.interval is not None
    assert counted.interval.bounds == pytest.approx(once.interval.bounds, abs=0.0015)
    assert counted.method == "normal, copies of an image as one"


def test_input_that_cannot_be_compared_is_refused() -> None:
    row = np.ones((1, 5), dtype=bool)
    with pytest.raises(InputError, match="5 images, the other for 6"):
        compare_pair(Fits(row), Fits(np.ones((1, 6), dtype=bool)))
    with pytest.raises(InputError, match="can't be negative"):
        mcnemar(-1, 3)


def _bootstrap_error(
    a: NDArray[np.bool_], b: NDArray[np.bool_], rounds: int, rng: np.random.Generator
) -> float:
    """Two-way bootstrap: seeds of A, seeds of B and images are each drawn with replacement."""
    n = a.shape[1]
    images = rng.multinomial(n, np.full(n, 1 / n), size=rounds).astype(np.float32)  # (rounds, n)

    def accuracies(correct: NDArray[np.bool_]) -> NDArray[np.float64]:
        seeds = len(correct)
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=rounds)  # (rounds, seeds)
        per_seed = images @ correct.T.astype(np.float32) / n  # (rounds, seeds)
        means: NDArray[np.float64] = (drawn / seeds * per_seed).sum(axis=1)
        return means

    return float(np.std(accuracies(a) - accuracies(b), ddof=1))


@pytest.mark.parametrize("seed_sd", [0.0, 0.5, 1.0])
def test_standard_error_equals_a_two_way_bootstrap(seed_sd: float) -> None:
    # 20 seeds, since a bootstrap of few seeds is itself too small by (S - 1) / S. It counts the
    # seed noise of single images three times and the formula once (Owen 2007, Annals of Applied
    # Statistics 1:386-411), so the bootstrap's is the larger one.
    rng = np.random.default_rng(3)
    shared, offset = rng.normal(0, honesty.SHARED_SD, 2000), honesty.offset_for(0.9)
    a, b = (
        honesty.fits(
            rng,
            honesty.logistic(offset + shared + rng.normal(0, honesty.OWN_SD, 2000)),
            20,
            seed_sd,
        )
        for _ in range(2)
    )
    formula = compare_pair(Fits(a), Fits(b)).standard_error
    assert formula is not None
    assert 0.85 < formula / _bootstrap_error(a, b, 2000, rng) < 1.05


def test_a_difference_of_balanced_accuracies() -> None:
    """B is better in the large class by more images than A in the small one, and yet worse."""
    classes = np.repeat([0, 1], [1000, 50])
    a, b = np.ones((2, 1050), bool)
    a[:40] = False
    b[1000:1030] = False
    found = compare_pair(*(Fits(each[None], True, classes=classes) for each in (a, b)))
    assert found.difference == pytest.approx((-0.04 + 0.6) / 2)
    assert (found.only_a_right, found.only_b_right) == (30, 40)
    assert found.method == "normal, classes alike"
    assert found.p is not None
    assert found.p < 1e-6
    assert found.interval is not None
    assert found.interval.low > 0
    plain = compare_pair(Fits(a[None], True), Fits(b[None], True))
    assert plain.difference < 0


@pytest.mark.parametrize(
    ("only_a", "only_b", "least"), [(4, 0, 0.09), (5, 0, 0.05), (6, 1, 0.08), (8, 2, 0.07)]
)
def test_a_small_class_alone_is_not_called_too_soon(only_a: int, only_b: int, least: float) -> None:
    """All of the images that one model alone has right are among the ten of the small class."""
    classes = np.repeat([0, 1], [1000, 10])
    a, b = np.ones((2, 1010), bool)
    b[1000 : 1000 + only_a] = False
    a[1010 - only_b :] = False
    found = compare_pair(*(Fits(each[None], True, classes=classes) for each in (a, b)))
    assert found.p is not None
    assert least < found.p < 0.13


def test_copies_and_classes_together() -> None:
    classes = np.repeat([0, 1], [100, 20])
    random = np.random.default_rng(0)
    a, b = random.random((2, 120)) < 0.8
    alone = compare_pair(*(Fits(each[None], True, classes=classes) for each in (a, b)))
    copies = np.repeat(np.arange(120), 4)
    together = compare_pair(
        *(
            Fits(np.repeat(each, 4)[None], True, copies=copies, classes=np.repeat(classes, 4))
            for each in (a, b)
        )
    )
    assert together.method == "normal, classes alike, copies of an image as one"
    assert together.p == pytest.approx(alone.p)
    assert together.difference == pytest.approx(alone.difference)
