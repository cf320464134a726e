from __future__ import annotations

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.gallery import caption_of, gallery
from fittingroom.reporting.sprite import Sprite


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
    sprite = Sprite(small.test.images)
    second, first = gallery(compared, sprite, [8, position], "cnn-32", bars=2)
    assert first.caption == caption
    assert first.image == sprite.tile(position)
    assert sprite.positions.tolist() == [8, position]
    assert [share for _, share in first.bars] == sorted(probabilities, reverse=True)[:2]
    assert first.bars[0][0] == predicted
    assert gallery(compared, None, [position]) == []
    assert gallery(compared, sprite, [9])[0].bars == ()
    assert second.caption.startswith("8: ")
