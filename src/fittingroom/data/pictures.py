"""Read pictures, wherever they are stored, as grey images of one size."""

from __future__ import annotations

import logging
import math
import os
import shlex
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psutil
from numpy.typing import NDArray

from fittingroom.data.reading import PictureOptions, RawSplit, Reading
from fittingroom.data.rendering import Preparation, on_black
from fittingroom.errors import DataError

if TYPE_CHECKING:
    from PIL.Image import Image

#: Pillow's formats of plain pictures: none starts a program or holds anything else.
FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "GIF", "PPM", "TIFF")
#: How many damaged pictures a message names.
MOST_NAMED = 10
#: A picture is in colour if the channels of more than this share of its pixels differ by more than
#: this: the colours of a grey JPEG are a little off.
COLOURED_SHARE, COLOURED_BY = 0.01, 32
#: Bytes of images that are always allowed; beyond that, how many times larger than their files they
#: may be. Drawings of two colours reach 100, deflate's limit is 1,032.
ALWAYS_ROOM, MAX_GROWTH = 2**28, 500

Bytes = NDArray[np.uint8]

logger = logging.getLogger("fittingroom.data")


class Stored(NamedTuple):
    """A picture file, or its content within another file.

    Attributes
    ----------
    name : what messages call it
    content : its path, or its bytes
    """

    name: str
    content: Path | bytes


class StoredPart(NamedTuple):
    """The pictures of one part of a data set.

    Attributes
    ----------
    pictures : each of them
    labels : (n,) of each, integers or text
    file : what messages on the labels name
    """

    pictures: Sequence[Stored]
    labels: NDArray[Any]
    file: Path


def read_pictures(
    where: Path,
    stored: Mapping[str, StoredPart],
    class_names: tuple[str, ...] | None,
    options: PictureOptions,
) -> Reading:
    """Read the pictures of all parts.

    Colour becomes grey by the weights of ITU-R 601 (0.299 R + 0.587 G + 0.114 B), and EXIF
    orientation is applied. If any picture has transparency, all are laid on one background, which
    the preparation says: black if the visible pixels of the first part's pictures are nearer to
    white than to black, else white.

    Parameters
    ----------
    where : the folder or file that holds them, which links must not leave
    stored : the pictures by the names of the parts; the first part decides the size
    class_names : in the labels' order, if they are known
    options : the size, and whether damaged pictures are left out

    Raises
    ------
    DataError
        Pictures are damaged, have more than 8 bits per channel or another size than the first, or
        would take implausibly much memory; or a class has none that can be read.
    """
    reader = _Reader(where, options)
    first = next(iter(stored.values()))
    size, pixel_bytes = reader.first(first.pictures)
    _require_room(where, stored.values(), size, pixel_bytes, is_chosen=options.size is not None)
    parts = {name: reader.part(part.pictures, size) for name, part in stored.items()}
    reader.finish()
    preparation: Preparation = "image"
    if any(part.alphas for part in parts.values()):
        if next(iter(parts.values())).is_bright():
            preparation = "image-on-black"
            for part in parts.values():
                part.lay_on_black()
        ground = "white" if preparation == "image" else "black"
        logger.info("%s: pictures are laid on a %s background", reader.named, ground)
    return Reading(
        {
            name: RawSplit(part.images, _labels_of(stored[name], part.kept), stored[name].file)
            for name, part in parts.items()
        },
        class_names,
        preparation=preparation,
    )


def _labels_of(part: StoredPart, kept: NDArray[np.bool_]) -> NDArray[Any]:
    """The labels of the pictures that were kept."""
    labels = part.labels[kept]
    if len(lost := np.setdiff1d(part.labels, labels)):
        first = part.pictures[int(np.argmax(part.labels == lost[0]))]
        raise DataError(f"no picture of the class of {first.name} can be read.")
    return labels


