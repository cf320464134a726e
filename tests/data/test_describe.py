from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from fittingroom.data import load_dataset
from fittingroom.data.describe import describe


def test_describes_real_data(small: Path) -> None:
    dataset = load_dataset(small)
    description = describe(dataset)
    for part, split in ((description.train, dataset.train), (description.test, dataset.test)):
        assert part.images == len(split)
        assert part.pixel_min == split.images.min()
        assert part.pixel_max == split.images.max()
        assert part.pixel_mean == pytest.approx(split.images.mean(), rel=1e-12)
        assert part.pixel_sd == pytest.approx(split.images.std(), rel=1e-12)
    assert description.train.counts == dict.fromkeys(dataset.class_names, 200)
    assert description.sha256 == dataset.sha256
    assert description.files is None
    assert description.shape == (28, 28)


def test_counts_unbalanced_classes(small: Path) -> None:
    dataset = load_dataset(small)
    keep = np.flatnonzero(dataset.train.labels != 3)[:50]
    part = type(dataset).from_arrays(
        dataset.train.images[keep] // 2 + 10,
        dataset.train.labels[keep],
        dataset.test.images,
        dataset.test.labels,
        class_names=dataset.class_names,
    )
    description = describe(part)
    assert description.train.counts["Dress"] == 0
    assert sum(description.train.counts.values()) == 50
    assert description.train.pixel_min == 10
    assert description.train.pixel_max <= 137


def test_as_json(small: Path) -> None:
    plain = describe(load_dataset(small)).to_dict()
    assert plain["schema_version"] == 1
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain
    assert set(plain) == {
        "schema_version",
        "name",
        "title",
        "shape",
        "class_names",
        "mirror_keeps_class",
        "preparation",
        "train",
        "test",
        "sha256",
        "files",
        "source",
    }
