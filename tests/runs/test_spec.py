from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sklearn
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fittingroom.data.dataset import Dataset
from fittingroom.errors import UnknownNameError, UsageError
from fittingroom.models.catalog import BASELINES, MODELS, row_of
from fittingroom.models.making import classifier_of
from fittingroom.runs.spec import (
    NOT_FOUND_AGAIN,
    RunSpec,
    expected_seconds,
    label,
    spec_of,
    to_plain,
)

CLASSICAL = {*BASELINES, *(name for name, row in MODELS.items() if row.family == "classical")}
KEYS = Path(__file__).parents[1] / "data" / "run-keys.json"
SPEC = RunSpec(dataset="ab" * 32, model="knn", parameters={"k": 5}, seed=1)
PROTOCOL = {"notes": ["selected-on-test"], "split": {"kind": "official"}, "until": None}


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "cd" * 32},
        {"model": "swift"},
        {"parameters": {"k": 6}},
        {"full": True},
        {"reads_test": False},
        {"folds": 5},
        {"protocol": {"notes": []}},
    ],
)
def test_the_key_covers_the_whole_spec(change: dict[str, Any]) -> None:
    assert dataclasses.replace(SPEC, **change).key != SPEC.key


def test_seeds_share_a_key_and_are_in_the_folder_name() -> None:
    other = dataclasses.replace(SPEC, seed=2)
    assert other.key == SPEC.key
    assert other.folder_name == f"{SPEC.key}-s2"


def test_the_key_is_the_same_in_every_process_and_for_every_order() -> None:
    reordered = dataclasses.replace(SPEC, parameters={"b": 1, "a": 2})
    assert reordered.key == dataclasses.replace(SPEC, parameters={"a": 2, "b": 1}).key
    assert SPEC.key == "6183190c9f0d"


def test_settings_are_in_the_key_through_the_parameters_alone(small: Dataset) -> None:
    """So that a default given as a setting finds the run without it."""
    default = spec_of(small, "knn").parameters["estimator"]["n_neighbors"]
    given = spec_of(small, "knn", settings={"n_neighbors": default})
    assert given.key == spec_of(small, "knn").key
    assert given != spec_of(small, "knn")
    assert given.key != spec_of(small, "knn", settings={"n_neighbors": default + 1}).key


def test_equal_specs_are_one_key_of_a_dictionary(small: Dataset) -> None:
    """Fits under way are looked up by spec, whichever process made it."""
    settings = {"epochs": 2, "learning_rate": 0.01}
    options: dict[str, Any] = {"seed": 3, "full": True, "protocol": PROTOCOL}
    spec = spec_of(small, "mlp-10-10", settings=settings, **options)
    same = spec_of(small, "mlp-10-10", settings=dict(reversed(settings.items())), **options)
    assert spec == same
    assert hash(spec) == hash(same)
    assert {spec: 1}[same] == 1


@pytest.mark.parametrize(
    "change",
    [
        *({"dataset": "cd" * 32}, {"model": "swift"}, {"parameters": {"k": 6}}, {"seed": 2}),
        *({"settings": {"k": 5}}, {"full": True}, {"reads_test": False}, {"folds": 5}),
        {"protocol": PROTOCOL},
    ],
)
def test_specs_that_differ_are_not_equal(change: dict[str, object]) -> None:
    other = dataclasses.replace(SPEC, **change)  # type: ignore[arg-type]
    assert other != SPEC
    assert len({SPEC, other}) == 2


def test_the_path_has_model_key_and_seed() -> None:
    assert SPEC.path == f"knn/{SPEC.folder_name}" == "knn/6183190c9f0d-s1"


@pytest.mark.parametrize(
    ("options", "references"),
    [
        ({}, []),
        ({"reads_test": False}, []),
        ({"full": True}, [True, False]),
        ({"full": True, "reads_test": False}, [False, False]),
        ({"folds": 3}, []),
        ({"full": True, "protocol": PROTOCOL}, []),
    ],
)
def test_a_full_run_refers_to_those_without_the_validation_part(
    small: Dataset, options: dict[str, object], references: list[bool]
) -> None:
    """As asked, and without the test split; any other has nothing left to choose."""
    spec = spec_of(small, "cnn-32", settings={"epochs": 2}, seed=4, **options)  # type: ignore[arg-type]
    assert [reference.reads_test for reference in spec.references] == references
    for reference in spec.references:
        expected = spec_of(
            small, "cnn-32", settings={"epochs": 2}, seed=4, reads_test=reference.reads_test
        )
        assert reference == expected


def test_a_cross_validation_takes_the_training_split_and_no_test_image(small: Dataset) -> None:
    spec = spec_of(small, "knn", folds=3)
    assert (spec.full, spec.reads_test, spec.folds) == (True, False, 3)
    assert spec == spec_of(small, "knn", folds=3, full=True, reads_test=False)


def test_a_deterministic_model_has_one_seed(small: Dataset) -> None:
    assert spec_of(small, "knn", seed=7) == spec_of(small, "knn")
    assert spec_of(small, "mlp-10-10", seed=7).seed == 7


