"""Results of a claim's saved runs."""

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
from fittingroom.errors import StoreError
from fittingroom.evaluation.correctness import mean_variance
from fittingroom.evaluation.intervals import Interval
from fittingroom.evaluation.paired_difference import PairedDifference, compare, image_variance
from fittingroom.evaluation.recipe_fits import Fits
from fittingroom.evaluation.rerun import redraw_variance, rerun_difference_interval
from fittingroom.evaluation.seed_spread import NO_SPREAD, SeedSpread, SeedVariance, seed_spreads
from fittingroom.runs.measured_spread import measured_variance
from fittingroom.runs.run import Part, Run
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store

#: Identifies the runs of an arm; arms that share their runs have the same.
ArmRuns = tuple[tuple[RunSpec, ...], Measure]
#: A measured spread holds if the number of training images differs by at most this share.
_NEAR = 0.2


@dataclass(frozen=True, kw_only=True)
class ArmResult:
    """The saved runs of an arm, one per seed, and their figures.

    Attributes
    ----------
    runs : one per seed
    accuracies : of each run, as the arm measures them
    correct : bool (seeds, images); None if only an accuracy was logged
    index : (images,) positions of the images; None as above
    copies : numbers of the images, the same for copies; None if there are no copies
    known : the recipe's variance over seeds, if it comes with the package
    spread : over seeds, from all that is judged together (`with_spreads`); None if unknown
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
        """Variance of one run's accuracy over draws of the images; 0 if only that was logged."""
        if self.correct is None:
            return 0.0
        runs = (mean_variance(right.astype(np.int64), self.copies) for right in self.correct)
        return float(np.mean([variance for variance, _ in runs]))

    def lead_over(self, other: ArmResult) -> PairedDifference:
        """The difference in accuracy of the two recipes, on the same images."""
        return compare(self.fits, self.spread, other.fits, other.spread, None)

    def next_lead_over(self, other: ArmResult, redraw: float, alpha: float) -> Interval:
        """Interval for the difference of one more run of each, on other images (`redraw_of`).

        The spreads of both over seeds must be known.
        """
        runs = [(len(r.accuracies), r.spread) for r in (self, other) if r.spread is not None]
        draw = redraw * image_variance(self.fits, other.fits)
        lead = self.accuracy - other.accuracy
        return rerun_difference_interval(lead, runs, draw=draw, alpha=alpha)

    @property
    def variance(self) -> SeedVariance:
        """The variance over seeds, as far as it is known."""
        if self.correct is not None:
            return self.fits.variance
        several = len(self.accuracies) > 1
        logged = float(np.var(self.accuracies, ddof=1)) if several else 0.0
        return SeedVariance(logged, len(self.accuracies) - 1, 0.0)


def with_spreads(evidences: Sequence[ArmResult]) -> list[ArmResult]:
    """The same results with their spreads over seeds, estimated from all recipes of a kind.

    Figures on images that took part in training or selection say nothing about the spread on new
    ones, nor do those on the selection half, which is smaller: these are kinds of their own.
    """
    spreads: dict[ArmRuns, SeedSpread | None] = {}
    kinds: dict[tuple[str, bool, bool], dict[ArmRuns, SeedVariance]] = {}
    for result in evidences:
        if result.arm.deterministic:
            spreads[result.arm.runs] = NO_SPREAD
            continue
        arm = result.arm
        kind = arm.family, arm.leaked, arm.measure == "selection"
        kinds.setdefault(kind, {})[result.arm.runs] = result.variance
    for variances in kinds.values():
        spreads.update(zip(variances, seed_spreads([*variances.values()]), strict=True))
    return [dataclasses.replace(e, spread=spreads[e.arm.runs]) for e in evidences]


