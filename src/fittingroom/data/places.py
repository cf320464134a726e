"""Where a named data set may lie already, and where it is put: `SEARCH_PATH`."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from platformdirs import user_cache_path

from fittingroom.data.catalog import DatasetRow
from fittingroom.data.download import DEBIAN_DATASETS, fetch_by_apt, fetch_by_https
from fittingroom.errors import DataError

DATA_VARIABLE = "FITTINGROOM_DATA"
KAGGLE_INPUT = Path("/kaggle/input")
#: A folder with more files, or more bytes of them, isn't read to see whether it is a named set.
FEW_FILES, FEW_BYTES = 100, 1 << 29


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


def expand_home(path: str) -> Path:
    """Expand `~` to the home folder; unlike `Path.expanduser`, never raises."""
    return Path(os.path.expanduser(path))


def _data_folders(row: DatasetRow) -> Sequence[Path]:
    folder = _data_folder()
    return [folder / row.name, folder] if folder else []


def _data_folder() -> Path | None:
    value = os.environ.get(DATA_VARIABLE, "")
    folder = expand_home(value)
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
    return [expand_home(home) / "datasets" / row.keras for home in homes if home and row.keras]


def _torchvision_folders(row: DatasetRow) -> Sequence[Path]:
    return [Path("data") / row.torchvision / "raw"] if row.torchvision else []


def _huggingface_folders(row: DatasetRow) -> Sequence[Path]:
    """The snapshots of the data set in the cache of Hugging Face's hub."""
    cache = os.environ.get("HF_HOME") or "~/.cache/huggingface"
    hub = expand_home(os.environ.get("HF_HUB_CACHE") or f"{cache}/hub")
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
