"""What the saved runs of a claim say."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.bench.claims.arms import Arm, Measure, tested, trained_on
from fittingroom.bench.claims.claim import Claim
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError
from fittingroom.evaluation.correctness import mean_variance
from fittingroom.evaluation.intervals import Interval
from fittingroom.evaluation.paired_difference import PairedDifference, compare, image_variance
from fittingroom.evaluation.recipe_fits import Fits
from fittingroom.evaluation.rerun import redrawn, rerun_difference_interval
from fittingroom.evaluation.seed_spread import NO_SPREAD, SeedSpread, SeedVariance, seed_spreads
from fittingroom.runs.measured_spread import measured_variance
from fittingroom.runs.run import Part, Run
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store

#: What tells apart arms that don't share their runs.
ArmRuns = tuple[tuple[RunSpec, ...], Measure]
#: A spread over seeds holds for numbers of training images that differ by no more than this share.
_NEAR = 0.2


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """The saved runs of an arm, one a seed, and what their figures are.

    Attributes
    ----------
    runs : one a seed
    accuracies : of each run, where the arm measures
    correct : bool (seeds, images); None where only an accuracy was logged
    index : (images,) positions of the images; None as above
    copies : numbers of the images, the same for copies; None where each is another
    known : what the package brings of the recipe's variance over seeds
    spread : over seeds, by all that is judged at once (`with_spreads`); None where nothing is known
    """

    arm: Arm
    runs: tuple[Run, ...]
    accuracies: tuple[float, ...]
    correct: NDArray[np.bool_] | None
    index: NDArray[np.int64] | None
    copies: NDArray[np.int64] | None = None
    known: SeedVariance | None = None
    spread: SeedSpread | None = None

    @property
    def accuracy(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.accuracies))

    @property
    def fits(self) -> Fits:
        """Which images its runs have right."""
        assert self.correct is not None
        return Fits(
            self.correct,
            deterministic=self.arm.deterministic,
            known=self.known,
            copies=self.copies,
        )

    @property
    def image_variance(self) -> float:
        """Variance of one run's accuracy over draws of the images; 0 where only that was logged."""
        if self.correct is None:
            return 0.0
        runs = (mean_variance(right.astype(np.int64), self.copies) for right in self.correct)
        return float(np.mean([variance for variance, _ in runs]))

    def lead_over(self, other: ArmResult) -> PairedDifference:
        """The difference of the two recipes, on the same images."""
        return compare(self.fits, self.spread, other.fits, other.spread, None)

    def next_lead_over(self, other: ArmResult, redrawn: float, alpha: float) -> Interval:
        """Where the difference of one more run of each lies, on other images (`redrawn_of`).

        Of both the spread over seeds must be known.
        """
        runs = [(len(e.accuracies), e.spread) for e in (self, other) if e.spread is not None]
        draw = redrawn * image_variance(self.fits, other.fits)
        lead = self.accuracy - other.accuracy
        return rerun_difference_interval(lead, runs, draw=draw, alpha=alpha)

    @property
    def variance(self) -> SeedVariance:
        """What is known of the variance over seeds."""
        if self.correct is not None:
            return self.fits.variance
        several = len(self.accuracies) > 1
        logged = float(np.var(self.accuracies, ddof=1)) if several else 0.0
        return SeedVariance(logged, len(self.accuracies) - 1, 0.0)


def with_spreads(evidences: Sequence[ArmResult]) -> list[ArmResult]:
    """The same with their spreads over seeds, by what recipes of a kind say of one another's.

    What is measured on images that had a part in training or choosing says nothing of the spread on
    new ones, nor does the selection half, which has fewer: these are kinds of their own.
    """

    spreads: dict[ArmRuns, SeedSpread | None] = {}
    kinds: dict[tuple[str, bool, bool], dict[ArmRuns, SeedVariance]] = {}
    for evidence in evidences:
        if evidence.arm.deterministic:
            spreads[evidence.arm.runs] = NO_SPREAD
            continue
        arm = evidence.arm
        kind = arm.family, arm.leaked, arm.measure == "selection"
        kinds.setdefault(kind, {})[evidence.arm.runs] = evidence.variance
    for known in kinds.values():
        spreads.update(zip(known, seed_spreads([*known.values()]), strict=True))
    return [dataclasses.replace(each, spread=spreads[each.arm.runs]) for each in evidences]


