"""What saved runs say of a claim: the figures, and the verdict by rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np

from fittingroom.bench.cells import signed
from fittingroom.bench.claim import Claim, Figure, nearest
from fittingroom.bench.evidence import Evidence, Setting
from fittingroom.evaluation.intervals import rerun_interval
from fittingroom.evaluation.paired_difference import PairedDifference, compare_pair
from fittingroom.evaluation.ranking import ALPHA, adjusted
from fittingroom.evaluation.recipe_fits import Fits

Verdict = Literal["consistent", "too-high", "too-low", "not-what-it-says", "cannot-be-checked"]

#: What each verdict means, in words.
VERDICTS: dict[Verdict, str] = {
    "consistent": "an honest re-run may well give the claimed figure",
    "too-high": "honest runs stay below the claimed figure",
    "too-low": "honest runs lie above the claimed figure",
    "not-what-it-says": "the figure comes out by the protocol as it was used, not by an honest one",
    "cannot-be-checked": "nothing was verified",
}
#: The same of claims that aren't of an accuracy, where it differs.
_OTHERWISE: dict[tuple[str, Verdict], str] = {
    ("difference", "consistent"): "the claimed difference lies in the interval of the one found",
    ("difference", "too-high"): "the difference found is smaller",
    ("difference", "too-low"): "the difference found is larger",
    ("order", "consistent"): "each model is significantly better than the one before",
    ("order", "too-high"): "of some neighbours the first is significantly better",
    ("order", "not-what-it-says"): "the order holds by the protocol as it was used, not honestly",
    ("text", "consistent"): "no other value is significantly better",
    ("text", "too-high"): "others are significantly better, the best of them lower",
    ("text", "too-low"): "others are significantly better, the best of them higher",
    ("text", "not-what-it-says"): "it was read off right, but others are significantly better",
}
ONE_SEED = "One seed tells nothing about a re-run; give more seeds."


def meaning(kind: str, verdict: Verdict) -> str:
    """What a verdict means for a claim of that kind, in words."""
    return _OTHERWISE.get((kind, verdict), VERDICTS[verdict])


@dataclass(frozen=True, kw_only=True)
class Score:
    """A figure over seeds, and the 95% interval that the verdict goes by.

    Of an accuracy that is where one more run would lie; of a difference, its interval.
    """

    accuracy: float | None = None
    ci95: tuple[float, float] | None = None
    seeds: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy,
            "ci95": list(self.ci95) if self.ci95 else None,
            "seeds": self.seeds,
        }


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A line of a claim's picture: a figure with its interval."""

    label: str
    value: float
    interval: tuple[float, float] | None
    claimed: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the runs of a claim say. `remarks` are sentences."""

    verdict: Verdict
    as_claimed: Score = Score()
    honest: Score = Score()
    bars: tuple[Bar, ...] = ()
    remarks: tuple[str, ...] = ()


def score_of(evidence: Evidence) -> Score:
    """Mean accuracy over seeds, and where one more run would lie."""
    interval = rerun_interval(evidence.accuracies, evidence.arm.deterministic)
    return Score(
        accuracy=float(np.mean(evidence.accuracies)),
        ci95=interval.bounds if interval else None,
        seeds=len(evidence.accuracies),
    )


def agrees(figure: Figure, score: Score | None) -> bool:
    """Whether something that rounds to the claimed figure lies in the score's interval."""
    if score is None or score.ci95 is None:
        return False
    (low, high), (claimed_low, claimed_high) = score.ci95, figure.bounds
    return claimed_low <= high and claimed_high >= low


def judge(figure: Figure, as_claimed: Score | None, honest: Score) -> Verdict:
    """The verdict on a figure, by what came out as claimed and by what came out honestly."""
    if honest.accuracy is None or honest.ci95 is None:
        return "cannot-be-checked"
    if agrees(figure, honest):
        return "consistent"
    if agrees(figure, as_claimed):
        return "not-what-it-says"
    return "too-high" if figure.value > honest.accuracy else "too-low"


