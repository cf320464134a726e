"""Find, fetch and load a data set, by its name or from a path: `load_dataset`."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from filelock import FileLock

from fittingroom.data import idx
from fittingroom.data.catalog import DATASETS, DatasetRow, row_with
from fittingroom.data.dataset import Dataset
from fittingroom.data.download import remove_leftovers
from fittingroom.data.forms import idx_sha256, read_idx_folder
from fittingroom.data.loading import load_named, load_path
from fittingroom.data.places import DATA_VARIABLE, SEARCH_PATH, SearchPath, expand_home
from fittingroom.data.reading import AS_THEY_ARE, PictureOptions
from fittingroom.errors import DataError, FittingroomError, InputError, UnknownNameError

#: The largest side to which pictures are scaled.
LARGEST_SIDE = 4096

logger = logging.getLogger("fittingroom.data")


def load_dataset(
    name_or_path: Dataset | str | Path,
    *,
    search: SearchPath | None = None,
    size: int | tuple[int, int] | None = None,
    skip_damaged: bool = False,
) -> Dataset:
    """Find, check and read a data set.

    Parameters
    ----------
    name_or_path : a name of the catalogue, or a file or folder in one of the forms in
        `forms.FORMS`, or an archive of one. A catalogue name is always the named data set; write
        `./mnist` for a folder of that name. A data set that is loaded already is returned as it is.
    search : where a named data set may come from; `SEARCH_PATH` if absent
    size : height and width to which pictures are scaled, and padded where their aspect differs, or
        one number for both; unless given, all must have the same size
    skip_damaged : leave out pictures that can't be read, with a warning

    Raises
    ------
    UnknownNameError
        Neither a catalogue name nor a path.
    DataError
        Not found, malformed, or not what its name promises; or a size, or damaged pictures to skip,
        of data that aren't pictures.
    """
    options = PictureOptions(_checked_size(size), skip_damaged)
    is_named = isinstance(name_or_path, str) and name_or_path in DATASETS
    if options != AS_THEY_ARE and (is_named or isinstance(name_or_path, Dataset)):
        raise DataError("size and skip_damaged apply only to picture files; omit them.")
    if isinstance(name_or_path, Dataset):
        return name_or_path
    text = str(name_or_path)
    if is_named:
        return find_dataset(DATASETS[text], search or SEARCH_PATH)
    folder = expand_home(text)
    path_chars = (os.sep, os.altsep or os.sep, ".")  # in no catalogue name
    is_path = isinstance(name_or_path, Path) or any(char in text for char in path_chars)
    if not text or not (is_path or os.path.exists(folder)):
        raise UnknownNameError("data set", text, DATASETS)
    return load_path(folder, options)


def _checked_size(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sides = (size, size) if isinstance(size, int) else tuple(size)
    if len(sides) != 2 or not all(isinstance(n, int) and 1 <= n <= LARGEST_SIDE for n in sides):
        raise InputError(
            f"{size!r} isn't a size; give height and width in pixels, 1 to {LARGEST_SIDE:,}."
        )
    return sides[0], sides[1]


def find_dataset(row: DatasetRow, search: SearchPath) -> Dataset:
    """Find the data set of a row along a search path, else fetch it."""
    for place in search.places:
        for folder in place.folders(row):
            if len(idx.find_files(folder)) < len(idx.FILES):
                if place.of_any_form and (found := _load_if(row, folder)) is not None:
                    return replace(found, source=f"{place.title}, {found.source}")
                continue
            try:
                return load_named(row, folder, place.title)
            except DataError as error:
                other = _recognise(folder) if place.ours else None
                if other is not None and row.name not in (other.name, folder.name):
                    logger.info("skipping %s: %s is %s", place.title, folder, other.name)
                elif place.ours:
                    raise
                else:
                    logger.warning("skipping %s: %s", place.title, error)
    return load_named(row, _fetch(row, search), "fetched")


def find_again(
    name: str, location: str | Path | None, sha256: str, *, search: SearchPath | None = None
) -> Dataset | None:
    """Load a data set that was read before; None if it can't be found unchanged.

    Parameters
    ----------
    name : of the `Dataset`; one of the catalogue is also looked for in the search path's places
    location : the path that it was read from
    sha256 : its content hash; other data is skipped
    search : whose places are searched; nothing is fetched
    """
    folders: list[Path] = []
    if name in DATASETS:
        for place in (search or SEARCH_PATH).places:
            with suppress(DataError):  # FITTINGROOM_DATA may name a folder that doesn't exist
                folders += place.folders(DATASETS[name])
    # Last, since a stranger may have written it; and never a network path.
    if location is not None and not str(location).startswith(("//", "\\\\")):
        folders.append(Path(location))
    for folder in folders:
        with suppress(FittingroomError):
            dataset = load_path(folder)
            if dataset.sha256 == sha256:
                return dataset
    return None


def _load_if(row: DatasetRow, folder: Path) -> Dataset | None:
    """The data set in a folder if its content is the row's; None if it isn't, or can't be read."""
    try:
        found = load_path(folder)
    except FittingroomError as error:
        logger.info("skipping %s: %s", folder, error)
        return None
    return found if found.sha256 == row.content else None


def _recognise(folder: Path) -> DatasetRow | None:
    """The catalogue row whose files a folder holds, if any."""
    with suppress(DataError):
        return row_with(partial(idx_sha256, read_idx_folder(folder)))
    return None


def _fetch(row: DatasetRow, search: SearchPath) -> Path:
    """Fill the target folder, one process at a time; the others wait and find it filled."""
    folder, reasons = search.target(row), []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            remove_leftovers(folder)
            if len(idx.find_files(folder)) == len(idx.FILES):
                return folder
            for fetch in search.fetchers:
                try:
                    fetch(row, folder)
                    return folder
                except DataError as error:
                    reasons.append(str(error).rstrip("."))
    except OSError as error:
        raise DataError(
            f"{row.name} can't be stored in {folder} ({error.strerror or error}); "
            f"set {DATA_VARIABLE} to a writable folder with enough space."
        ) from error
    raise DataError(
        f"{row.name} is in none of the known places and can't be fetched: "
        f"{'; '.join(reasons) or 'there is no other source'}; "
        f"put its four files in a folder and set {DATA_VARIABLE} to that folder."
    )
