"""significance.py: published figures, a bootstrap as oracle, invariants, and honesty."""

import json
from time import perf_counter

import honesty
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats

from fittingroom.errors import InputError
from fittingroom.evaluation.intervals import Interval, paired_interval
from fittingroom.evaluation.significance import (
    compare_pair,
    holm,
    mcnemar_exact,
    rank_models,
)


def correctness_of(seeds, n=12):
    return hnp.arrays(np.bool_, (seeds, n))


SEVERAL = st.integers(1, 4).flatmap(correctness_of)


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
def test_mcnemar_as_published(only_a, only_b, p):
    assert mcnemar_exact(only_a, only_b) == pytest.approx(p, rel=2e-4)


@given(st.integers(0, 600), st.integers(0, 600))
def test_mcnemar_is_the_binomial_test(only_a, only_b):
    if only_a + only_b:
        expected = stats.binomtest(only_a, only_a + only_b).pvalue
        assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9)
    assert mcnemar_exact(only_a, only_b) == mcnemar_exact(only_b, only_a)


def test_p_and_interval_agree_where_each_model_has_one_fit():
    # Both are monotone in the split, so only the two splits beside the edge can disagree.
    disagreements = 0
    for discordant in range(6, 401):  # below 6 nothing is significant
        edge = max(k for k in range(discordant // 2) if mcnemar_exact(k, discordant - k) <= 0.05)
        for only_a, significant in [(edge, True), (edge + 1, False)]:
            found = paired_interval(only_a, discordant - only_a, 10_000)
            disagreements += (0.0 not in found) != significant
    assert disagreements <= 10  # of 790 at the very edge


def test_one_fit_each_is_mcnemar():
    a = np.array([[1, 1, 1, 0, 0, 1]], dtype=bool)
    b = np.array([[1, 0, 0, 0, 1, 0]], dtype=bool)
    found = compare_pair(a, b, fixed_a=True, fixed_b=True)
    assert found.difference == pytest.approx(2 / 6)
    assert (found.only_a_right, found.only_b_right) == (3, 1)
    assert found.p == mcnemar_exact(3, 1)
    assert found.interval == paired_interval(3, 1, 6)
    assert not found.single_seed
    assert compare_pair(a, b, fixed_a=True).single_seed
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False)) == {
        "difference": found.difference,
        "ci95": list(found.interval.bounds),
        "p": found.p,
        "only_a_right": 3,
        "only_b_right": 1,
        "method": "exact McNemar",
        "standard_error": None,
        "degrees_of_freedom": None,
        "single_seed": False,
    }


def test_several_seeds_by_hand():
    rng = np.random.default_rng(1)
    a, b = rng.random((3, 50)) < 0.8, rng.random((4, 50)) < 0.7
    found = compare_pair(a, b)
    averaged = a.mean(axis=0) - b.mean(axis=0)
    parts = [
        (averaged.var(ddof=1) / 50, 49),
        (a.mean(axis=1).var(ddof=1) / 3, 2),
        (b.mean(axis=1).var(ddof=1) / 4, 3),
    ]
    total = sum(part for part, _ in parts)
    df = total**2 / sum(part**2 / of for part, of in parts)
    assert found.difference == pytest.approx(averaged.mean())
    assert found.standard_error == pytest.approx(np.sqrt(total))
    assert found.degrees_of_freedom == pytest.approx(df)
    assert found.p == pytest.approx(2 * stats.t.sf(abs(averaged.mean()) / np.sqrt(total), df))
    half = stats.t.ppf(0.975, df) * np.sqrt(total)
    assert found.interval.bounds == pytest.approx((averaged.mean() - half, averaged.mean() + half))
    pairs = [(i, j) for i in range(3) for j in range(4)]
    assert found.only_a_right == pytest.approx(np.mean([(a[i] & ~b[j]).sum() for i, j in pairs]))
    assert found.only_b_right == pytest.approx(np.mean([(b[j] & ~a[i]).sum() for i, j in pairs]))