def judge_accuracy(claim: Claim, used: Evidence | None, honest: Evidence) -> Finding:
    """An accuracy: does it come out again?"""
    assert claim.figure is not None
    scores = {"as claimed": score_of(used) if used else None, "honest": score_of(honest)}
    bars = [
        Bar(label=name, value=score.accuracy, interval=score.ci95)
        for name, score in scores.items()
        if score is not None and score.accuracy is not None
    ]
    found, honest_score = scores["as claimed"], scores["honest"]
    assert honest_score is not None
    return Finding(
        verdict=judge(claim.figure, found, honest_score),
        as_claimed=found or Score(),
        honest=honest_score,
        bars=(_claimed(claim.figure), *bars),
        remarks=(ONE_SEED,) if honest_score.ci95 is None else (),
    )


def judge_difference(claim: Claim, first: Evidence, second: Evidence) -> Finding:
    """A difference of two settings: does it lie in the interval of the difference found?"""
    assert claim.figure is not None
    paired = _compared(first, second)
    interval = paired.interval.bounds if paired.interval else None
    seeds = min(len(first.runs), len(second.runs))
    honest = Score(accuracy=paired.difference, ci95=interval, seeds=seeds)
    accuracies = " and ".join(f"{np.mean(each.accuracies):.4f}" for each in (first, second))
    remarks = [f"Test accuracies are {accuracies}."]
    return Finding(
        verdict=judge(claim.figure, None, honest),
        honest=honest,
        bars=(
            _claimed(claim.figure),
            Bar(label="honest", value=paired.difference, interval=interval),
        ),
        remarks=(*remarks, *([ONE_SEED] if interval is None else [])),
    )


def judge_order(claim: Claim, used: Sequence[Evidence], honest: Sequence[Evidence]) -> Finding:
    """Models from worst to best: is each significantly better than the one before?

    Holm's correction is over the neighbouring pairs. `used` is empty where some model has no
    protocol, or where they were not measured on the same images.
    """
    names = [member.title for member in claim.members]
    found, words = _neighbours(names, honest)
    verdict: Verdict = "consistent"
    if "single" in found or "alike" in found:
        verdict = "cannot-be-checked"
    remarks = [f"Honestly: {words}."]
    used_holds = False
    if (
        used
        and len({evidence.index.tobytes() for evidence in used if evidence.index is not None}) == 1
    ):
        as_claimed, used_words = _neighbours(names, used)
        used_holds = set(as_claimed) == {"holds"}
        remarks.append(f"As claimed: {used_words}.")
    if "reversed" in found:
        verdict = "not-what-it-says" if used_holds else "too-high"
    bars = [
        Bar(label=f"{name}, {kind}", value=score.accuracy, interval=score.ci95)
        for kind, evidences in (("as claimed", used), ("honest", honest))
        for name, score in zip(names, map(score_of, evidences), strict=False)
        if score.accuracy is not None
    ]
    return Finding(
        verdict=verdict,
        as_claimed=Score(seeds=max((len(each.runs) for each in used), default=0)),
        honest=Score(seeds=max(len(each.runs) for each in honest)),
        bars=tuple(bars),
        remarks=(*remarks, *([ONE_SEED] if "single" in found else [])),
    )


