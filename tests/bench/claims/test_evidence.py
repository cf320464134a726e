from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.claims.arms import Arm, Measure
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.bench.claims.evidence import ArmResult, ClaimStore, redraw_of
from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.splits import validation_split
from fittingroom.errors import StoreError
from fittingroom.evaluation.rerun import redraw_variance
from fittingroom.evaluation.seed_spread import SeedVariance
from fittingroom.runs.fit import fit
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import open_store


@pytest.mark.parametrize(
    ("name", "others", "pool"),
    [
        ("s0-lr", 600, 3000),
        ("s3-cnn2", 400, np.inf),
        ("s3-cnn1", None, None),
        ("s2-knn", None, None),
    ],
)
def test_other_images_are_those_that_the_source_measured_on(
    name: str, others: int | None, pool: float | None, small: Dataset
) -> None:
    """2,000 and 1,000 images: a fifth of all for the test, or a fifth of the former held out."""
    (claim,) = load_claims([name])
    expected = 0.0 if others is None or pool is None else redraw_variance(1000, others, pool)
    assert redraw_of(claim, small) == pytest.approx(expected)


def test_a_measured_spread_is_of_honest_runs_on_about_as_many_images(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured = SeedVariance(1e-6, 5, 0.0)
    monkeypatch.setattr(
        "fittingroom.bench.claims.evidence.measured_variance", lambda key, seeds: measured
    )
    store = open_store(tmp_path, small)
    fewer, leaking = (
        {"notes": notes, "until": None, "split": {"kind": "official", **split}}
        for notes, split in (
            ([], {"test": None, "validation": 0.5, "seed": 1}),
            (["trained-on-test"], {"test": None, "validation": None, "seed": None}),
        )
    )

    def known(measure: Measure = "test", **options: Any) -> SeedVariance | None:
        spec = spec_of(small, "knn", **options)
        fit(spec, small, store, keep_model=False)
        arm = Arm(name="honest", candidates=(spec,), seeds=(0,), measure=measure, seconds=1)
        return ClaimStore(store, small).evidence(arm).known

    assert known() is measured
    assert known(full=True) is measured
    assert known("selection", reads_test=False) is None
    assert known("measured", protocol=fewer) is None
    assert known("measured", protocol=leaking) is None


def test_copies_among_the_test_images_count_once(small: Dataset, tmp_path: Path) -> None:
    twice = np.arange(len(small.test)) // 2
    copied = dataclasses.replace(
        small, test=Split(small.test.images[twice], small.test.labels[twice])
    )
    store = open_store(tmp_path, copied)
    fit(spec := spec_of(copied, "knn"), copied, store, keep_model=False)
    arm = Arm(name="honest", candidates=(spec,), seeds=(0,), measure="test", seconds=1)
    result = ClaimStore(store, copied).evidence(arm)
    assert result.copies is not None
    assert result.fits.copies is result.copies
    assert len(np.unique(result.copies)) == 500
    drawn = result.accuracy * (1 - result.accuracy) / 500
    assert result.image_variance == pytest.approx(drawn, rel=0.01), "as of 500 images"


def test_the_search_is_fitted_before_the_refits(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    runs = ClaimStore(store, small)
    tried = tuple(
        spec_of(small, "knn", settings={"n_neighbors": k}, reads_test=False) for k in (1, 5)
    )
    arm = Arm(
        name="honest", candidates=tried, seeds=(0,), measure="test", chosen_by="selection",
        refit=True, seconds=1,
    )  # fmt: skip
    assert runs.missing(arm) == [*tried]
    assert (runs.saved(arm), arm.n_fits) == (0, 3)
    choose = validation_split(small.train.labels).selection
    accuracies: list[float] = []
    for spec in tried:
        run = fit(spec, small, store, keep_model=False)
        assert runs.saved(arm) == len(accuracies) + 1
        assert run.validation is not None
        half = np.isin(run.validation.index, choose)
        accuracies.append(float(run.validation.correct[half].mean()))
    (final,) = runs.missing(arm)
    best = tried[int(np.argmax(accuracies))]
    assert final == spec_of(small, "knn", settings=best.settings)
    assert (final.reads_test, final.seed) == (True, 0)
    last = fit(final, small, store, keep_model=False)
    assert runs.missing(arm) == []
    assert runs.saved(arm) == 3
    assert last.test is not None
    evidence = runs.evidence(arm)
    assert evidence.accuracies == (float(last.test.correct.mean()),)
    assert evidence.correct is not None
    assert evidence.correct.shape == (1, 1000)
    held_out = dataclasses.replace(arm, measure="selection")
    assert [each.accuracies for each in runs.each(held_out)] == [(a,) for a in accuracies]


@pytest.mark.parametrize(
    ("logged", "variance"), [((0.9, 0.92), (2e-4, 1)), ((0.9,), (0.0, 0))], ids=["two", "one"]
)
def test_logged_accuracies_vary_by_themselves(
    logged: tuple[float, ...], variance: tuple[float, int], small: Dataset
) -> None:
    arm = Arm(
        name="as published", candidates=(spec_of(small, "mlp-10-10"),), seeds=(0, 1),
        measure="training", seconds=1,
    )  # fmt: skip
    result = ArmResult(arm=arm, runs=(), accuracies=logged, correct=None, index=None)
    known = result.variance
    assert (known.variance, known.degrees_of_freedom) == pytest.approx(variance)
    assert result.image_variance == 0


def test_a_training_accuracy_needs_a_history(small: Dataset, tmp_path: Path) -> None:
    store = open_store(tmp_path, small)
    fit(spec := spec_of(small, "knn"), small, store, keep_model=False)
    arm = Arm(name="published", candidates=(spec,), seeds=(0,), measure="training", seconds=1)
    with pytest.raises(StoreError, match="a run of published has no history"):
        ClaimStore(store, small).evidence(arm)


def test_every_candidate_is_fitted_with_every_seed(small: Dataset, tmp_path: Path) -> None:
    two = tuple(spec_of(small, "mlp-10-10", settings={"epochs": n}) for n in (1, 2))
    arm = Arm(name="honest", candidates=two, seeds=(0, 1), measure="test", seconds=1)
    missing = ClaimStore(open_store(tmp_path, small), small).missing(arm)
    epochs_and_seeds = [(spec.settings["epochs"], spec.seed) for spec in missing]
    assert epochs_and_seeds == [(1, 0), (2, 0), (1, 1), (2, 1)]
    assert {spec.key for spec in missing} == {spec.key for spec in two}
