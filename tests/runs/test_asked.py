from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline

from fittingroom.data.dataset import Dataset
from fittingroom.runs.asked import Asked, asked_of_row, plain

ASKED = Asked(
    dataset="ab" * 32, model="knn", parameters={"k": 5}, full=False, reads_test=True, seed=1
)


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
def test_the_key_covers_everything_that_was_asked(change: dict[str, object]) -> None:
    assert dataclasses.replace(ASKED, **change).key != ASKED.key


def test_seeds_share_a_key_and_stand_in_the_name() -> None:
    other = dataclasses.replace(ASKED, seed=2)
    assert other.key == ASKED.key
    assert other.folder_name == f"{ASKED.key}-s2"


def test_the_key_is_the_same_in_every_process_and_for_every_order() -> None:
    reordered = dataclasses.replace(ASKED, parameters={"b": 1, "a": 2})
    assert reordered.key == dataclasses.replace(ASKED, parameters={"a": 2, "b": 1}).key
    assert ASKED.key == "6183190c9f0d"


@pytest.mark.parametrize(
    ("model", "overrides", "key"),
    [
        ("mlp-256-256", {}, "0e41aab77261"),
        ("cnn-32", {}, "4fdb72146d7a"),
        ("swift", {"epochs": 16}, "c4613cd34e23"),
    ],
)
def test_saved_runs_of_the_catalogue_are_found_again(
    small: Dataset, model: str, overrides: dict[str, int], key: str
) -> None:
    _, asked = asked_of_row(small, model, overrides=overrides, seed=3, full=False, reads_test=True)
    assert asked.key == key


def test_plain_tells_apart_what_differs() -> None:
    assert plain(np.zeros(3)) != plain(np.ones(3))
    assert plain(LogisticRegression(C=1)) != plain(LogisticRegression(C=2))
    assert json.loads(json.dumps(plain({"a": (1, None, float("nan")), 3: np.float32(0.5)}))) == {
        "a": [1, None, "nan"],
        "3": 0.5,
    }


def test_a_seed_deep_in_a_pipeline_is_no_part_of_the_key() -> None:
    pipelines = [make_pipeline(PCA(3, random_state=seed), LogisticRegression()) for seed in (0, 1)]
    assert plain(pipelines[0]) == plain(pipelines[1])
    assert plain(make_pipeline(PCA(4), LogisticRegression())) != plain(pipelines[0])
