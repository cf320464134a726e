"""decode.py: pictures of every kind are read as they look; any other file is one sentence."""

from __future__ import annotations

import io
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fittingroom.data import load_dataset
from fittingroom.data.decode import MAX_PIXELS, decode
from fittingroom.errors import DataError

RED, BLUE = (220, 30, 30), (30, 30, 220)


def two_colours() -> Image.Image:
    """Red on the left, blue on the right, 60 × 40."""
    image = Image.new("RGB", (60, 40), RED)
    image.paste(BLUE, (30, 0, 60, 40))
    return image


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def looks_right(pixels: np.ndarray, tolerance: int = 12) -> bool:
    left, right = pixels[5:-5, 5:25], pixels[5:-5, 35:55]
    return bool(np.all(np.abs(left.astype(int) - RED) <= tolerance)) and bool(
        np.all(np.abs(right.astype(int) - BLUE) <= tolerance)
    )


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_the_three_formats(kind: str, tmp_path: Path) -> None:
    data = encoded(two_colours(), kind, quality=95)
    picture = decode(data)
    assert picture.pixels.shape == (40, 60, 3)
    assert picture.pixels.dtype == np.uint8
    assert picture.opaque is None
    assert looks_right(picture.pixels)
    (tmp_path / "name.txt").write_bytes(data)  # the content decides what a file is, not its name
    np.testing.assert_array_equal(decode(tmp_path / "name.txt").pixels, picture.pixels)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_camera_held_any_way(orientation: int) -> None:
    turned = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    image = two_colours()
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = image.transpose(turned[orientation]) if orientation in turned else image
    assert looks_right(decode(encoded(stored, "JPEG", exif=exif, quality=95)).pixels)


def test_transparent_pictures_lie_on_white() -> None:
    image = two_colours().convert("RGBA")
    image.paste((0, 0, 0, 0), (0, 0, 60, 10))
    for kind in ("PNG", "WEBP"):
        picture = decode(encoded(image, kind, lossless=True))
        assert picture.opaque is not None
        assert not picture.opaque[:9].any()
        assert picture.opaque[12:].all()
        assert (picture.pixels[:9] == 255).all()
    assert decode(encoded(two_colours().convert("RGBA"), "PNG")).alpha is None


def test_palettes_with_and_without_a_hole() -> None:
    image = two_colours().quantize(4)
    assert looks_right(decode(encoded(image, "PNG")).pixels)
    hole = image.getpixel((5, 5))
    picture = decode(encoded(image, "PNG", transparency=hole))
    assert picture.opaque is not None
    assert not picture.opaque[:, :30].any()
    assert picture.opaque[:, 30:].all()


def test_sixteen_bits_of_grey() -> None:
    ramp = np.linspace(0, 65535, 256).astype(np.uint16)[None].repeat(8, axis=0)
    pixels = decode(encoded(Image.fromarray(ramp), "PNG")).pixels
    np.testing.assert_allclose(pixels[0, :, 0], np.arange(256), atol=1)
    assert (pixels[..., 0] == pixels[..., 2]).all()


def test_grey_one_bit_and_cmyk() -> None:
    assert decode(encoded(Image.new("L", (9, 9), 77), "PNG")).pixels[4, 4].tolist() == [77] * 3
    assert decode(encoded(Image.new("1", (9, 9), 1), "PNG")).pixels[4, 4].tolist() == [255] * 3
    grey = decode(encoded(Image.new("LA", (9, 9), (90, 255)), "PNG"))
    assert grey.pixels[4, 4].tolist() == [90] * 3
    cmyk = decode(encoded(two_colours().convert("CMYK"), "JPEG", quality=95))
    assert looks_right(cmyk.pixels, 40)


def test_the_first_frame_of_a_moving_picture() -> None:
    frames = [two_colours(), Image.new("RGB", (60, 40), "green")]
    for kind in ("PNG", "WEBP"):
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        assert looks_right(decode(data).pixels)


def test_large_pictures_are_shrunk() -> None:
    for kind in ("PNG", "JPEG"):
        pixels = decode(encoded(two_colours().resize((3000, 2000)), kind), longest=600).pixels
        assert pixels.shape == (400, 600, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 10_000), (10_000, 1), (3, 2)])
def test_strange_sizes(size: tuple[int, int]) -> None:
    picture = decode(encoded(Image.new("RGB", size, "red"), "PNG"))
    assert picture.pixels.size
    assert picture.pixels.reshape(-1, 3)[0].tolist() == [255, 0, 0]


