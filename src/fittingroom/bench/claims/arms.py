"""What must be fitted for a claim's verdict: by the protocol as it was used, and honestly."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fittingroom.bench.claims.claim import Claim, ClaimSplit, Parameters
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.models.catalog import row_of
from fittingroom.runs.spec import RunSpec, spec_of

#: A recipe of which one fit takes longer gets no more than these seeds.
SLOW_SECONDS, SLOW_SEEDS = 600.0, 3
#: The notes that change a run; the others change what is read of it.
_IN_RUN = {"trained-on-test", "selected-on-test", "test-not-scaled", "never-tested"}
#: Those by which a run's own figure isn't one of new images like the training ones.
_LEAKS = _IN_RUN - {"never-tested"}

#: Where a figure is read: on official test images, where the source measured, as logged while
#: training, or on the selection half of the validation part.
Measure = Literal["test", "measured", "training", "selection"]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Runs of one kind, one figure a seed.

    Attributes
    ----------
    name : `as claimed`, `honest`, or a model's
    candidates : what is fitted with each seed, as specs of seed 0; of several, one is chosen
    chosen_by : by which accuracy; None where nothing is chosen
    refit : the chosen one is fitted once more, and then reads the test split
    refit_full : that fit is on all training images
    measure : where the figure is read
    seconds : one fit should take
    """

    name: str
    candidates: tuple[RunSpec, ...]
    seeds: tuple[int, ...]
    measure: Measure
    chosen_by: Measure | None = None
    refit: bool = False
    refit_full: bool = False
    seconds: float

    @property
    def runs(self) -> tuple[tuple[RunSpec, ...], Measure]:
        """What two arms share whose figures are those of the same runs."""
        return self.candidates, self.measure

    @property
    def deterministic(self) -> bool:
        return row_of(self.candidates[0].model).deterministic

    @property
    def family(self) -> str:
        return row_of(self.candidates[0].model).family

    @property
    def n_fits(self) -> int:
        return len(self.seeds) * (len(self.candidates) + self.refit)

    @property
    def leaked(self) -> bool:
        """Whether it is measured on images that took part in training or selection."""
        notes = {
            note for each in self.candidates for note in (each.protocol or {}).get("notes", ())
        }
        chosen = self.chosen_by is not None and not self.refit
        return self.measure == "training" or chosen or bool(notes & _LEAKS)


def tested(spec: RunSpec, *, full: bool) -> RunSpec:
    """A candidate measured on the test images, where it was measured on held-out ones."""
    protocol = spec.protocol
    if protocol is not None:
        notes = [note for note in protocol["notes"] if note != "never-tested"]
        protocol = {**protocol, "notes": notes}
    return dataclasses.replace(spec, reads_test=True, full=full, protocol=protocol)


def trained_on(spec: RunSpec, dataset: Dataset) -> float:
    """How many images a candidate is trained on."""
    if spec.full:
        return len(dataset.train)
    if spec.protocol is None:
        return len(validation_split(dataset.train.labels).train)
    split = ClaimSplit.model_validate(spec.protocol["split"])
    return split.parts(len(dataset.train), len(dataset.test))[0]


def expected_seconds(claim: Claim, reduced: bool = False) -> float:
    """What one fit of a claim's recipe should take, the longest where there are several."""
    if claim.members:
        return max(expected_seconds(member) for member in claim.members)
    if reduced:
        assert claim.reduced is not None
        return claim.reduced.seconds
    assert claim.recipe is not None
    return claim.recipe.seconds or row_of(claim.recipe.model).expected_seconds()


def arms_of(claim: Claim, dataset: Dataset, seeds: int, reduced: bool = False) -> list[Arm]:
    """All that a claim's verdict takes.

    Parameters
    ----------
    claim : not one that can't be checked
    seeds : fits of each; fewer where a fit is slow, one where a model is deterministic
    reduced : what is run instead of a recipe that takes too long
    """
    if claim.members:
        return [arm for member in claim.members for arm in arms_of(member, dataset, seeds)]
    return _Arms(claim, dataset, seeds, reduced).all()


def _left_out(claim: Claim, dataset: Dataset) -> float:
    """The share of the training split without which an honest run has as many images as the source.

    0 where the source trained on as many as there are, or on more.
    """
    n = len(dataset.train)
    trained_on, *_ = claim.split.parts(n, len(dataset.test))
    share = max(1 - trained_on / n, 0.0)
    return round(share, 9) if share * n >= 1 else 0.0


