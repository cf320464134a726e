"""Load a data set from a path, in whatever form it is."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from fittingroom.data import idx
from fittingroom.data.archives import is_archive, unpacked
from fittingroom.data.card import card_of, class_names_of, require_class_names
from fittingroom.data.catalog import DatasetRow, row_with
from fittingroom.data.dataset import CARD_FILE, LABELS_FILE, Dataset, Split, content_sha256
from fittingroom.data.download import LARGEST_FILE
from fittingroom.data.forms import data_in, form_of, idx_sha256, read_idx_folder
from fittingroom.data.mapped import memory_map
from fittingroom.data.pixels import number_labels
from fittingroom.data.reading import AS_THEY_ARE, UNSPLIT, PictureOptions, Reading
from fittingroom.data.splits import hold_out_test
from fittingroom.errors import DataError, InputError
from fittingroom.formatting import with_tilde


def load_path(path: Path, options: PictureOptions = AS_THEY_ARE) -> Dataset:
    """Load a data set from a file or folder, in whatever form it is, or from an archive of one.

    Raises DataError when there is none, or it is malformed.
    """
    if not os.path.lexists(path):  # False, too, for names that no file can have
        raise DataError(f"{path} doesn't exist.")
    # A file keeps its name, by which it is known, though it may be a link.
    file = "" if os.path.isdir(path) else path.name
    path = Path(os.path.realpath(path.parent if file else path)) / file
    if not is_archive(path):
        return _read(path, options, path)
    with unpacked(path) as folder:
        dataset = _read(data_in(folder), replace(options, named=path), path)
        if memory_map(dataset.train.images) is not None:  # of a file that is about to go
            raise DataError(
                f"{path} holds more images than are read into memory; unpack it, and give the "
                "folder."
            )
        return dataset


def _read(path: Path, options: PictureOptions, named: Path) -> Dataset:
    """Read a data set from a path, which was unpacked from `named` unless it is that."""
    form = form_of(path)
    read = form.read(path, options)
    archive = "" if path == named else "an archive of "
    source = f"{with_tilde(named)}, {archive}{form.title}"
    # What was changed while it was read can't be read from there again.
    location = named if options == AS_THEY_ARE else None
    row = row_with(partial(idx_sha256, read))
    return _assemble(read, path, row, source, location, named)


def load_named(row: DatasetRow, folder: Path, source: str) -> Dataset:
    """Load a named data set from a folder of its four IDX files; `source` says whose they are.

    Raises DataError unless every file has the content that the catalogue says.
    """
    folder = folder.resolve()
    try:
        read = read_idx_folder(folder, only_bytes=True)
        intact = all(idx_sha256(read, name) == row.sha256[name] for name in idx.FILES)
    except DataError:
        intact = False
    if not intact:
        raise DataError(_describe_mismatch(row, folder))
    dataset = _assemble(read, folder, row, f"{source}, {with_tilde(folder)}", folder, folder)
    facts = (dataset.name, dataset.class_names, dataset.mirror_keeps_class)
    if facts != (row.name, row.class_names, row.mirror_keeps_class) or dataset.validation_images:
        raise DataError(
            f"{LABELS_FILE} or {CARD_FILE} in {folder} turns {row.name} into another data set; "
            "remove it, or give the folder's path to use it anyway."
        )
    return dataset


def _describe_mismatch(row: DatasetRow, folder: Path) -> str:
    """Describe the first file that isn't the catalogue's, with both hashes."""
    for name, path in idx.find_files(folder).items():
        remedy = "move it away"
        try:
            digest = idx.file_sha256(path, LARGEST_FILE)
        except DataError as error:
            digest, remedy = "", "remove the file"
            reason = str(error).rstrip(".")
        else:
            reason = f"{path} has the SHA-256 {digest}"
        if digest != row.sha256[name]:
            return (
                f"{reason}, but {name} of {row.name} has {row.sha256[name]}; "
                f"{remedy}, or give the folder's path to use it as it is."
            )
    return f"{folder} changed while it was read; try again."


def _assemble(
    read: Reading,
    path: Path,
    row: DatasetRow | None,
    source: str,
    location: Path | None,
    named: Path,
) -> Dataset:
    """Make a data set of what was read; `labels.txt` and `dataset.json` go before the catalogue."""
    names = read.class_names or class_names_of(read, path)
    names = names or (row.class_names if row else read.default_names)
    card = card_of(path, row, read.name, named)
    if names is not None:
        require_class_names(names, path)
    if read.preparation is not None and row is None:
        card = card._replace(preparation=read.preparation)
    try:
        labels, class_names = number_labels(
            *(part.labels for part in read.parts.values()), class_names=names
        )
        splits = {
            name: Split(part.images, each)
            for (name, part), each in zip(read.parts.items(), labels, strict=True)
        }
        if UNSPLIT in splits:
            train, test = _split(splits[UNSPLIT])
            source += ", of which a fixed seventh is the test split"
        else:
            train, test = splits["train"], splits["test"]
        if "validation" in splits:
            train = train.followed_by(splits["validation"])
            card = card._replace(validation_images=len(splits["validation"]))
        return Dataset(
            name=card.name,
            train=train,
            test=test,
            class_names=class_names,
            mirror_keeps_class=card.mirror_keeps_class,
            sha256=content_sha256(train, test, class_names, card.validation_images),
            source=source,
            location=location,
            preparation=card.preparation,
            validation_images=card.validation_images,
        )
    except InputError as error:
        raise DataError(f"{path}: {error}") from error


def _split(whole: Split) -> tuple[Split, Split]:
    """Training and test split of data without a split of their own."""
    is_test = hold_out_test(whole.images, whole.labels)
    train, test = (Split(whole.images[side], whole.labels[side]) for side in (~is_test, is_test))
    return train, test
