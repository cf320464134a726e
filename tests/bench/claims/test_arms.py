from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.claims.arms import Arm, arms_of, expected_seconds, trained_on
from fittingroom.bench.claims.arms import tested as measured_on_test
from fittingroom.bench.claims.claim import Claim
from fittingroom.bench.claims.claim_file import load_claims
from fittingroom.data.dataset import Dataset, Split


def arms(name: str, small: Dataset, seeds: int = 5, **options: Any) -> dict[str, Arm]:
    return {arm.name: arm for arm in arms_of(load_claims([name])[0], small, seeds, **options)}


def protocol(arm: Arm) -> Any:
    return arm.candidates[0].protocol


def test_a_clean_claim_on_as_many_images_is_fitted_once(small: Dataset) -> None:
    for name, full in (("s2-cnn1", False), ("s2-knn", True), ("s1-mlp", True)):
        by_name = arms(name, small)
        assert by_name["as claimed"].candidates == by_name["honest"].candidates
        assert by_name["honest"].candidates[0].full is full
        assert protocol(by_name["as claimed"]) is None
    assert arms("s1-mlp", small)["as claimed"].measure == "training"
    assert arms("s1-mlp", small)["honest"].measure == "test"


@pytest.mark.parametrize(
    ("name", "share"),
    [("s3-cnn1", 0.2), ("s3-cnn2", 0.2), ("s0-cnn", 0.208), ("s2-ann1", None), ("s4-cnn", None)],
)
def test_the_honest_run_has_as_many_training_images_as_the_source(
    name: str, share: float | None, small: Dataset
) -> None:
    """Of 2,000 + 200 pooled images a source trained on 2,200 · 0.8 · 0.9 = 1,584, 20.8% less."""
    few = Split(small.test.images[::5], small.test.labels[::5])
    images = dataclasses.replace(small, test=few)
    honest = arms(name, images)["honest"]
    if share is None:
        assert (protocol(honest), honest.measure) == (None, "test")
    else:
        split = {"kind": "official", "test": None, "validation": share}
        seed = 0 if name == "s0-cnn" else 2020
        assert protocol(honest) == {"notes": [], "split": split | {"seed": seed}, "until": None}
        assert (honest.measure, honest.candidates[0].reads_test) == ("measured", True)
    assert honest.candidates[0].full is (name == "s4-cnn")
    if name == "s3-cnn1":
        assert arms(name, images)["as claimed"].candidates == honest.candidates


@pytest.mark.parametrize(("test", "full"), [(0.15, False), (1 / 7, True), (0.1, True)])
def test_a_source_with_all_training_images_held_none_out(
    test: float, full: bool, small: Dataset
) -> None:
    """Of 2,100 + 350 pooled images, a seventh for testing leaves 2,100."""
    more = np.arange(2100) % len(small.train)
    images = dataclasses.replace(
        small,
        train=Split(small.train.images[more], small.train.labels[more]),
        test=Split(small.test.images[:350], small.test.labels[:350]),
    )
    (claim,) = load_claims(["s0-rf"])
    split = claim.split.model_copy(update={"test": test, "validation": None})
    _, honest = arms_of(claim.model_copy(update={"split": split}), images, 1)
    assert (honest.refit_full, honest.measure) == (full, "test" if full else "measured")
    assert not any(spec.full for spec in honest.candidates), "they are chosen among first"
    final = measured_on_test(honest.candidates[0], full=full)
    assert trained_on(final, images) == pytest.approx(2100 if full else 2450 * 0.85, abs=1)


def test_only_arms_measured_on_new_images_are_not_leaked(small: Dataset) -> None:
    leaked = {
        (name, kind): arm.leaked
        for name in ("s0-rf", "s0-cnn", "s1-mlp", "s2-ann1", "s2-lr", "s3-cnn2")
        for kind, arm in arms(name, small).items()
    }
    assert {of for of, is_leaked in leaked.items() if is_leaked} == {
        *(("s0-rf", "as claimed"), ("s1-mlp", "as claimed"), ("s2-ann1", "as claimed")),
        ("s2-lr", "as claimed"),
    }


