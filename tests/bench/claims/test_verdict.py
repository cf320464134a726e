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
from fittingroom.evaluation.rerun import redrawn
from fittingroom.runs.spec import RunSpec

N = 2000


def evidence(
    *accuracies: float,
    name: str = "honest",
    model: str = "mlp-10-10",
    history: Any = (),
    first_image: int = 0,
) -> ArmResult:
    """Seeds that have the first images right, each as many as its accuracy says."""
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


HONEST = Score(accuracy=0.88, interval=Interval(0.87, 0.89), seeds=5)
USED = Score(accuracy=0.97, interval=Interval(0.96, 0.98), seeds=5)
UNSURE = Score(accuracy=0.88, seeds=1)


def within(low: float, high: float) -> Score:
    return Score(accuracy=0.88, interval=Interval(low, high), seeds=5)


@pytest.mark.parametrize(
    ("claimed", "used", "honest", "verdict"),
    [
        ("0.8700", USED, HONEST, "consistent"),
        ("0.8900", None, HONEST, "consistent"),
        ("0.9", USED, HONEST, "consistent"),  # stands for 0.85 to 0.95
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
        ("0.9759", within(0.5, 1.0), HONEST, "cannot-tell"),  # holds everything: no confirmation
        ("0.88", USED, Score(), "cannot-be-checked"),
    ],
)
def test_the_rule(claimed: str, used: Score | None, honest: Score, verdict: str) -> None:
    for by_protocol in ("not-what-it-says", "own-split"):
        found = judge(Figure.parse(claimed), used, honest, by_protocol=by_protocol)
        assert found == (by_protocol if verdict == "not-what-it-says" else verdict)
        assert found in VERDICTS


def test_a_verdict_is_worded_for_the_kind_of_claim() -> None:
    assert meaning("accuracy", "consistent") == VERDICTS["consistent"]
    assert meaning("text", "consistent") == "no other value is better by as much as half a point"
    assert meaning("order", "cannot-be-checked") == VERDICTS["cannot-be-checked"]


def test_what_leaked_says_nothing_of_the_spread_of_honest_runs() -> None:
    """Training accuracies lie close together; an honest recipe's own three seeds don't."""

    def arm(number: int, measure: Any, *accuracies: float) -> ArmResult:
        found = evidence(*accuracies, name=f"{measure} {number}")
        epochs = {"epochs": number}
        spec = dataclasses.replace(found.arm.candidates[0], parameters=epochs, settings=epochs)
        return dataclasses.replace(
            found, arm=dataclasses.replace(found.arm, candidates=(spec,), measure=measure)
        )

    honest = arm(1, "test", 0.87, 0.88, 0.89)
    leaked = [arm(i, "training", 0.95, 0.95, 0.9505) for i in range(2, 9)]
    steady = [arm(i, "test", 0.95, 0.95, 0.9505) for i in range(2, 9)]
    (alone,), beside, among = (
        with_spreads(each) for each in ([honest], [honest, *leaked], [honest, *steady])
    )
    assert score_of(beside[0]) == score_of(alone)
    assert score_of(among[0]) != score_of(alone)


def test_half_a_digit_reaches_so_far_and_no_farther() -> None:
    assert agrees(Figure.parse("0.880"), within(0.86, 0.8796))
    assert not agrees(Figure.parse("0.880"), within(0.86, 0.8794))
    assert agrees(Figure.parse("0.88"), within(0.86, 0.8754))


def test_a_deterministic_model_has_one_run_and_a_narrow_interval() -> None:
    score = score_of(evidence(0.855, model="knn"))
    assert score.seeds == 1
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


