"""What saved runs say of a claim: the figures, and the verdict by rule."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

from fittingroom.bench.cells import signed
from fittingroom.bench.claim import Claim, Figure, nearest
from fittingroom.bench.evidence import Evidence
from fittingroom.evaluation.intervals import Interval
from fittingroom.evaluation.paired_difference import PairedDifference, compare
from fittingroom.evaluation.ranking import ALPHA, adjusted
from fittingroom.evaluation.rerun import rerun_difference_interval, rerun_interval

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
    "consistent": "an honest re-run may well give the claimed figure",
    "own-split": "the figure comes out honestly, but on test images of its own only",
    "too-high": "honest runs stay below the claimed figure",
    "too-low": "honest runs lie above the claimed figure",
    "not-what-it-says": "the figure comes out by the protocol as it was used, not by an honest one",
    "cannot-tell": "the runs lie too far apart to tell",
    "cannot-be-checked": "nothing was verified",
}
#: The same of claims that aren't of an accuracy, where it differs.
_OTHERWISE: dict[tuple[str, Verdict], str] = {
    ("difference", "consistent"): "one more pair of runs may well give the claimed difference",
    ("difference", "too-high"): "the difference between two runs is smaller",
    ("difference", "too-low"): "the difference between two runs is larger",
    ("order", "consistent"): "each model is significantly better than the one before",
    ("order", "too-high"): "of some neighbours the first is significantly better",
    ("order", "not-what-it-says"): "the order holds by the protocol as it was used, not honestly",
    ("order", "cannot-tell"): "some neighbours can't be told apart",
    ("text", "consistent"): "no other value is better by as much as half a point",
    ("text", "too-high"): "others are significantly better, the best of them lower",
    ("text", "too-low"): "others are significantly better, the best of them higher",
    ("text", "not-what-it-says"): "it was read off right, but others are significantly better",
    ("text", "cannot-tell"): "another value may be better by half a point or more",
}
ONE_SEED = "One seed tells nothing about a re-run; give more seeds."
#: A wider interval of accuracies confirms nothing: a claim that lies in it may be wrong by points.
WIDEST = 0.05
#: A value of a setting is the best if no other is better by more.
MARGIN = 0.005
#: Where a claim has no other notes nothing leaked into the test.
_CLEAN = {"clean", "own-random-split"}


def meaning(kind: str, verdict: Verdict) -> str:
    """What a verdict means for a claim of that kind, in words."""
    return _OTHERWISE.get((kind, verdict), VERDICTS[verdict])


@dataclass(frozen=True, kw_only=True)
class Score:
    """A mean over seeds, and where one more run would lie: the interval a verdict goes by."""

    accuracy: float | None = None
    interval: Interval | None = None
    seeds: int = 0

    def to_dict(self) -> dict[str, Any]:
        return {
            "accuracy": self.accuracy,
            "interval": list(self.interval.bounds) if self.interval else None,
            "seeds": self.seeds,
        }


@dataclass(frozen=True, kw_only=True)
class Bar:
    """A line of a claim's picture: a figure with its interval."""

    label: str
    value: float
    interval: Interval | None
    claimed: bool = False


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What the runs of a claim say.

    `accuracies` are those of each seed, by what was run; `remarks` are sentences.
    """

    verdict: Verdict
    as_claimed: Score = Score()
    honest: Score = Score()
    accuracies: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    bars: tuple[Bar, ...] = ()
    remarks: tuple[str, ...] = ()


def score_of(evidence: Evidence, draw: float = 0.0, alpha: float = ALPHA) -> Score:
    """Mean accuracy over seeds, and where one more run would lie.

    `draw` is the variance that other images would add, `alpha` the chance to lie elsewhere.
    """
    interval = None
    if evidence.spread is not None:
        seeds = len(evidence.accuracies)
        interval = rerun_interval(evidence.accuracy, seeds, evidence.spread, draw=draw, alpha=alpha)
    return Score(accuracy=evidence.accuracy, interval=interval, seeds=len(evidence.accuracies))


def agrees(figure: Figure, score: Score | None) -> bool:
    """Whether something that rounds to the claimed figure lies in the score's interval."""
    if score is None or score.interval is None:
        return False
    claimed_low, claimed_high = figure.bounds
    return claimed_low <= score.interval.high and claimed_high >= score.interval.low


def judge(
    figure: Figure, as_claimed: Score | None, honest: Score, *, by_protocol: Verdict
) -> Verdict:
    """The verdict on a figure, by what came out as claimed and by what came out honestly.

    `by_protocol` is the verdict where it comes out as claimed alone.
    """
    if honest.accuracy is None or honest.interval is None:
        return "cannot-be-checked"
    if agrees(figure, honest):
        width = honest.interval.high - honest.interval.low
        return "consistent" if width <= WIDEST else "cannot-tell"
    if agrees(figure, as_claimed):
        return by_protocol
    return "too-high" if figure.value > honest.accuracy else "too-low"