def png(width: int, height: int, rows: bytes = b"") -> bytes:
    """A PNG that claims this size, whatever it holds."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    size = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = chunk(b"IHDR", size), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


@pytest.mark.parametrize("size", [(7_072, 7_071), (60_000, 60_000), (2**31 - 1, 2**31 - 1)])
def test_a_picture_that_is_too_large_is_not_decoded(size: tuple[int, int]) -> None:
    assert size[0] * size[1] > MAX_PIXELS
    with pytest.raises(DataError, match=r"more than 50,000,000|exceeds limit"):
        decode(png(*size))


def test_damaged_files_and_other_files_are_refused(tmp_path: Path) -> None:
    whole = encoded(two_colours(), "PNG")
    jpeg = encoded(two_colours().resize((600, 400)), "JPEG")
    for data in (whole[: len(whole) // 2], whole[:20], jpeg[:300], png(50, 50), png(0, 5)):
        with pytest.raises(DataError, match=r"can't be read|isn't a PNG"):
            decode(data)
    others = [encoded(two_colours(), kind) for kind in ("GIF", "BMP", "TIFF", "PPM")]
    for data in (*others, b"", b"text", b"%PDF-1.4", b"<svg/>", bytes(1000)):
        with pytest.raises(DataError, match="isn't a PNG, JPEG or WebP picture"):
            decode(data)
    with pytest.raises(DataError, match="can't be read"):
        decode(tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="is a folder, not a file"):
        decode(tmp_path)


def test_random_damage_is_a_data_error() -> None:
    rng = np.random.default_rng(0)
    for kind in ("PNG", "JPEG", "WEBP"):
        whole = encoded(two_colours(), kind)
        for _ in range(100):
            data = bytearray(whole)
            for place in rng.integers(len(data), size=3):
                data[place] = rng.integers(256)
            try:
                assert decode(bytes(data)).pixels.ndim == 3
            except DataError:
                continue


def test_too_many_scans_are_refused(tmp_path: Path) -> None:
    """A progressive JPEG is decoded once for each of its scans."""
    plain = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8)
    Image.fromarray(noise).save(plain, "JPEG", progressive=True)
    data = plain.getvalue()
    scans = data.count(b"\xff\xda")
    assert 5 < scans < 20
    assert decode(data).pixels.shape == (300, 400, 3)
    last = data.rindex(b"\xff\xda")
    endless = data[:last] + data[last:-2] * 300 + data[-2:]
    frames = b"MPF\0II*\0\x08\0\0\0\x01\0\x01\xb0\x04\0\x01\0\0\0\x02\0\0\0\0\0\0\0"
    of_two = data[:2] + b"\xff\xe2" + (len(frames) + 2).to_bytes(2) + frames + endless[2:]
    hidden = data[:last] + (b"\xff\x01" + data[last:-2]) * 300 + data[-2:]
    for jpeg in (endless, of_two, hidden):
        began = time.perf_counter()
        with pytest.raises(
            DataError, match=f"has {scans + 299} scans; save it as an ordinary JPEG"
        ):
            decode(jpeg)
        assert time.perf_counter() - began < 1


def test_ordinary_large_pictures_are_accepted(tmp_path: Path) -> None:
    """Compressed bytes may contain anything, and a film may follow a photo."""
    noise = np.random.default_rng(0).integers(0, 255, (2500, 2400, 3), np.uint8)
    large = encoded(Image.fromarray(noise), "PNG")
    assert large.count(b"\xff\xda") > 100
    assert decode(large).pixels.shape[2] == 3
    photo = encoded(Image.fromarray(noise[:300, :400]), "JPEG")
    assert decode(photo + b"\xff\xda" * 10_000).pixels.shape == (300, 400, 3)


def test_a_flipped_bit_of_a_png_never_changes_the_picture(small: Path) -> None:
    """Its checksums say so; Pillow verifies them only when it is asked to."""
    image, random, refused = load_dataset(small).train.images[0], np.random.RandomState(0), 0
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    for _ in range(500):
        mutant = bytearray(file.getvalue())
        mutant[random.randint(len(mutant))] ^= 1 << random.randint(8)
        try:
            picture = decode(bytes(mutant))
        except DataError:
            refused += 1
            continue
        np.testing.assert_array_equal(picture.grey, image)
    assert refused > 450
