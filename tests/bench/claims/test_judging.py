from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from fittingroom.bench.bench import open_bench
from fittingroom.bench.claims.claim import Claim
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ClaimStore
from fittingroom.bench.claims.judging import ClaimRuns, judge_claims
from fittingroom.bench.claims.plan import Plan
from fittingroom.bench.progress import Reporter
from fittingroom.data.dataset import Dataset
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store

ACCURACIES = {"knn": 0.86, "linear-svm": 0.81, "hog-svm": 0.9}
Fitted = Callable[[Sequence[Claim]], list[ClaimRuns]]


@pytest.fixture
def fitted(small: Dataset, store: Store, scripted: Callable[..., Any]) -> Fitted:
    """Saves runs with these accuracies for all arms of claims."""

    def script(spec: RunSpec) -> list[float]:
        return [ACCURACIES[spec.model]]

    def done(claims: Sequence[Claim]) -> list[ClaimRuns]:
        runs = ClaimStore(store, small)
        plans = [Plan.of(claim, runs, 2, None) for claim in claims]
        with scripted(script), open_bench(small, store) as bench:
            for arm in (arm for plan in plans for arm in plan.arms):
                assert all(bench.attempts(runs.missing(arm), Reporter(None, total=9)))
        return [ClaimRuns.of(plan, runs) for plan in plans]

    return done


def test_only_claims_that_get_a_verdict_share_the_error_probability(
    fitted: Fitted, small: Dataset
) -> None:
    knn, svm, own_settings = fitted(load_claims(["s2-knn", "s2-svm", "zalando-hog-svm"]))
    unfinished = ClaimRuns(svm.plan, problems=("Not finished: it broke.",), failed=True)
    alpha, results = judge_claims([knn, own_settings, unfinished], small)
    assert alpha == 0.05
    assert [result.claim.id for result in results] == ["s2-knn", "zalando-hog-svm", "s2-svm"]
    verdicts = [result.judgement.verdict for result in results]
    assert verdicts == ["consistent", "cannot-be-checked", "cannot-be-checked"]
    assert results[1].judgement.honest.accuracy == 0.9
    assert results[1].note.startswith("The source names no settings.")
    assert results[2].judgement.honest.accuracy is None
    assert results[2].note.startswith("Not finished: it broke.")
    assert [result.failed for result in results] == [False, False, True]
    alpha, results = judge_claims([knn, svm], small)
    assert alpha == 0.025
    assert [result.judgement.verdict for result in results] == ["consistent", "too-high"]


@pytest.mark.parametrize("known", [True, False])
def test_an_order_is_compared_as_claimed_only_if_all_protocols_are_known(
    fitted: Fitted, small: Dataset, known: bool
) -> None:
    svm, knn = load_claims(["s2-svm", "s2-knn"])
    (order,) = load_claims(["s0-order"])
    members = (svm, knn if known else knn.model_copy(update={"protocol": []}))
    (runs,) = fitted([order.model_copy(update={"members": members})])
    _, (result,) = judge_claims([runs], small)
    assert result.judgement.verdict == "consistent"
    kinds = {label.rpartition(", ")[2] for label in result.judgement.accuracies}
    assert kinds == ({"as claimed", "honest"} if known else {"honest"})
