from __future__ import annotations

import numpy as np

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.model_section import EXAMPLES, RANDOM, _examples, section_of
from fittingroom.reporting.page import Captioned


def test_a_section_shows_the_counts_and_images_of_its_model(
    compared: Analysis, small: Dataset
) -> None:
    model = compared.models["random-forest"]
    section = section_of(model, compared, small)
    assert section.anchor == f"model-{[*compared.models].index('random-forest')}"
    counts = model.confusion.counts
    assert [[float(cell) for cell in row] for row in section.counts] == counts.round(1).tolist()
    shares = 100 * counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(np.array(section.shares, float), shares, atol=0.05)
    predicted, labels = model.probabilities.argmax(axis=1), compared.labels
    right = {
        title: {bool(predicted[n] == labels[n]) for n in positions_of(section.galleries[title])}
        for title in list(section.galleries)[:2]
    }
    assert right == {
        "Most confident errors": {False},
        "Least confident correct predictions": {True},
    }
    sizes = [len(gallery) for gallery in section.galleries.values()]
    assert sizes == [EXAMPLES, EXAMPLES, RANDOM]
    assert not any(section_of(model, compared, None).galleries.values()), "there is no data"


def positions_of(gallery: list[Captioned]) -> list[int]:
    return [int(shown.caption.partition(":")[0].replace(",", "")) for shown in gallery]


def test_there_is_one_example_per_class(compared: Analysis, small: Dataset) -> None:
    examples = _examples(compared, small)
    assert len(examples) == 10
    assert all(image is not None and image.shape == (28, 28) for image in examples)
    assert _examples(compared, None) == []
