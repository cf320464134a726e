"""What a claim's verdict takes: fits by the source's protocol, and honest ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from fittingroom.bench.claims.claim import Claim, ClaimSplit, Parameters
from fittingroom.data.dataset import Dataset
from fittingroom.models.catalog import row_of
from fittingroom.runs.spec import RunSpec, spec_of

#: A recipe whose single fit takes longer gets at most this number of seeds.
SLOW_SECONDS, SLOW_SEEDS = 600.0, 3
#: The notes that change a run; the others change what is read from it.
_IN_RUN = {"trained-on-test", "selected-on-test", "test-not-scaled", "never-tested"}
#: Notes that make a run's own figure differ from one on new images like the training ones.
_LEAKS = _IN_RUN - {"never-tested"}

#: Where a figure is read: on official test images, where the source measured, as logged during
#: training, or on the selection half of the validation part.
Measure = Literal["test", "measured", "training", "selection"]


@dataclass(frozen=True, kw_only=True)
class Arm:
    """Runs of one kind, one figure per seed.

    Attributes
    ----------
    name : `as claimed`, `honest`, or a model's
    candidates : fitted with each seed, as specs of seed 0; if there are several, one is chosen
    chosen_by : the accuracy that chooses; None if nothing is chosen
    refit : whether the chosen one is fitted once more, and then reads the test split
    refit_full : whether that fit is on all training images
    measure : where the figure is read
    seconds : expected for one fit
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
        """Identifies its runs; equal for arms with the same figures from the same runs."""
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
            note for spec in self.candidates for note in (spec.protocol or {}).get("notes", ())
        }
        chosen = self.chosen_by is not None and not self.refit
        return self.measure == "training" or chosen or bool(notes & _LEAKS)


def tested(spec: RunSpec, *, full: bool) -> RunSpec:
    """A candidate that was measured on held-out images, now on the test images."""
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
        return len(dataset.validation_split().train)
    split = ClaimSplit.model_validate(spec.protocol["split"])
    return split.parts(len(dataset.train), len(dataset.test))[0]


def expected_seconds(claim: Claim, reduced: bool = False) -> float:
    """Expected seconds of one fit of a claim's recipe; the longest if there are several."""
    if claim.members:
        return max(expected_seconds(member) for member in claim.members)
    if reduced:
        assert claim.reduced is not None
        return claim.reduced.seconds
    assert claim.recipe is not None
    return claim.recipe.seconds or row_of(claim.recipe.model).expected_seconds()


def arms_of(claim: Claim, dataset: Dataset, n_seeds: int, reduced: bool = False) -> list[Arm]:
    """The arms that a claim's verdict takes.

    Parameters
    ----------
    claim : one that can be checked
    n_seeds : number of fits of each; fewer if a fit is slow, one if the model is deterministic
    reduced : run the smaller recipe instead of one that takes too long
    """
    if claim.members:
        return [arm for member in claim.members for arm in arms_of(member, dataset, n_seeds)]
    return _Arms(claim, dataset, n_seeds, reduced).all()


def _left_out(claim: Claim, dataset: Dataset) -> float:
    """The share of the training split to leave out, to train on as many images as the source.

    0 if the source trained on as many as there are, or more.
    """
    n = len(dataset.train)
    trained_on, *_ = claim.split.parts(n, len(dataset.test))
    share = max(1 - trained_on / n, 0.0)
    return round(share, 9) if share * n >= 1 else 0.0


