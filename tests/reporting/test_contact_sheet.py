"""contact_sheet.py: each photo with its outline, the model's input and the prediction."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from fittingroom.bundles.predictor import Prediction
from fittingroom.data.rendering import Rendering
from fittingroom.reporting.contact_sheet import GAP, SIDE, SheetEntry, contact_sheet


def entry(lines: list[str], good: bool | None = None, side: int = 200) -> SheetEntry:
    """A green square on white; the model's input is a bright square on black."""
    pixels = np.full((side, side, 3), 255, np.uint8)
    pixels[50:150, 50:150] = (20, 160, 20)
    mask = np.zeros((side, side), bool)
    mask[50:150, 50:150] = True
    views = np.zeros((1, 28, 28), np.uint8)
    views[0, 7:21, 7:21] = 200
    rendering = Rendering(views, np.ones(1), mask, ("drawn",))
    prediction = Prediction(
        np.array([0.9, 0.1]), ("a", "b"), ("a",), 0.1, False, np.ones(2), ("a", 0.9), rendering
    )
    return SheetEntry(pixels, prediction, lines, good)


def sheet_of(*entries: SheetEntry) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(contact_sheet(entries))))


def test_photo_outline_and_model_input() -> None:
    sheet = sheet_of(entry(["a 90%"]))
    photo = sheet[GAP : GAP + SIDE, GAP : GAP + SIDE].astype(int)
    np.testing.assert_allclose(photo[SIDE // 2, SIDE // 2], (20, 160, 20), atol=3)
    magenta = (photo[..., 0] > 150) & (photo[..., 1] < 120) & (photo[..., 2] > 120)
    rows, columns = np.flatnonzero(magenta.any(axis=1)), np.flatnonzero(magenta.any(axis=0))
    assert abs(rows[0] - 49) <= 2
    assert abs(columns[-1] - 146) <= 3
    model_input = sheet[GAP : GAP + SIDE, GAP + SIDE + GAP // 2 :][:, :SIDE]
    assert tuple(model_input[SIDE // 2, SIDE // 2]) == (55, 55, 55)  # dark on white
    assert tuple(model_input[5, 5]) == (255, 255, 255)


def test_correct_and_wrong_are_coloured() -> None:
    below = {}
    for good in (True, False, None):
        text = sheet_of(entry(["text"], good))[GAP + SIDE :].reshape(-1, 3).astype(int)
        below[good] = text[text.sum(axis=1).argmin()]
    assert below[True][1] > below[True][0] + 30  # green
    assert below[False][0] > below[False][1] + 30  # red
    assert np.ptp(below[None]) < 10


def test_entries_are_laid_out_in_rows_and_long_lines_truncated() -> None:
    single = sheet_of(entry(["a"]))
    six = sheet_of(*[entry(["a"])] * 6)
    assert six.shape[1] == 4 * (single.shape[1] - GAP) + GAP
    assert six.shape[0] == 2 * (single.shape[0] - GAP) + GAP
    long = sheet_of(entry(["w" * 500]), entry(["a"]))
    short = sheet_of(entry(["a"]), entry(["a"]))
    # A long line doesn't reach the next entry.
    np.testing.assert_array_equal(long[:, single.shape[1] :], short[:, single.shape[1] :])


def test_no_entries() -> None:
    assert sheet_of().size > 0