class Runs:
    """Reads from a store what arms need, and knows what is missing there."""

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self.store, self.dataset = store, dataset
        self._selection = validation_split(dataset.train.labels).selection

    def missing(self, arm: Arm) -> list[RunSpec]:
        """What can be fitted now. What is chosen by these runs is missing only after them."""
        todo = [
            spec
            for seed in arm.seeds
            for candidate in arm.candidates
            if self._lacks(spec := dataclasses.replace(candidate, seed=seed))
        ]
        if todo or not arm.refit:
            return todo
        try:
            finals = self.chosen(arm)
        except StoreError:  # of runs that can't be read none is chosen, as `evidence` says
            return []
        return [final for final in finals if self._lacks(final)]

    def _lacks(self, spec: RunSpec) -> bool:
        """Whether a run has to be fitted. Of one that can't be read `evidence` says so."""
        try:
            return self.store.find(spec) is None
        except StoreError:
            return False

    def saved(self, arm: Arm) -> int:
        """How many of an arm's fits there are."""
        finals = len(arm.seeds) * arm.refit
        missing = self.missing(dataclasses.replace(arm, refit=False))
        return arm.n_fits - (len(missing) + finals if missing else len(self.missing(arm)))

    def evidence(self, arm: Arm) -> ArmResult:
        """What the runs of an arm say; none may be missing."""
        runs = tuple(self._run(spec) for spec in self.chosen(arm))
        if arm.measure == "training":
            if not all(run.history for run in runs):
                raise StoreError(f"a run of {arm.name} has no history.")
            logged = tuple(run.history[-1].train_accuracy for run in runs)
            return ArmResult(arm=arm, runs=runs, accuracies=logged, correct=None, index=None)
        parts = [self._part(run, arm.measure) for run in runs]
        return ArmResult(
            arm=arm,
            runs=runs,
            accuracies=tuple(float(part.correct.mean()) for part in parts),
            correct=np.stack([part.correct for part in parts]),
            index=parts[0].index,
            copies=self._copies(arm),
            known=self._known(arm),
        )

    def _copies(self, arm: Arm) -> NDArray[np.int64] | None:
        """Copies among the official test images, where an arm is measured on these."""
        protocol = arm.candidates[0].protocol
        pooled = protocol is not None and protocol["split"]["kind"] == "pooled"
        held_out = arm.measure == "selection" or not (arm.refit or arm.candidates[0].reads_test)
        return None if pooled or held_out else self.store.card.copies

    def _known(self, arm: Arm) -> SeedVariance | None:
        """Of a recipe that is trained and tested honestly, on about as many images as measured."""
        candidate, *others = arm.candidates
        if others or arm.measure == "selection" or arm.leaked:
            return None
        measured_on = len(validation_split(self.dataset.train.labels).train)
        if abs(trained_on(candidate, self.dataset) / measured_on - 1) > _NEAR:
            return None
        honest = dataclasses.replace(candidate, full=False, reads_test=True, protocol=None)
        return measured_variance(honest.key, len(arm.seeds))

    def each(self, arm: Arm) -> Iterator[ArmResult]:
        """Every candidate of an arm by itself."""
        for candidate in arm.candidates:
            alone = dataclasses.replace(arm, candidates=(candidate,), chosen_by=None, refit=False)
            yield self.evidence(alone)

    def _run(self, spec: RunSpec) -> Run:
        run = self.store.find(spec)
        assert run is not None, f"{spec.label} seed {spec.seed} is not saved"
        return run

    def chosen(self, arm: Arm) -> list[RunSpec]:
        """What an arm's figures are of, one spec per seed; the runs that choose must be saved."""
        return [self._chosen(arm, seed) for seed in arm.seeds]

    def _chosen(self, arm: Arm, seed: int) -> RunSpec:
        """The best candidate of a seed, of equals the first."""
        candidates = [dataclasses.replace(each, seed=seed) for each in arm.candidates]
        if arm.chosen_by is None:
            return candidates[0]
        by = arm.chosen_by

        def accuracy(spec: RunSpec) -> float:
            return float(self._part(self._run(spec), by).correct.mean())

        best = max(candidates, key=accuracy)
        return tested(best, full=arm.refit_full) if arm.refit else best

    def _part(self, run: Run, measure: Measure) -> Part:
        if measure == "selection":
            held_out = run.validation
            if held_out is None:
                raise StoreError(f"{run.folder} says nothing of the validation part.")
            return held_out.among(self._selection)
        part = run.test if measure == "test" else run.measured
        if part is None:
            raise StoreError(f"{run.folder} holds no predictions to measure.")
        return part


def redrawn_of(claim: Claim, dataset: Dataset) -> float:
    """By what the draw of a claim's own test images multiplies a variance over the official ones.

    0 where these are the same. Of an own split they are of one pool, and some are shared; what was
    never tested was measured on images that were held out of the training ones.
    """
    n, n_test = len(dataset.train), len(dataset.test)
    _, validated, tested = claim.split.parts(n, n_test)
    if "never-tested" in claim.protocol and validated:
        tested = validated
    elif not claim.pooled:
        return 0.0
    return redrawn(n_test, round(tested), n + n_test if claim.pooled else math.inf)