def test_a_spec_has_the_name_of_the_row(small: Dataset) -> None:
    assert spec_of(small, "swift", settings={"epochs": 16}).model == row_of("swift").name
    with pytest.raises(UnknownNameError, match="did you mean svm-rbf"):
        spec_of(small, "svm-rfb")
    with pytest.raises(UsageError, match="n_neighbours"):
        spec_of(small, "knn", settings={"n_neighbours": 3})
    with pytest.raises(UsageError, match="epochs must be a whole number"):
        spec_of(small, "mlp-256-256", settings={"epochs": -1})


def test_a_spec_makes_the_classifier_of_its_key(small: Dataset) -> None:
    spec = spec_of(small, "mlp-256-256", settings={"epochs": 3}, seed=5)
    classifier = spec.classifier(small)
    assert to_plain(classifier) == spec.parameters
    assert classifier.random_state == 5
    expected = classifier_of("mlp-256-256", {"epochs": 3}, dataset=small, random_state=5)
    assert to_plain(expected) == spec.parameters


@pytest.mark.parametrize("name", sorted(MODELS.keys() - CLASSICAL))
@pytest.mark.parametrize("settings", [{}, {"epochs": 3, "mirror_keeps_class": False}])
def test_a_network_has_its_key_without_being_made(
    name: str, settings: dict[str, Any], small: Dataset
) -> None:
    made = classifier_of(name, settings, dataset=small)
    assert spec_of(small, name, settings=settings).parameters == to_plain(made)


def test_a_spec_says_why_its_run_can_not_be_found_again() -> None:
    assert SPEC.not_found_again is None
    unknowable = dataclasses.replace(SPEC, parameters={NOT_FOUND_AGAIN: "it holds a lock"})
    assert unknowable.not_found_again == "it holds a lock"


def test_labels_show_the_settings(small: Dataset) -> None:
    assert label("cnn-32", {}) == "cnn-32"
    assert label("cnn-32", {"epochs": 3, "batch_size": 64}) == "cnn-32[batch_size=64,epochs=3]"
    assert spec_of(small, "cnn-32", settings={"epochs": 3}).label == "cnn-32[epochs=3]"


def test_only_the_epochs_setting_changes_the_expected_time(small: Dataset) -> None:
    plainly = expected_seconds(spec_of(small, "cnn-32"), small)
    assert plainly is not None
    assert expected_seconds(spec_of(small, "cnn-32", folds=3), small) == pytest.approx(3 * plainly)
    long = expected_seconds(spec_of(small, "cnn-32", settings={"epochs": 100_000}), small)
    assert long is not None
    assert long > 100 * plainly
    for settings in ({"batch_size": 100}, {"epochs": 1, "batch_size": 100}):
        assert expected_seconds(spec_of(small, "cnn-32", settings=settings), small) is None
    assert expected_seconds(spec_of(small, "knn", settings={"n_neighbors": 3}), small) is None


def test_saved_runs_of_networks_are_found_again(small: Dataset) -> None:
    """Every row has the key that it had before the catalogue became data.

    A recipe that is changed on purpose gets a new key there, and the changelog says why.
    """
    specs = {name: spec_of(small, name) for name in MODELS.keys() - CLASSICAL}
    specs["swift full"] = spec_of(small, "swift", full=True)
    specs["cnn-32 epochs=3 no test"] = spec_of(
        small, "cnn-32", settings={"epochs": 3}, reads_test=False
    )
    keys = {name: key for name, key in saved_keys().items() if name not in CLASSICAL}
    assert {name: spec.key for name, spec in specs.items()} == keys


@pytest.mark.skipif(
    not sklearn.__version__.startswith("1.9."),
    reason="a key holds all parameters, of which scikit-learn before 1.9 has others",
)
def test_saved_runs_of_classical_models_are_found_again(small: Dataset) -> None:
    keys = {name: key for name, key in saved_keys().items() if name in CLASSICAL}
    assert {name: spec_of(small, name).key for name in CLASSICAL} == keys


def saved_keys() -> dict[str, str]:
    """By the name of a row, or of a row with settings."""
    keys: dict[str, str] = json.loads(KEYS.read_text("utf8"))
    return keys


def test_plain_distinguishes_different_values() -> None:
    assert to_plain(np.zeros(3)) != to_plain(np.ones(3))
    assert to_plain(LogisticRegression(C=1)) != to_plain(LogisticRegression(C=2))
    assert json.loads(json.dumps(to_plain({"a": (1, None, float("nan")), 3: np.float32(0.5)}))) == {
        "a": [1, None, "nan"],
        "3": 0.5,
    }


def test_a_seed_deep_in_a_pipeline_is_not_part_of_the_key() -> None:
    pipelines = [make_pipeline(PCA(3, random_state=seed), LogisticRegression()) for seed in (0, 1)]
    assert to_plain(pipelines[0]) == to_plain(pipelines[1])
    assert to_plain(make_pipeline(PCA(4), LogisticRegression())) != to_plain(pipelines[0])
