from __future__ import annotations

from dataclasses import replace

import numpy as np

from fittingroom.data.dataset import Dataset
from fittingroom.data.describe import describe
from fittingroom.reporting.data_text import data_text


def test_the_table_has_the_figures_of_both_splits(small: Dataset) -> None:
    unequal = replace(small, train=replace(small.train, labels=small.train.labels // 2))
    lines = data_text(describe(unequal)).splitlines()
    assert lines[0].endswith("28 x 28 pixels, 10 classes; mirroring may change the class")
    assert lines[3] == f"sha256 {small.sha256}"
    cells = {" ".join(words[:-2]): words[-2:] for words in map(str.split, lines[5:])}
    assert cells["images"] == ["2,000", "1,000"]
    assert cells["Trouser"] == ["400", "100"]
    assert cells["Ankle boot"] == ["0", "100"]
    splits = [split.images.astype(float) for split in (small.train, small.test)]
    for name, figure in (("pixel mean", np.mean), ("pixel sd", np.std)):
        assert cells[name] == [f"{figure(images):.3f}" for images in splits]
    mirrored = data_text(describe(replace(small, mirror_keeps_class=True)))
    assert "mirroring keeps the class" in mirrored
