"""Results of checked claims: figures, verdicts, and what a reader should know, in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fittingroom.bench.claims.arms import Arm
from fittingroom.bench.claims.claim import NOTES, Claim
from fittingroom.bench.claims.evidence import ClaimStore
from fittingroom.bench.claims.verdict import Judgement, Score
from fittingroom.evaluation.ranking import ALPHA
from fittingroom.json_text import json_text

SCHEMA_VERSION = 2

#: The first interval is of a run as claimed, the second of an honest one.
COLUMNS = (
    "claim",
    "claimed",
    "as claimed",
    "as-claimed interval",
    "honest",
    "honest interval",
    "seeds",
    "verdict",
)
NUMBERS = frozenset(COLUMNS[1:-1])


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """A claim and its judgement; `failed` if a fit was started and not finished."""

    claim: Claim
    judgement: Judgement
    note: str
    failed: bool = False

    def to_dict(self) -> dict[str, Any]:
        figure = self.claim.figure
        return {
            "id": self.claim.id,
            "claimed": figure.value if figure else self.claim.claimed,
            "verdict": self.judgement.verdict,
            "as_claimed": self.judgement.as_claimed.to_dict(),
            "honest": self.judgement.honest.to_dict(),
            "accuracies": {name: [*values] for name, values in self.judgement.accuracies.items()},
            "note": self.note,
        }


@dataclass(frozen=True, kw_only=True)
class ClaimsReport:
    """The results of checked claims, and the data set.

    `alpha` is the allowed probability of a false verdict on each claim.
    """

    dataset_title: str
    dataset_sha256: str
    test_images: int
    test_reads: int
    claims: tuple[ClaimResult, ...]
    alpha: float = ALPHA
    command: str | None = None

    @property
    def complete(self) -> bool:
        """Whether every fit that was started was finished."""
        return not any(result.failed for result in self.claims)

    @property
    def interval_note(self) -> str:
        """What the intervals of the table mean, in a sentence."""
        start = "Intervals show where one more run, or one more difference of two runs, would lie"
        if self.alpha >= ALPHA:
            return f"{start}, with {1 - ALPHA:.0%} confidence."
        each = f"{1 - self.alpha:.1%} each"
        return f"{start}: {each}, so the honest ones hold jointly with {1 - ALPHA:.0%} confidence."

    def to_dict(self) -> dict[str, Any]:
        """`claims.json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "confidence_each": 1 - self.alpha,
            "claims": [result.to_dict() for result in self.claims],
        }

    def to_json(self) -> str:
        return json_text(self.to_dict())


def cells(checked: ClaimResult) -> list[str]:
    """A claim as a line of a table, with a text for each of `COLUMNS`."""
    claim, judgement = checked.claim, checked.judgement
    sign = "+" if claim.kind == "difference" else ""
    return [
        claim.id,
        "order" if claim.kind == "order" else claim.claimed,
        *_score(judgement.as_claimed, sign),
        *_score(judgement.honest, sign),
        str(judgement.honest.n_seeds or ""),
        judgement.verdict,
    ]


def _score(score: Score, sign: str) -> tuple[str, str]:
    figure = "" if score.accuracy is None else f"{score.accuracy:{sign}.4f}"
    if score.interval is None:
        return figure, ""
    low, high = (f"{end:{sign}.4f}" for end in score.interval.bounds)
    return figure, f"{low} to {high}" if sign else f"{low}-{high}"


def join_sentences(*sentences: str | None) -> str:
    """Join the sentences that aren't empty."""
    return " ".join(sentence for sentence in sentences if sentence)


def protocol_remark(claim: Claim) -> list[str]:
    """How the figure was obtained, as far as known."""
    sentences = []
    if claim.protocol:
        notes = "; ".join(NOTES[note] for note in claim.protocol)
        sentences.append(f"Protocol of the source: {notes}.")
    elif claim.kind == "accuracy" and not claim.unknown:
        sentences.append("How the figure was obtained is unknown.")
    held_out = "never-tested" in claim.protocol and claim.split.validation is not None
    if claim.pooled or held_out:
        sentences.append(
            "It was measured on other images than the official test images; the honest interval "
            "includes the variation that this adds."
        )
    return [*sentences, *([claim.remark] if claim.remark else [])]


def runs_remark(arms: Sequence[Arm], runs: ClaimStore) -> list[str]:
    """What the runs of an accuracy did, beyond their figures."""
    by_name = {arm.name: arm for arm in arms}
    if len(by_name) < len(arms) or set(by_name) != {"as claimed", "honest"}:
        return []
    sentences = []
    used, honest = by_name["as claimed"], by_name["honest"]
    if used.candidates == honest.candidates:
        sentences.append("Both figures come from the same runs.")
    for arm in (used, honest):
        if arm.chosen_by is not None:
            sentences.append(_selected_settings(arm, runs))
        protocol = arm.candidates[0].protocol
        if protocol and protocol["until"]:
            epochs = ", ".join(str(run.record.kept_epoch) for run in runs.evidence(arm).runs)
            sentences.append(f"Total epochs, which the source doesn't report: {epochs}.")
    return sentences


def _selected_settings(arm: Arm, runs: ClaimStore) -> str:
    """The settings that were selected with each seed."""
    varied = {
        name
        for name in arm.candidates[0].settings
        if len({repr(candidate.settings[name]) for candidate in arm.candidates}) > 1
    }
    chosen = [
        " ".join(f"{name} {spec.settings[name]}" for name in sorted(varied))
        for spec in runs.chosen(arm)
    ]
    return f"Selected {arm.name}: {', '.join(chosen)}."