def judge_best(
    claim: Claim, sweep: Evidence | None, tried: Sequence[tuple[Setting, Evidence]]
) -> Finding:
    """A value that is said to be the best: is another one significantly better?

    By accuracy on the `choose` half of the validation part; Holm's correction is over all others.
    """
    assert claim.figure is not None
    assert claim.search is not None
    of_value = {
        float(value): each for value, (_, each) in zip(claim.search.values, tried, strict=True)
    }
    scores = {value: score_of(each) for value, each in of_value.items()}
    mean_of = {value: float(score.accuracy or 0.0) for value, score in scores.items()}
    wanted = nearest(list(of_value), claim.figure.value)
    best = max(mean_of, key=mean_of.__getitem__)
    lowest = [_lowest(run.history) for run in sweep.runs] if sweep else []
    better = _better_than(wanted, of_value)
    verdict: Verdict = "consistent"
    if better is None:
        verdict = "cannot-be-checked"
    elif better:
        read = [nearest(list(of_value), rate) for rate in lowest]
        as_used = read and min(read) <= wanted <= max(read)
        ahead = max(better, key=mean_of.__getitem__)  # the best mean may be one of noisy runs
        verdict = "not-what-it-says" if as_used else "too-high" if wanted > ahead else "too-low"
    remarks = [
        f"By validation accuracy {best:g} is the best of {len(of_value)} values "
        f"({mean_of[best]:.4f}, and {mean_of[wanted]:.4f} at {wanted:g})."
    ]
    if better is not None:
        told = {0: "None is", 1: "One is"}.get(len(better), f"{len(better)} are")
        remarks.append(f"{told} significantly better than {wanted:g}.")
    if lowest:
        span = sorted({f"{value:.2g}" for value in lowest}, key=float)
        remarks.append(f"As claimed, the training loss is lowest at {' or '.join(span)}.")
    return Finding(
        verdict=verdict,
        as_claimed=Score(seeds=len(lowest)),
        honest=scores[wanted],
        bars=tuple(
            Bar(
                label=f"{claim.search.parameter} {value:g}",
                value=mean_of[value],
                interval=scores[value].ci95,
            )
            for value in dict.fromkeys([wanted, best])
        ),
        remarks=(*remarks, *([ONE_SEED] if better is None else [])),
    )


def _better_than(wanted: float, of_value: Mapping[float, Evidence]) -> list[float] | None:
    """The values that are significantly better than the wanted one; None where one seed is all."""
    others = {
        value: _compared(each, of_value[wanted])
        for value, each in of_value.items()
        if value != wanted
    }
    known = [paired.p for paired in others.values() if paired.p is not None]
    if len(known) < len(others):
        return None
    corrected = adjusted(known)
    return [
        value
        for (value, paired), p in zip(others.items(), corrected, strict=True)
        if p <= ALPHA and paired.difference > 0
    ]


def _claimed(figure: Figure) -> Bar:
    return Bar(label="claimed", value=figure.value, interval=figure.bounds, claimed=True)


def _compared(a: Evidence, b: Evidence) -> PairedDifference:
    assert a.correct is not None
    assert b.correct is not None
    return compare_pair(
        Fits(a.correct, deterministic=a.arm.deterministic),
        Fits(b.correct, deterministic=b.arm.deterministic),
    )


def _neighbours(names: Sequence[str], evidences: Sequence[Evidence]) -> tuple[list[str], str]:
    """Of each neighbouring pair whether its order holds; and all of it in words."""
    compared = [_compared(better, worse) for worse, better in pairwise(evidences)]
    corrected = adjusted([1.0 if paired.p is None else paired.p for paired in compared])
    found, words = [], []
    for (worse, better), paired, p in zip(pairwise(names), compared, corrected, strict=True):
        if paired.p is None:
            found.append("single")
        elif p > ALPHA:
            found.append("alike")
        else:
            found.append("holds" if paired.difference > 0 else "reversed")
        points = f"{signed(100 * paired.difference, 2)} points".replace("-", "−")
        told = {"holds": "", "alike": ", not told apart", "reversed": ", the other way round"}
        words.append(f"{better} against {worse} {points}{told.get(found[-1], '')}")
    return found, "; ".join(words)


def _lowest(history: Sequence[Any]) -> float:
    """The rate of the epoch with the lowest training loss."""
    return float(min(history, key=lambda epoch: epoch.train_loss).learning_rate)
