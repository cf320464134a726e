"""From the saved runs of claims to their verdicts: all that were fitted are judged at once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from fittingroom.bench.claims.best_value import judge_best
from fittingroom.bench.claims.evidence import ArmResult, Runs, redrawn_of, with_spreads
from fittingroom.bench.claims.plan import Plan
from fittingroom.bench.claims.verdict import (
    Judgement,
    judge_accuracy,
    judge_difference,
    judge_order,
)
from fittingroom.bench.claims.verification import ClaimResult, in_words, of_protocol, of_runs
from fittingroom.data.dataset import Dataset
from fittingroom.evaluation.ranking import ALPHA


@dataclass(frozen=True)
class ClaimRuns:
    """What came of fitting a claim's runs; `trouble` are sentences where not all were."""

    plan: Plan
    evidences: tuple[ArmResult, ...] = ()
    told: tuple[str, ...] = ()
    trouble: tuple[str, ...] = ()
    failed: bool = False

    @classmethod
    def of(cls, plan: Plan, runs: Runs) -> ClaimRuns:
        """Read the runs of a claim, all of which are saved. Raises StoreError where it can't."""
        return cls(plan, tuple(_evidences(plan, runs)), tuple(of_runs(plan.arms, runs)))


def _evidences(plan: Plan, runs: Runs) -> Iterator[ArmResult]:
    """One an arm; of a text, one a value that was tried."""
    for arm in plan.arms:
        if plan.claim.kind == "text" and arm.name == "honest":
            yield from runs.each(arm)
        else:
            yield runs.evidence(arm)


def judge_claims(
    fitted: Sequence[ClaimRuns], dataset: Dataset
) -> tuple[float, tuple[ClaimResult, ...]]:
    """The verdicts, and the chance of a false one that each claim was allowed.

    All together have a chance of 5%, which they share (Bonferroni): who looks at many claims finds
    a wrong one among honest ones sooner or later. The spread of each recipe over seeds is estimated
    from the runs of all of them.
    """
    judged = [bool(each.evidences) and each.plan.verifies for each in fitted]
    alpha = ALPHA / max(1, sum(judged))
    evidences = iter(with_spreads([e for each in fitted for e in each.evidences]))
    checked = []
    for each in fitted:
        own = [next(evidences) for _ in each.evidences]
        finding = Judgement(verdict="cannot-be-checked")
        if own:
            finding = _judged(each.plan, own, dataset, alpha)
        sentences = [each.plan.instead, *finding.remarks, *each.told, *each.trouble]
        note = in_words(*sentences, *of_protocol(each.plan.claim))
        checked.append(
            ClaimResult(claim=each.plan.claim, finding=finding, note=note, failed=each.failed)
        )
    return alpha, tuple(checked)


def _judged(
    plan: Plan, evidences: Sequence[ArmResult], dataset: Dataset, alpha: float
) -> Judgement:
    claim = plan.claim
    used, honest = (
        [each for each in evidences if each.arm.name == name] for name in ("as claimed", "honest")
    )
    if claim.kind == "difference":
        first, second = evidences
        finding = judge_difference(claim, first, second, alpha=alpha)
    elif claim.kind == "order":
        # Of the same models or not at all: a claim of which nothing is known has none.
        known = used if len(used) == len(honest) else []
        elsewhere = max(redrawn_of(member, dataset) for member in claim.members)
        finding = judge_order(claim, known, honest, redrawn=elsewhere, alpha=alpha)
    elif claim.kind == "text":
        finding = judge_best(claim, used[0] if used else None, honest, alpha=alpha)
    else:
        finding = judge_accuracy(
            claim,
            used[0] if used else None,
            honest[0],
            redrawn=redrawn_of(claim, dataset),
            alpha=alpha,
        )
    return finding if plan.verifies else replace(finding, verdict="cannot-be-checked")