@dataclass(frozen=True, eq=False)
class _Part:
    """The images of one part.

    Attributes
    ----------
    images : uint8 (n, height, width), on white
    kept : bool, for each stored picture whether it is among the images
    alphas : opacity (height, width) by position, of the images that aren't fully opaque
    """

    images: Bytes
    kept: NDArray[np.bool_]
    alphas: dict[int, Bytes]

    def lay_on_black(self) -> None:
        """Move the transparent images from white to black."""
        for position, alpha in self.alphas.items():
            self.images[position] = on_black(self.images[position], alpha)

    def is_bright(self) -> bool:
        """Whether the visible pixels of the transparent images are nearer to white than black."""
        visible = (on_black(self.images[i], alpha) for i, alpha in self.alphas.items())
        brightness = sum(float(image.sum(dtype=np.float64)) for image in visible)
        opacity = sum(float(alpha.sum(dtype=np.float64)) for alpha in self.alphas.values())
        return brightness > opacity / 2


@dataclass(eq=False)
class _Reader:
    """Reads pictures, and keeps account of what is odd about them.

    Attributes
    ----------
    where : the folder or file that holds them, which links must not leave
    options : the size, and whether damaged pictures are left out
    damaged : what is wrong with each picture that can't be read
    coloured : whether one of them was in colour
    reference : name and size of the first
    """

    where: Path
    options: PictureOptions
    damaged: list[str] = field(default_factory=list)
    coloured: bool = False
    reference: tuple[str, tuple[int, ...]] = "", ()

    @property
    def named(self) -> Path:
        """What the user calls the folder or file."""
        return self.options.named or self.where

    def first(self, pictures: Sequence[Stored]) -> tuple[tuple[int, int], int]:
        """Height and width of the first that can be read, and how many bytes a pixel takes."""
        for picture in pictures:
            if (read := self._read(picture)) is not None:
                grey, alpha = read
                self.damaged.clear()  # they are read again
                self.reference = picture.name, grey.shape
                height, width = grey.shape
                return (height, width), 1 if alpha is None else 2
        raise DataError(f"{self.where} holds no picture that can be read: {self.damaged[0]}")

    def part(self, pictures: Sequence[Stored], size: tuple[int, int]) -> _Part:
        """Read the pictures of one part, all of that size."""
        images = np.empty((len(pictures), *size), dtype=np.uint8)
        kept = np.zeros(len(pictures), bool)
        alphas: dict[int, Bytes] = {}
        n = 0
        for i, picture in enumerate(pictures):
            read = self._read(picture)
            if read is None:
                continue
            grey, alpha = read
            if grey.shape != size:
                raise DataError(self._of_another_size(picture.name, grey.shape))
            images[n], kept[i] = grey, True
            if alpha is not None:
                alphas[n] = alpha
            n += 1
        return _Part(images[:n], kept, alphas)

    def finish(self) -> None:
        """Say what was left out, and what was lost; DataError if nothing is to be left out."""
        if self.damaged and not self.options.skip_damaged:
            raise DataError(self._refusal())
        if self.damaged:
            shown = "; ".join(reason.rstrip(".") for reason in self.damaged[:MOST_NAMED])
            more = "; …" * (len(self.damaged) > MOST_NAMED)
            logger.warning(
                "%s: damaged pictures are left out (%s): %s%s",
                *(self.named, f"{len(self.damaged):,}", shown, more),
            )
        if self.coloured:
            logger.info("%s: colours are converted to grey", self.named)

    def _read(self, picture: Stored) -> tuple[Bytes, Bytes | None] | None:
        """A picture in grey on white, and its opacity, at the size asked for; None if damaged."""
        try:
            grey, alpha = self._decode(picture)
            if self.options.size is None or grey.shape == self.options.size:
                return grey, alpha
            from fittingroom.data.decode import fit_into

            scaled = fit_into(grey, self.options.size)
            return scaled, None if alpha is None else fit_into(alpha, self.options.size)
        except DataError as error:
            named = picture.name in str(error)
            self.damaged.append(str(error) if named else f"{picture.name}: {error}")
            if not self.options.skip_damaged and len(self.damaged) == MOST_NAMED:
                raise DataError(self._refusal()) from error
            return None

    def _decode(self, picture: Stored) -> tuple[Bytes, Bytes | None]:
        """A picture in grey on white, and its opacity, None if fully opaque; (height, width)."""
        from PIL import ImageOps  # slow to import, and only pictures need it

        from fittingroom.data.decode import on_white, open_picture

        name, content = picture
        with open_picture(content, FORMATS, within=self.where) as image:
            if "jpeg" in str(image.info.get("compression", "")):  # a TIFF may hold one
                raise DataError(f"{name} is a JPEG in a TIFF; save it as one or the other.")
            if image.mode.startswith(("I", "F")):
                raise DataError(f"{name} has more than 8 bits per pixel; convert it to 8 bits.")
            upright, alpha = on_white(ImageOps.exif_transpose(image))
            self.coloured = self.coloured or _is_coloured(upright)
            return np.asarray(upright.convert("L"), dtype=np.uint8), alpha

    def _of_another_size(self, name: str, shape: tuple[int, ...]) -> str:
        first, size = self.reference
        return (
            f"{name} is {shape[1]}×{shape[0]} pixels, but {first} is {size[1]}×{size[0]}; write a "
            f"copy of one size: {self._copy(size=(28, 28))}."
        )

    def _refusal(self) -> str:
        reasons = "; ".join(reason.rstrip(".") for reason in self.damaged)
        if len(self.damaged) == 1:
            what, them = reasons, "it"
        else:
            several = f"{self.where} holds {len(self.damaged)} pictures that can't be read"
            what, them = f"{several}: {reasons}", "them"
        return f"{what}; fix {them} or make a copy without {them}: {self._copy(skip_damaged=True)}."

    def _copy(self, **changes: Any) -> str:
        """The command that writes a copy, with an option more than are given already."""
        options = replace(self.options, **changes)
        words = ["fittingroom", "data", shlex.quote(str(self.named))]
        if options.size is not None:
            height, width = options.size
            words += ["--size", f"{width}" if height == width else f"{width}x{height}"]
        words += ["--skip-damaged"] * options.skip_damaged
        return " ".join([*words, "--convert", "COPY"])


