from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.claims.arms import Arm
from fittingroom.bench.claims.claim import Claim, Figure
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ArmResult, with_spreads
from fittingroom.bench.claims.verdict import (
    ONE_SEED,
    VERDICTS,
    Score,
    agrees,
    judge,
    judge_accuracy,
    judge_difference,
    judge_order,
    meaning,
    score_of,
)
from fittingroom.evaluation.intervals import Interval
from fittingroom.evaluation.paired_difference import compare_pair
from fittingroom.evaluation.rerun import redraw_variance
from fittingroom.runs.spec import RunSpec

N = 2000


def evidence(
    *accuracies: float,
    name: str = "honest",
    model: str = "mlp-10-10",
    history: Any = (),
    first_image: int = 0,
) -> ArmResult:
    """Seeds that have the first images right, as many as their accuracies say."""
    arm = Arm(
        name=name,
        candidates=(RunSpec(dataset="simulated", model=model, parameters={}),),
        seeds=tuple(range(len(accuracies))),
        measure="test",
        seconds=1,
    )
    correct = np.stack([np.arange(N) < round(accuracy * N) for accuracy in accuracies])
    runs = tuple(SimpleNamespace(history=history) for _ in accuracies)
    alone = ArmResult(
        arm=arm,
        runs=runs,  # type: ignore[arg-type]
        accuracies=tuple(float(row.mean()) for row in correct),
        correct=correct,
        index=np.arange(first_image, first_image + N),
    )
    return with_spreads([alone])[0]


def claim(name: str, **changes: Any) -> Claim:
    return load_claims([name])[0].model_copy(update=changes)


HONEST = Score(accuracy=0.88, interval=Interval(0.87, 0.89), n_seeds=5)
USED = Score(accuracy=0.97, interval=Interval(0.96, 0.98), n_seeds=5)
UNSURE = Score(accuracy=0.88, n_seeds=1)


def within(low: float, high: float) -> Score:
    return Score(accuracy=0.88, interval=Interval(low, high), n_seeds=5)


@pytest.mark.parametrize(
    ("claimed", "used", "honest", "verdict"),
    [
        ("0.8700", USED, HONEST, "consistent"),
        ("0.8900", None, HONEST, "consistent"),
        ("0.9", USED, HONEST, "consistent"),  # means 0.85 to 0.95
        ("0.8903", USED, HONEST, "too-high"),
        ("0.86", None, HONEST, "too-low"),
        ("0.87", None, within(0.876, 0.89), "too-low"),
        ("0.9759", USED, HONEST, "not-what-it-says"),
        ("0.9", USED, within(0.879, 0.881), "consistent"),
        ("0.9", USED, within(0.8501, 0.90), "consistent"),
        ("0.9", USED, within(0.84, 0.91), "cannot-tell"),
        ("0.95", USED, within(0.84, 0.91), "too-high"),
        ("0.03", USED, within(0.0, 0.05), "consistent"),  # five points are not too wide
        ("0.9605", USED, within(0.84, 0.97), "cannot-tell"),
        ("0.965", USED, within(0.93, 0.97), "consistent"),  # both agree: the honest one decides
        ("0.99", USED, HONEST, "too-high"),
        ("0.50", USED, HONEST, "too-low"),
        ("88%", USED, HONEST, "consistent"),
        ("0.88", USED, UNSURE, "cannot-be-checked"),
        ("0.97", USED, UNSURE, "cannot-be-checked"),
        ("0.97", UNSURE, HONEST, "cannot-be-checked"),
        ("0.88", UNSURE, HONEST, "consistent"),
        ("0.88", USED, Score(), "cannot-be-checked"),
    ],
)
def test_the_verdict_rule(claimed: str, used: Score | None, honest: Score, verdict: str) -> None:
    for by_protocol in ("not-what-it-says", "own-split"):
        actual = judge(Figure.parse(claimed), used, honest, by_protocol=by_protocol)
        assert actual == (by_protocol if verdict == "not-what-it-says" else verdict)
        assert actual in VERDICTS


