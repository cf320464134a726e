from __future__ import annotations

import dataclasses
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.claim import Claim, Figure
from fittingroom.bench.claim_file import load_claims
from fittingroom.bench.evidence import Arm, Evidence, Setting
from fittingroom.bench.verdict import (
    VERDICTS,
    Score,
    agrees,
    judge,
    judge_accuracy,
    judge_best,
    judge_difference,
    judge_order,
    meaning,
    score_of,
)

N = 2000


def evidence(
    *accuracies: float, model: str = "mlp-10-10", history: Any = (), first_image: int = 0
) -> Evidence:
    """Seeds that have the first images right, each as many as its accuracy says."""
    setting = Setting(model=model)
    arm = Arm(
        name="honest",
        candidates=(setting,),
        seeds=tuple(range(len(accuracies))),
        measure="test",
        seconds=1,
    )
    correct = np.stack([np.arange(N) < round(accuracy * N) for accuracy in accuracies])
    runs = tuple(SimpleNamespace(history=history) for _ in accuracies)
    return Evidence(
        arm=arm,
        runs=runs,  # type: ignore[arg-type]
        accuracies=tuple(float(row.mean()) for row in correct),
        correct=correct,
        index=np.arange(first_image, first_image + N),
    )


def claim(name: str, **changes: Any) -> Claim:
    return load_claims([name])[0].model_copy(update=changes)


HONEST = Score(accuracy=0.88, ci95=(0.87, 0.89), seeds=5)
USED = Score(accuracy=0.97, ci95=(0.96, 0.98), seeds=5)
UNSURE = Score(accuracy=0.88, seeds=1)


@pytest.mark.parametrize(
    ("claimed", "used", "honest", "verdict"),
    [
        ("0.8700", USED, HONEST, "consistent"),
        ("0.8900", None, HONEST, "consistent"),
        ("0.9", USED, HONEST, "consistent"),  # stands for 0.85 to 0.95
        ("0.8903", USED, HONEST, "too-high"),
        ("0.86", None, HONEST, "too-low"),
        ("0.87", None, dataclasses.replace(HONEST, ci95=(0.876, 0.89)), "too-low"),
        ("0.9759", USED, HONEST, "not-what-it-says"),
        ("0.9", USED, dataclasses.replace(HONEST, ci95=(0.879, 0.881)), "consistent"),
        ("0.99", USED, HONEST, "too-high"),
        ("0.50", USED, HONEST, "too-low"),
        ("88%", USED, HONEST, "consistent"),
        ("0.88", USED, UNSURE, "cannot-be-checked"),
        ("0.97", USED, UNSURE, "cannot-be-checked"),
        ("0.97", UNSURE, HONEST, "too-high"),
        ("0.88", USED, Score(), "cannot-be-checked"),
    ],
)
def test_the_rule(claimed: str, used: Score | None, honest: Score, verdict: str) -> None:
    assert judge(Figure.parse(claimed), used, honest) == verdict
    assert verdict in VERDICTS


def test_a_verdict_is_worded_for_the_kind_of_claim() -> None:
    assert meaning("accuracy", "consistent") == VERDICTS["consistent"]
    assert meaning("text", "consistent") == "no other value is significantly better"
    assert meaning("order", "cannot-be-checked") == VERDICTS["cannot-be-checked"]


def test_half_a_digit_reaches_so_far_and_no_farther() -> None:
    honest = dataclasses.replace(HONEST, ci95=(0.86, 0.8754))
    assert agrees(Figure.parse("0.880"), dataclasses.replace(honest, ci95=(0.86, 0.8796)))
    assert not agrees(Figure.parse("0.880"), dataclasses.replace(honest, ci95=(0.86, 0.8794)))
    assert agrees(Figure.parse("0.88"), honest)


def test_a_deterministic_model_has_one_run_and_a_narrow_interval() -> None:
    score = score_of(evidence(0.855, model="knn"))
    assert score.seeds == 1
    assert score.ci95 == pytest.approx((0.855 - 0.00196, 0.855 + 0.00196), abs=1e-5)
    assert score_of(evidence(0.855)).ci95 is None


def test_an_accuracy_that_only_the_protocol_gives() -> None:
    found = judge_accuracy(
        claim("s2-ann1"), evidence(0.975, 0.976, 0.977), evidence(0.866, 0.868, 0.867)
    )
    assert found.verdict == "not-what-it-says"
    assert found.as_claimed.accuracy == pytest.approx(0.976)
    assert found.honest.accuracy == pytest.approx(0.867)
    assert [(bar.label, bar.claimed) for bar in found.bars] == [
        *(("claimed", True), ("as claimed", False), ("honest", False))
    ]
    one = judge_accuracy(claim("s2-ann1"), None, evidence(0.866))
    assert one.verdict == "cannot-be-checked"
    assert "One seed" in one.remarks[0]
    assert one.as_claimed == Score()


@pytest.mark.parametrize(
    ("claimed", "verdict"),
    [("0.5%", "consistent"), ("2.5%", "too-high"), ("0.1%", "too-low")],
)
def test_a_difference_is_held_against_its_interval(claimed: str, verdict: str) -> None:
    found = judge_difference(
        claim("s4-pooling", claimed=claimed),
        evidence(*[0.9060, 0.9050, 0.9055] * 3),
        evidence(*[0.9000, 0.9005, 0.9005] * 3),
    )
    assert found.verdict == verdict
    assert found.honest.accuracy == pytest.approx(0.0053, abs=3e-4)
    assert found.honest.ci95 is not None
    assert found.honest.ci95[0] < 0.005 < found.honest.ci95[1]
    assert found.as_claimed == Score()


