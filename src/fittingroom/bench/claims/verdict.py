"""Judge a claim by its saved runs: the figures, and the verdict by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from fittingroom.bench.claims.claim import Claim, Figure
from fittingroom.bench.claims.evidence import ArmResult
from fittingroom.evaluation.intervals import Interval
from fittingroom.evaluation.ranking import ALPHA, adjust_p_values
from fittingroom.evaluation.rerun import rerun_interval
from fittingroom.formatting import format_signed

Verdict = Literal[
    "consistent",
    "own-split",
    "too-high",
    "too-low",
    "not-what-it-says",
    "cannot-tell",
    "cannot-be-checked",
]

#: What each verdict means, in words.
VERDICTS: dict[Verdict, str] = {
    "consistent": "an honest re-run may well reproduce the claimed figure",
    "own-split": "honest runs reproduce the figure, but only on the source's own test images",
    "too-high": "honest runs stay below the claimed figure",
    "too-low": "honest runs lie above the claimed figure",
    "not-what-it-says": "the source's protocol reproduces the figure, an honest one doesn't",
    "cannot-tell": "the runs vary too much to tell",
    "cannot-be-checked": "nothing was verified",
}
#: The same for claims that aren't of an accuracy, where it differs.
_OTHERWISE: dict[tuple[str, Verdict], str] = {
    ("difference", "consistent"): "one more pair of runs may well give the claimed difference",
    ("difference", "too-high"): "the difference between two runs is smaller",
    ("difference", "too-low"): "the difference between two runs is larger",
    ("order", "consistent"): "each model is significantly better than the one before",
    (
        "order",
        "too-high",
    ): "some neighbours are reversed, and would be again in one more run of each",
    ("order", "own-split"): "the order holds only on the source's own test images",
    (
        "order",
        "not-what-it-says",
    ): "the order holds by the source's protocol, but not by an honest one",
    ("order", "cannot-tell"): "some neighbours can't be told apart",
    ("text", "consistent"): "no other value is better by as much as half a point",
    ("text", "too-high"): "other values would also win in one more run of each; the best is lower",
    ("text", "too-low"): "other values would also win in one more run of each; the best is higher",
    ("text", "not-what-it-says"): "it was read off correctly, but other values do better",
    ("text", "cannot-tell"): "another value may be better by half a point or more",
}
ONE_SEED = "One seed says nothing about a re-run; run more seeds."
#: A wider interval of accuracies confirms nothing: a claim within it may be wrong by points.
WIDEST = 0.05
#: If a claim has no other notes, nothing leaked into its figure.
_CLEAN = {"clean", "own-random-split", "never-tested"}


def meaning(kind: str, verdict: Verdict) -> str:
    """What a verdict means for a claim of that kind, in words."""
    return _OTHERWISE.get((kind, verdict), VERDICTS[verdict])


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mean over seeds, and the interval for one more run, which decides the verdict."""

    accuracy: float | None = None
    interval: Interval | None = None
    n_seeds: int = 0

    @property
    def tells(self) -> bool:
        """Whether its interval is narrow enough to confirm anything."""
        return self.interval is not None and self.interval.high - self.interval.low <= WIDEST

    def to_dict(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval.bounds) if self.interval else None,
            "seeds": self.n_seeds,
        }


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A line of a claim's plot: a figure with its interval."""

    label: str
    value: float
    interval: Interval | None
    is_claim: bool = False


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The judgement of a claim by its runs.

    `accuracies` are of each seed, by what was run; `remarks` are sentences.
    """

    verdict: Verdict
    as_claimed: Score = Score()
    honest: Score = Score()
    accuracies: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    bars: tuple[Bar, ...] = ()
    remarks: tuple[str, ...] = ()


def score_of(evidence: ArmResult, draw: float = 0.0, alpha: float = ALPHA) -> Score:
    """Mean accuracy over seeds, and the interval for one more run.

    `draw` is the variance that other images add, `alpha` the probability of lying outside.
    """
    interval = None
    if evidence.spread is not None:
        n_seeds = len(evidence.accuracies)
        interval = rerun_interval(
            evidence.accuracy, n_seeds, evidence.spread, draw=draw, alpha=alpha
        )
    return Score(accuracy=evidence.accuracy, interval=interval, n_seeds=len(evidence.accuracies))


def agrees(figure: Figure, score: Score) -> bool:
    """Whether a number that rounds to the claimed figure lies in the score's interval."""
    if score.interval is None:
        return False
    claimed_low, claimed_high = figure.bounds
    return claimed_low <= score.interval.high and claimed_high >= score.interval.low