def test_runs_as_claimed_that_may_give_anything_confirm_nothing() -> None:
    """What honest runs exclude stays excluded; only a split of its own may be why."""
    anything, figure = within(0.5, 1.0), Figure.parse("0.9759")
    assert judge(figure, anything, HONEST, by_protocol="not-what-it-says") == "too-high"
    assert judge(figure, anything, HONEST, by_protocol="own-split") == "cannot-tell"


def test_a_verdict_is_worded_for_the_kind_of_claim() -> None:
    assert meaning("accuracy", "consistent") == VERDICTS["consistent"]
    assert meaning("text", "consistent") == "no other value is better by as much as half a point"
    assert meaning("order", "cannot-be-checked") == VERDICTS["cannot-be-checked"]


def test_leaked_runs_say_nothing_about_the_spread_of_honest_ones() -> None:
    """Training accuracies lie close together; an honest recipe's own three seeds don't."""

    def arm(number: int, measure: Any, *accuracies: float) -> ArmResult:
        result = evidence(*accuracies, name=f"{measure} {number}")
        epochs = {"epochs": number}
        spec = dataclasses.replace(result.arm.candidates[0], parameters=epochs, settings=epochs)
        return dataclasses.replace(
            result, arm=dataclasses.replace(result.arm, candidates=(spec,), measure=measure)
        )

    honest = arm(1, "test", 0.87, 0.88, 0.89)
    leaked = [arm(i, "training", 0.95, 0.95, 0.9505) for i in range(2, 9)]
    steady = [arm(i, "test", 0.95, 0.95, 0.9505) for i in range(2, 9)]
    (alone,), beside, among = (
        with_spreads(results) for results in ([honest], [honest, *leaked], [honest, *steady])
    )
    assert score_of(beside[0]) == score_of(alone)
    assert score_of(among[0]) != score_of(alone)


def test_a_figure_agrees_within_half_a_digit() -> None:
    assert agrees(Figure.parse("0.880"), within(0.86, 0.8796))
    assert not agrees(Figure.parse("0.880"), within(0.86, 0.8794))
    assert agrees(Figure.parse("0.88"), within(0.86, 0.8754))


def test_a_deterministic_model_has_one_run_and_a_narrow_interval() -> None:
    score = score_of(evidence(0.855, model="knn"))
    assert score.n_seeds == 1
    assert score.interval is not None
    assert score.interval.bounds == pytest.approx((0.855 - 0.00277, 0.855 + 0.00277), abs=1e-5)
    assert score_of(evidence(0.855)).interval is None


def test_other_images_and_other_claims_widen_the_interval() -> None:
    """By 1.96 standard deviations for one claim, and by 3.09 for one of 25: half of 0.2%."""
    fixed = evidence(0.855, model="knn")
    for draw, alpha, z in ((0.0, 0.05, 1.95996), (4.4e-3**2, 0.05, 1.95996), (0.0, 0.002, 3.09023)):
        interval = score_of(fixed, draw, alpha).interval
        assert interval is not None
        half = z * np.sqrt(2e-6 + draw)
        assert interval.bounds == pytest.approx((0.855 - half, 0.855 + half), abs=1e-6)


def test_an_accuracy_that_only_the_protocol_reproduces() -> None:
    judgement = judge_accuracy(
        claim("s2-ann1"),
        evidence(0.975, 0.976, 0.977, name="as claimed"),
        evidence(0.866, 0.868, 0.867),
    )
    assert judgement.verdict == "not-what-it-says"
    assert judgement.as_claimed.accuracy == pytest.approx(0.976)
    assert judgement.honest.accuracy == pytest.approx(0.867)
    assert [(bar.label, bar.is_claim) for bar in judgement.bars] == [
        *(("claimed", True), ("as claimed", False), ("honest", False))
    ]
    assert set(judgement.accuracies) == {"as claimed", "honest"}
    assert judgement.accuracies["honest"] == (0.866, 0.868, 0.867)
    assert judgement.remarks == ()
    one = judge_accuracy(claim("s2-ann1"), None, evidence(0.866))
    assert one.verdict == "cannot-be-checked"
    assert "One seed" in one.remarks[0]
    assert one.as_claimed == Score()


