from __future__ import annotations

import numpy as np

from fittingroom.data.rendering import on_black


def test_a_picture_moves_from_white_to_black_whatever_its_opacity() -> None:
    """Each grey with each opacity, rounded as an 8-bit picture on white is."""
    grey, alpha = np.meshgrid(np.arange(256), np.arange(256), indexing="ij")
    on_white = np.round((grey * alpha + 255 * (255 - alpha)) / 255)
    moved = on_black(on_white.astype(np.uint8), alpha.astype(np.uint8))
    assert moved.dtype == np.uint8
    np.testing.assert_allclose(moved, grey * alpha / 255, atol=0.5)


def test_a_picture_darker_than_its_opacity_allows_becomes_black() -> None:
    """As after resizing; its difference from white must not wrap around."""
    on_white, alpha = np.array([[99, 100, 101]], np.uint8), np.full((1, 3), 155, np.uint8)
    np.testing.assert_array_equal(on_black(on_white, alpha), [[0, 0, 1]])
