from __future__ import annotations

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.gallery import caption_of, gallery
from fittingroom.reporting.images import data_uri


def test_images_are_captioned_with_their_class_and_the_prediction(
    compared: Analysis, small: Dataset
) -> None:
    position, model = 7, compared.models["cnn-32"]
    actual = small.class_names[small.test.labels[position]]
    probabilities = model.probabilities[position]
    predicted, percent = small.class_names[probabilities.argmax()], 100 * probabilities.max()
    assert caption_of(compared, position) == f"7: {actual}"
    caption = f"7: {actual} → {predicted}, {percent:.0f}%"
    assert caption_of(compared, position, "cnn-32") == caption
    second, first = gallery(compared, small, [8, position], "cnn-32")
    assert first.caption == caption
    assert data_uri(small.test.images[position]) in first.image
    assert data_uri(small.test.images[8]) in second.image
    assert gallery(compared, None, [position]) == []
