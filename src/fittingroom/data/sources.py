"""Where data sets come from: `load_dataset`."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from fittingroom.data import idx
from fittingroom.data.archives import is_archive, unpacked
from fittingroom.data.card import card_of, class_names_of, require_class_names
from fittingroom.data.catalog import DATASETS, DatasetRow, row_with
from fittingroom.data.dataset import (
    CARD_FILE,
    LABELS_FILE,
    Dataset,
    Split,
    content_sha256,
)
from fittingroom.data.download import (
    DEBIAN_DATASETS,
    LARGEST_FILE,
    fetch_by_apt,
    fetch_by_https,
    remove_leftovers,
)
from fittingroom.data.forms import data_in, form_of, idx_sha256, read_idx_folder
from fittingroom.data.mapped import memory_map
from fittingroom.data.pixels import number_labels
from fittingroom.data.reading import AS_THEY_ARE, UNSPLIT, PictureOptions, Reading
from fittingroom.data.splits import hold_out_test
from fittingroom.errors import DataError, FittingroomError, InputError, UnknownNameError
from fittingroom.formatting import with_tilde

DATA_VARIABLE = "FITTINGROOM_DATA"
KAGGLE_INPUT = Path("/kaggle/input")
#: A folder with more files, or more bytes of them, isn't read to see whether it is a named set.
FEW_FILES, FEW_BYTES = 100, 1 << 29
#: The largest side to which pictures are scaled.
LARGEST_SIDE = 4096

logger = logging.getLogger("fittingroom.data")


@dataclass(frozen=True)
class Place:
    """Folders that may already hold a data set, as its four IDX files unless `of_any_form`.

    Attributes
    ----------
    title : in words
    folders : where to look for a row's files
    ours : whether the user or this package put files there, so that anything but the catalogue's
        content is an error; what another library left there is skipped with a warning
    of_any_form : whether the data may be in any form, in folders that may hold any others
    """

    title: str
    folders: Callable[[DatasetRow], Sequence[Path]]
    ours: bool = False
    of_any_form: bool = False


@dataclass(frozen=True)
class SearchPath:
    """How a named data set is found: the first place that holds it, else the first fetcher.

    Attributes
    ----------
    places : searched in this order
    fetchers : tried in this order; each puts the missing files into a folder or raises `DataError`
    target : the folder that they fill
    """

    places: tuple[Place, ...]
    fetchers: tuple[Callable[[DatasetRow, Path], None], ...]
    target: Callable[[DatasetRow], Path]


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
        raise DataError("only pictures have a size to choose, or are skipped.")
    if isinstance(name_or_path, Dataset):
        return name_or_path
    text = str(name_or_path)
    if is_named:
        return find_dataset(DATASETS[text], search or SEARCH_PATH)
    folder = _expand_home(text)
    path_chars = (os.sep, os.altsep or os.sep, ".")  # in no catalogue name
    is_path = isinstance(name_or_path, Path) or any(char in text for char in path_chars)
    if not text or not (is_path or os.path.exists(folder)):
        raise UnknownNameError("data set", text, DATASETS)
    return _load_path(folder, options)


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
                return _load_named(row, folder, place.title)
            except DataError as error:
                other = _recognise(folder) if place.ours else None
                if other is not None and row.name not in (other.name, folder.name):
                    logger.info("skipping %s: %s is %s", place.title, folder, other.name)
                elif place.ours:
                    raise
                else:
                    logger.warning("skipping %s: %s", place.title, error)
    return _load_named(row, _fetch(row, search), "fetched")


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
            dataset = _load_path(folder)
            if dataset.sha256 == sha256:
                return dataset
    return None


def _load_if(row: DatasetRow, folder: Path) -> Dataset | None:
    """The data set in a folder if its content is the row's; None if it isn't, or can't be read."""
    try:
        found = _load_path(folder)
    except FittingroomError as error:
        logger.info("skipping %s: %s", folder, error)
        return None
    return found if found.sha256 == row.content else None


