"""EMNIST as MATLAB's files have it, made of real garments: by SciPy, and by hand where it can't."""

from __future__ import annotations

import struct
import subprocess
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from fittingroom.data import idx, load_dataset
from fittingroom.data.forms import form_of
from fittingroom.data.mat_files import is_mat_file
from fittingroom.data.reading import AS_THEY_ARE
from fittingroom.errors import DataError
from fittingroom.untrusted import in_short

Arrays = dict[str, Any]
UINT8, DOUBLE = 9, 6
PARTS = [(split, name) for split in ("train", "test") for name in ("images", "labels")]


def arrays_of(folder: Path, n: int | None = None) -> Arrays:
    """What the files of EMNIST's letters hold: transposed rows, classes from 1, three columns."""
    data, dataset = load_dataset(folder), {}
    for split in ("train", "test"):
        part = getattr(data, split)
        dataset[split] = {
            "images": part.images[:n].transpose(0, 2, 1).reshape(-1, 784),
            "labels": (part.labels[:n, None] + 1).astype(np.uint8),
            "writers": np.full((len(part.labels[:n]), 1), 300, np.uint16),
        }
    mapping = [[label, 64 + label, 96 + label] for label in range(1, 11)]
    return {**dataset, "mapping": np.array(mapping, np.uint8)}


@pytest.fixture(scope="session")
def arrays(small: Path) -> Arrays:
    return arrays_of(small)


@pytest.fixture(scope="session")
def few(small: Path) -> Arrays:
    """A hundred images of each split."""
    return arrays_of(small, 100)


