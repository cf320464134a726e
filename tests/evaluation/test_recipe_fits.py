"""recipe_fits.py: intervals of accuracies against Wilson's, by hand, and by simulation."""

import numpy as np
import pytest
from scipy import stats

from fittingroom.errors import InputError
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.recipe_fits import (
    AccuracyEstimate,
    Fits,
    accuracies,
    accuracy_interval,
)
from fittingroom.evaluation.seed_spread import NO_SPREAD, SeedSpread, SeedVariance


def estimate_of(fits: Fits) -> AccuracyEstimate:
    return accuracies({"a": fits})["a"]


def test_a_deterministic_model_has_wilsons_interval() -> None:
    estimate = estimate_of(Fits(np.arange(100)[None] < 90, deterministic=True))
    assert (estimate.mean, estimate.sd, estimate.n_seeds) == (0.9, None, 1)
    assert estimate.interval == estimate.fit_interval == wilson(90, 100)


def test_one_seed_has_an_interval_for_other_images() -> None:
    estimate = estimate_of(Fits(np.arange(100)[None] < 90))
    assert estimate.fit_interval == wilson(90, 100)
    assert estimate.interval is None
    measured = SeedVariance(0.02**2, 200, 0.0)
    estimate = estimate_of(Fits(np.arange(100)[None] < 90, known=measured))
    assert estimate.fit_interval == wilson(90, 100)
    drawn = np.random.default_rng(0).normal(0, (0.09 / 99) ** 0.5, 10**6)
    drawn += 0.02 * np.random.default_rng(1).standard_t(7, 10**6)  # one fit may be an outlier
    assert estimate.interval is not None
    as_many = stats.norm.isf(0.025) ** 2 * 0.09 / np.quantile(abs(drawn), 0.95) ** 2
    wanted = wilson(0.9 * as_many, as_many)
    assert estimate.interval.bounds == pytest.approx(wanted.bounds, abs=1e-3)


def test_many_seeds_by_hand() -> None:
    rng = np.random.default_rng(0)
    chance = rng.beta(4, 1, 500)
    shift = rng.normal(0, 0.03, (80, 1))
    correct = rng.random((80, 500)) < chance + shift
    estimate = estimate_of(Fits(correct))
    averaged, per_seed = correct.mean(axis=0), correct.mean(axis=1)
    noise = correct.var(axis=0, ddof=1).mean() / 80 / 500
    variance = averaged.var(ddof=1) / 500 - noise + per_seed.var(ddof=1) / 80
    assert estimate.mean == pytest.approx(correct.mean())
    assert estimate.sd == pytest.approx(per_seed.std(ddof=1))
    assert estimate.fit_interval is None
    assert estimate.interval is not None
    width = estimate.interval.high - estimate.interval.low
    assert width == pytest.approx(2 * 1.96 * np.sqrt(variance), rel=0.03)
    assert estimate.interval.low < estimate.mean < estimate.interval.high


def test_an_accuracy_of_one_still_has_a_wide_interval() -> None:
    estimate = estimate_of(Fits(np.ones((3, 50), dtype=bool)))
    assert (estimate.mean, estimate.sd) == (1.0, 0.0)
    assert estimate.interval == wilson(50, 50)


@pytest.mark.parametrize(("correct", "mean"), [([[1], [1]], 1), ([[1], [0]], 0.5)])
def test_one_image_says_nothing_about_the_spread_over_images(
    correct: list[list[int]], mean: float
) -> None:
    estimate = estimate_of(Fits(np.array(correct, bool)))
    assert estimate.mean == mean
    assert estimate.interval is not None
    assert estimate.interval.high - estimate.interval.low > 0.75


def test_interval_contains_the_expected_accuracy() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        chance = rng.beta(0.9, 0.1, 1000)  # (images,), mean 0.9
        shifted = 1 - (1 - chance) * np.exp(rng.normal(0, 0.03, (3, 1)))  # seeds that differ
        correct = rng.random((3, 1000)) < shifted
        interval = estimate_of(Fits(correct)).interval
        assert interval is not None
        hits += 0.9 in interval
    assert hits / 400 >= 0.93


def test_the_noise_of_single_images_is_counted_once() -> None:
    """It is in the spread over seeds, and subtracted from the variance over images."""
    rng = np.random.default_rng(0)
    correct = rng.random((2, 400)) < rng.beta(4, 1, 400)
    fits, spread = Fits(correct), SeedSpread(np.array([0.03]), np.ones(1))
    disagree = (correct[0] != correct[1]).sum() / 2 / 400**2  # of one fit
    assert fits.noise == pytest.approx(disagree / 2)
    over_images = correct.mean(axis=0).var(ddof=1) / 400 - disagree / 2
    mean = correct.mean()
    as_many = mean * (1 - mean) / (over_images + 0.03**2 / 2)
    expected = wilson(mean * as_many, as_many)
    assert accuracy_interval(fits, spread, 0.025).bounds == pytest.approx(expected.bounds, abs=1e-6)


def test_another_seed_changes_nothing_for_a_deterministic_model() -> None:
    right = np.arange(100)[None] < 90
    known = SeedVariance(1e-4, 9, 1e-5)
    fixed, single = Fits(right, deterministic=True, known=known), Fits(right, known=known)
    assert (fixed.single_seed, single.single_seed) == (False, True)
    assert not Fits(np.repeat(right, 2, axis=0)).single_seed
    assert fixed.noise == 0.0
    assert single.noise == pytest.approx(1e-5)