def test_a_claim_below_the_honest_figure_is_not_called_overstated() -> None:
    low = claim("s2-ann1", claimed="0.7459", protocol=["test-not-scaled"])
    judgement = judge_accuracy(low, evidence(0.745, 0.746, 0.747), evidence(0.866, 0.868, 0.867))
    assert judgement.verdict == "not-what-it-says"
    assert judgement.remarks == ("The honest accuracy is higher than the claimed one.",)


def test_an_own_split_without_a_leak_is_not_called_wrong() -> None:
    """0.8713 on 14,000 images of a pool of 70,000 against 0.8600 on the official 10,000."""
    about = claim("s0-lr", claimed="0.8750")
    used, honest = evidence(0.8755, model="knn"), evidence(0.86, model="knn")
    assert judge_accuracy(about, used, honest).verdict == "own-split"
    elsewhere = redraw_variance(10_000, 14_000, 70_000) * N / 10_000
    draw = elsewhere * honest.image_variance
    assert np.sqrt(draw) == pytest.approx(0.00415, abs=5e-6)
    assert judge_accuracy(about, used, honest, redraw=elsewhere).verdict == "own-split"
    near = claim("s0-lr", claimed="0.8680")
    assert judge_accuracy(near, used, honest, redraw=elsewhere).verdict == "consistent"
    leaked = about.model_copy(update={"protocol": ["own-random-split", "selected-on-test"]})
    judgement = judge_accuracy(leaked, used, honest, redraw=elsewhere)
    assert judgement.verdict == "not-what-it-says"
    # The official test images are harder than held-out ones, so a validation accuracy is higher.
    held_out = claim("s3-cnn2", claimed="0.8750")
    assert judge_accuracy(held_out, used, honest).verdict == "own-split"


@pytest.mark.parametrize(
    ("claimed", "verdict"),
    [
        ("0.5%", "consistent"),
        ("2.5%", "too-high"),
        ("0.1%", "too-low"),
        ("0.9%", "consistent"),
    ],
)
def test_a_difference_is_compared_with_the_interval_of_one_more(claimed: str, verdict: str) -> None:
    judgement = judge_difference(
        claim("s4-pooling", claimed=claimed),
        evidence(*[0.9060, 0.9050, 0.9055] * 3),
        evidence(*[0.9000, 0.9005, 0.9005] * 3),
    )
    assert judgement.verdict == verdict
    assert judgement.honest.accuracy == pytest.approx(0.0053, abs=3e-4)
    assert judgement.honest.interval is not None
    assert 0.005 in judgement.honest.interval
    assert judgement.as_claimed == Score()


def test_a_difference_whose_opposite_is_possible_cannot_be_told() -> None:
    first, second = evidence(0.91, 0.90, 0.89), evidence(0.9, 0.89, 0.88)
    judgement = judge_difference(claim("s4-pooling", claimed="1%"), first, second)
    assert judgement.verdict == "cannot-tell"
    assert judge_difference(claim("s4-pooling", claimed="99%"), first, second).verdict == "too-high"


def test_a_difference_of_single_fits_is_not_judged() -> None:
    judgement = judge_difference(claim("s4-pooling"), evidence(0.91), evidence(0.905))
    assert judgement.verdict == "cannot-be-checked"
    assert judgement.honest.interval is None
    assert ONE_SEED in judgement.remarks
    several = judge_difference(
        claim("s4-pooling"), evidence(0.91, 0.911, 0.912), evidence(0.905, 0.906)
    )
    assert several.honest.n_seeds == 2
    assert ONE_SEED not in several.remarks
    assert Score().n_seeds == 0


ORDERED = [(0.84, 0.84, 0.84), (0.87, 0.87, 0.871), (0.89, 0.89, 0.891), (0.91, 0.91, 0.911)]


def in_order(rows: Sequence[Sequence[float]]) -> list[ArmResult]:
    return [evidence(*row) for row in rows]


def test_an_order_holds_if_every_step_is_significant() -> None:
    judgement = judge_order(claim("s0-order"), in_order(ORDERED), in_order(ORDERED))
    assert judgement.verdict == "consistent"
    assert ONE_SEED not in judgement.remarks
    assert len(judgement.bars) == 8
    many = judge_order(claim("s0-order"), [], in_order(ORDERED), alpha=0.002)
    for bar, wider in zip(judgement.bars[4:], many.bars, strict=True):
        assert bar.interval is not None
        assert wider.interval is not None
        assert wider.interval.low < bar.interval.low, "all claims share the chance of error"
    assert "not significant" not in " ".join(judgement.remarks)
    assert (judgement.honest.accuracy, judgement.honest.n_seeds) == (None, 3)


