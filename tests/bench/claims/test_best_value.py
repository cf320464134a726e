from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import honest_claims
import numpy as np
import pytest

from fittingroom.bench.claims.best_value import judge_best
from fittingroom.bench.claims.claim import Claim
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ArmResult, with_spreads
from fittingroom.evaluation.paired_difference import compare_pair

N = 2000


def tried_with(*accuracies: float, fixed: bool = False) -> ArmResult:
    """Seeds that have the first images right, as many as their accuracies say."""
    right = np.stack([np.arange(N) < round(accuracy * N) for accuracy in accuracies])
    return with_spreads([honest_claims.evidence(right, "value", deterministic=fixed)])[0]


def best_of(rates: Sequence[float]) -> Claim:
    """The claim that 0.003 is the best of these rates."""
    (claim,) = load_claims(["s1-lr-sweep"])
    assert claim.search is not None
    search = claim.search.model_copy(update={"values": list(rates)})
    return claim.model_copy(update={"search": search})


RATES = (0.001, 0.003, 0.01, 0.03)


def swept(
    accuracies: tuple[float, ...],
    lowest: float | None = 0.003,
    seeds: int = 3,
    step: float = 0.0005,
) -> Any:
    """The judgement for these accuracies of RATES, and the rates with a sweep's lowest loss."""
    about = best_of(RATES)
    tried = [tried_with(*[a + step * seed for seed in range(seeds)]) for a in accuracies]
    history = [
        SimpleNamespace(learning_rate=rate, train_loss=abs(rate - (lowest or 0))) for rate in RATES
    ]
    runs: Any = [SimpleNamespace(history=history)] * seeds
    sweep = dataclasses.replace(tried_with(*[0.8] * seeds), runs=runs) if lowest else None
    return judge_best(about, sweep, tried)


@pytest.mark.parametrize(
    ("accuracies", "lowest", "verdict"),
    [
        ((0.84, 0.87, 0.85, 0.80), 0.003, "consistent"),
        ((0.84, 0.87, 0.8705, 0.80), 0.003, "consistent"),  # not better by half a point
        ((0.90, 0.87, 0.85, 0.80), 0.01, "too-high"),
        ((0.84, 0.87, 0.90, 0.80), 0.01, "too-low"),
        ((0.84, 0.87, 0.90, 0.80), 0.003, "not-what-it-says"),
        ((0.84, 0.87, 0.90, 0.80), None, "too-low"),
    ],
)
def test_a_value_is_the_best_unless_another_is_significantly_better(
    accuracies: tuple[float, ...], lowest: float | None, verdict: str
) -> None:
    judgement = swept(accuracies, lowest)
    assert judgement.verdict == verdict
    assert judgement.honest.accuracy == pytest.approx(0.8705, abs=1e-3)
    assert "by validation accuracy" in judgement.remarks[0].lower()
    count = "None" if verdict in ("consistent", "cannot-tell") else "One"
    assert judgement.remarks[1] == f"{count} would reliably beat 0.003 in one more run of each."
    assert any("may be better by" in remark for remark in judgement.remarks) is (count == "None")


def test_a_best_value_with_a_large_spread_cannot_be_told() -> None:
    judgement = swept((0.84, 0.85, 0.85, 0.80), step=0.02)
    assert judgement.verdict == "cannot-tell"
    assert judgement.remarks[1] == "None would reliably beat 0.003 in one more run of each."
    a, b = (tried_with(*[0.85 + 0.02 * seed for seed in range(3)]) for _ in range(2))
    alone = compare_pair(a.fits, b.fits).interval
    assert alone is not None
    match = re.fullmatch(
        r"But 0.01 may be better by up to (\d+\.\d) points\.", judgement.remarks[2]
    )
    assert match is not None
    assert float(match[1]) == pytest.approx(100 * alone.high, rel=0.2)


def test_significance_is_corrected_for_three_comparisons() -> None:
    """Sixteen images that only one model has right: significant alone, but not among three."""
    few = [tried_with(0.85 + lead, fixed=True) for lead in (0.008, 0, 0, 0)]
    assert judge_best(best_of(RATES[:2]), None, few[:2]).verdict == "too-high"
    assert judge_best(best_of(RATES), None, few).verdict == "cannot-tell"


def test_the_direction_is_that_of_significantly_better_values() -> None:
    """The highest mean may be of runs with a spread too large to say anything."""
    about = best_of(RATES)
    accuracies = [(0.88, 0.8805, 0.881), (0.85, 0.8505, 0.851), (0.70, 0.97, 0.98), (0.6, 0.6, 0.6)]
    judgement = judge_best(about, None, [tried_with(*row) for row in accuracies])
    assert "0.01 is the best of 4 values" in judgement.remarks[0]
    assert judgement.remarks[1] == "One would reliably beat 0.003 in one more run of each."
    assert judgement.verdict == "too-high"


@pytest.mark.parametrize(
    ("lowest", "verdict"),
    [
        ((0.001, 0.01), "not-what-it-says"),  # the claimed one lies between
        ((0.003, 0.003), "not-what-it-says"),
        ((0.01, 0.03), "too-low"),
        ((0.001, 0.001), "too-low"),
    ],
)
def test_a_sweep_is_read_between_the_rates_at_which_its_runs_are_lowest(
    lowest: tuple[float, float], verdict: str
) -> None:
    histories = [
        [SimpleNamespace(learning_rate=r, train_loss=abs(r - rate)) for r in RATES]
        for rate in lowest
    ]
    runs: Any = [SimpleNamespace(history=history) for history in histories]
    sweep = dataclasses.replace(tried_with(0.8, 0.8), runs=runs)
    tried = [tried_with(a, a + 0.0005) for a in (0.80, 0.85, 0.92, 0.80)]
    judgement = judge_best(best_of(RATES), sweep, tried)
    assert judgement.verdict == verdict
    rates = " or ".join(f"{rate:g}" for rate in sorted({*lowest}))
    assert f"As claimed, the training loss is lowest at {rates}." in judgement.remarks
    alone = judge_best(best_of(RATES), None, tried)
    assert not any("training loss" in remark for remark in alone.remarks)


def test_the_direction_is_that_of_the_best_value_ahead() -> None:
    tried = [tried_with(a, a + 0.0005, a + 0.001) for a in (0.90, 0.80, 0.95, 0.70)]
    assert judge_best(best_of(RATES), None, tried).verdict == "too-low"
    tried[0], tried[2] = tried[2], tried[0]
    assert judge_best(best_of(RATES), None, tried).verdict == "too-high"


def test_values_that_all_round_to_the_claimed_one_leave_none_better() -> None:
    tried = [tried_with(a, a + 0.0005, a + 0.001) for a in (0.80, 0.90)]
    assert judge_best(best_of([0.0028, 0.0032]), None, tried).verdict == "consistent"


def test_every_value_that_rounds_to_the_claimed_one_is_claimed() -> None:
    values = [0.001, 0.0028, 0.0032, 0.01]  # two of them are 0.003, rounded
    about = best_of(values)
    tried = [tried_with(a, a + 0.0005, a + 0.001) for a in (0.80, 0.90, 0.85, 0.80)]
    judgement = judge_best(about, None, tried)
    assert judgement.verdict == "consistent"
    assert judgement.honest.accuracy == pytest.approx(0.9005)


def test_one_seed_cannot_judge_a_best_value() -> None:
    assert swept((0.84, 0.87, 0.85, 0.80), seeds=1).verdict == "cannot-be-checked"
