"""Judge a claim that a value of a setting is the best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fittingroom.bench.claims.claim import Claim, nearest
from fittingroom.bench.claims.evidence import ArmResult
from fittingroom.bench.claims.verdict import ONE_SEED, Bar, Judgement, Score, Verdict, score_of
from fittingroom.evaluation.ranking import ALPHA

#: A value of a setting is the best if no other is more accurate by more than this.
MARGIN = 0.005
#: Variance of the difference of two means over different images, as a multiple of that of one.
_OTHERS = 2.0


def judge_best(
    claim: Claim, sweep: ArmResult | None, tried: Sequence[ArmResult], *, alpha: float = ALPHA
) -> Judgement:
    """Judge a value that is claimed to be the best: may another be better by the margin?

    By accuracy on the selection half. Of the values that round to the claimed one the best counts.
    Another is ahead if one more run of it would beat one more run of the claimed value on as many
    other images, since the source may have seen no more than that (Bonferroni's correction over
    the others). That none is better by the margin needs no correction: each of the others has to
    be excluded (Berger 1982, Technometrics 24:295-300).
    """
    assert claim.figure is not None
    assert claim.search is not None
    by_value = dict(zip(map(float, claim.search.values), tried, strict=True))
    low, high = claim.figure.bounds
    rounded = [value for value in by_value if low <= value <= high]
    claimed = rounded or [nearest(list(by_value), claim.figure.value)]
    wanted = max(claimed, key=lambda value: by_value[value].accuracy)
    best = max(by_value, key=lambda value: by_value[value].accuracy)
    lowest = [_lowest(run.history) for run in sweep.runs] if sweep else []
    others = {value: result for value, result in by_value.items() if value not in claimed}
    leads = {value: result.lead_over(by_value[wanted]) for value, result in others.items()}
    upper_ends = {value: lead.interval.high for value, lead in leads.items() if lead.interval}
    verdict: Verdict = "cannot-be-checked"
    remarks = [ONE_SEED]
    if len(upper_ends) == len(others):
        ahead = _ahead(by_value[wanted], others, alpha)
        verdict = "consistent" if max(upper_ends.values(), default=0.0) <= MARGIN else "cannot-tell"
        if ahead:
            sweep_values = [nearest(list(by_value), rate) for rate in lowest]
            as_used = sweep_values and min(sweep_values) <= wanted <= max(sweep_values)
            first = max(ahead, key=lambda value: by_value[value].accuracy)
            verdict = "not-what-it-says" if as_used else "too-high" if wanted > first else "too-low"
        remarks = _words_of_best(wanted, ahead, upper_ends)
    return Judgement(
        verdict=verdict,
        as_claimed=Score(n_seeds=len(lowest)),
        honest=score_of(by_value[wanted], alpha=alpha),
        accuracies={f"{value:g}": result.accuracies for value, result in by_value.items()},
        bars=tuple(
            Bar(
                label=f"{claim.search.parameter} {value:g}",
                value=by_value[value].accuracy,
                interval=score_of(by_value[value], alpha=alpha).interval,
            )
            for value in dict.fromkeys([wanted, best])
        ),
        remarks=(
            f"By validation accuracy {best:g} is the best of {len(by_value)} values "
            f"({by_value[best].accuracy:.4f}, and {by_value[wanted].accuracy:.4f} at {wanted:g}).",
            *remarks,
            *_words_of_sweep(lowest),
        ),
    )


def _ahead(claimed: ArmResult, others: Mapping[float, ArmResult], alpha: float) -> list[float]:
    """The values whose next run would beat that of the claimed one, on other images too."""
    corrected_alpha = alpha / max(1, len(others))
    return [
        value
        for value, result in others.items()
        if result.next_lead_over(claimed, _OTHERS, corrected_alpha).low > 0
    ]


def _words_of_best(wanted: float, ahead: Sequence[float], ends: Mapping[float, float]) -> list[str]:
    """How many values would be ahead in one more run; if none, how much better one may be."""
    count = {0: "None", 1: "One"}.get(len(ahead), str(len(ahead)))
    words = [f"{count} would reliably beat {wanted:g} in one more run of each."]
    if not ahead and ends:
        farthest = max(ends, key=ends.__getitem__)
        words.append(f"But {farthest:g} may be better by up to {100 * ends[farthest]:.1f} points.")
    return words


def _words_of_sweep(lowest: Sequence[float]) -> list[str]:
    if not lowest:
        return []
    span = sorted({f"{value:.2g}" for value in lowest}, key=float)
    return [f"As claimed, the training loss is lowest at {' or '.join(span)}."]


def _lowest(history: Sequence[Any]) -> float:
    """The learning rate of the epoch with the lowest training loss."""
    return float(min(history, key=lambda epoch: epoch.train_loss).learning_rate)
