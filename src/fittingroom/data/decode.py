"""Picture files of strangers, decoded with care: what they show as RGB, and where it is opaque.

Only PNG, JPEG and WebP; the size is looked at before anything is decoded.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from fittingroom.errors import DataError
from fittingroom.untrusted import blaming, open_untrusted, read_bytes

FORMATS = ("PNG", "JPEG", "WEBP")
#: What files of these formats are usually called; what they are is read, not believed.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp"})
MOST_PIXELS = 50_000_000
MOST_BYTES = 100_000_000
#: Ordinary progressive JPEGs have about ten scans; each takes the time of decoding all pixels.
MOST_SCANS, MOST_SCANNED_PIXELS = 200, 20 * MOST_PIXELS
# Among the bytes of a scan 255 is followed by 0, or by the number of a restart; 1 has no length.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]", re.DOTALL)
_END, _START_OF_SCAN = 0xD9, 0xDA
#: Pixels of the longest edge of what is decoded, where nobody needs more.
LONGEST = 640


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    Attributes
    ----------
    pixels : uint8 (height, width, 3), red, green, blue
        on white where the file is transparent
    alpha : uint8 (height, width), how opaque it is in 0..255, or None where it wholly is
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None

    @property
    def opaque(self) -> NDArray[np.bool_] | None:
        """Where it is at least half opaque, bool (height, width); None if that is everywhere."""
        if self.alpha is None or self.alpha.min() >= 128:
            return None
        return self.alpha >= 128

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """uint8 (height, width), by the weights of ITU-R 601."""
        return np.asarray(Image.fromarray(self.pixels).convert("L"))

    @property
    def ground(self) -> float:
        """The grey that most of the border has: its median, in 0..255."""
        grey = self.grey
        return float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))

    def shrunk(self, longest: int) -> Picture:
        """The picture with a longest edge of at most so many pixels."""
        if max(self.pixels.shape) <= longest:
            return self
        image = Image.fromarray(self.pixels)
        image.thumbnail((longest, longest))
        alpha = None
        if self.alpha is not None:
            alpha = np.asarray(Image.fromarray(self.alpha).resize(image.size))
        return Picture(np.asarray(image), alpha)


def decode(
    file: Path | str | bytes, *, longest: int = LONGEST, within: Path | None = None
) -> Picture:
    """The first frame of a picture file, turned as its camera was held.

    Parameters
    ----------
    file : a path, or the file's bytes
    longest : a picture with a longer edge is shrunk to this
    within : see `open_untrusted`

    Raises
    ------
    DataError : no picture of these formats, too large, or damaged; the message says which
    """
    with open_picture(file, within=within) as image:
        image.draft("RGB", (2 * longest, 2 * longest))  # a JPEG may be read smaller
        return _picture(image, longest)


@contextmanager
def open_picture(
    file: Path | str | bytes, formats: Sequence[str] = FORMATS, within: Path | None = None
) -> Iterator[Image.Image]:
    """A picture of which no more than the header has been read; decode it inside.

    Parameters
    ----------
    file : a path, or the file's bytes
    formats : of Pillow. None of those that start a program (Ghostscript, for PostScript) may be
        among them
    within : see `open_untrusted`

    Raises
    ------
    DataError : as `decode`
    """
    name = "the picture" if isinstance(file, bytes) else str(file)
    data = file
    if not isinstance(data, bytes):
        data = read_bytes(data, DataError, most=MOST_BYTES, within=within)
    if len(data) > MOST_BYTES:
        raise DataError(f"{name} has more than {MOST_BYTES:,} bytes; that is no photo.")
    with blaming(name, DataError), warnings.catch_warnings():
        # Of bombs we look out ourselves; what else is strange in a file is not its reader's.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=list(formats))
        except UnidentifiedImageError:
            *others, last = map(_spelt, formats)
            raise DataError(f"{name} isn't a {', '.join(others)} or {last} picture.") from None
        with image:
            pixels = image.width * image.height
            if pixels > MOST_PIXELS:
                raise DataError(
                    f"{name} has {image.width:,} × {image.height:,} pixels, more than "
                    f"{MOST_PIXELS:,}; shrink it first."
                )
            # A progressive JPEG is decoded once for each scan, of which a file may hold thousands.
            scans = _count_scans(data) if image.format in ("JPEG", "MPO") else 1
            if pixels * scans > MOST_SCANNED_PIXELS or scans > MOST_SCANS:
                raise DataError(f"{name} shows its pixels in {scans:,} scans; save it plainly.")
            yield image


def _count_scans(data: bytes) -> int:
    """The scans of a JPEG up to its end, behind which other things may stand."""
    scans, place = 0, 2
    while (marker := _MARKER.search(data, place)) is not None and marker[0][1] != _END:
        scans += marker[0][1] == _START_OF_SCAN
        place = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2]))
    return scans


def _spelt(format: str) -> str:
    return {"WEBP": "WebP"}.get(format, format)


def looks_like_picture(path: Path) -> bool:
    """Whether a file is called, or begins, like one of these formats."""
    if path.suffix.lower() in SUFFIXES:
        return True
    try:
        with open_untrusted(path, DataError) as file:
            start = file.read(12)
    except DataError:
        return False
    return start.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) or (
        start.startswith(b"RIFF") and start.endswith(b"WEBP")
    )


def _picture(image: Image.Image, longest: int) -> Picture:
    if image.mode.startswith("I") or image.mode == "F":
        grey = np.asarray(image, dtype=np.float64)  # 16 bits; Pillow would cut them off at 255
        plain = Image.fromarray((grey / max(1.0, 65535 / 255)).clip(0, 255).astype(np.uint8))
        plain.info = image.info
        image = plain
    image = ImageOps.exif_transpose(image)
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((longest, longest))
    image, alpha = on_white(image)
    return Picture(np.asarray(image.convert("RGB")), alpha)


def on_white(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """An image without transparency, and how opaque it was: (height, width), None if wholly."""
    if not image.has_transparency_data:
        return image, None
    image = image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    laid = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return laid, None if bool((alpha == 255).all()) else alpha