def test_a_fixed_model_against_seeds_has_no_seed_variance():
    rng = np.random.default_rng(2)
    a, b = rng.random((1, 50)) < 0.8, rng.random((3, 50)) < 0.7
    found = compare_pair(a, b, fixed_a=True)
    images = (a[0] - b.mean(axis=0)).var(ddof=1) / 50
    assert found.standard_error == pytest.approx(np.sqrt(images + b.mean(axis=1).var(ddof=1) / 3))
    assert not found.single_seed
    single = compare_pair(a, b)  # the same figures, but A might come out otherwise
    assert single.single_seed
    assert single.p == found.p


def test_identical_predictions_are_not_different():
    row = np.array([[1, 0, 1, 1]], dtype=bool)
    for seeds_a, seeds_b in [(1, 1), (3, 3), (1, 5)]:
        found = compare_pair(np.repeat(row, seeds_a, axis=0), np.repeat(row, seeds_b, axis=0))
        assert found.p == 1.0
        assert found.interval == Interval(0.0, 0.0)
        assert found.difference == 0.0


def test_the_same_difference_on_every_image_is_a_sign_test():
    right, wrong = np.ones((2, 8), dtype=bool), np.zeros((2, 8), dtype=bool)
    found = compare_pair(right, wrong)
    assert found.p == 2 / 2**8
    assert found.interval == paired_interval(8, 0, 8)  # eight images don't make it certain
    assert (found.standard_error, found.degrees_of_freedom) == (None, None)
    half = np.repeat(np.eye(2, dtype=bool), 4, axis=1)  # each seed has another half right
    found = compare_pair(half, wrong[:1])
    assert found.interval.bounds == (0.5 * paired_interval(8, 0, 8).low, 0.5)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
@pytest.mark.parametrize("seeds", [(1, 1), (1, 3), (2, 3)])
def test_where_nothing_is_significant_the_interval_says_so(n, seeds):
    """However one-sided, five images are too few; and a single one has no spread of its own."""
    right, wrong = np.ones((seeds[0], n), dtype=bool), np.zeros((seeds[1], n), dtype=bool)
    found = compare_pair(right, wrong)
    assert found.difference == 1.0
    assert found.p == 2 / 2**n
    assert found.p > 0.05
    assert found.interval.low < 0 < found.interval.high == 1.0
    assert rank_models(["a", "b"], [right, wrong], [False] * 2).ranks == {"a": 1, "b": 1}


@given(SEVERAL, SEVERAL)
def test_swapping_a_and_b_changes_signs_alone(a, b):
    found, swapped = compare_pair(a, b), compare_pair(b, a)
    assert swapped.difference == -found.difference
    assert swapped.p == pytest.approx(found.p)
    assert swapped.interval.bounds == pytest.approx((-found.interval.high, -found.interval.low))
    assert (swapped.only_a_right, swapped.only_b_right) == (found.only_b_right, found.only_a_right)
    assert 0 <= found.p <= 1
    assert found.difference in found.interval
    assert found.only_a_right - found.only_b_right == pytest.approx(12 * found.difference)


@given(SEVERAL, SEVERAL, st.randoms(use_true_random=False))
def test_the_order_of_images_and_seeds_does_not_matter(a, b, random):
    images = random.sample(range(12), 12)
    seeds = random.sample(range(len(a)), len(a))
    assert compare_pair(a[seeds][:, images], b[:, images]) == compare_pair(a, b)


@given(st.lists(st.floats(0, 1), min_size=0, max_size=12))
def test_holm_is_monotone_and_between_p_and_bonferroni(p):
    adjusted = holm(p)
    assert len(adjusted) == len(p)
    for value, raised in zip(p, adjusted, strict=True):
        assert value <= raised <= min(1.0, value * len(p)) + 1e-15
    by_p = sorted(zip(p, adjusted, strict=True))
    assert [raised for _, raised in by_p] == sorted(adjusted)


def test_holm_by_hand():
    # R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm")
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    for wrong in ([0.5, float("nan")], [1.5], [-0.1]):
        with pytest.raises(InputError, match="between 0 and 1"):
            holm(wrong)


