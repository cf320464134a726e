"""training_images.py: the nearest training images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.sources import load_dataset
from fittingroom.models.nearest import nearest_images
from fittingroom.serving import training_images
from fittingroom.serving.served_model import ServedModel
from fittingroom.serving.training_images import TrainingImages, find_training_images


def test_the_nearest_are_those_of_the_classifier(small: Dataset) -> None:
    training = TrainingImages(small.train, small.class_names)
    pixels = small.train.images.reshape(len(training), -1)
    queries = small.test.images[::100]
    positions, distances = nearest_images(pixels, queries.reshape(len(queries), -1), 6)
    for query, expected, distance in zip(queries, positions, distances, strict=True):
        neighbours = training.nearest(query, 6)
        assert [neighbour.position for neighbour in neighbours] == expected.tolist()
        assert [neighbour.distance for neighbour in neighbours] == pytest.approx(distance)
        for neighbour in neighbours:
            label = small.train.labels[neighbour.position]
            assert neighbour.label == small.class_names[label]
            np.testing.assert_array_equal(neighbour.image, small.train.images[neighbour.position])


def test_an_image_is_its_own_neighbour_even_among_copies(small: Dataset) -> None:
    """Of equal distances, the first image counts as the nearer one."""
    images = np.concatenate([small.train.images[:300], small.train.images[:3]])
    labels = np.concatenate([small.train.labels[:300], small.train.labels[:3]])
    training = TrainingImages(Split(images, labels), small.class_names)
    nearest = training.nearest(small.train.images[2], 2)
    assert [(each.position, each.distance) for each in nearest] == [(2, 0), (302, 0)]
    assert len(training.nearest(small.train.images[2], 1000)) == len(training) == 303


def test_images_are_held_once(small: Dataset) -> None:
    training = TrainingImages(small.train, small.class_names)
    image = training.nearest(small.test.images[0], 1)[0].image
    assert np.shares_memory(image, small.train.images)


def test_the_data_set_is_found_by_its_content(
    served: dict[str, ServedModel],
    small_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    facts = served["logistic"].facts
    monkeypatch.setattr(training_images, "location_of", lambda _: str(small_folder))
    found = find_training_images(facts, tmp_path)
    assert found is not None
    assert len(found) == len(load_dataset(small_folder).train)
    changed = facts.data.model_copy(update={"sha256": "0" * 64})
    assert find_training_images(facts.model_copy(update={"data": changed}), tmp_path) is None
    monkeypatch.setattr(training_images, "MOST_BYTES", facts.data.images * 784 - 1)
    assert find_training_images(facts, tmp_path) is None
