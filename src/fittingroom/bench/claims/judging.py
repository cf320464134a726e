"""From the saved runs of claims to their verdicts: all fitted claims are judged together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fittingroom.bench.claims.best_value import judge_best
from fittingroom.bench.claims.evidence import ArmResult, ClaimStore, redraw_of, with_spreads
from fittingroom.bench.claims.plan import Plan
from fittingroom.bench.claims.verdict import (
    Judgement,
    judge_accuracy,
    judge_difference,
    judge_order,
)
from fittingroom.bench.claims.verification import (
    ClaimResult,
    join_sentences,
    protocol_remark,
    runs_remark,
)
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.ranking import ALPHA


@dataclass(frozen=True)
class ClaimRuns:
    """The results of a claim's runs; `problems` are sentences if some weren't fitted."""

    plan: Plan
    results: tuple[ArmResult, ...] = ()
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()
    failed: bool = False

    @classmethod
    def of(cls, plan: Plan, runs: ClaimStore) -> ClaimRuns:
        """Read the runs of a claim, all of which are saved. Raises StoreError if that fails."""
        return cls(plan, tuple(_results(plan, runs)), tuple(runs_remark(plan.arms, runs)))


def _results(plan: Plan, runs: ClaimStore) -> Iterator[ArmResult]:
    """One per arm; for a text, one per value that was tried."""
    for arm in plan.arms:
        if plan.claim.kind == "text" and arm.name == "honest":
            yield from runs.each(arm)
        else:
            yield runs.evidence(arm)


def judge_claims(
    fitted: Sequence[ClaimRuns], dataset: Dataset
) -> tuple[float, tuple[ClaimResult, ...]]:
    """The allowed probability of a false verdict on each claim, and the results.

    All claims share a probability of 5% (Bonferroni): among many honest claims one looks wrong
    sooner or later. The spread of each recipe over seeds is estimated from the runs of all claims.
    """
    judged = [bool(claim.results) and claim.plan.verifies for claim in fitted]
    alpha = ALPHA / max(1, sum(judged))
    results = iter(with_spreads([result for claim in fitted for result in claim.results]))
    checked = []
    for claim in fitted:
        own = [next(results) for _ in claim.results]
        judgement = Judgement(verdict="cannot-be-checked")
        if own:
            judgement = _judge(claim.plan, own, dataset, alpha)
        sentences = [claim.plan.instead, *judgement.remarks, *claim.remarks, *claim.problems]
        note = join_sentences(*sentences, *protocol_remark(claim.plan.claim))
        checked.append(
            ClaimResult(claim=claim.plan.claim, judgement=judgement, note=note, failed=claim.failed)
        )
    return alpha, tuple(checked)


def _judge(plan: Plan, results: Sequence[ArmResult], dataset: Dataset, alpha: float) -> Judgement:
    claim = plan.claim
    used, honest = (
        [result for result in results if result.arm.name == name]
        for name in ("as claimed", "honest")
    )
    if claim.kind == "difference":
        first, second = results
        judgement = judge_difference(claim, first, second, alpha=alpha)
    elif claim.kind == "order":
        # All models or none: a claim whose protocol is unknown has no arm as claimed.
        complete = used if len(used) == len(honest) else []
        redraw = max(redraw_of(member, dataset) for member in claim.members)
        judgement = judge_order(claim, complete, honest, redraw=redraw, alpha=alpha)
    elif claim.kind == "text":
        judgement = judge_best(claim, used[0] if used else None, honest, alpha=alpha)
    else:
        judgement = judge_accuracy(
            claim,
            used[0] if used else None,
            honest[0],
            redraw=redraw_of(claim, dataset),
            alpha=alpha,
        )
    return judgement if plan.verifies else replace(judgement, verdict="cannot-be-checked")