def _models(accuracies, seeds=3, n=4000):
    """Correctness of models on images of shared difficulty, so that a chain can overlap."""
    rng = np.random.default_rng(5)
    difficulty = rng.random(n)  # (n,)
    return [
        np.stack([difficulty + rng.normal(0, 0.02, n) < accuracy for _ in range(seeds)])
        for accuracy in accuracies
    ]


def test_ranks_count_the_models_that_are_better():
    names = ["good", "best", "middling", "bad"]
    ranking = rank_models(names, _models([0.9, 0.9, 0.85, 0.7]), [False] * 4)
    assert dict(ranking.ranks) == {"best": 1, "good": 1, "middling": 3, "bad": 4}
    assert ranking.order[2:] == ("middling", "bad")
    assert ranking.indistinguishable_from["good"] == ("best",)
    assert ranking.indistinguishable_from["bad"] == ()
    assert len(ranking.pairs) == 6
    assert all(pair.p_holm >= pair.paired.p for pair in ranking.pairs)
    assert json.loads(json.dumps(ranking.to_dict(), allow_nan=False))["ranks"]["middling"] == 3


def test_ranks_are_corrected_for_the_number_of_pairs():
    a = np.arange(100) >= 2  # wrong on two images that b has right
    b = ~((np.arange(100) >= 2) & (np.arange(100) < 12))  # and b on ten that a has right
    assert rank_models(["a", "b"], [a[None], b[None]], [True] * 2).ranks["b"] == 2
    ranking = rank_models(["a", "b", "twin"], [a[None], b[None], b[None]], [True] * 3)
    assert {pair.p_holm for pair in ranking.pairs} == {min(1, 3 * mcnemar_exact(10, 2)), 1.0}
    assert set(ranking.ranks.values()) == {1}
    assert ranking.indistinguishable_from["a"] == ("b", "twin")


def test_telling_apart_is_not_transitive():
    # Each of 20 further images apart is too little to see, 40 together are not.
    rows = [np.arange(1000)[None] < right for right in (905, 900, 895)]
    ranking = rank_models(["a", "b", "c"], rows, [True] * 3)
    assert dict(ranking.ranks) == {"a": 1, "b": 1, "c": 2}
    assert dict(ranking.indistinguishable_from) == {"a": ("b",), "b": ("a", "c"), "c": ("b",)}


@settings(max_examples=60)
@given(
    st.lists(SEVERAL, min_size=1, max_size=5).flatmap(
        lambda rows: st.tuples(st.just(rows), st.permutations(range(len(rows))))
    )
)
def test_ranking_does_not_depend_on_the_order_of_models(drawn):
    rows, order = drawn
    names = [f"model-{i}" for i in range(len(rows))]
    fixed = [len(row) == 1 for row in rows]
    straight = rank_models(names, rows, fixed)
    mixed = rank_models(
        [names[i] for i in order], [rows[i] for i in order], [fixed[i] for i in order]
    )
    assert mixed == straight
    for name, others in straight.indistinguishable_from.items():
        assert all(name in straight.indistinguishable_from[other] for other in others)
    assert straight.ranks[straight.order[0]] == 1
    ranks_in_order = [straight.ranks[name] for name in straight.order]
    assert ranks_in_order == sorted(ranks_in_order)


def test_what_cannot_be_compared_is_refused():
    row = np.ones((1, 5), dtype=bool)
    with pytest.raises(InputError, match="5 images, the other of 6"):
        compare_pair(row, np.ones((1, 6), dtype=bool))
    with pytest.raises(InputError, match="2 rows"):
        compare_pair(np.ones((2, 5), dtype=bool), row, fixed_a=True)
    with pytest.raises(InputError, match="bool array"):
        compare_pair(row.astype(int), row)
    with pytest.raises(InputError, match="distinct"):
        rank_models(["a", "a"], [row, row], [True, True])
    with pytest.raises(InputError, match="each with its predictions"):
        rank_models(["a", "b"], [row], [True, True])


def _bootstrap_error(a, b, rounds, rng):
    """Two-way bootstrap: seeds of A, seeds of B and images are each drawn with replacement."""
    n = a.shape[1]
    images = rng.multinomial(n, np.full(n, 1 / n), size=rounds).astype(np.float32)  # (rounds, n)

    def accuracies(correct):
        seeds = len(correct)
        drawn = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=rounds)  # (rounds, seeds)
        per_seed = images @ correct.T.astype(np.float32) / n  # (rounds, seeds)
        return (drawn / seeds * per_seed).sum(axis=1)

    return float(np.std(accuracies(a) - accuracies(b), ddof=1))