def test_a_difference_of_single_fits_is_not_judged() -> None:
    found = judge_difference(claim("s4-pooling"), evidence(0.91), evidence(0.905))
    assert found.verdict == "cannot-be-checked"
    assert found.honest.ci95 is None


ORDERED = [(0.84, 0.84, 0.84), (0.87, 0.87, 0.871), (0.89, 0.89, 0.891), (0.91, 0.91, 0.911)]


def in_order(rows: list[tuple[float, ...]]) -> list[Evidence]:
    return [evidence(*row) for row in rows]


def test_an_order_holds_where_every_step_is_significant() -> None:
    found = judge_order(claim("s0-order"), in_order(ORDERED), in_order(ORDERED))
    assert found.verdict == "consistent"
    assert len(found.bars) == 8
    assert "not told apart" not in " ".join(found.remarks)
    assert (found.honest.accuracy, found.honest.seeds) == (None, 3)


def test_an_order_of_models_that_are_alike_is_not_verified() -> None:
    alike = [*ORDERED[:2], ORDERED[1], ORDERED[3]]
    found = judge_order(claim("s0-order"), [], in_order(alike))
    assert found.verdict == "cannot-be-checked"
    assert found.remarks[0].count("not told apart") == 1


def test_an_order_that_is_the_other_way_round() -> None:
    wrong = [ORDERED[0], ORDERED[2], ORDERED[1], ORDERED[3]]
    found = judge_order(claim("s0-order"), [], in_order(wrong))
    assert found.verdict == "too-high"
    assert "the other way round" in found.remarks[0]
    found = judge_order(claim("s0-order"), in_order(ORDERED), in_order(wrong))
    assert found.verdict == "not-what-it-says"
    # Measured on other images there is nothing to compare as claimed.
    used = [*in_order(ORDERED[:3]), evidence(*ORDERED[3], first_image=7)]
    assert judge_order(claim("s0-order"), used, in_order(wrong)).verdict == "too-high"


def test_an_order_of_single_fits_is_not_verified() -> None:
    found = judge_order(claim("s0-order"), [], in_order([row[:1] for row in ORDERED]))
    assert found.verdict == "cannot-be-checked"


RATES = (0.001, 0.003, 0.01, 0.03)


def swept(accuracies: tuple[float, ...], lowest: float | None = 0.003, seeds: int = 3) -> Any:
    """What is found where these are the accuracies of RATES, and a sweep's loss is lowest there."""
    search = claim("s1-lr-sweep").search
    assert search is not None
    about = claim("s1-lr-sweep", search=search.model_copy(update={"values": list(RATES)}))
    tried = [
        (Setting(model="mlp-10-10"), evidence(*[a + 0.0005 * seed for seed in range(seeds)]))
        for a in accuracies
    ]
    history = [
        SimpleNamespace(learning_rate=rate, train_loss=abs(rate - (lowest or 0))) for rate in RATES
    ]
    sweep = evidence(*[0.8] * seeds, history=history) if lowest else None
    return judge_best(about, sweep, tried)


@pytest.mark.parametrize(
    ("accuracies", "lowest", "verdict"),
    [
        ((0.84, 0.87, 0.85, 0.80), 0.003, "consistent"),
        ((0.84, 0.87, 0.8705, 0.80), 0.003, "consistent"),  # not told apart from the best
        ((0.90, 0.87, 0.85, 0.80), 0.01, "too-high"),
        ((0.84, 0.87, 0.90, 0.80), 0.01, "too-low"),
        ((0.84, 0.87, 0.90, 0.80), 0.003, "not-what-it-says"),
        ((0.84, 0.87, 0.90, 0.80), None, "too-low"),
    ],
)
def test_a_value_is_the_best_unless_another_is_significantly_better(
    accuracies: tuple[float, ...], lowest: float | None, verdict: str
) -> None:
    found = swept(accuracies, lowest)
    assert found.verdict == verdict
    assert found.honest.accuracy == pytest.approx(0.8705, abs=1e-3)
    assert "by validation accuracy" in found.remarks[0].lower()
    told = "None is" if verdict == "consistent" else "One is"
    assert found.remarks[1] == f"{told} significantly better than 0.003."


def test_what_is_significant_by_itself_is_not_so_among_three() -> None:
    """Six images that one model alone has right: p is 0.03, and 0.09 as one of three."""

    def knn(right: int) -> Evidence:
        return evidence(right / N, model="knn")

    steps = [knn(1700 + 6 * n) for n in range(4)]
    assert judge_order(claim("s0-order"), [], steps).verdict == "cannot-be-checked"
    search = claim("s1-lr-sweep").search
    assert search is not None
    about = claim("s1-lr-sweep", search=search.model_copy(update={"values": list(RATES)}))
    tried = [(Setting(model="knn"), knn(right)) for right in (1706, 1700, 1706, 1706)]
    assert judge_best(about, None, tried).verdict == "consistent"


def test_the_direction_is_that_of_what_is_significantly_better() -> None:
    """The highest mean may be that of runs which lie so far apart that they say nothing."""
    search = claim("s1-lr-sweep").search
    assert search is not None
    about = claim("s1-lr-sweep", search=search.model_copy(update={"values": list(RATES)}))
    accuracies = [(0.88, 0.8805, 0.881), (0.85, 0.8505, 0.851), (0.70, 0.97, 0.98), (0.6, 0.6, 0.6)]
    tried = [(Setting(model="mlp-10-10"), evidence(*each)) for each in accuracies]
    found = judge_best(about, None, tried)
    assert "0.01 is the best of 4 values" in found.remarks[0]
    assert found.remarks[1] == "One is significantly better than 0.003."
    assert found.verdict == "too-high"


def test_one_seed_finds_no_best_value() -> None:
    assert swept((0.84, 0.87, 0.85, 0.80), seeds=1).verdict == "cannot-be-checked"
