"""What is run for a claim, given the time that a fit may take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fittingroom.bench.claims.arms import Arm, arms_of, expected_seconds
from fittingroom.bench.claims.claim import Claim
from fittingroom.bench.claims.evidence import ClaimStore
from fittingroom.bench.claims.verification import join_sentences
from fittingroom.formatting import duration
from fittingroom.models.settings import settings_in_words


def fit_limit(time_limit: float | None, budget: float | None) -> float | None:
    """The most seconds that one fit may be expected to take: its limit, or all of the budget."""
    return min((limit for limit in (time_limit, budget) if limit is not None), default=None)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run for a claim; `instead` says why, if it isn't the claim's recipe."""

    claim: Claim
    arms: tuple[Arm, ...]
    instead: str | None = None
    verifies: bool = True

    @classmethod
    def of(cls, claim: Claim, runs: ClaimStore, n_seeds: int, limit: float | None) -> Plan:
        """Leave out, or replace by a smaller one, a recipe expected to take longer than `limit`."""
        if claim.unknown and claim.recipe is None:
            return cls(claim=claim, arms=(), instead=claim.unknown)
        expected, arms = expected_seconds(claim), arms_of(claim, runs.dataset, n_seeds)
        if limit is None or expected <= limit or not any(map(runs.missing, arms)):
            note = join_sentences(claim.unknown, claim.unknown and "Run with our own settings.")
            return cls(claim=claim, arms=tuple(arms), instead=note, verifies=not claim.unknown)
        why = (
            f"one fit of the recipe is expected to take about {duration(expected)}, more than the "
            f"limit of {duration(limit)}"
        )
        if claim.reduced is None or claim.reduced.seconds > limit:
            return cls(
                claim=claim, arms=(), instead=join_sentences(claim.unknown, f"Left out: {why}.")
            )
        smaller = tuple(arms_of(claim, runs.dataset, n_seeds, reduced=True))
        settings = settings_in_words(claim.reduced.parameters)
        return cls(
            claim=claim,
            arms=smaller,
            instead=f"Not verified: {why}. Run instead with {settings} and {_seeds(smaller)}.",
            verifies=False,
        )

    @property
    def fitted(self) -> list[Arm]:
        """The arms whose runs aren't those of an earlier arm."""
        first = {arm.candidates: arm for arm in reversed(self.arms)}
        return [arm for arm in self.arms if first[arm.candidates] is arm]

    @property
    def n_fits(self) -> int:
        return sum(arm.n_fits for arm in self.fitted)


def _seeds(arms: Sequence[Arm]) -> str:
    most = max(len(arm.seeds) for arm in arms)
    return f"{most} seed{'s' * (most > 1)}"