@pytest.mark.parametrize("seed_sd", [0.0, 0.5, 1.0])
def test_standard_error_equals_a_two_way_bootstrap(seed_sd):
    # 20 seeds, since a bootstrap of few seeds is itself too small by (S - 1) / S. It counts the
    # seed noise of single images three times and the formula twice (Owen 2007, Annals of
    # Applied Statistics 1:386-411), so they differ a little, with the formula nearer the truth.
    study, rng = honesty, np.random.default_rng(3)
    shared, offset = rng.normal(0, study.SHARED_SD, 2000), study.offset_for(0.9)
    a, b = (
        study.fits(
            rng,
            study.logistic(offset + shared + rng.normal(0, study.OWN_SD, 2000)),
            20,
            seed_sd,
        )
        for _ in range(2)
    )
    formula = compare_pair(a, b).standard_error
    assert formula == pytest.approx(_bootstrap_error(a, b, 2000, rng), rel=0.10)


def test_standard_error_is_not_below_the_true_one():
    study = honesty
    for seed_sd in (0.0, 0.3):
        scenario = study.Scenario(seeds=5, gap=0.0, seed_sd=seed_sd)
        found = study.outcome(scenario, study.simulate(scenario, 500, images=2000))
        ratio = found.mean_standard_error / found.true_standard_error
        assert 0.95 < ratio < 1.25  # the true one is itself known to 3%


@pytest.mark.slow
def test_promises_hold_in_a_thousand_simulations(tmp_path, capsys):
    written = tmp_path / "honesty.json"
    assert honesty.main(["--out", str(written)]) == 0
    record = json.loads(written.read_text())
    assert record["simulations"] == 1000
    assert record["images"] == 10_000
    judged = [each for each in record["scenarios"] if each["scenario"]["at_most"] is not None]
    asked = {(each["scenario"]["seeds"], each["scenario"]["seed_sd"]) for each in judged}
    assert asked == {(3, 0.0), (3, 0.3), (5, 0.0), (5, 0.3)}
    assert all(each["called_different"] <= 0.065 for each in judged)
    powerful = [each for each in record["scenarios"] if each["scenario"]["gap"] == 1.0]
    assert len(powerful) == 2
    assert all(each["called_different"] >= 0.80 for each in powerful)
    # A deterministic model, fitted once, against seeds or one fit of another.
    fixed = [each for each in record["scenarios"] if each["scenario"]["fixed_a"]]
    assert len(fixed) == 3
    assert all(each["called_different"] <= 0.065 for each in fixed)
    assert all(each["interval_holds_truth"] >= 0.935 for each in record["scenarios"])
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 1 + len(record["scenarios"])


def test_a_study_that_finds_too_much_says_so():
    study = honesty
    scenario = study.Scenario(seeds=3, gap=1.0, seed_sd=0.0, at_most=0.065)
    found = study.outcome(scenario, study.simulate(scenario, 20))
    assert not found.met
    assert "MISSED" in study.line(found)


@pytest.mark.parametrize(("models", "pairs", "seconds"), [(18, 153, 1.0), (60, 1770, 10.0)])
def test_many_models_in_seconds(models, pairs, seconds):
    rng = np.random.default_rng(0)
    correct = [rng.random((3, 10_000)) < 0.9 for _ in range(models)]
    names = [f"model-{i}" for i in range(models)]
    started = perf_counter()
    ranking = rank_models(names, correct, [False] * models)
    assert perf_counter() - started < seconds
    assert len(ranking.pairs) == pairs


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_that_of_statsmodels(only_a, only_b):
    from statsmodels.stats.contingency_tables import mcnemar

    table = [[100, only_a], [only_b, 100]]
    expected = mcnemar(table, exact=True).pvalue if only_a + only_b else 1.0
    assert mcnemar_exact(only_a, only_b) == pytest.approx(expected, rel=1e-9)
