"""Images of a data set as tiles of one picture, which a page holds once."""

from __future__ import annotations

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from fittingroom.reporting.images import data_uri

#: Tiles in a line of the picture.
COLUMNS = 64


class Sprite:
    """Images of one size; a page may show each of them as often as it likes.

    Parameters
    ----------
    images : (n, height, width), of which those that are shown become tiles
    kind : a class of the style sheet, by which a page distinguishes the tiles of several pictures
    """

    def __init__(self, images: NDArray[np.uint8], kind: str = "") -> None:
        self._images, self._kind = images, kind
        self._tiles: dict[int, int] = {}

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of a tile."""
        _, height, width = self._images.shape
        return height, width

    @property
    def positions(self) -> NDArray[np.int64]:
        """The positions of the images that are tiles, in their order."""
        return np.fromiter(self._tiles, np.int64, len(self._tiles))

    def add(self, positions: NDArray[np.integer]) -> None:
        """Make tiles of the images at these positions."""
        for position in positions:
            self._tiles.setdefault(int(position), len(self._tiles))

    def tile(self, position: int) -> Markup:
        """The image at a position; the text beside it says what it shows."""
        row, column = divmod(self._tiles.setdefault(int(position), len(self._tiles)), COLUMNS)
        kind = f"tile {self._kind}".strip()
        return Markup('<i class="{}" aria-hidden="true" style="--x:{};--y:{}"></i>').format(
            kind, column, row
        )

    def style(self) -> Markup:
        """The rule that tiles need, with the picture; there is none without images."""
        if not self._tiles:
            return Markup("")
        height, width = self.shape
        return Markup(
            ".tile{} {{ --columns: {}; --ratio: {:.4f}; background-image: url({}); }}"
        ).format(
            f".{self._kind}" if self._kind else "",
            COLUMNS,
            height / width,
            Markup(data_uri(self._picture())),
        )

    def _picture(self) -> NDArray[np.uint8]:
        """All tiles, line by line: (lines × height, columns × width)."""
        height, width = self.shape
        lines = -(-len(self._tiles) // COLUMNS)
        tiles = np.zeros((lines * COLUMNS, height, width), np.uint8)
        tiles[: len(self._tiles)] = self._images[self.positions]
        lined_up = tiles.reshape(lines, COLUMNS, height, width).swapaxes(1, 2)
        return np.ascontiguousarray(lined_up).reshape(lines * height, COLUMNS * width)