def judge(
    figure: Figure, as_claimed: Score | None, honest: Score, *, by_protocol: Verdict
) -> Verdict:
    """The verdict on a figure, by the scores as claimed and honest.

    `by_protocol` is the verdict if only the score as claimed agrees. If that agrees with anything,
    it explains nothing, and the honest runs decide, unless a split of the source's own may be why.
    """
    if honest.accuracy is None or honest.interval is None:
        return "cannot-be-checked"
    if agrees(figure, honest):
        return "consistent" if honest.tells else "cannot-tell"
    if as_claimed is not None and as_claimed.interval is None:
        return "cannot-be-checked"
    if as_claimed is not None and agrees(figure, as_claimed):
        if as_claimed.tells:
            return by_protocol
        if by_protocol == "own-split":
            return "cannot-tell"
    return "too-high" if figure.value > honest.accuracy else "too-low"


def judge_accuracy(
    claim: Claim,
    used: ArmResult | None,
    honest: ArmResult,
    *,
    redraw: float = 0.0,
    alpha: float = ALPHA,
) -> Judgement:
    """Judge an accuracy; `redraw` as in :func:`.evidence.redraw_of`."""
    assert claim.figure is not None
    as_claimed = score_of(used, alpha=alpha) if used else None
    honest_score = score_of(honest, redraw * honest.image_variance, alpha)
    verdict = judge(claim.figure, as_claimed, honest_score, by_protocol=_by_protocol(claim))
    arms = [*([used] if used else []), honest]
    remarks = [ONE_SEED] if verdict == "cannot-be-checked" else []
    if verdict == "not-what-it-says" and claim.figure.value < honest.accuracy:
        remarks.append("The honest accuracy is higher than the claimed one.")
    return Judgement(
        verdict=verdict,
        as_claimed=as_claimed or Score(),
        honest=honest_score,
        accuracies={arm.arm.name: arm.accuracies for arm in arms},
        bars=(
            _claimed(claim.figure),
            *(
                Bar(label=arm.arm.name, value=arm.accuracy, interval=score.interval)
                for arm, score in zip(arms, filter(None, (as_claimed, honest_score)), strict=True)
            ),
        ),
        remarks=tuple(remarks),
    )


def judge_difference(
    claim: Claim, first: ArmResult, second: ArmResult, *, alpha: float = ALPHA
) -> Judgement:
    """Judge a difference of two runs: would one more pair of runs give it?

    An interval that also contains the opposite difference can't tell.
    """
    assert claim.figure is not None
    difference = first.accuracy - second.accuracy
    interval = None
    if first.spread is not None and second.spread is not None:
        interval = first.next_lead_over(second, 0.0, alpha)
    n_seeds = min(len(first.runs), len(second.runs))
    honest = Score(accuracy=difference, interval=interval, n_seeds=n_seeds)
    verdict = judge(claim.figure, None, honest, by_protocol="consistent")
    if interval is not None and agrees(claim.figure, honest):
        verdict = "cannot-tell" if -claim.figure.value in interval else "consistent"
    accuracies = " and ".join(f"{result.accuracy:.4f}" for result in (first, second))
    remarks = [f"Test accuracies: {accuracies}."]
    return Judgement(
        verdict=verdict,
        honest=honest,
        accuracies={"first": first.accuracies, "second": second.accuracies},
        bars=(_claimed(claim.figure), Bar(label="honest", value=difference, interval=interval)),
        remarks=(*remarks, *([ONE_SEED] if interval is None else [])),
    )


