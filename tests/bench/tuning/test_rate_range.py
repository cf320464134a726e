from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fittingroom.bench.progress import Progress
from fittingroom.bench.tuning.rate_range import network_rate_range
from fittingroom.data.dataset import Dataset
from fittingroom.data.splits import validation_split
from fittingroom.errors import UsageError


def test_only_training_images_are_used(small: Dataset, tmp_path: Path) -> None:
    """Other images may show anything."""
    others = np.setdiff1d(np.arange(len(small.train)), validation_split(small.train.labels).train)
    images = small.train.images.copy()
    images[others] = 255 - images[others]
    changed = Dataset.from_arrays(
        images, small.train.labels, 255 - small.test.images, small.test.labels, name="changed"
    )
    changed.write_idx(tmp_path / "changed")
    assert small.location is not None
    losses, steps = [], list[Progress]()
    for location in (small.location, tmp_path / "changed"):
        steps.clear()
        _, rates = network_rate_range(location, "mlp-10-10", settings={}, on_progress=steps.append)
        losses.append(rates.losses)
    np.testing.assert_array_equal(losses[0], losses[1])
    first, *between, last = steps
    assert (first.kind, first.step, last.kind, last.done) == ("started", None, "saved", 1)
    assert {(step.kind, step.step and step.step.unit) for step in between} == {("step", "step")}
    done = [step.step.done for step in between if step.step]
    assert done == sorted({*done})


def test_a_model_without_a_learning_rate_is_rejected(small: Dataset) -> None:
    assert small.location is not None
    with pytest.raises(UsageError, match="knn has no learning rate"):
        network_rate_range(small.location, "knn", settings={}, on_progress=lambda step: None)
