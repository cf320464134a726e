"""contact_sheet.py: every photo, its outline, what was seen of it and what was said."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fittingroom.bundles.predictor import Prediction
from fittingroom.data.rendering import Rendering
from fittingroom.reporting.contact_sheet import GAP, SIDE, SheetEntry, contact_sheet


def entry(lines: list[str], good: bool | None = None, side: int = 200) -> SheetEntry:
    """A green square on white, of which the model saw a bright one on black."""
    pixels = np.full((side, side, 3), 255, np.uint8)
    pixels[50:150, 50:150] = (20, 160, 20)
    mask = np.zeros((side, side), bool)
    mask[50:150, 50:150] = True
    seen = np.zeros((1, 28, 28), np.uint8)
    seen[0, 7:21, 7:21] = 200
    rendering = Rendering(seen, np.ones(1), mask, ("drawn",))
    prediction = Prediction(
        np.array([0.9, 0.1]), ("a", "b"), ("a",), 0.1, False, np.ones(2), ("a", 0.9), rendering
    )
    return SheetEntry(pixels, prediction, lines, good)


def drawn(*entries: SheetEntry) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(contact_sheet(entries))))


def test_the_photo_its_outline_and_what_was_seen() -> None:
    sheet = drawn(entry(["a 90%"]))
    photo = sheet[GAP : GAP + SIDE, GAP : GAP + SIDE].astype(int)
    np.testing.assert_allclose(photo[SIDE // 2, SIDE // 2], (20, 160, 20), atol=3)
    magenta = (photo[..., 0] > 150) & (photo[..., 1] < 120) & (photo[..., 2] > 120)
    rows, columns = np.flatnonzero(magenta.any(axis=1)), np.flatnonzero(magenta.any(axis=0))
    assert abs(rows[0] - 49) <= 2
    assert abs(columns[-1] - 146) <= 3
    seen = sheet[GAP : GAP + SIDE, GAP + SIDE + GAP // 2 :][:, :SIDE]
    assert tuple(seen[SIDE // 2, SIDE // 2]) == (55, 55, 55)  # dark on white
    assert tuple(seen[5, 5]) == (255, 255, 255)


def test_right_and_wrong_have_colours() -> None:
    below = {}
    for good in (True, False, None):
        text = drawn(entry(["text"], good))[GAP + SIDE :].reshape(-1, 3).astype(int)
        below[good] = text[text.sum(axis=1).argmin()]
    assert below[True][1] > below[True][0] + 30  # green
    assert below[False][0] > below[False][1] + 30  # red
    assert np.ptp(below[None]) < 10


def test_entries_are_laid_in_rows_and_long_lines_are_cut() -> None:
    one = drawn(entry(["a"]))
    many = drawn(*[entry(["a"])] * 6)
    assert many.shape[1] == 4 * (one.shape[1] - GAP) + GAP
    assert many.shape[0] == 2 * (one.shape[0] - GAP) + GAP
    long = drawn(entry(["w" * 500]), entry(["a"]))
    alone = drawn(entry(["a"]), entry(["a"]))
    # Nothing of a long line reaches the entry beside it.
    np.testing.assert_array_equal(long[:, one.shape[1] :], alone[:, one.shape[1] :])


def test_no_entries() -> None:
    assert drawn().size > 0
