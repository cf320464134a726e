from __future__ import annotations

import gzip
import shutil
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fittingroom.data import idx
from fittingroom.data.mapped import memory_map
from fittingroom.errors import DataError

IMAGES = np.random.RandomState(0).randint(0, 256, (12, 5, 4)).astype(np.uint8)
LABELS = np.arange(12, dtype=np.uint8) % 10

Edits = list[tuple[str, int, bytes]]


def idx_bytes(array: np.ndarray) -> bytes:
    """An IDX file, written here without the code under test."""
    magic = {1: 0x801, 3: 0x803}[array.ndim]
    return struct.pack(f">I{array.ndim}I", magic, *array.shape) + array.tobytes()


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(gzip.compress(content, mtime=0) if path.suffix == ".gz" else content)
    return path


@pytest.fixture(params=["plain", "plain.gz"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return tmp_path / str(request.param)


def test_reads_images_and_labels(path: Path) -> None:
    for array in (IMAGES, LABELS):
        read = idx.read_idx(write(path, idx_bytes(array)), array.ndim)
        np.testing.assert_array_equal(read, array)
        assert read.dtype == np.uint8
        assert not read.flags.writeable


def test_writes_the_documented_format(tmp_path: Path) -> None:
    idx.write_idx(tmp_path / "a", IMAGES)
    assert (tmp_path / "a").read_bytes() == idx_bytes(IMAGES)
    idx.write_idx(tmp_path / "b", np.asfortranarray(IMAGES))
    assert (tmp_path / "b").read_bytes() == idx_bytes(IMAGES)


def test_a_hash_is_that_of_the_decompressed_file(path: Path) -> None:
    write(path, idx_bytes(IMAGES))
    assert idx.file_sha256(path, 1000) == idx.array_sha256(IMAGES)
    with pytest.raises(DataError, match="holds more than 255 bytes"):
        idx.file_sha256(path, 255)
    assert idx.file_sha256(path, 256) == idx.array_sha256(IMAGES)


def test_real_data_is_read_as_it_is(small: Path) -> None:
    read = idx.read_folder(small)
    for name in idx.FILES:
        raw = gzip.decompress((small / f"{name}.gz").read_bytes())
        assert idx_bytes(read.arrays[name]) == raw
    assert np.bincount(read.arrays[idx.TRAIN_LABELS]).tolist() == [200] * 10


GOOD = idx_bytes(IMAGES)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"\0", "isn't an IDX file: it begins with 00"),
        (b"<!DOCTYPE html><p>Not found", "isn't an IDX file: it begins with 3c21444f"),
        (idx_bytes(LABELS), "begins with 00000801 instead of 00000803.; these look like labels"),
        (
            struct.pack(">5I", 0x804, 9, 28, 28, 3) + bytes(9),
            "4 dim.*convert colour images to grey",
        ),
        (
            struct.pack("<4I", 0x803, 9, 28, 28) + bytes(9),
            "isn't an IDX file: it begins with 030800",
        ),
        (gzip.compress(GOOD), "is compressed .*; (rename it to end in .gz|decompress it once)"),
        (GOOD[:3] + b"\4" + GOOD[4:], "begins with 00000804"),
        (GOOD[:9], "is truncated: its header ends after 9 bytes"),
        (GOOD[:-1], "is truncated: its header promises 240 bytes of data, it holds 239"),
        (GOOD[:16], "is truncated: .* it holds 0"),
        (GOOD + b"\0", "has trailing bytes after the 240"),
        (GOOD + GOOD, "has trailing bytes"),
        (struct.pack(">4I", 0x803, 0, 28, 28), "holds nothing: its header says 0 × 28 × 28"),
        (struct.pack(">4I", 0x803, 2**31, 0, 2**31), "holds nothing"),
        (
            struct.pack(">4I", 0x803, 2**32 - 1, 2**32 - 1, 2**32 - 1) + bytes(99),
            "is damaged or too large",
        ),
        (struct.pack(">4I", 0x803, 2**31, 2**31, 4) + bytes(99), "is damaged or too large"),
        (
            struct.pack(">4I", 0x803, 2**26, 28, 28)[:16] + bytes(99),
            "is truncated|is damaged or too large",
        ),
    ],
)
def test_refuses_what_is_malformed(
    path: Path, content: bytes, complaint: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(DataError, match=complaint) as refused:
        idx.read_idx(write(path, content), 3)
    assert str(refused.value).startswith(str(path))
    assert str(refused.value).count("\n") == 0

    path = path.with_name("mapped")
    monkeypatch.setattr(idx, "MAP_FROM", 0)
    with pytest.raises(DataError, match=complaint):
        idx.read_idx(write(path, content), 3)


def test_a_large_plain_file_is_mapped(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(path, GOOD)
    monkeypatch.setattr(idx, "MAP_FROM", len(GOOD) + 1)
    assert memory_map(idx.read_idx(path, 3)) is None
    monkeypatch.setattr(idx, "MAP_FROM", len(GOOD))
    read = idx.read_idx(path, 3)
    assert (memory_map(read) is None) == (path.suffix == ".gz")
    assert not read.flags.writeable
    np.testing.assert_array_equal(read, IMAGES)


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = write(tmp_path / "a", GOOD)
    with pytest.raises(struct.error):
        idx.write_idx(path, np.broadcast_to(np.uint8(0), (2**32, 1, 1)))
    assert path.read_bytes() == GOOD
    assert list(tmp_path.iterdir()) == [path]


def test_refuses_damaged_gzip(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    whole = gzip.compress(GOOD, mtime=0)
    for content, complaint in (
        (b"", "is empty"),
        (GOOD, "damaged gzip .*, or isn't compressed and needs a name without .gz"),
        (whole[:-1], "gzip stream has no end"),
        (whole[:-8], "gzip stream has no end"),
        (whole[:-8] + bytes(4) + whole[-4:], "incorrect data check"),
        (whole[:-4] + bytes(4), "incorrect length check"),
        (whole + b"\0", "trailing bytes after its gzip stream"),
        (whole + b"\x1fnonsense", "damaged gzip"),
        (whole + gzip.compress(b"\0"), "trailing bytes after the 240"),
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=complaint):
            idx.read_idx(path, 3)


def test_reads_gzip_files_of_several_members(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(GOOD[:100]) + gzip.compress(b"") + gzip.compress(GOOD[100:]))
    np.testing.assert_array_equal(idx.read_idx(path, 3), IMAGES)


def test_a_missing_file_is_named(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=f"{tmp_path} lacks t10k-labels-idx1-ubyte"):
        idx.read_folder(tmp_path)


def test_images_and_labels_differ_in_number(small: Path, tmp_path: Path) -> None:
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    shutil.copy(small / "t10k-labels-idx1-ubyte.gz", tmp_path / "train-labels-idx1-ubyte.gz")
    with pytest.raises(DataError, match=r"holds 2000 images, but .* holds 1000 labels"):
        idx.read_folder(tmp_path)


def test_the_splits_differ_in_image_size(tmp_path: Path) -> None:
    arrays = {
        idx.TRAIN_IMAGES: IMAGES,
        idx.TRAIN_LABELS: LABELS,
        idx.TEST_IMAGES: IMAGES[:, :4],
        idx.TEST_LABELS: LABELS,
    }
    for name, array in arrays.items():
        idx.write_idx(tmp_path / name, array)
    with pytest.raises(DataError, match=r"images of 5×4 pixels, but .* of 4×4"):
        idx.read_folder(tmp_path)


def test_an_unreadable_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read: no such file"):
        idx.read_idx(tmp_path / "absent", 3)


def test_a_plain_file_takes_precedence_over_a_compressed_one(tmp_path: Path) -> None:
    write(tmp_path / f"{idx.TRAIN_LABELS}.gz", b"")
    write(tmp_path / idx.TRAIN_LABELS, idx_bytes(LABELS))
    assert idx.find_files(tmp_path) == {idx.TRAIN_LABELS: tmp_path / idx.TRAIN_LABELS}


# Ten gigabytes in ten megabytes: a deflate block of a megabyte of zeros, ten thousand times.
PROMISES = {
    "nothing": b"",
    "a little": struct.pack(">4I", 0x803, 10, 28, 28),
    "two gigabytes": struct.pack(">4I", 0x803, 2**31 // 784, 28, 28),
    "all of it": struct.pack(">4I", 0x803, 10240 * 64, 32, 512),
}


def bomb(header: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    start = packer.compress(header) + packer.flush(zlib.Z_FULL_FLUSH)
    block = packer.compress(bytes(1 << 20)) + packer.flush(zlib.Z_FULL_FLUSH)
    return start + block * 10240 + packer.flush()


MEASURE = """
import resource, sys, time
from pathlib import Path
from fittingroom.data import idx
from fittingroom.data.mapped import memory_map
from fittingroom.errors import DataError
idle, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    idx.read_idx(Path(sys.argv[1]), int(sys.argv[2]))
except DataError as error:
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - idle
    print(time.perf_counter() - start, grown * 1024, error, sep="|")
"""


@pytest.mark.parametrize("promise", PROMISES)
def test_a_gzip_bomb_is_refused_quickly_and_in_little_memory(tmp_path: Path, promise: str) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(bomb(PROMISES[promise]))
    assert path.stat().st_size < 11e6
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path), "3"], capture_output=True, text=True, check=True
    )
    seconds, grown, message = done.stdout.split("|")
    assert float(seconds) < 1.0
    assert float(grown) < 64 << 20
    assert str(path) in message


def test_a_bomb_of_labels_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.gz"
    path.write_bytes(bomb(struct.pack(">2I", 0x801, 2**32 - 1)))
    start = time.perf_counter()
    with pytest.raises(DataError, match="is a gzip bomb"):
        idx.read_idx(path, 1)
    assert time.perf_counter() - start < 1.0


def test_a_promise_costs_no_memory(tmp_path: Path) -> None:
    import resource  # not on Windows

    path = write(tmp_path / "a", struct.pack(">4I", 0x803, 2**24, 64, 32) + bytes(1000))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(DataError, match="is truncated: its header promises 34359738368 bytes"):
        idx.read_idx(path, 3)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 32 << 10


# Thousands of mutated files: none crashes, none is silently accepted.

EDITS = st.lists(
    st.tuples(
        st.sampled_from(["set", "flip", "insert", "delete", "cut", "append", "double"]),
        st.one_of(st.integers(0, 24), st.integers(0, 400), st.integers(-16, -1)),
        st.binary(min_size=1, max_size=6),
    ),
    min_size=1,
    max_size=4,
)


def mutate(content: bytes, edits: Edits) -> bytes:
    for kind, where, extra in edits:
        at = where % (len(content) + 1)
        head, tail = content[:at], content[at:]
        content = {
            "set": head + extra + tail[len(extra) :],
            "flip": head + bytes(b ^ (1 << extra[0] % 8) for b in tail[:1]) + tail[1:],
            "insert": head + extra + tail,
            "delete": head + tail[len(extra) :],
            "cut": head,
            "append": content + extra,
            "double": head + head + tail,
        }[kind]
    return content


MANY = settings(
    max_examples=1000,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)


def check_mutant(path: Path, array: np.ndarray, content: bytes) -> None:
    """It is refused in one sentence, or what is read is byte for byte what the file says."""
    path.write_bytes(content)
    try:
        read = idx.read_idx(path, array.ndim)
    except DataError as refused:
        complaint = str(refused)
    else:
        complaint = ""
    if complaint:
        assert complaint.startswith(str(path))
        return
    decompressed = gzip.decompress(content) if path.suffix == ".gz" else content
    if decompressed[2] == 8:  # else its elements are of another type now
        assert idx_bytes(read) == decompressed


@MANY
@given(edits=EDITS)
@pytest.mark.parametrize("array", [IMAGES, LABELS], ids=["images", "labels"])
def test_mutated_plain_files(tmp_path: Path, array: np.ndarray, edits: Edits) -> None:
    check_mutant(tmp_path / "a", array, mutate(idx_bytes(array), edits))


@MANY
@given(edits=EDITS)
@pytest.mark.parametrize("array", [IMAGES, LABELS], ids=["images", "labels"])
def test_mutated_gzip_files(tmp_path: Path, array: np.ndarray, edits: Edits) -> None:
    whole = gzip.compress(idx_bytes(array), mtime=0)
    check_mutant(tmp_path / "a.gz", array, mutate(whole, edits))


@MANY
@given(edits=EDITS)
def test_mutated_files_in_sound_gzip(tmp_path: Path, edits: Edits) -> None:
    check_mutant(tmp_path / "a.gz", IMAGES, gzip.compress(mutate(GOOD, edits), 1, mtime=0))


def test_every_cut_and_every_flipped_bit_of_a_gzip_file(tmp_path: Path) -> None:
    path, whole = tmp_path / "a.gz", gzip.compress(idx_bytes(IMAGES[:3]), mtime=0)
    for end in range(len(whole)):
        path.write_bytes(whole[:end])
        with pytest.raises(DataError):
            idx.read_idx(path, 3)
    harmless = 0
    for bit in range(8 * len(whole)):
        mutant = bytearray(whole)
        mutant[bit // 8] ^= 1 << bit % 8
        path.write_bytes(mutant)
        try:
            read = idx.read_idx(path, 3)
        except DataError:
            continue
        harmless += 1  # the time, the system, padding: nothing about the content
        np.testing.assert_array_equal(read, IMAGES[:3])
    assert harmless < 80