@pytest.fixture(scope="session")
def same(arrays: Arrays, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The content hash of the same data as IDX files of EMNIST."""
    return load_dataset(as_idx(arrays, tmp_path_factory.mktemp("idx"))).sha256


def as_idx(arrays: Arrays, folder: Path) -> Path:
    """Write arrays as IDX files of EMNIST; one of them."""
    for split in ("train", "test"):
        images, labels = (arrays[split][name] for name in ("images", "labels"))
        file = folder / f"emnist-letters-{split}-images-idx3-ubyte"
        idx.write_idx(file, images.reshape(-1, 28, 28))
        idx.write_idx(folder / f"emnist-letters-{split}-labels-idx1-ubyte", labels[:, 0])
    lines = (" ".join(map(str, row)) for row in arrays["mapping"].tolist())
    (folder / "emnist-letters-mapping.txt").write_text("\n".join(lines))
    return file


def saved(folder: Path, arrays: Any, name: str = "emnist-letters.mat", **options: Any) -> Path:
    savemat(folder / name, {"dataset": arrays}, **{"do_compression": True, **options})
    return folder / name


# --- MAT-files by hand ---------------------------------------------------------------------------


def element(order: str, kind: int, data: bytes) -> bytes:
    """A small one where the data fit into its tag."""
    if 0 < len(data) <= 4:
        return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def head(order: str, kind: int, shape: tuple[int, ...], name: bytes = b"", flags: int = 0) -> bytes:
    """What an array and a struct have in common."""
    return (
        element(order, 6, struct.pack(f"{order}II", flags << 8 | kind, 0))
        + element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape))
        + element(order, 1, name)
    )


def matrix(order: str, content: bytes) -> bytes:
    return struct.pack(f"{order}II", 14, len(content)) + content


def numbers(
    order: str,
    array: np.ndarray,
    kind: int = UINT8,
    stored: tuple[int, str] = (2, "u1"),
    flags: int = 0,
) -> bytes:
    """An array of a class, with its numbers in an element of another kind."""
    data = array.T.astype(order + stored[1]).tobytes()
    shape = array.shape
    return matrix(order, head(order, kind, shape, flags=flags) + element(order, stored[0], data))


def structure(order: str, fields: dict[str, bytes], name: bytes = b"", length: int = 32) -> bytes:
    names = b"".join(each.encode().ljust(length, b"\0") for each in fields)
    content = element(order, 5, struct.pack(f"{order}i", length)) + element(order, 1, names)
    return matrix(order, head(order, 2, (1, 1), name) + content + b"".join(fields.values()))


def file_of(order: str, variable: bytes, compressed: bool = False) -> bytes:
    mark = b"\x00\x01IM" if order == "<" else b"\x01\x00MI"
    if compressed:
        packed = zlib.compress(variable)
        variable = struct.pack(f"{order}II", 15, len(packed)) + packed
    return b"MATLAB 5.0 MAT-file, by hand".ljust(124) + mark + variable


def by_hand(
    arrays: Arrays, order: str = "<", *, part: dict[str, bytes] | None = None, **fields: bytes
) -> bytes:
    """The variable, with other elements in place of some of the training part or of the struct."""
    parts = {
        split: {name: numbers(order, arrays[split][name]) for name in ("images", "labels")}
        for split in ("train", "test")
    }
    parts["train"] |= part or {}
    whole = {split: structure(order, each) for split, each in parts.items()}
    whole["mapping"] = numbers(order, arrays["mapping"])
    return structure(order, {**whole, **fields}, b"dataset")


# --- What is read --------------------------------------------------------------------------------


@pytest.mark.parametrize("compressed", [True, False])
def test_letters(compressed: bool, arrays: Arrays, same: str, small: Path, tmp_path: Path) -> None:
    path = saved(tmp_path, arrays, do_compression=compressed)
    data, known = load_dataset(path), load_dataset(small)
    np.testing.assert_array_equal(data.train.images, known.train.images)
    np.testing.assert_array_equal(data.test.labels, known.test.labels)
    assert data.class_names == ("Aa", "Bb", "Cc", "Dd", "Ee", "Ff", "Gg", "Hh", "Ii", "Jj")
    assert (data.name, data.sha256) == ("emnist-letters", same)
    assert data.source == f"{path}, a MATLAB file as EMNIST's"


def test_a_copy_as_idx_files(
    arrays: Arrays,
    same: str,
    tmp_path: Path,
    run_cli: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    done = run_cli("data", str(saved(tmp_path, arrays)), "--convert", "converted")
    assert done.returncode == 0, done.stderr
    assert load_dataset(tmp_path / "converted").sha256 == same


def test_the_name_of_the_file_says_whether_images_are_transposed(
    arrays: Arrays, small: Path, tmp_path: Path
) -> None:
    known = load_dataset(small).train.images
    upright = load_dataset(saved(tmp_path, arrays, "garments.mat")).train.images
    np.testing.assert_array_equal(upright, known.transpose(0, 2, 1))


def test_an_archive(arrays: Arrays, same: str, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "matlab.zip", "w") as archive:
        archive.write(saved(tmp_path, arrays), "matlab/emnist-letters.mat")
        archive.writestr("__MACOSX/matlab/._emnist-letters.mat", "")
    data = load_dataset(tmp_path / "matlab.zip")
    assert (data.sha256, data.name) == (same, "emnist-letters")
    assert "an archive of a MATLAB file as EMNIST's" in data.source


def test_several_in_an_archive(arrays: Arrays, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "matlab.zip", "w") as archive:
        for name in ("emnist-letters", "emnist-digits"):
            archive.write(saved(tmp_path, arrays), f"matlab/{name}.mat")
    with pytest.raises(DataError, match=r"emnist-digits.mat and .* are different data sets"):
        load_dataset(tmp_path / "matlab.zip")


def test_without_mapping_and_writers(arrays: Arrays, small: Path, tmp_path: Path) -> None:
    for split in ("train", "test"):
        arrays = {**arrays, split: {**arrays[split]}}
        del arrays[split]["writers"]
    known = load_dataset(small)
    for name, mapping in (("absent", {}), ("empty", {"mapping": np.zeros((0, 3))})):
        kept = {key: arrays[key] for key in ("train", "test")} | mapping
        data = load_dataset(saved(tmp_path, kept, f"emnist-{name}.mat"))
        np.testing.assert_array_equal(data.train.labels, known.train.labels)
        assert data.class_names == tuple(str(label) for label in range(1, 11))


@pytest.mark.parametrize("dtype", ["f8", "f4", "i1", "i2", "u2", "i4", "u4", "i8", "u8"])
def test_labels_of_every_type(dtype: str, arrays: Arrays, same: str, tmp_path: Path) -> None:
    changed = {**arrays, "mapping": arrays["mapping"].astype(dtype)}
    for split in ("train", "test"):
        labels = arrays[split]["labels"].astype(dtype)
        changed[split] = {**arrays[split], "labels": labels, "writers": np.array([["a"]], object)}
    assert load_dataset(saved(tmp_path, changed)).sha256 == same


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compressed", [True, False])
def test_both_orders_of_bytes(
    order: str, compressed: bool, arrays: Arrays, same: str, tmp_path: Path
) -> None:
    """With labels as MATLAB stores doubles, in the smallest type that holds them."""
    labels = numbers(order, arrays["train"]["labels"], DOUBLE, (4, "u2"))
    variable = by_hand(arrays, order, part={"labels": labels})
    path = tmp_path / "emnist-letters.mat"
    path.write_bytes(file_of(order, variable, compressed))
    assert load_dataset(path).sha256 == same


def test_small_elements_and_logical_pixels(small: Path, tmp_path: Path) -> None:
    """Four labels fit into their tag. What is logical has bytes, here with more than 0 and 1."""
    arrays = arrays_of(small, 4)
    images = numbers("<", arrays["train"]["images"], flags=2)
    path = tmp_path / "emnist-letters.mat"
    path.write_bytes(file_of("<", by_hand(arrays, part={"images": images})))
    read = form_of(path).read(path, AS_THEY_ARE)
    assert read.parts["train"].labels.shape == (4,)
    np.testing.assert_array_equal(
        read.parts["train"].images.transpose(0, 2, 1).reshape(4, 784), arrays["train"]["images"]
    )


def test_it_is_known_by_its_content(few: Arrays, tmp_path: Path) -> None:
    path = saved(tmp_path, few)
    renamed = path.rename(tmp_path / "emnist-letters")
    assert is_mat_file(renamed)
    assert len(load_dataset(renamed).train) == 100
    (tmp_path / "other").write_text("MATLAB")
    assert not is_mat_file(tmp_path / "other")
    assert not is_mat_file(tmp_path)


# --- What is refused -----------------------------------------------------------------------------


def refusal(path: Path) -> str:
    """What is said of a file, which must be a sentence that names it."""
    with pytest.raises(DataError) as refused:
        load_dataset(path)
    said = str(refused.value)
    assert said.startswith(str(path))
    assert "\n" not in said
    assert said.endswith(".")
    return said


def of_part(arrays: Arrays, **changes: Any) -> Arrays:
    part = {**arrays["train"], **changes}
    return {**arrays, "train": {name: each for name, each in part.items() if each is not None}}


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda a: np.zeros(3), "dataset isn't a single struct"),
        (lambda a: {**a, "train": np.zeros(3)}, "dataset.train isn't a single struct"),
        (lambda a: {"train": a["train"]}, "dataset lacks test"),
        (lambda a: of_part(a, labels=None), "dataset.train lacks labels"),
        (lambda a: {**a, "val": a["test"]}, "dataset has 'val' too; keep one each of train, test"),
        (lambda a: of_part(a, images=np.zeros((3, 4), object)), "images is a cell array; turn"),
        (lambda a: of_part(a, images={"a": 1}), "dataset.train.images isn't an array of numbers"),
        (lambda a: of_part(a, labels="abc"), "dataset.train.labels is text; turn it"),
        (lambda a: of_part(a, labels=a["train"]["labels"] * 1j), "complex numbers; turn them"),
        (lambda a: of_part(a, images=np.zeros((9, 784))), "holds numbers of float64; turn them in"),
        (lambda a: of_part(a, images=np.zeros((9, 28, 28), "u1")), "has 3 dimensions; reshape"),
        (lambda a: of_part(a, images=np.zeros((9, 783), "u1")), "of shape (9, 783); turn rows"),
        (lambda a: of_part(a, images=np.zeros((9, 784), "u1")), "100 labels for 9 images"),
        (lambda a: of_part(a, labels=np.eye(100, dtype="u1")), "labels has 100 columns; give each"),
        (lambda a: of_part(a, labels=a["train"]["labels"].T), "labels has 100 columns; give each"),
        (lambda a: of_part(a, labels=np.full((100, 1), 0.5)), "labels must be whole numbers"),
        (lambda a: of_part(a, labels=np.full((100, 1), np.nan)), "labels must be whole numbers"),
        (lambda a: {**a, "mapping": a["mapping"][:9]}, "has the label 10, which its mapping does"),
        (lambda a: {**a, "mapping": a["mapping"][:, :1]}, "dataset.mapping is 10 × 1; give each"),
        (lambda a: {**a, "mapping": np.zeros((40000, 2), "u1")}, "dataset.mapping is 40000 × 2"),
        (lambda a: {**a, "mapping": a["mapping"] + 0.5}, "mapping, row 1: expected a label"),
        (lambda a: {**a, "mapping": a["mapping"] * np.inf}, "mapping, row 1: expected a label"),
        (lambda a: {**a, "mapping": a["mapping"] * -1.0}, "mapping, row 1: expected a label"),
        (lambda a: {**a, "mapping": a["mapping"] * [1, 0, 0]}, r"'\x00\x00' can't be a class name"),
    ],
)
def test_other_content(
    change: Callable[[Arrays], Any], complaint: str, few: Arrays, tmp_path: Path
) -> None:
    for compressed in (True, False):
        path = saved(tmp_path, change(few), do_compression=compressed)
        assert complaint in refusal(path)


def test_other_variables(few: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "emnist-letters.mat"
    savemat(path, {"data": few})
    assert "its variable is 'data', not dataset; rename it" in refusal(path)
    savemat(path, {"dataset": few, "more": 1})
    assert "it holds more than the variable dataset; load it and save it anew" in refusal(path)
    savemat(path, {})
    assert "it holds no variable" in refusal(path)


def test_other_levels(few: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "emnist-letters.mat"
    savemat(path, {"dataset": few["train"]["images"]}, format="4")
    again = "load it and save it anew by save(FILE, 'dataset', '-v7')"
    assert f"isn't a MATLAB file of level 5; {again}" in refusal(path)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    (tmp_path / "large").write_bytes(header.ljust(512, b"\0") + b"\x89HDF\r\n\x1a\n")
    assert f"is a file of MATLAB 7.3 (HDF5); {again}" in refusal(tmp_path / "large")
    for content in (b"no MATLAB", file_of("<", b"")[:-1]):
        path.write_bytes(content)
        assert "isn't a MATLAB file of level 5" in refusal(path)
    path.write_bytes(file_of("<", b"\x0e"))
    assert "can't be read" in refusal(path)
    path.write_bytes(b"")
    assert "is empty" in refusal(path)


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (3, "dataset.train.labels is an object; turn it into a struct"),
        (5, "dataset.train.labels is sparse; turn it into numbers by full"),
        (16, "dataset.train.labels is a function handle; remove it"),
        (17, "dataset.train.labels is an object; turn it into a struct"),
        (99, "dataset.train.labels isn't an array of numbers"),
    ],
)
def test_classes_that_scipy_does_not_write(
    kind: int, complaint: str, few: Arrays, tmp_path: Path
) -> None:
    path = tmp_path / "emnist-letters.mat"
    labels = numbers("<", few["train"]["labels"], kind)
    path.write_bytes(file_of("<", by_hand(few, part={"labels": labels})))
    assert complaint in refusal(path)


def wrong_elements(few: Arrays) -> dict[str, bytes]:
    """Variables that contradict themselves, by what is said of them."""
    labels = few["train"]["labels"]
    whole = by_hand(few)
    twice = whole.replace(b"labels".ljust(32, b"\0"), b"images".ljust(32, b"\0"), 1)

    def of_labels(content: bytes) -> bytes:
        return by_hand(few, part={"labels": content})

    return {
        "dataset.train has 'images' twice": twice,
        "images holds numbers that aren't uint8": by_hand(
            few, part={"images": numbers("<", few["train"]["images"], UINT8, (1, "i1"))}
        ),
        "labels holds numbers that aren't uint8": of_labels(
            numbers("<", labels * np.nan, UINT8, (9, "f8"))
        ),
        "labels holds numbers that aren't float32": of_labels(
            numbers("<", labels * 1e300, 7, (9, "f8"))
        ),
        "dataset.train.labels is 100 × 1, but has 200 bytes": of_labels(
            numbers("<", labels, UINT8, (2, "u2"))
        ),
        "dataset.train.labels is 99 × 2, but has 100 bytes": of_labels(
            matrix("<", head("<", UINT8, (99, 2)) + element("<", 2, bytes(100)))
        ),
        "dataset.train.labels is -4 × -25, but has 100 bytes": of_labels(
            matrix("<", head("<", UINT8, (-4, -25)) + element("<", 2, bytes(100)))
        ),
        "dataset.train.labels is 100 × 1, but has 104 bytes": of_labels(
            matrix("<", head("<", UINT8, (100, 1)) + element("<", 8, bytes(104)))
        ),
        "labels doesn't have the size that it says": of_labels(
            matrix("<", head("<", UINT8, (8, 1)) + element("<", 2, bytes(8)) + bytes(8))
        ),
        "an element is larger than what it lies in": of_labels(matrix("<", bytes(4))),
        "labels isn't an array": of_labels(element("<", 2, bytes(8))),
        "a small element is too large": of_labels(matrix("<", b"\6\0\5\0" + bytes(12))),
        "an element of integers has 4 bytes": of_labels(matrix("<", element("<", 6, bytes(4)))),
        "200 bytes stand where 8 may": of_labels(matrix("<", element("<", 6, bytes(200)))),
        "dataset.train.labels has 1 dimensions": of_labels(matrix("<", head("<", UINT8, (8,)))),
        "labels has 0 columns": of_labels(matrix("<", b"")),
        "the fields of dataset have names of 0 bytes": structure("<", {}, b"dataset", 0),
        "or a zlib bomb: dataset.train.labels claims 4,294,967,288 bytes": of_labels(
            struct.pack("<II", 14, 2**32 - 8)
        ),
    }


def test_elements_that_contradict_themselves(few: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "emnist-letters.mat"
    for complaint, variable in wrong_elements(few).items():
        for compressed in (False, True):
            path.write_bytes(file_of("<", variable, compressed))
            assert complaint in refusal(path)


def test_a_struct_that_says_nothing(few: Arrays, tmp_path: Path) -> None:
    """As MATLAB writes an empty array."""
    path = tmp_path / "emnist-letters.mat"
    path.write_bytes(file_of("<", matrix("<", b"")))
    assert "an element is larger than what it lies in" in refusal(path)
    path.write_bytes(file_of("<", by_hand(few, mapping=matrix("<", b""))))
    assert load_dataset(path).class_names == tuple(str(label) for label in range(1, 11))


def test_bytes_after_the_variable(few: Arrays, tmp_path: Path) -> None:
    path = tmp_path / "emnist-letters.mat"
    path.write_bytes(file_of("<", by_hand(few) + b"x", compressed=True))
    assert "bytes are left after its variable" in refusal(path)


def test_structs_in_structs_without_an_end(few: Arrays, tmp_path: Path) -> None:
    """Nothing is followed deeper than EMNIST's structs."""
    inner = numbers("<", few["train"]["labels"])
    for _ in range(2000):
        inner = structure("<", {"images": inner})
    path = tmp_path / "emnist-letters.mat"
    path.write_bytes(file_of("<", by_hand(few, part={"images": inner}), compressed=True))
    assert "dataset.train.images isn't an array of numbers" in refusal(path)


def test_a_bomb(few: Arrays, tmp_path: Path) -> None:
    """It is refused by what it says, before it is unpacked."""
    path = tmp_path / "emnist-letters.mat"
    head = struct.pack("<II", 14, 2**29)
    path.write_bytes(file_of("<", head + bytes(2**20), compressed=True))
    said = refusal(path)
    assert "zlib bomb: dataset claims 536,870,912 bytes where 268,435,448 may be" in said
    assert "save it by -v6" in said


def test_cut_anywhere(few: Arrays, tmp_path: Path) -> None:
    for compressed in (True, False):
        path = saved(tmp_path, few, do_compression=compressed)
        whole = path.read_bytes()
        for end in [*range(0, 400, 7), *range(400, len(whole), len(whole) // 40)]:
            path.write_bytes(whole[:end])
            refusal(path)
        path.write_bytes(whole + b"\0")
        assert "more than the variable dataset" in refusal(path)


def test_a_wrong_checksum(few: Arrays, tmp_path: Path) -> None:
    path = saved(tmp_path, few)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert "its data can't be unpacked (Error -3 while decompressing data: inc" in refusal(path)


def beside_the_data(whole: bytes, arrays: Arrays) -> np.ndarray:
    """Places in a file that isn't compressed where no pixel, label or mapping is."""
    free = np.ones(len(whole), bool)
    for array in (arrays["mapping"], *(arrays[s][x] for s, x in PARTS)):
        column = array.T.tobytes()
        start = whole.index(column)
        free[start : start + len(column)] = False
    return np.flatnonzero(free)


@pytest.mark.parametrize("kind", ["compressed", "plain", "big-endian", "data"])
def test_mutants(
    kind: str, few: Arrays, complaint_about: Callable[[Path], str], tmp_path: Path
) -> None:
    """Each is refused in a sentence or is the same data; only a pixel or label can't be told."""
    path = saved(tmp_path, few, do_compression=kind == "compressed")
    if kind == "big-endian":
        path.write_bytes(file_of(">", by_hand(few, ">")))
    whole, sha256 = path.read_bytes(), load_dataset(path).sha256
    places, random = np.arange(len(whole)), np.random.default_rng(1)
    if kind in ("plain", "big-endian"):
        places = beside_the_data(whole, few)
    refused = 0
    for number in range(250):
        mutant = bytearray(whole)
        for place in random.choice(places, 1 + number % 3):
            mutant[place] = random.integers(256) if number % 2 else mutant[place] ^ 1
        path.write_bytes(mutant)
        said = complaint_about(path)
        refused += bool(said)
        assert not said or path.name in said
        assert said or kind == "data" or load_dataset(path).sha256 == sha256
    assert refused > (0 if kind == "data" else 80)


def test_remedies_are_not_cut_off() -> None:
    """The longest sentence of the reader fits into what is shown of an error."""
    said = f"it is damaged or a zlib bomb: dataset.train.images claims {2**32:,} bytes where "
    said += f"{2**40:,} may be; if you trust it, load it and save it by -v6"
    assert in_short(ValueError(said)) == said