class _Arms:
    def __init__(self, claim: Claim, dataset: Dataset, seeds: int, reduced: bool) -> None:
        assert claim.recipe is not None
        self.claim, self.recipe, self.dataset = claim, claim.recipe, dataset
        self.seconds = expected_seconds(claim, reduced)
        self.parameters = dict(self.recipe.parameters)
        if reduced and claim.reduced is not None:
            self.parameters |= claim.reduced.parameters
            seeds = min(seeds, claim.reduced.seeds or seeds)
        if self.seconds > SLOW_SECONDS:
            seeds = min(seeds, SLOW_SEEDS)
        left_out, n = _left_out(claim, dataset), len(dataset.train)
        as_ours = len(validation_split(dataset.train.labels).train)
        self.full = left_out == 0
        # What is chosen by validation images goes by our own part of them.
        ours = abs((1 - left_out) * n - as_ours) < 1 or claim.kind == "text"
        self.held_out = None if self.full or ours else left_out
        fixed = row_of(self.recipe.model).deterministic
        self.seeds = (0,) if fixed else tuple(range(seeds))

    def all(self) -> list[Arm]:
        claim = self.claim
        if claim.difference is not None:
            return [
                self._arm(name, [self._honest(**parameters)], self.tested)
                for name, parameters in (
                    ("first", claim.difference.first),
                    ("second", claim.difference.second),
                )
            ]
        if claim.kind == "text":
            return self._text()
        used = self._as_used()
        return [*([used] if used else []), self._searched_honestly()]

    def _text(self) -> list[Arm]:
        arms = []
        if self.claim.sweep is not None:
            sweep = self._honest(reads_test=False, **self.claim.sweep)
            arms.append(self._arm("as claimed", [sweep], "training"))
        values = [self._honest(reads_test=False, full=False, **each) for each in self._tried()]
        return [*arms, self._arm("honest", values, "selection")]

    def _searched_honestly(self) -> Arm:
        """The honest figure; settings that were searched are chosen on the selection half."""
        if self.claim.search is None:
            return self._arm("honest", [self._honest()], self.tested)
        tried = [self._honest(reads_test=False, full=False, **each) for each in self._tried()]
        by: Measure = "selection" if self.held_out is None else "measured"
        return self._arm(
            "honest", tried, self.tested, chosen_by=by, refit=True, refit_full=self.full
        )

    @property
    def tested(self) -> Measure:
        """Where an honest run has its test accuracy."""
        return "test" if self.held_out is None else "measured"

    def _as_used(self) -> Arm | None:
        """The figure by the protocol as it was used; None where nothing is known of that."""
        claim, notes = self.claim, set(self.claim.protocol)
        if not notes:
            return None
        measure: Measure = "training" if "training-accuracy-quoted" in notes else "measured"
        if self._is_honest_fit():
            shared = self.tested if measure == "measured" else measure
            return self._arm("as claimed", [self._honest()], shared)
        if claim.search is None:
            return self._arm("as claimed", [self._used()], measure)
        tried = [self._used(**each) for each in self._tried()]
        return self._arm("as claimed", tried, measure, chosen_by="measured")

    def _is_honest_fit(self) -> bool:
        """Whether the source fitted as the honest run does."""
        notes = set(self.claim.protocol)
        if "training-accuracy-quoted" in notes:  # logged before there was anything to test
            notes -= {"training-accuracy-quoted", "never-tested"}
        return not (notes - {"clean"} or self.claim.pooled)

    def _tried(self) -> list[Parameters]:
        search = self.claim.search
        assert search is not None
        return [{search.parameter: value} for value in search.values]

    def _honest(
        self, *, reads_test: bool = True, full: bool | None = None, **parameters: Any
    ) -> RunSpec:
        return spec_of(
            self.dataset,
            self.recipe.model,
            settings={**self.parameters, **parameters},
            full=self.full if full is None else full,
            reads_test=reads_test,
            protocol=None if self.held_out is None else self._held_out_as_used(reads_test),
        )

    def _held_out_as_used(self, reads_test: bool) -> Mapping[str, Any]:
        """The official split, of whose training part as much is held out as `held_out` says."""
        split = ClaimSplit(kind="official", validation=self.held_out, seed=self.claim.split.seed)
        notes = [] if reads_test else ["never-tested"]
        return {"notes": notes, "split": split.model_dump(), "until": None}

    def _used(self, **parameters: Any) -> RunSpec:
        claim = self.claim
        # What a search chose on test is read from its runs, none of which chose anything.
        in_run = _IN_RUN - {"selected-on-test"} if claim.search else _IN_RUN
        validated = "never-tested" in claim.protocol and claim.split.validation
        return spec_of(
            self.dataset,
            self.recipe.model,
            settings={**self.parameters, **parameters},
            reads_test=claim.pooled or not validated,
            protocol={
                "notes": sorted(set(claim.protocol) & in_run),
                "split": claim.split.model_dump(),
                "until": claim.until.model_dump() if claim.until else None,
            },
        )

    def _arm(
        self, name: str, candidates: Sequence[RunSpec], measure: Measure = "test", **options: Any
    ) -> Arm:
        return Arm(
            name=name,
            candidates=tuple(candidates),
            seeds=self.seeds,
            measure=measure,
            seconds=self.seconds,
            **options,
        )