def judge_accuracy(
    claim: Claim,
    used: Evidence | None,
    honest: Evidence,
    *,
    draw: float = 0.0,
    alpha: float = ALPHA,
) -> Finding:
    """An accuracy: does it come out again? `draw` as in :func:`.evidence.draw_of_images`."""
    assert claim.figure is not None
    as_claimed = score_of(used, alpha=alpha) if used else None
    honestly = score_of(honest, draw, alpha)
    verdict = judge(claim.figure, as_claimed, honestly, by_protocol=_by_protocol(claim))
    arms = [*([used] if used else []), honest]
    remarks = [ONE_SEED] if honestly.interval is None else []
    if verdict == "not-what-it-says" and claim.figure.value < honest.accuracy:
        remarks.append("The honest accuracy is higher than the claimed one.")
    return Finding(
        verdict=verdict,
        as_claimed=as_claimed or Score(),
        honest=honestly,
        accuracies={arm.arm.name: arm.accuracies for arm in arms},
        bars=(
            _claimed(claim.figure),
            *(
                Bar(label=arm.arm.name, value=arm.accuracy, interval=score.interval)
                for arm, score in zip(arms, filter(None, (as_claimed, honestly)), strict=True)
            ),
        ),
        remarks=tuple(remarks),
    )


def judge_difference(
    claim: Claim, first: Evidence, second: Evidence, *, alpha: float = ALPHA
) -> Finding:
    """A difference of two runs: would one more pair of runs give it?

    An interval that holds the opposite difference as well can't tell.
    """
    assert claim.figure is not None
    difference = first.accuracy - second.accuracy
    runs = [
        (len(each.accuracies), each.spread) for each in (first, second) if each.spread is not None
    ]
    interval = rerun_difference_interval(difference, runs, alpha=alpha) if len(runs) == 2 else None
    seeds = min(len(first.runs), len(second.runs))
    honest = Score(accuracy=difference, interval=interval, seeds=seeds)
    verdict = judge(claim.figure, None, honest, by_protocol="consistent")
    if interval is not None and agrees(claim.figure, honest):
        verdict = "cannot-tell" if -claim.figure.value in interval else "consistent"
    accuracies = " and ".join(f"{each.accuracy:.4f}" for each in (first, second))
    remarks = [f"Test accuracies are {accuracies}."]
    return Finding(
        verdict=verdict,
        honest=honest,
        accuracies={"first": first.accuracies, "second": second.accuracies},
        bars=(_claimed(claim.figure), Bar(label="honest", value=difference, interval=interval)),
        remarks=(*remarks, *([ONE_SEED] if interval is None else [])),
    )


def judge_order(
    claim: Claim, used: Sequence[Evidence], honest: Sequence[Evidence], *, alpha: float = ALPHA
) -> Finding:
    """Models from worst to best: is each significantly better than the one before?

    Holm's correction is over the neighbouring pairs. `used` is empty where some model has no
    protocol; what was not measured on the same images isn't compared.
    """
    names = [member.title for member in claim.members]
    steps, words = _neighbours(names, honest, alpha)
    remarks = [f"Honestly: {words}."]
    indices = {each.index.tobytes() for each in used if each.index is not None}
    used_holds = False
    if used and len(indices) == 1:
        as_claimed, used_words = _neighbours(names, used, alpha)
        used_holds = set(as_claimed) == {"holds"}
        remarks.append(f"As claimed: {used_words}.")
    verdict: Verdict = "consistent"
    if "reversed" in steps:
        verdict = "not-what-it-says" if used_holds else "too-high"
    elif "single" in steps:
        verdict = "cannot-be-checked"
    elif "alike" in steps:
        verdict = "cannot-tell"
    models = {
        f"{name}, {kind}": evidence
        for kind, evidences in (("as claimed", used), ("honest", honest))
        for name, evidence in zip(names, evidences, strict=False)
    }
    return Finding(
        verdict=verdict,
        as_claimed=Score(seeds=max((len(each.runs) for each in used), default=0)),
        honest=Score(seeds=max(len(each.runs) for each in honest)),
        accuracies={label: evidence.accuracies for label, evidence in models.items()},
        bars=tuple(
            Bar(
                label=label,
                value=evidence.accuracy,
                interval=score_of(evidence, alpha=alpha).interval,
            )
            for label, evidence in models.items()
        ),
        remarks=(*remarks, *([ONE_SEED] if "single" in steps else [])),
    )


