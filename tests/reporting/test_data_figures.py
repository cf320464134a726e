from __future__ import annotations

import numpy as np
import pytest

from fittingroom.bench.explore import ImageMap
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.data_figures import image_map, pixel_histogram


def test_the_histogram_shows_shares_of_all_pixels(small: Dataset) -> None:
    counts = {
        name: np.bincount(split.images.ravel(), minlength=256).tolist()
        for name, split in (("training", small.train), ("test", small.test))
    }
    axes, scaled = pixel_histogram(counts).axes
    steps = [line for line in axes.lines if len(np.asarray(line.get_xdata())) == 256]
    for line, split in zip(steps, (small.train, small.test), strict=True):
        shares = np.asarray(line.get_ydata())
        assert shares.sum() == pytest.approx(1)
        assert shares[0] == pytest.approx((split.images == 0).mean())
    assert [limit * 255 for limit in scaled.get_xlim()] == pytest.approx(axes.get_xlim())


@pytest.mark.parametrize(("classes", "legend"), [(3, True), (21, False)])
def test_the_map_has_the_points_of_each_class(classes: int, legend: bool) -> None:
    points = np.random.default_rng(0).normal(size=(60, 2))
    labels = np.arange(60) % classes
    embedded = ImageMap(positions=np.arange(60), points=points, method="drawn")
    (axes,) = image_map(embedded, labels, [f"class {n}" for n in range(classes)]).axes
    assert len(axes.collections) == classes
    for label, drawn in enumerate(axes.collections):
        np.testing.assert_allclose(np.asarray(drawn.get_offsets()), points[labels == label])
    assert (axes.get_legend() is not None) is legend