def test_an_accuracy_that_only_the_protocol_gives() -> None:
    found = judge_accuracy(
        claim("s2-ann1"),
        evidence(0.975, 0.976, 0.977, name="as claimed"),
        evidence(0.866, 0.868, 0.867),
    )
    assert found.verdict == "not-what-it-says"
    assert found.as_claimed.accuracy == pytest.approx(0.976)
    assert found.honest.accuracy == pytest.approx(0.867)
    assert [(bar.label, bar.claimed) for bar in found.bars] == [
        *(("claimed", True), ("as claimed", False), ("honest", False))
    ]
    assert set(found.accuracies) == {"as claimed", "honest"}
    assert found.accuracies["honest"] == (0.866, 0.868, 0.867)
    assert found.remarks == ()
    one = judge_accuracy(claim("s2-ann1"), None, evidence(0.866))
    assert one.verdict == "cannot-be-checked"
    assert "One seed" in one.remarks[0]
    assert one.as_claimed == Score()


def test_a_claim_below_the_honest_figure_is_not_called_overstated() -> None:
    low = claim("s2-ann1", claimed="0.7459", protocol=["test-not-scaled"])
    found = judge_accuracy(low, evidence(0.745, 0.746, 0.747), evidence(0.866, 0.868, 0.867))
    assert found.verdict == "not-what-it-says"
    assert found.remarks == ("The honest accuracy is higher than the claimed one.",)


def test_an_own_split_that_leaked_nothing_is_no_accusation() -> None:
    """0.8713 on 14,000 images of a pool of 70,000 against 0.8600 on the official 10,000."""
    about = claim("s0-lr", claimed="0.8750")
    used, honest = evidence(0.8755, model="knn"), evidence(0.86, model="knn")
    assert judge_accuracy(about, used, honest).verdict == "own-split"
    elsewhere = redrawn(10_000, 14_000, 70_000) * N / 10_000
    draw = elsewhere * honest.image_variance
    assert np.sqrt(draw) == pytest.approx(0.00415, abs=5e-6)
    assert judge_accuracy(about, used, honest, redrawn=elsewhere).verdict == "own-split"
    near = claim("s0-lr", claimed="0.8680")
    assert judge_accuracy(near, used, honest, redrawn=elsewhere).verdict == "consistent"
    leaked = about.model_copy(update={"protocol": ["own-random-split", "selected-on-test"]})
    found = judge_accuracy(leaked, used, honest, redrawn=elsewhere)
    assert found.verdict == "not-what-it-says"
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
def test_a_difference_is_held_against_where_one_more_would_lie(claimed: str, verdict: str) -> None:
    found = judge_difference(
        claim("s4-pooling", claimed=claimed),
        evidence(*[0.9060, 0.9050, 0.9055] * 3),
        evidence(*[0.9000, 0.9005, 0.9005] * 3),
    )
    assert found.verdict == verdict
    assert found.honest.accuracy == pytest.approx(0.0053, abs=3e-4)
    assert found.honest.interval is not None
    assert 0.005 in found.honest.interval
    assert found.as_claimed == Score()


def test_a_difference_whose_opposite_may_come_out_as_well_is_not_told() -> None:
    first, second = evidence(0.91, 0.90, 0.89), evidence(0.9, 0.89, 0.88)
    found = judge_difference(claim("s4-pooling", claimed="1%"), first, second)
    assert found.verdict == "cannot-tell"
    assert judge_difference(claim("s4-pooling", claimed="99%"), first, second).verdict == "too-high"


def test_a_difference_of_single_fits_is_not_judged() -> None:
    found = judge_difference(claim("s4-pooling"), evidence(0.91), evidence(0.905))
    assert found.verdict == "cannot-be-checked"
    assert found.honest.interval is None
    assert ONE_SEED in found.remarks
    several = judge_difference(
        claim("s4-pooling"), evidence(0.91, 0.911, 0.912), evidence(0.905, 0.906)
    )
    assert several.honest.seeds == 2
    assert ONE_SEED not in several.remarks
    assert Score().seeds == 0


ORDERED = [(0.84, 0.84, 0.84), (0.87, 0.87, 0.871), (0.89, 0.89, 0.891), (0.91, 0.91, 0.911)]