def test_copies_of_an_image_count_once() -> None:
    row = np.random.default_rng(0).random((1, 2500)) < 0.9
    once = estimate_of(Fits(row, deterministic=True)).interval
    copies = np.repeat(np.arange(2500), 4)
    four = estimate_of(Fits(row.repeat(4, axis=1), deterministic=True, copies=copies)).interval
    assert once is not None
    assert four is not None
    assert four.bounds == pytest.approx(once.bounds, abs=3e-4)


def test_recipes_inform_only_their_own_kind() -> None:
    rng = np.random.default_rng(0)

    def fits(kind: str) -> Fits:
        return Fits(rng.random((2, 2000)) < 0.9, kind=kind)

    alone = fits("network")
    many = {f"forest {i}": fits("classical") for i in range(8)}
    beside = accuracies({"a": alone, **many})["a"]
    assert beside == estimate_of(alone)
    among = accuracies({"a": alone, **{f"{i}": fits("network") for i in range(8)}})["a"]
    assert among.interval is not None
    assert beside.interval is not None
    assert among.interval.high - among.interval.low < beside.interval.high - beside.interval.low


@pytest.mark.parametrize(
    "correct",
    [
        np.ones(5, dtype=bool),
        np.ones((0, 5), dtype=bool),
        np.ones((1, 0), dtype=bool),
        np.ones((1, 5), dtype=int),
    ],
)
def test_only_a_bool_array_of_seeds_by_images_is_accepted(correct: np.ndarray) -> None:
    with pytest.raises(InputError, match="bool array"):
        Fits(correct)


def test_a_deterministic_model_has_one_row() -> None:
    with pytest.raises(InputError, match="give only one"):
        Fits(np.ones((2, 5), dtype=bool), deterministic=True)


def test_classes_of_one_size_have_wilsons_interval() -> None:
    classes = np.repeat(np.arange(10), 100)
    correct = np.tile(np.arange(100) % 10 > 0, 10)[None]
    estimate = estimate_of(Fits(correct, deterministic=True, classes=classes))
    expected = wilson(900, 1000)
    assert estimate.mean == pytest.approx(0.9)
    assert estimate.interval is not None
    assert estimate.interval.bounds == pytest.approx(expected.bounds, abs=2e-3)


def test_a_small_class_makes_a_balanced_accuracy_uncertain() -> None:
    """All of its ten images are right; so are those of a class of 75% in one case of 18."""
    classes = np.repeat([0, 1], [1000, 10])
    right = np.ones((1, 1010), bool)
    estimate = estimate_of(Fits(right, deterministic=True, classes=classes))
    assert estimate.interval is not None
    assert estimate.interval.high == 1.0
    assert 0.85 < estimate.interval.low < 0.87
    plain = estimate_of(Fits(right, deterministic=True))
    assert plain.interval is not None
    assert plain.interval.low > 0.996
    # Nor do more seeds make the small class larger.
    many = estimate_of(Fits(np.repeat(right, 5, axis=0), deterministic=False, classes=classes))
    assert many.interval is not None
    assert many.interval.low < 0.87


@pytest.mark.parametrize(
    ("sizes", "chances", "copied"),
    [
        ([400, 60, 12], [0.95, 0.7, 0.5], ()),
        ([400, 60, 12], [0.95, 0.7, 0.5], (0, 1, 2)),
        ([400, 60, 12], [0.95, 0.7, 0.5], (1,)),
        ([1000, 10], [0.9, 0.9], ()),
        ([1000, 10], [0.95, 0.8], (0,)),
        ([100] * 20 + [20] * 20, [0.97] * 40, ()),
    ],
)
def test_intervals_of_balanced_accuracies_hold_the_truth(
    sizes: list[int], chances: list[float], copied: tuple[int, ...]
) -> None:
    """Images of the `copied` classes come four times each."""
    random = np.random.default_rng(0)
    distinct = np.repeat(np.arange(len(sizes)), sizes)
    times = np.where(np.isin(distinct, copied), 4, 1)
    classes = np.repeat(distinct, times)
    copies = np.repeat(np.arange(len(distinct)), times) if copied else None
    held = []
    for _ in range(600):
        right = np.repeat(random.random(len(distinct)) < np.array(chances)[distinct], times)
        fits = Fits(right[None], deterministic=True, copies=copies, classes=classes)
        interval = accuracy_interval(fits, NO_SPREAD, 0.025)
        held.append(float(np.mean(chances)) in interval)
    assert np.mean(held) > 0.935


def test_every_image_a_copy_of_one_says_hardly_anything() -> None:
    """A hundred blank images of one class, and three of another."""
    classes = np.repeat([0, 1], [100, 3])
    copies = np.array([0] * 100 + [1, 2, 3])
    right = np.ones((1, 103), bool)
    fits = Fits(right, deterministic=True, copies=copies, classes=classes)
    interval = accuracy_interval(fits, NO_SPREAD, 0.025)
    assert interval.high == 1.0
    assert interval.low < 0.5
