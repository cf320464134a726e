"""Read a data set from Parquet files as Hugging Face has them; needs the extra `parquet`.

A file, or a folder of shards such as `train-00000-of-00002.parquet`. A row is an image, as an
encoded picture or as lists of pixels, and its label. Class names are those in the schema's
metadata.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from fittingroom.data.archives import ALWAYS_ROOM, MAX_GROWTH
from fittingroom.data.arrays import ROLE_WORDS
from fittingroom.data.pictures import Stored, StoredPart, read_pictures
from fittingroom.data.pixels import images_of, labels_of
from fittingroom.data.reading import (
    AS_THEY_ARE,
    LONGEST_LABEL,
    NO_PICTURES,
    SPLIT_WORDS,
    UNSPLIT,
    PictureOptions,
    RawSplit,
    Reading,
    split_of,
)
from fittingroom.errors import DataError, InputError, UsageError, install_command
from fittingroom.untrusted import open_untrusted, parse_json, require_inside

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

#: A folder that the cache of Hugging Face makes of a data set; its files are links within it.
_HUB_CACHE = "datasets--"
#: Rows read at once.
_AT_ONCE = 128


class _Shard(NamedTuple):
    """What one file holds: pictures, or uint8 images (n, height, width); and labels (n,)."""

    pictures: list[Stored]
    images: NDArray[np.uint8] | None
    labels: NDArray[Any]


def is_parquet(path: Path) -> bool:
    """Whether a path is a `.parquet` file, or a folder with some, or with one folder of some."""
    return bool(_files(path))


def read_parquet(path: Path, options: PictureOptions) -> Reading:
    """Read all shards of all parts.

    Raises
    ------
    UsageError : pyarrow isn't installed
    DataError : a file is damaged, lacks images or labels, or holds something else
    """
    by_part: dict[str, list[Path]] = {}
    for file in _files(path):
        by_part.setdefault(_part_of(file), []).append(file)
    if by_part.keys() == {"train"}:  # as many data sets of Hugging Face's hub
        by_part = {UNSPLIT: by_part["train"]}
    _require_parts(path, by_part)
    order = [part for part in ("train", "test", "validation", UNSPLIT) if part in by_part]
    shards: dict[str, list[_Shard]] = {part: [] for part in order}
    names: tuple[str, ...] | None = None
    for part in order:
        for file in by_part[part]:
            with _opened(file, path) as parquet:
                shards[part].append(_read_shard(parquet, file))
                own = _class_names(parquet)
            if own is not None and names not in (None, own):
                raise DataError(f"{file} has different class names from the files before it.")
            names = names or own
    first = {part: by_part[part][0] for part in order}
    of_pictures = {bool(shard.pictures) for part in order for shard in shards[part]}
    if len(of_pictures) > 1:
        raise DataError(f"{path} holds pictures in some files and lists of pixels in others.")
    if True in of_pictures:
        stored = {part: _pictures_of(shards[part], first[part]) for part in order}
        return replace(read_pictures(path, stored, None, options), default_names=names)
    if options != AS_THEY_ARE:
        raise DataError(NO_PICTURES.format(path))
    parts = {part: _images_of(shards[part], first[part]) for part in order}
    return Reading(parts, default_names=names)


def _files(path: Path) -> list[Path]:
    """A `.parquet` file; or those in a folder, else in the only one below it or in one a split."""
    if os.path.isfile(path):
        return [path] if path.suffix.lower() == ".parquet" else []
    if not os.path.isdir(path):
        return []
    if found := _visible(path.glob("*.parquet")):
        return found
    found = _visible(path.glob("*/*.parquet"))
    folders = {file.parent.name for file in found}
    return found if len(folders) == 1 or folders <= SPLIT_WORDS.keys() else []


def _visible(files: Iterable[Path]) -> list[Path]:
    return sorted(file for file in files if not file.name.startswith("."))


def _part_of(file: Path) -> str:
    return split_of(file.stem) or SPLIT_WORDS.get(file.parent.name) or UNSPLIT


def _require_parts(path: Path, by_part: Mapping[str, Sequence[Path]]) -> None:
    if UNSPLIT not in by_part:
        for split in ("train", "test"):
            if split not in by_part:
                held = ", ".join(sorted(file.name for files in by_part.values() for file in files))
                raise DataError(f"{path} has no {split} split; it holds {held[:200]}.")
    elif len(by_part) > 1:
        raise DataError(
            f"the name of {by_part[UNSPLIT][0]} gives no split, but other file names do; name each "
            "file after its split."
        )


@contextmanager
def _opened(file: Path, path: Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file whose columns fit into memory."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(
            f"Parquet files need the package pyarrow; run {install_command('parquet')}."
        ) from error
    cache = next((each for each in file.parents if each.name.startswith(_HUB_CACHE)), None)
    within = cache or (path if os.path.isdir(path) else None)
    if within is not None:
        require_inside(file.parent, within, DataError)
    with open_untrusted(file, DataError, within=within) as stream:
        yield pq.ParquetFile(stream)


def _read_shard(parquet: pq.ParquetFile, file: Path) -> _Shard:
    columns = {role: _column(parquet, role, file) for role in ("images", "labels")}
    pictures: list[Stored] = []
    pixels, labels, size = [], [], 0
    most = max(ALWAYS_ROOM, MAX_GROWTH * file.stat().st_size)
    for batch in parquet.iter_batches(_AT_ONCE, columns=list(columns.values())):
        size += batch.nbytes
        if size > most:
            raise DataError(f"{file} would take more than {most:,} bytes; that isn't a data set.")
        images, names = (batch.column(columns[role]) for role in ("images", "labels"))
        for column, role in ((images, "images"), (names, "labels")):
            if column.null_count:
                raise DataError(f"{file}: its {role} have {column.null_count} empty values.")
        contents = _encoded(images)
        if contents is None:
            pixels.append(_pixels(images, file))
        else:
            start = len(pictures)
            pictures += [
                Stored(f"{file}, row {start + i}", each) for i, each in enumerate(contents)
            ]
        values = names.to_pylist()
        if any(isinstance(value, str) and len(value) > LONGEST_LABEL for value in values):
            raise DataError(f"{file} has a label of more than {LONGEST_LABEL} characters.")
        labels.append(np.asarray(values))
    if not labels:
        raise DataError(f"{file} holds no rows.")
    try:
        read = labels_of(np.concatenate(labels), "its labels")
        images = images_of(np.concatenate(pixels), "its images") if pixels else None
        return _Shard(pictures, images, read)
    except (InputError, ValueError) as error:
        raise DataError(f"{file}: {error}") from error


def _column(parquet: pq.ParquetFile, role: str, file: Path) -> str:
    """The name of the column with images or labels."""
    names = parquet.schema_arrow.names
    found = [name for name in names if ROLE_WORDS.get(name.lower()) == role]
    if len(found) != 1:
        several = "several columns" if found else "no column"
        raise DataError(
            f"{file} has {several} of {role}; name one image and one label. Its columns: "
            f"{', '.join(names)[:200]}."
        )
    return str(found[0])


def _encoded(column: pa.Array) -> list[bytes] | None:
    """The pictures in a column, None if it holds pixels."""
    import pyarrow as pa

    if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
        column = column.field("bytes")
    kinds = pa.types.is_binary, pa.types.is_large_binary, pa.types.is_binary_view
    if not any(is_kind(column.type) for is_kind in kinds):
        return None
    return [content or b"" for content in column.to_pylist()]


def _pixels(column: pa.Array, file: Path) -> NDArray[Any]:
    """Lists of pixels, nested or not, as an array (n, pixels) or (n, height, width)."""
    import pyarrow.compute as pc

    shape = [len(column)]
    while hasattr(column, "flatten") and hasattr(column.type, "value_type"):
        lengths = pc.unique(pc.list_value_length(column)).to_pylist()
        if len(lengths) != 1 or not lengths[0]:
            raise DataError(f"{file}: its images differ in size.")
        column = column.flatten()
        shape.append(lengths[0])
    values: NDArray[Any] = column.to_numpy(zero_copy_only=False)
    return values.reshape(shape)


def _pictures_of(shards: Sequence[_Shard], file: Path) -> StoredPart:
    pictures = [picture for shard in shards for picture in shard.pictures]
    return StoredPart(pictures, np.concatenate([shard.labels for shard in shards]), file)


def _images_of(shards: Sequence[_Shard], file: Path) -> RawSplit:
    try:
        images = np.concatenate([shard.images for shard in shards if shard.images is not None])
    except ValueError as error:
        raise DataError(f"{file}: its images differ in size from those of other files.") from error
    return RawSplit(images, np.concatenate([shard.labels for shard in shards]), file)


def _class_names(parquet: pq.ParquetFile) -> tuple[str, ...] | None:
    """The names that Hugging Face keeps in a schema's metadata; None if there are none."""
    metadata = parquet.schema_arrow.metadata or {}
    with suppress(ValueError, KeyError, TypeError, RecursionError):
        features = parse_json(metadata[b"huggingface"].decode())["info"]["features"]
        for name, feature in features.items():
            if ROLE_WORDS.get(name.lower()) == "labels":
                return tuple(str(each) for each in feature["names"])
    return None
