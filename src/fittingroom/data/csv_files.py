"""Read a data set from CSV files as Kaggle has them: one row per image, label and pixels.

The label may be the first column or the last, a number or text; there may be a header. Files may be
compressed (`.csv.gz`). Numbers are parsed by NumPy, a few thousand rows at a time.
"""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from math import isqrt
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.pixels import images_of, labels_of
from fittingroom.data.reading import (
    COMPRESSED_COPY,
    LONGEST_LABEL,
    UNSPLIT,
    RawSplit,
    Reading,
    is_transposed,
    split_of,
    with_split,
)
from fittingroom.data.stream import CHUNK, Read, open_stream
from fittingroom.errors import DataError, InputError

#: Names of the column with the label, in lower case.
LABEL_COLUMNS = ("label", "labels", "class", "target", "y")
#: Rows parsed at once, and the longest line: 1,000,000 pixels have fewer characters.
ROWS, LONGEST_LINE = 2000, 1 << 22

#: The number of a line, from 1, and its text.
Line = tuple[int, str]

logger = logging.getLogger("fittingroom.data")


def is_csv_file(path: Path) -> bool:
    """Whether a path is a `.csv` or `.csv.gz` file."""
    return os.path.isfile(path) and path.name.lower().endswith((".csv", ".csv.gz"))


def is_csv_folder(path: Path) -> bool:
    """Whether a folder holds CSV files of both splits."""
    splits = {split_of(_stem(file)) for file in _files(path)} if os.path.isdir(path) else set()
    return splits >= {"train", "test"}


def read_csv_file(path: Path) -> Reading:
    """Read `NAME_train.csv`, the `NAME_test.csv` beside it and perhaps a `NAME_validation.csv`.

    Of a file and its compressed copy the former is read, unless the path is that of the latter. A
    test file without labels, as of Kaggle's competitions, can't score, so the data are without a
    split then, as those of a single file are.

    Parameters
    ----------
    path : any of them, or a single file whose name says no split

    Raises
    ------
    DataError : another one is missing, or a file isn't a table of labels and pixels
    """
    own = split_of(_stem(path))
    if own is None:
        return Reading({UNSPLIT: _read_part(path, None)})
    alike = [file for file in _files(path.parent) if _name(file) == _name(path)]
    files = {**_by_split(file for file in alike if split_of(_stem(file)) != own), own: path}
    if missing := [split for split in ("train", "test") if split not in files]:
        raise DataError(
            f"{path} has no {missing[0]} split beside it; put {with_split(path.name, missing[0])} "
            "into the same folder."
        )
    # The user named one of them, which may be a link to anywhere.
    return _read(files, lambda file: None if file == path else path.parent)


def read_csv_folder(path: Path) -> Reading:
    """Read the only file of each split in a folder; copies and errors as of `read_csv_file`."""
    return _read(_by_split(_files(path)), lambda _: path)


def read_csv_images(path: Path) -> NDArray[np.uint8]:
    """The images of a CSV file, (n, h, w); a column with labels or numbers beside them is left out.

    Raises DataError if it isn't a table of square images.
    """
    pixels, _ = _read_table(path, None, labelled=_has_labels(path, None))
    return _as_images(path, pixels)


def _by_split(files: Iterable[Path]) -> dict[str, Path]:
    """The file of each split."""
    by_split: dict[str, Path] = {}
    for file in files:
        split = split_of(_stem(file))
        if split in by_split and _stem(by_split[split]) == _stem(file):
            logger.info(COMPRESSED_COPY, by_split[split], file.name)
        elif split in by_split:
            raise DataError(
                f"{by_split[split]} and {file} both look like the {split} split; give the path of "
                "the one that you mean."
            )
        elif split is not None:
            by_split[split] = file
    return by_split


def _files(folder: Path) -> list[Path]:
    """The CSV files of a folder, those that aren't compressed first."""
    files = (e for e in folder.iterdir() if is_csv_file(e) and not e.name.startswith("."))
    return sorted(files, key=lambda file: (file.suffix.lower() == ".gz", file))


def _stem(path: Path) -> str:
    return re.sub(r"\.csv(\.gz)?$", "", path.name, flags=re.I)


def _name(path: Path) -> list[str]:
    """The words of a file's name, without that for its split."""
    return re.split(r"[^a-z0-9]+", with_split(_stem(path).lower(), ""))


def _read(files: Mapping[str, Path], within: Callable[[Path], Path | None]) -> Reading:
    if not _has_labels(files["test"], within(files["test"])):
        logger.info("%s has no labels, so it isn't the test split", files["test"])
        return Reading({UNSPLIT: _read_part(files["train"], within(files["train"]))})
    return Reading({split: _read_part(file, within(file)) for split, file in files.items()})


def _has_labels(path: Path, within: Path | None) -> bool:
    """Whether a file has a column besides the pixels of a square image; true if it has neither."""
    with open_stream(path, within) as read:
        _, line = next(_lines(path, read), (0, ""))
    n = line.count(",") + 1
    return n == 1 or _is_square(n - 1) or not _is_square(n)


def _read_part(path: Path, within: Path | None) -> RawSplit:
    pixels, labels = _read_table(path, within)
    images = _as_images(path, pixels)
    try:
        return RawSplit(images, labels_of(_numbers(labels), "its labels"), path)
    except InputError as error:
        raise DataError(f"{path}: {error}") from error


