"""Decode untrusted picture files to RGB and opacity.

Only PNG, JPEG and WebP; the size is checked before anything is decoded.
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
from fittingroom.untrusted import open_untrusted, raise_as, read_bytes

FORMATS = ("PNG", "JPEG", "WEBP")
#: Usual suffixes of these formats; what a file is, its content decides.
SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".jfif", ".webp"})
MAX_PIXELS = 50_000_000
MAX_BYTES = 100_000_000
#: Ordinary progressive JPEGs have about ten scans; each costs as much as decoding all pixels.
MAX_SCANS, MAX_SCANNED_PIXELS = 200, 20 * MAX_PIXELS
# Within a scan, 0xff is followed by 0 or by a restart marker; the marker 1 has no length.
_MARKER = re.compile(rb"\xff[^\x00\x01\xff\xd0-\xd8]", re.DOTALL)
_END, _START_OF_SCAN = 0xD9, 0xDA
#: Longest edge in pixels to decode to, unless the caller needs more.
LONGEST = 640


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture, upright.

    Attributes
    ----------
    pixels : uint8 (height, width, 3), red, green, blue
        on white where the file is transparent
    alpha : uint8 (height, width), opacity in 0..255; None if fully opaque
    """

    pixels: NDArray[np.uint8]
    alpha: NDArray[np.uint8] | None = None

    @property
    def opaque(self) -> NDArray[np.bool_] | None:
        """Where it is at least half opaque, bool (height, width); None if everywhere."""
        if self.alpha is None or self.alpha.min() >= 128:
            return None
        return self.alpha >= 128

    @cached_property
    def grey(self) -> NDArray[np.uint8]:
        """uint8 (height, width), weighted as in ITU-R 601."""
        return np.asarray(Image.fromarray(self.pixels).convert("L"))

    @property
    def ground(self) -> float:
        """The median grey of the border, in 0..255."""
        return _ground(self.grey)

    def shrunk(self, longest: int) -> Picture:
        """The picture, shrunk to a longest edge of at most `longest` pixels."""
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
    """Decode the first frame of a picture file, upright by its EXIF orientation.

    Parameters
    ----------
    file : a path, or the file's bytes
    longest : a picture with a longer edge is shrunk to this
    within : see `open_untrusted`

    Raises
    ------
    DataError : not a picture of these formats, too large, or damaged; the message says which
    """
    with open_picture(file, within=within) as image:
        image.draft("RGB", (2 * longest, 2 * longest))  # a JPEG can be decoded smaller
        return _picture(image, longest)


@contextmanager
def open_picture(
    file: Path | str | bytes, formats: Sequence[str] = FORMATS, within: Path | None = None
) -> Iterator[Image.Image]:
    """Open a picture, reading only its header; decode it within the context.

    Parameters
    ----------
    file : a path, or the file's bytes
    formats : of Pillow, but none that starts a program (Ghostscript, for PostScript)
    within : see `open_untrusted`

    Raises
    ------
    DataError : see `decode`
    """
    name = "the picture" if isinstance(file, bytes) else str(file)
    data = file
    if not isinstance(data, bytes):
        data = read_bytes(data, DataError, most=MAX_BYTES, within=within)
    if len(data) > MAX_BYTES:
        raise DataError(f"{name} has more than {MAX_BYTES:,} bytes; that isn't a photo.")
    with raise_as(name, DataError), warnings.catch_warnings():
        # We check for bombs ourselves; its reader can't help other oddities of a file.
        warnings.simplefilter("ignore")
        try:
            image = Image.open(io.BytesIO(data), formats=list(formats))
        except UnidentifiedImageError:
            *names, last = map(_spell, formats)
            raise DataError(f"{name} isn't a {', '.join(names)} or {last} picture.") from None
        with image:
            pixels = image.width * image.height
            if pixels > MAX_PIXELS:
                raise DataError(
                    f"{name} has {image.width:,} × {image.height:,} pixels, more than "
                    f"{MAX_PIXELS:,}; shrink it first."
                )
            # A progressive JPEG is decoded once for each scan, of which a file may hold thousands.
            scans = _count_scans(data) if image.format in ("JPEG", "MPO") else 1
            if pixels * scans > MAX_SCANNED_PIXELS or scans > MAX_SCANS:
                raise DataError(f"{name} has {scans:,} scans; save it as an ordinary JPEG.")
            if image.format == "PNG":  # whose checksums decoding alone doesn't verify
                _verify(data, name)
            yield image


def _verify(data: bytes, name: str) -> None:
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        try:
            image.verify()
        except (OSError, SyntaxError) as error:
            reason = str(error).rstrip(".").lower()
            raise DataError(f"{name} can't be read: it is damaged ({reason}).") from error


def _count_scans(data: bytes) -> int:
    """Count the scans of a JPEG up to its end marker, after which other data may follow."""
    scans, position = 0, 2
    while (marker := _MARKER.search(data, position)) is not None and marker[0][1] != _END:
        scans += marker[0][1] == _START_OF_SCAN
        position = marker.end() + max(2, int.from_bytes(data[marker.end() : marker.end() + 2]))
    return scans


def _spell(format: str) -> str:
    return {"WEBP": "WebP"}.get(format, format)


def looks_like_picture(path: Path) -> bool:
    """Whether a file has the suffix or the first bytes of one of these formats."""
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
        grey = np.asarray(image).clip(0, 65_535)  # 16 bits, which Pillow would clip at 255
        narrow = Image.fromarray((grey // 257).astype(np.uint8))
        narrow.info = image.info
        image = narrow
    image = ImageOps.exif_transpose(image)
    image = image.convert("RGBA" if image.has_transparency_data else "RGB")
    image.thumbnail((longest, longest))
    image, alpha = on_white(image)
    return Picture(np.asarray(image.convert("RGB")), alpha)


def fit_into(grey: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize a grey picture (height, width) to a shape; its aspect is kept.

    What it doesn't fill has the median grey of the picture's border.
    """
    scale = min(shape[0] / grey.shape[0], shape[1] / grey.shape[1])
    height, width = (max(1, round(scale * edge)) for edge in grey.shape)
    top, left = (shape[0] - height) // 2, (shape[1] - width) // 2
    image = Image.fromarray(grey).resize((width, height), Image.Resampling.BILINEAR)
    padded = np.full(shape, round(_ground(grey)), np.uint8)
    padded[top : top + height, left : left + width] = np.asarray(image)
    return padded


def _ground(grey: NDArray[np.uint8]) -> float:
    """The median of the border of (height, width)."""
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))


def on_white(image: Image.Image) -> tuple[Image.Image, NDArray[np.uint8] | None]:
    """Lay an image on white; also returns its opacity (height, width), None if fully opaque."""
    if not image.has_transparency_data:
        return image, None
    image = image.convert("RGBA")
    alpha = np.asarray(image.getchannel("A"))
    composite = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image)
    return composite, None if bool((alpha == 255).all()) else alpha