class ClaimStore:
    """Reads the runs of arms from a store, and knows which are missing."""

    def __init__(self, store: Store, dataset: Dataset) -> None:
        self.store, self.dataset = store, dataset
        self._selection = dataset.validation_split().selection

    def missing(self, arm: Arm) -> list[RunSpec]:
        """The runs that can be fitted now; refits are missing only after the runs that choose."""
        todo = [
            spec
            for seed in arm.seeds
            for candidate in arm.candidates
            if self._lacks(spec := dataclasses.replace(candidate, seed=seed))
        ]
        if todo or not arm.refit:
            return todo
        try:
            refits = self.chosen(arm)
        except StoreError:  # unreadable runs can't choose; `evidence` reports them
            return []
        return [refit for refit in refits if self._lacks(refit)]

    def _lacks(self, spec: RunSpec) -> bool:
        """Whether a run has to be fitted. `evidence` reports an unreadable one."""
        try:
            return self.store.find(spec) is None
        except StoreError:
            return False

    def saved(self, arm: Arm) -> int:
        """How many of an arm's fits are saved."""
        n_refits = len(arm.seeds) * arm.refit
        missing = self.missing(dataclasses.replace(arm, refit=False))
        return arm.n_fits - (len(missing) + n_refits if missing else len(self.missing(arm)))

    def evidence(self, arm: Arm) -> ArmResult:
        """The result of an arm; none of its runs may be missing."""
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
            known=self._known_variance(arm),
        )

    def _copies(self, arm: Arm) -> NDArray[np.int64] | None:
        """Copies among the official test images, if an arm is measured on these."""
        protocol = arm.candidates[0].protocol
        pooled = protocol is not None and protocol["split"]["kind"] == "pooled"
        held_out = arm.measure == "selection" or not (arm.refit or arm.candidates[0].reads_test)
        return None if pooled or held_out else self.store.card.copies

    def _known_variance(self, arm: Arm) -> SeedVariance | None:
        """If the recipe is trained and tested honestly, on about as many images as measured."""
        candidate, *others = arm.candidates
        if others or arm.measure == "selection" or arm.leaked:
            return None
        measured_on = len(self.dataset.validation_split().train)
        if abs(trained_on(candidate, self.dataset) / measured_on - 1) > _NEAR:
            return None
        honest = dataclasses.replace(candidate, full=False, reads_test=True, protocol=None)
        return measured_variance(honest.key, len(arm.seeds))

    def each(self, arm: Arm) -> Iterator[ArmResult]:
        """The result of each candidate of an arm on its own."""
        for candidate in arm.candidates:
            alone = dataclasses.replace(arm, candidates=(candidate,), chosen_by=None, refit=False)
            yield self.evidence(alone)

    def _run(self, spec: RunSpec) -> Run:
        run = self.store.find(spec)
        assert run is not None, f"{spec.label} seed {spec.seed} is not saved"
        return run

    def chosen(self, arm: Arm) -> list[RunSpec]:
        """The specs of an arm's figures, one per seed; the runs that choose must be saved."""
        return [self._choose(arm, seed) for seed in arm.seeds]

    def _choose(self, arm: Arm, seed: int) -> RunSpec:
        """The best candidate of a seed, the first one in a tie."""
        candidates = [dataclasses.replace(spec, seed=seed) for spec in arm.candidates]
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
                raise StoreError(f"{run.folder} holds no validation predictions.")
            return held_out.among(self._selection)
        part = run.test if measure == "test" else run.measured
        if part is None:
            raise StoreError(f"{run.folder} holds no predictions to measure.")
        return part


def redraw_of(claim: Claim, dataset: Dataset) -> float:
    """Factor from the variance over official test images to that of a claim's own draw of them.

    0 if these are the same. With a split of its own both come from one pool and share images; a
    figure that was never tested was measured on images held out of the training ones.
    """
    n, n_test = len(dataset.train), len(dataset.test)
    _, validated, tested = claim.split.parts(n, n_test)
    if "never-tested" in claim.protocol and validated:
        tested = validated
    elif not claim.pooled:
        return 0.0
    return redraw_variance(n_test, round(tested), n + n_test if claim.pooled else math.inf)