def _is_coloured(picture: Image) -> bool:
    if picture.mode in ("1", "L", "LA"):
        return False
    channels = np.asarray(picture.convert("RGB"), dtype=np.int16)
    spread = channels.max(axis=2) - channels.min(axis=2)
    return float((spread > COLOURED_BY).mean()) > COLOURED_SHARE


def _require_room(
    where: Path,
    parts: Collection[StoredPart],
    size: tuple[int, int],
    pixel_bytes: int,
    *,
    is_chosen: bool,
) -> None:
    """Refuse more pixels than fit into memory, or than the files plausibly hold.

    A size that the user has chosen says nothing about the files.
    """
    pictures = [picture.content for part in parts for picture in part.pictures]
    needed = len(pictures) * math.prod(size) * pixel_bytes
    if needed < ALWAYS_ROOM:
        return
    files = {}
    for content in pictures:
        with suppress(OSError):  # that it can't be read is said when it is read
            status = os.stat(content) if isinstance(content, Path) else None
            if status is not None:
                files[status.st_dev, status.st_ino] = status.st_size
    on_disk = sum(files.values()) + sum(len(each) for each in pictures if isinstance(each, bytes))
    free = psutil.virtual_memory().available
    if not is_chosen and needed > MAX_GROWTH * on_disk:
        raise DataError(
            f"{where} holds {on_disk:,} bytes of pictures, which would become {needed:,}; that "
            "isn't a data set."
        )
    if needed > free:
        raise DataError(
            f"{where}: its {len(pictures):,} pictures of {size[1]}×{size[0]} pixels take "
            f"{needed:,} bytes of memory, but only {free:,} are free; make the pictures smaller."
        )