def judge_best(
    claim: Claim, sweep: Evidence | None, tried: Sequence[Evidence], *, alpha: float = ALPHA
) -> Finding:
    """A value that is said to be the best: may another be better, by more than the margin?

    By accuracy on the `choose` half of the validation part. That another is better at all is
    corrected for the number of others (Holm). That none is better by the margin needs no
    correction: each of the others has to be excluded (Berger 1982, Technometrics 24:295-300).
    """
    assert claim.figure is not None
    assert claim.search is not None
    of_value = dict(zip(map(float, claim.search.values), tried, strict=True))
    wanted = nearest(list(of_value), claim.figure.value)
    best = max(of_value, key=lambda value: of_value[value].accuracy)
    leads = {
        value: _compared(each, of_value[wanted])
        for value, each in of_value.items()
        if value != wanted
    }
    better = _better(leads, alpha)
    lowest = [_lowest(run.history) for run in sweep.runs] if sweep else []
    verdict: Verdict = "cannot-be-checked"
    if better:
        read = [nearest(list(of_value), rate) for rate in lowest]
        as_used = read and min(read) <= wanted <= max(read)
        ahead = max(better, key=lambda value: of_value[value].accuracy)
        verdict = "not-what-it-says" if as_used else "too-high" if wanted > ahead else "too-low"
    elif better is not None:
        most = max(lead.interval.high for lead in leads.values() if lead.interval)
        verdict = "consistent" if most <= MARGIN else "cannot-tell"
    return Finding(
        verdict=verdict,
        as_claimed=Score(seeds=len(lowest)),
        honest=score_of(of_value[wanted], alpha=alpha),
        accuracies={f"{value:g}": each.accuracies for value, each in of_value.items()},
        bars=tuple(
            Bar(
                label=f"{claim.search.parameter} {value:g}",
                value=of_value[value].accuracy,
                interval=score_of(of_value[value], alpha=alpha).interval,
            )
            for value in dict.fromkeys([wanted, best])
        ),
        remarks=tuple(_words_of_best(of_value, wanted, best, leads, better, lowest)),
    )


def _words_of_best(
    of_value: Mapping[float, Evidence],
    wanted: float,
    best: float,
    leads: Mapping[float, PairedDifference],
    better: Sequence[float] | None,
    lowest: Sequence[float],
) -> Iterator[str]:
    yield (
        f"By validation accuracy {best:g} is the best of {len(of_value)} values "
        f"({of_value[best].accuracy:.4f}, and {of_value[wanted].accuracy:.4f} at {wanted:g})."
    )
    if better is None:
        yield ONE_SEED
    else:
        told = {0: "None is", 1: "One is"}.get(len(better), f"{len(better)} are")
        yield f"{told} significantly better than {wanted:g}."
        ends = {value: lead.interval.high for value, lead in leads.items() if lead.interval}
        if not better and ends:
            farthest = max(ends, key=ends.__getitem__)
            yield f"But {farthest:g} may be better by up to {100 * ends[farthest]:.1f} points."
    if lowest:
        span = sorted({f"{value:.2g}" for value in lowest}, key=float)
        yield f"As claimed, the training loss is lowest at {' or '.join(span)}."


def _better(leads: Mapping[float, PairedDifference], alpha: float) -> list[float] | None:
    """The values whose lead is significant; None where one seed is all that there is."""
    known = [lead.p for lead in leads.values() if lead.p is not None]
    if len(known) < len(leads):
        return None
    corrected = adjusted(known)
    return [
        value
        for (value, lead), p in zip(leads.items(), corrected, strict=True)
        if p <= alpha and lead.difference > 0
    ]


def _by_protocol(claim: Claim) -> Verdict:
    """What is to be said of a figure that the protocol as it was used gives, and ours doesn't."""
    if {*claim.protocol} - _CLEAN:
        return "not-what-it-says"
    return "own-split" if claim.pooled else "consistent"


def _claimed(figure: Figure) -> Bar:
    return Bar(label="claimed", value=figure.value, interval=Interval(*figure.bounds), claimed=True)


def _compared(a: Evidence, b: Evidence) -> PairedDifference:
    return compare(a.fits, a.spread, b.fits, b.spread, None)


def _neighbours(
    names: Sequence[str], evidences: Sequence[Evidence], alpha: float
) -> tuple[list[str], str]:
    """Of each neighbouring pair whether its order holds; and all of it in words."""
    compared = [_compared(better, worse) for worse, better in pairwise(evidences)]
    corrected = adjusted([1.0 if paired.p is None else paired.p for paired in compared])
    steps, words = [], []
    for (worse, better), paired, p in zip(pairwise(names), compared, corrected, strict=True):
        if paired.p is None:
            steps.append("single")
        elif p > alpha:
            steps.append("alike")
        else:
            steps.append("holds" if paired.difference > 0 else "reversed")
        points = f"{signed(100 * paired.difference, 2)} points".replace("-", "−")
        told = {"holds": "", "alike": ", not told apart", "reversed": ", the other way round"}
        words.append(f"{better} against {worse} {points}{told.get(steps[-1], '')}")
    return steps, "; ".join(words)


def _lowest(history: Sequence[Any]) -> float:
    """The rate of the epoch with the lowest training loss."""
    return float(min(history, key=lambda epoch: epoch.train_loss).learning_rate)