def _recognise(folder: Path) -> DatasetRow | None:
    """The catalogue row whose files a folder holds, if any."""
    with suppress(DataError):
        return row_with(partial(idx_sha256, read_idx_folder(folder)))
    return None


def _expand_home(path: str) -> Path:
    """Expand `~` to the home folder; unlike `Path.expanduser`, never raises."""
    return Path(os.path.expanduser(path))


def _data_folders(row: DatasetRow) -> Sequence[Path]:
    folder = _data_folder()
    return [folder / row.name, folder] if folder else []


def _data_folder() -> Path | None:
    value = os.environ.get(DATA_VARIABLE, "")
    folder = _expand_home(value)
    if value and not os.path.isdir(folder):
        raise DataError(
            f"{DATA_VARIABLE} is {value!r}, which isn't a folder; create it, or unset the variable."
        )
    return folder if value else None


def cache_folder() -> Path:
    """The folder of fetched data sets."""
    return user_cache_path("fittingroom", appauthor=False)


def _cache_folder(row: DatasetRow) -> Path:
    return cache_folder() / row.name


def _keras_folders(row: DatasetRow) -> Sequence[Path]:
    homes = [os.environ.get("KERAS_HOME", ""), "~/.keras"]
    return [_expand_home(home) / "datasets" / row.keras for home in homes if home and row.keras]


def _torchvision_folders(row: DatasetRow) -> Sequence[Path]:
    return [Path("data") / row.torchvision / "raw"] if row.torchvision else []


def _huggingface_folders(row: DatasetRow) -> Sequence[Path]:
    """The snapshots of the data set in the cache of Hugging Face's hub."""
    cache = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    hub = _expand_home(os.environ.get("HF_HUB_CACHE") or f"{cache}/hub")
    names = [f"datasets--{name.replace('/', '--')}" for name in row.huggingface]
    snapshots = (each for name in names for each in sorted(hub.glob(f"{name}/snapshots/*")))
    return [each for each in snapshots if _is_small(each)]


def _kaggle_folders(_: DatasetRow) -> Sequence[Path]:
    """The data sets that are attached to a notebook at Kaggle."""
    attached = sorted(KAGGLE_INPUT.glob("*/"))
    inner = (folder for each in attached for folder in sorted(each.glob("*/")))
    return [folder for folder in (*attached, *inner) if _is_small(folder)]


def _is_small(folder: Path) -> bool:
    """Whether a folder holds as few files as a named data set does, in any of its forms."""
    with suppress(OSError):
        files = (entry for entry in folder.rglob("*") if entry.is_file())
        sizes = [file.stat().st_size for file in islice(files, FEW_FILES + 1)]
        return 0 < len(sizes) <= FEW_FILES and sum(sizes) <= FEW_BYTES
    return False


def _debian_folders(row: DatasetRow) -> Sequence[Path]:
    return [Path("/") / DEBIAN_DATASETS / row.name] if row.debian else []


def _target_folder(row: DatasetRow) -> Path:
    """Under FITTINGROOM_DATA if that is writable, else the cache folder."""
    folder = _data_folder()
    return folder / row.name if folder and os.access(folder, os.W_OK) else _cache_folder(row)


SEARCH_PATH = SearchPath(
    places=(
        Place(f"the folder {DATA_VARIABLE}", _data_folders, ours=True),
        Place("the cache folder", lambda row: [_cache_folder(row)], ours=True),
        Place("Keras's copy", _keras_folders),
        Place("torchvision's copy", _torchvision_folders),
        Place("Debian's copy", _debian_folders),
        Place("Hugging Face's copy", _huggingface_folders, of_any_form=True),
        Place("Kaggle's input", _kaggle_folders, of_any_form=True),
    ),
    fetchers=(fetch_by_https, fetch_by_apt),
    target=_target_folder,
)


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


def _load_named(row: DatasetRow, folder: Path, source: str) -> Dataset:
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


def _load_path(path: Path, options: PictureOptions = AS_THEY_ARE) -> Dataset:
    """Load a data set from a file or folder, in whatever form it is, or from an archive of one."""
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