class _Arms:
    def __init__(self, claim: Claim, dataset: Dataset, n_seeds: int, reduced: bool) -> None:
        assert claim.recipe is not None
        self.claim, self.recipe, self.dataset = claim, claim.recipe, dataset
        self.seconds = expected_seconds(claim, reduced)
        self.parameters = dict(self.recipe.parameters)
        if reduced and claim.reduced is not None:
            self.parameters |= claim.reduced.parameters
            n_seeds = min(n_seeds, claim.reduced.seeds or n_seeds)
        if self.seconds > SLOW_SECONDS:
            n_seeds = min(n_seeds, SLOW_SEEDS)
        left_out, n = _left_out(claim, dataset), len(dataset.train)
        n_ours = len(dataset.validation_split().train)
        self.full = left_out == 0
        # A choice by validation images uses our own validation part.
        ours = abs((1 - left_out) * n - n_ours) < 1 or claim.kind == "text"
        self.held_out = None if self.full or ours else left_out
        deterministic = row_of(self.recipe.model).deterministic
        self.seeds = (0,) if deterministic else tuple(range(n_seeds))

    def all(self) -> list[Arm]:
        claim = self.claim
        if claim.difference is not None:
            return [
                self._arm(name, [self._honest_spec(**parameters)], self.tested)
                for name, parameters in (
                    ("first", claim.difference.first),
                    ("second", claim.difference.second),
                )
            ]
        if claim.kind == "text":
            return self._text_arms()
        used = self._used_arm()
        return [*([used] if used else []), self._honest_arm()]

    def _text_arms(self) -> list[Arm]:
        arms = []
        if self.claim.sweep is not None:
            sweep = self._honest_spec(reads_test=False, **self.claim.sweep)
            arms.append(self._arm("as claimed", [sweep], "training"))
        values = [self._honest_spec(reads_test=False, full=False, **s) for s in self._variants()]
        return [*arms, self._arm("honest", values, "selection")]

    def _honest_arm(self) -> Arm:
        """The honest arm; searched settings are chosen on the selection half."""
        if self.claim.search is None:
            return self._arm("honest", [self._honest_spec()], self.tested)
        tried = [self._honest_spec(reads_test=False, full=False, **s) for s in self._variants()]
        by: Measure = "selection" if self.held_out is None else "measured"
        return self._arm(
            "honest", tried, self.tested, chosen_by=by, refit=True, refit_full=self.full
        )

    @property
    def tested(self) -> Measure:
        """Where an honest run has its test accuracy."""
        return "test" if self.held_out is None else "measured"

    def _used_arm(self) -> Arm | None:
        """The arm by the source's protocol; None if that is unknown."""
        claim, notes = self.claim, set(self.claim.protocol)
        if not notes:
            return None
        measure: Measure = "training" if "training-accuracy-quoted" in notes else "measured"
        if self._is_honest_fit():
            shared = self.tested if measure == "measured" else measure
            return self._arm("as claimed", [self._honest_spec()], shared)
        if claim.search is None:
            return self._arm("as claimed", [self._used_spec()], measure)
        tried = [self._used_spec(**settings) for settings in self._variants()]
        return self._arm("as claimed", tried, measure, chosen_by="measured")

    def _is_honest_fit(self) -> bool:
        """Whether the source fitted like an honest run."""
        notes = set(self.claim.protocol)
        if "training-accuracy-quoted" in notes:  # logged before there was anything to test
            notes -= {"training-accuracy-quoted", "never-tested"}
        return not (notes - {"clean"} or self.claim.pooled)

    def _variants(self) -> list[Parameters]:
        search = self.claim.search
        assert search is not None
        return [{search.parameter: value} for value in search.values]

    def _honest_spec(
        self, *, reads_test: bool = True, full: bool | None = None, **parameters: Any
    ) -> RunSpec:
        return spec_of(
            self.dataset,
            self.recipe.model,
            settings={**self.parameters, **parameters},
            full=self.full if full is None else full,
            reads_test=reads_test,
            protocol=None if self.held_out is None else self._held_out_protocol(reads_test),
        )

    def _held_out_protocol(self, reads_test: bool) -> Mapping[str, Any]:
        """The official split, with a share `held_out` of its training part held out."""
        split = ClaimSplit(kind="official", validation=self.held_out, seed=self.claim.split.seed)
        notes = [] if reads_test else ["never-tested"]
        return {"notes": notes, "split": split.model_dump(), "until": None}

    def _used_spec(self, **parameters: Any) -> RunSpec:
        claim = self.claim
        # A search on the test images is read from its runs; a single run selects nothing.
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