def test_an_order_of_similar_models_cannot_be_told() -> None:
    alike = [*ORDERED[:2], ORDERED[1], ORDERED[3]]
    judgement = judge_order(claim("s0-order"), [], in_order(alike))
    assert judgement.verdict == "cannot-tell"
    assert judgement.remarks[0].count("not significant") == 1


def test_a_reversed_order() -> None:
    wrong = [ORDERED[0], ORDERED[2], ORDERED[1], ORDERED[3]]
    judgement = judge_order(claim("s0-order"), [], in_order(wrong))
    assert judgement.verdict == "too-high"
    assert "the other way round" in judgement.remarks[0]
    judgement = judge_order(claim("s0-order"), in_order(ORDERED), in_order(wrong))
    assert judgement.verdict == "not-what-it-says"
    fair = claim("s0-order")
    by_own_splits = fair.model_copy(
        update={"members": tuple(claim("s0-lr", id=f"m{i}") for i in range(4))}
    )
    assert judge_order(by_own_splits, in_order(ORDERED), in_order(wrong)).verdict == "own-split"
    # A training accuracy has no images to compare.
    logged = dataclasses.replace(evidence(*ORDERED[3]), correct=None, index=None)
    trained = judge_order(fair, [*in_order(ORDERED[:3]), logged], in_order(ORDERED))
    assert trained.verdict == "consistent"
    assert not any("As claimed" in remark for remark in trained.remarks)
    # On different images nothing can be compared as claimed.
    used = [*in_order(ORDERED[:3]), evidence(*ORDERED[3], first_image=7)]
    assert judge_order(claim("s0-order"), used, in_order(wrong)).verdict == "too-high"


def test_an_order_that_single_runs_may_show_is_not_too_high() -> None:
    """The means are significantly the other way round; single runs often aren't."""
    worse = [0.880 + 0.002 * k for k in range(-4, 5)]
    better = [0.890 + 0.002 * k for k in range(-4, 5)]
    rows = [[0.80] * 9, better, worse, [0.95] * 9]
    honest = in_order([tuple(row) for row in rows])
    lead = compare_pair(honest[1].fits, honest[2].fits)
    assert lead.p is not None
    assert lead.p < 0.05 / 3
    assert judge_order(claim("s0-order"), [], honest).verdict == "cannot-tell"
    apart = in_order([tuple(row) for row in (rows[0], [a + 0.03 for a in better], worse, rows[3])])
    assert judge_order(claim("s0-order"), [], apart).verdict == "too-high"
    elsewhere = judge_order(claim("s0-order"), [], apart, redraw=40.0)
    assert elsewhere.verdict == "cannot-tell", "on its own images it may have been so"


def test_an_order_of_single_fits_is_not_verified() -> None:
    judgement = judge_order(claim("s0-order"), [], in_order([row[:1] for row in ORDERED]))
    assert judgement.verdict == "cannot-be-checked"
    assert ONE_SEED in judgement.remarks


def test_significance_is_corrected_for_three_comparisons() -> None:
    """Six images that only one model has right: p is 0.03, and 0.09 as one of three."""

    def knn(right: int) -> ArmResult:
        return evidence(right / N, model="knn")

    steps = [knn(1700 + 6 * n) for n in range(4)]
    assert judge_order(claim("s0-order"), [], steps).verdict == "cannot-tell"


def test_a_reversal_is_corrected_for_three_steps() -> None:
    """0.45 points are 2.2 standard deviations of one more run of each: 3% alone, 9% among three."""
    steps = [evidence(a, model="knn") for a in (0.85, 0.8455, 0.90, 0.95)]
    order = claim("s0-order")
    two = order.model_copy(update={"members": order.members[:2]})
    assert judge_order(two, [], steps[:2]).verdict == "too-high"
    assert judge_order(order, [], steps).verdict == "cannot-tell"