@pytest.mark.parametrize(
    ("name", "notes", "reads_test"),
    [
        ("s0-cnn", [], True),
        ("s2-ann1", ["trained-on-test"], True),
        ("s2-lr", ["test-not-scaled"], True),
        ("s3-cnn2", ["never-tested"], False),
        ("s4-cnn", ["selected-on-test"], True),
    ],
)
def test_runs_have_the_protocol(
    name: str, notes: list[str], reads_test: bool, small: Dataset
) -> None:
    used = arms(name, small)["as claimed"]
    assert protocol(used)["notes"] == notes
    assert used.candidates[0].reads_test is reads_test
    assert used.measure == "measured"


def test_a_search_chooses_by_test_as_claimed_and_by_validation_honestly(small: Dataset) -> None:
    by_name = arms("s0-rf", small)
    used, honest = by_name["as claimed"], by_name["honest"]
    assert [s.settings["max_depth"] for s in used.candidates] == list(range(18, 40))
    assert (used.chosen_by, used.refit, protocol(used)["notes"]) == ("measured", False, [])
    assert (honest.chosen_by, honest.refit) == ("selection", True)
    assert not any(spec.reads_test for spec in honest.candidates)
    assert (used.n_fits, honest.n_fits) == (110, 115)


def test_deterministic_and_slow_recipes_get_fewer_seeds(small: Dataset) -> None:
    assert arms("s2-svm", small)["honest"].seeds == (0,)
    assert arms("s2-cnn1", small)["honest"].seeds == (0, 1, 2, 3, 4)
    assert arms("s4-cnn", small)["honest"].seeds == (0, 1, 2)
    assert arms("s4-cnn", small, seeds=2)["honest"].seeds == (0, 1)


def test_the_reduced_recipe_is_smaller(small: Dataset) -> None:
    (claim,) = load_claims(["s4-cnn"])
    assert expected_seconds(claim) > expected_seconds(claim, reduced=True)
    for arm in arms("s4-cnn", small, reduced=True).values():
        assert arm.candidates[0].settings == {"epochs": 3}
    by_name = arms("s4-augmentation", small, reduced=True)
    assert {name: arm.candidates[0].settings for name, arm in by_name.items()} == {
        "first": {"epochs": 3, "augmentation": True},
        "second": {"epochs": 3, "augmentation": False},
    }


def test_a_claim_of_unknown_origin_has_only_an_honest_arm(small: Dataset) -> None:
    assert list(arms("zalando-hog-svm", small)) == ["honest"]


def test_an_order_has_the_arms_of_all_its_models(small: Dataset) -> None:
    claim: Claim = load_claims(["s0-order"])[0]
    order_arms = arms_of(claim, small, 3)
    assert [arm.name for arm in order_arms] == ["as claimed", "honest"] * 4
    models = [arm.candidates[0].model for arm in order_arms[::2]]
    assert models == ["logistic", "random-forest", "mlp-256-256", "cnn-16-16-100"]


def test_a_best_value_is_tried_on_validation_images_beside_the_sweep(small: Dataset) -> None:
    by_name = arms("s1-lr-sweep", small)
    sweep, honest = by_name["as claimed"], by_name["honest"]
    assert sweep.measure == "training"
    assert sweep.candidates[0].full, "the source held nothing out"
    assert not any(s.full or s.reads_test for s in honest.candidates)
    assert not sweep.candidates[0].reads_test
    assert len(honest.candidates) == 40
    (claim,) = load_claims(["s1-lr-sweep"])
    without = arms_of(claim.model_copy(update={"sweep": None}), small, 1)
    assert [arm.name for arm in without] == ["honest"]
