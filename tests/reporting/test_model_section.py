from __future__ import annotations

import numpy as np

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.gallery import Captioned
from fittingroom.reporting.heat_table import HeatTable
from fittingroom.reporting.model_section import BARS, EXAMPLES, RANDOM, section_of
from fittingroom.reporting.sprite import Sprite


def test_a_section_shows_the_matrix_and_images_of_its_model(
    compared: Analysis, small: Dataset
) -> None:
    model = compared.models["random-forest"]
    section = section_of(model, compared, Sprite(small.test.images))
    assert section.anchor == f"model-{[*compared.models].index('random-forest')}"
    counts = model.confusion.counts
    assert isinstance(section.confusion, HeatTable)
    assert section.confusion.confusion_of == "random-forest"
    diagonal = [float(row[i].text) for i, row in enumerate(section.confusion.cells)]
    np.testing.assert_allclose(diagonal, 100 * np.diag(counts) / counts.sum(axis=1), atol=0.05)
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
    assert {len(shown.bars) for shown in section.galleries["Random predictions"]} == {BARS}
    assert not any(section_of(model, compared, None).galleries.values()), "there is no data"


def test_networks_have_their_layers_drawn(compared: Analysis) -> None:
    networks = [model for model in compared.models.values() if model.layers]
    assert len(networks) == 3
    for model in networks:
        assert len(section_of(model, compared, None).blocks) == len(model.layers)


def positions_of(gallery: list[Captioned]) -> list[int]:
    return [int(shown.caption.partition(":")[0].replace(",", "")) for shown in gallery]