def _as_images(path: Path, pixels: NDArray[Any]) -> NDArray[np.uint8]:
    """Rows of pixels as images; EMNIST's are transposed."""
    try:
        images = images_of(pixels, "its images")
    except InputError as error:
        raise DataError(f"{path}: {error}") from error
    return np.ascontiguousarray(images.transpose(0, 2, 1) if is_transposed(path.name) else images)


def _read_table(
    path: Path, within: Path | None, *, labelled: bool = True
) -> tuple[NDArray[Any], NDArray[np.str_]]:
    """The pixels (n, h * w) and the labels (n,) of a file; labels are empty unless `labelled`."""
    pixels: list[NDArray[Any]] = []
    labels: list[NDArray[np.str_]] = []
    with open_stream(path, within) as read:
        lines = _lines(path, read)
        first = next(lines, None)
        if first is None:
            raise DataError(f"{path} is empty.")
        header = _is_header(first[1])
        rows = ([] if header else [first]) + list(islice(lines, ROWS))
        columns = first[1].split(",")
        column = _label_column(path, columns, header, rows) if labelled else None
        while rows:
            images, names = _parse(path, rows, column, len(columns) - labelled)
            pixels.append(images)
            labels.append(np.array(names))
            rows = list(islice(lines, ROWS))
    if not pixels:
        raise DataError(f"{path} has a header and no rows.")
    return np.concatenate(pixels), np.concatenate(labels)


def _numbers(labels: NDArray[np.str_]) -> NDArray[Any]:
    """Labels as numbers if all are, else as text."""
    try:
        return labels.astype(np.float64)
    except ValueError:
        return labels


def _lines(path: Path, read: Read) -> Iterator[Line]:
    """The lines of a file that aren't empty."""
    rest, number = b"", 0
    while chunk := read(CHUNK):
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            number += 1
            if line.strip():
                yield number, _text(path, line)
        if len(rest) > LONGEST_LINE:
            raise DataError(f"{path} isn't a CSV file of images: a line is too long.")
    if rest.strip():
        yield number + 1, _text(path, rest)


def _text(path: Path, line: bytes) -> str:
    try:
        return line.decode("utf-8-sig").strip().replace('"', "")
    except UnicodeDecodeError:
        raise DataError(f"{path} isn't a CSV file: it isn't UTF-8 text.") from None


def _is_header(line: str) -> bool:
    """Whether a line names the columns: more than the label isn't a number."""
    return not all(_is_number(field) for field in line.split(",")[1:-1])


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _label_column(path: Path, first: list[str], is_header: bool, rows: list[Line]) -> int:
    """Which column is the label: 0, or -1 for the last.

    Where no header says it, it is the one of the two whose commonest value is less common: corners
    of images are mostly background.
    """
    n = len(first)
    if not _is_square(n - 1):
        if _is_square(n):
            raise DataError(f"{path} has no labels: its {n} columns are pixels alone.")
        raise DataError(
            f"{path} has {n} columns, so {n - 1} pixels; only square images can be read from rows."
        )
    names = [name.strip().lower() for name in first] if is_header else []
    for column in (0, -1):
        if names and names[column] in LABEL_COLUMNS:
            return column
    ends = [row.split(",", 1)[0] for _, row in rows], [row.rsplit(",", 1)[-1] for _, row in rows]
    common = [max(Counter(values).values(), default=0) for values in ends]
    return 0 if common[0] <= common[1] else -1


def _is_square(n: int) -> bool:
    return n > 0 and isqrt(n) ** 2 == n


def _parse(
    path: Path, rows: list[Line], column: int | None, n_pixels: int
) -> tuple[NDArray[Any], list[str]]:
    """Pixels (n, n_pixels), bytes or floats, and labels of some rows; empty without a column."""
    if column is None:
        halves = [["", row] for _, row in rows]
    else:
        split = str.split if column == 0 else str.rsplit
        halves = [split(row, ",", 1)[:: 1 if column == 0 else -1] for _, row in rows]
    for (number, row), half in zip(rows, halves, strict=True):
        if len(half) < 2 or half[1].count(",") != n_pixels - 1:
            raise DataError(
                f"{path}, line {number}: it has {row.count(',') + 1} columns, "
                f"not {n_pixels + (column is not None)}."
            )
        if len(half[0]) > LONGEST_LABEL:
            raise DataError(f"{path}, line {number}: its label has {len(half[0]):,} characters.")
    labels, pixels = [half[0].strip() for half in halves], [half[1] for half in halves]
    try:
        with warnings.catch_warnings():
            # NumPy 2.0 reads 0.5 as 0 and warns; later versions refuse it.
            warnings.simplefilter("error", DeprecationWarning)
            whole = np.loadtxt(pixels, np.int64, delimiter=",", ndmin=2, comments=None)
    except (ValueError, DeprecationWarning):
        try:
            return np.loadtxt(pixels, np.float32, delimiter=",", ndmin=2, comments=None), labels
        except ValueError as error:
            raise DataError(f"{path}{_explain(error, rows)}") from error
    outside = np.flatnonzero(((whole < 0) | (whole > 255)).any(axis=1))
    if len(outside):
        values = whole[outside[0]]
        wrong = int(values[(values < 0) | (values > 255)][0])
        raise DataError(
            f"{path}, line {rows[outside[0]][0]}: the pixel {wrong} isn't between 0 and 255."
        )
    return whole.astype(np.uint8), labels


def _explain(error: ValueError, rows: list[Line]) -> str:
    """NumPy's message with the line of the file."""
    text = str(error).split(";")[0].rstrip(".")
    row = re.search(r" at row (\d+)", text)
    return f": {text}." if row is None else f", line {rows[int(row[1])][0]}: {text[: row.start()]}."
