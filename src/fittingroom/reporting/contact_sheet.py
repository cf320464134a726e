"""A contact sheet (PNG): each photo beside the model's input, with the prediction below."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from fittingroom.bundles.predictor import Prediction
from fittingroom.printable import printable

#: Pixels: side of a photo and of the image beside it; gap between entries; height of a line.
SIDE, GAP, LINE = 196, 12, 18
MAX_COLUMNS = 4
GOOD, BAD, PLAIN = "#1b6e3c", "#b3261e", "#222222"


@dataclass(frozen=True, eq=False)
class SheetEntry:
    """One photo of the sheet.

    Attributes
    ----------
    pixels : uint8 (height, width, 3)
    lines : text below it; the first line is coloured
    good : whether the prediction is correct; None if unknown
    """

    pixels: NDArray[np.uint8]
    prediction: Prediction
    lines: Sequence[str]
    good: bool | None = None


def contact_sheet(entries: Sequence[SheetEntry]) -> bytes:
    """A PNG file: each photo with the mask's outline, and the model's input beside it."""
    columns = min(MAX_COLUMNS, max(1, len(entries)))
    rows = -(-len(entries) // columns)
    lines = max((len(entry.lines) for entry in entries), default=0)
    wide, tall = 2 * SIDE + 2 * GAP, SIDE + lines * LINE + 2 * GAP
    sheet = Image.new("RGB", (columns * wide + GAP, max(1, rows) * tall + GAP), "white")
    for i, entry in enumerate(entries):
        _draw(sheet, entry, GAP + i % columns * wide, GAP + i // columns * tall)
    with io.BytesIO() as file:
        sheet.save(file, "PNG", optimize=True)
        return file.getvalue()


def _draw(sheet: Image.Image, entry: SheetEntry, left: int, top: int) -> None:
    photo = Image.fromarray(_draw_outline(entry.pixels, entry.prediction.rendering.mask))
    photo.thumbnail((SIDE, SIDE))
    sheet.paste(photo, (left + (SIDE - photo.width) // 2, top + (SIDE - photo.height) // 2))
    # Dark on white, as the data set is usually shown.
    model_input = Image.fromarray(255 - entry.prediction.rendering.views[0])
    factor = SIDE / max(model_input.size)
    size = round(model_input.width * factor), round(model_input.height * factor)
    model_input = model_input.resize(size, Image.Resampling.NEAREST)
    sheet.paste(model_input, (left + SIDE + GAP // 2, top))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(13)
    colour = {True: GOOD, False: BAD, None: PLAIN}[entry.good]
    for i, line in enumerate(entry.lines):
        position = (left, top + SIDE + 4 + i * LINE)
        text = _truncate(draw, printable(line), font)
        draw.text(position, text, fill=PLAIN if i else colour, font=font)


def _draw_outline(pixels: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """The photo with the object's outline in magenta."""
    image = Image.fromarray(pixels).resize((mask.shape[1], mask.shape[0]))
    outlined = np.asarray(image).copy()
    inner = mask.copy()
    for axis in (0, 1):
        for step in (-1, 1):
            inner &= np.roll(mask, step, axis)
    if max(mask.shape) > 64:  # on a small photo it would hide the object
        outlined[mask & ~inner] = (255, 0, 200)
    return outlined


def _truncate(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.ImageFont | object) -> str:
    """The text, cut to the width of an entry."""
    max_width = 2 * SIDE
    if draw.textlength(text, font=font) <= max_width:  # type: ignore[arg-type]
        return text
    while text and draw.textlength(text + "…", font=font) > max_width:  # type: ignore[arg-type]
        text = text[:-1]
    return text + "…"