def in_order(rows: Sequence[Sequence[float]]) -> list[ArmResult]:
    return [evidence(*row) for row in rows]


def test_an_order_holds_where_every_step_is_significant() -> None:
    found = judge_order(claim("s0-order"), in_order(ORDERED), in_order(ORDERED))
    assert found.verdict == "consistent"
    assert ONE_SEED not in found.remarks
    assert len(found.bars) == 8
    many = judge_order(claim("s0-order"), [], in_order(ORDERED), alpha=0.002)
    for bar, wider in zip(found.bars[4:], many.bars, strict=True):
        assert bar.interval is not None
        assert wider.interval is not None
        assert wider.interval.low < bar.interval.low, "all claims share the chance of error"
    assert "not significant" not in " ".join(found.remarks)
    assert (found.honest.accuracy, found.honest.seeds) == (None, 3)


def test_an_order_of_models_that_are_alike_is_not_told() -> None:
    alike = [*ORDERED[:2], ORDERED[1], ORDERED[3]]
    found = judge_order(claim("s0-order"), [], in_order(alike))
    assert found.verdict == "cannot-tell"
    assert found.remarks[0].count("not significant") == 1


def test_an_order_that_is_the_other_way_round() -> None:
    wrong = [ORDERED[0], ORDERED[2], ORDERED[1], ORDERED[3]]
    found = judge_order(claim("s0-order"), [], in_order(wrong))
    assert found.verdict == "too-high"
    assert "the other way round" in found.remarks[0]
    found = judge_order(claim("s0-order"), in_order(ORDERED), in_order(wrong))
    assert found.verdict == "not-what-it-says"
    fair = claim("s0-order")
    by_own_splits = fair.model_copy(
        update={"members": tuple(claim("s0-lr", id=f"m{i}") for i in range(4))}
    )
    assert judge_order(by_own_splits, in_order(ORDERED), in_order(wrong)).verdict == "own-split"
    # A training accuracy is of no images that could be compared.
    logged = dataclasses.replace(evidence(*ORDERED[3]), correct=None, index=None)
    trained = judge_order(fair, [*in_order(ORDERED[:3]), logged], in_order(ORDERED))
    assert trained.verdict == "consistent"
    assert not any("As claimed" in remark for remark in trained.remarks)
    # Measured on other images there is nothing to compare as claimed.
    used = [*in_order(ORDERED[:3]), evidence(*ORDERED[3], first_image=7)]
    assert judge_order(claim("s0-order"), used, in_order(wrong)).verdict == "too-high"


def test_an_order_that_one_run_of_each_may_well_have_shown_is_no_fault() -> None:
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
    elsewhere = judge_order(claim("s0-order"), [], apart, redrawn=40.0)
    assert elsewhere.verdict == "cannot-tell", "on its own images it may have been so"


def test_an_order_of_single_fits_is_not_verified() -> None:
    found = judge_order(claim("s0-order"), [], in_order([row[:1] for row in ORDERED]))
    assert found.verdict == "cannot-be-checked"
    assert ONE_SEED in found.remarks


def test_what_is_significant_by_itself_is_not_so_among_three() -> None:
    """Six images that one model alone has right: p is 0.03, and 0.09 as one of three."""

    def knn(right: int) -> ArmResult:
        return evidence(right / N, model="knn")

    steps = [knn(1700 + 6 * n) for n in range(4)]
    assert judge_order(claim("s0-order"), [], steps).verdict == "cannot-tell"


def test_what_one_more_run_would_reverse_by_itself_is_not_so_among_three_steps() -> None:
    """0.45 points are 2.2 standard deviations of one more run of each: 3% alone, 9% among three."""
    steps = [evidence(a, model="knn") for a in (0.85, 0.8455, 0.90, 0.95)]
    order = claim("s0-order")
    two = order.model_copy(update={"members": order.members[:2]})
    assert judge_order(two, [], steps[:2]).verdict == "too-high"
    assert judge_order(order, [], steps).verdict == "cannot-tell"