def judge_order(
    claim: Claim,
    used: Sequence[ArmResult],
    honest: Sequence[ArmResult],
    *,
    redraw: float = 0.0,
    alpha: float = ALPHA,
) -> Judgement:
    """Judge models from worst to best: is each significantly better than the one before?

    Holm's correction is over the neighbouring pairs. The source may have seen only one run of each,
    so a pair is the other way round only if one more run of each would be, on its images
    (`redraw`). `used` is empty if some model has no protocol; figures on different images aren't
    compared.
    """
    names = [member.title for member in claim.members]
    steps, words = _neighbours(names, honest, redraw, alpha)
    remarks = [f"Honestly: {words}."]
    used_holds = False
    if used and _on_the_same_images(used):
        as_claimed, used_words = _neighbours(names, used, 0.0, alpha)
        used_holds = set(as_claimed) == {"holds"}
        remarks.append(f"As claimed: {used_words}.")
    verdict: Verdict = "consistent"
    if "reversed" in steps:
        protocols = {_by_protocol(member) for member in claim.members}
        by_protocol: Verdict = "own-split" if protocols == {"own-split"} else "not-what-it-says"
        verdict = by_protocol if used_holds else "too-high"
    elif "single" in steps:
        verdict = "cannot-be-checked"
    elif "alike" in steps:
        verdict = "cannot-tell"
    models = {
        f"{name}, {kind}": result
        for kind, results in (("as claimed", used), ("honest", honest))
        for name, result in zip(names, results, strict=False)
    }
    return Judgement(
        verdict=verdict,
        as_claimed=Score(n_seeds=max((len(result.runs) for result in used), default=0)),
        honest=Score(n_seeds=max(len(result.runs) for result in honest)),
        accuracies={label: result.accuracies for label, result in models.items()},
        bars=tuple(
            Bar(
                label=label,
                value=result.accuracy,
                interval=score_of(result, alpha=alpha).interval,
            )
            for label, result in models.items()
        ),
        remarks=(*remarks, *([ONE_SEED] if "single" in steps else [])),
    )


def _by_protocol(claim: Claim) -> Verdict:
    """The verdict on a figure that only the source's protocol reproduces."""
    return "not-what-it-says" if {*claim.protocol} - _CLEAN else "own-split"


def _claimed(figure: Figure) -> Bar:
    return Bar(
        label="claimed", value=figure.value, interval=Interval(*figure.bounds), is_claim=True
    )


def _on_the_same_images(results: Sequence[ArmResult]) -> bool:
    first = results[0].index
    return first is not None and all(
        result.index is not None and np.array_equal(result.index, first) for result in results
    )


def _neighbours(
    names: Sequence[str], results: Sequence[ArmResult], redraw: float, alpha: float
) -> tuple[list[str], str]:
    """Whether each neighbouring pair is in order, by step and in words."""
    pairs = [(better, worse) for worse, better in pairwise(results)]
    compared = [pair[0].lead_over(pair[1]) for pair in pairs]
    corrected = adjust_p_values([1.0 if paired.p is None else paired.p for paired in compared])
    steps, words = [], []
    for (worse, better), pair, paired, p in zip(
        pairwise(names), pairs, compared, corrected, strict=True
    ):
        if paired.p is None:
            steps.append("single")
        elif p <= alpha and paired.difference > 0:
            steps.append("holds")
        elif pair[0].next_lead_over(pair[1], redraw, alpha / len(pairs)).high < 0:
            steps.append("reversed")
        else:
            steps.append("alike")
        points = f"{format_signed(100 * paired.difference, 2)} points".replace("-", "−")
        suffixes = {"holds": "", "alike": ", not significant", "reversed": ", the other way round"}
        words.append(f"{better} against {worse} {points}{suffixes.get(steps[-1], '')}")
    return steps, "; ".join(words)
