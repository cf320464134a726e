"""Saved runs on disk: `<root>/<data set>-<8 of its hash>/<model>/<key>-s<seed>/`.

A run is written in a temporary folder and renamed into place. The rename is the commit: whatever
kills the process, a run is either wholly there or not there at all.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from zipfile import BadZipFile

import numpy as np
import psutil

from fittingroom.data.catalog import DATASETS
from fittingroom.data.dataset import Dataset
from fittingroom.errors import StoreError, UsageError
from fittingroom.runs.asked import Asked
from fittingroom.runs.copies import copied_test_images
from fittingroom.runs.run import Part, Run, RunRecord, read_run

#: What a store belongs to, saved beside the runs: a `DatasetCard`.
CARD = "dataset.json"

_PARTIAL = re.compile(r"^\.partial-(\d+)-[0-9a-f]+$")
_NAME = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._+-]{0,63}$")


@dataclass(frozen=True)
class DatasetCard:
    """What a table must know of a data set, saved beside the runs: they need no data to be read."""

    name: str
    title: str
    sha256: str
    class_names: tuple[str, ...]
    test_images: int
    location: str | None = None  # a folder that it was read from
    untrained_classes: tuple[str, ...] = ()  # those without a training image
    copied_test_images: int | None = None  # that are training images too; None if not counted
    schema_version: int = 1

    @classmethod
    def of(cls, dataset: Dataset, known: DatasetCard | None) -> DatasetCard:
        """The card of `dataset`; of what is `known` of the same data nothing is counted again."""
        seen = set(np.unique(dataset.train.labels).tolist())
        copied = known.copied_test_images if known and known.sha256 == dataset.sha256 else None
        return cls(
            name=dataset.name,
            title=DATASETS[dataset.name].title if dataset.name in DATASETS else dataset.name,
            sha256=dataset.sha256,
            class_names=dataset.class_names,
            test_images=len(dataset.test),
            location=None if dataset.location is None else str(dataset.location.resolve()),
            untrained_classes=tuple(
                name for label, name in enumerate(dataset.class_names) if label not in seen
            ),
            copied_test_images=copied_test_images(dataset) if copied is None else copied,
        )

    @classmethod
    def read(cls, file: Path) -> DatasetCard:
        """A saved card. Raises StoreError."""
        try:
            fields = json.loads(file.read_text("utf8"))
            lists = {name: tuple(value) for name, value in fields.items() if type(value) is list}
            return cls(**{**fields, **lists})
        except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            raise StoreError(f"{file} can't be read ({error}).") from error


@dataclass(frozen=True)
class Store:
    """The runs of one data set.

    Parameters
    ----------
    folder
        The data set's folder below the root, as :func:`open_store` and :func:`find_store` give it.
    card
        The data set that the runs belong to.
    """

    folder: Path
    card: DatasetCard

    def find(self, asked: Asked) -> Run | None:
        """The saved run that was asked exactly this, if there is one."""
        return self.get(asked.model, asked.key, asked.seed)

    def get(self, model: str, key: str, seed: int) -> Run | None:
        """The saved run of that name, key and seed, if there is one."""
        folder = self.folder / model / f"{key}-s{seed}"
        return read_run(folder) if folder.exists() else None

    def checkpoint_path(self, asked: Asked) -> Path:
        """Where a training of that run keeps its state, until the run is saved."""
        return self.folder / asked.model / f".checkpoint-{asked.folder_name}.safetensors"

    def runs(self, model: str = "*", seed: int | Literal["*"] = "*") -> list[Run]:
        """Every saved run (of one model, or one seed), by model, key and seed."""
        files = self.folder.glob(f"{model}/*-s{seed}/run.json")
        runs = [read_run(file.parent) for file in files if not file.parent.name.startswith(".")]
        return sorted(
            runs, key=lambda r: (r.record.asked.model, r.record.asked.key, r.record.asked.seed)
        )

    def save(
        self,
        record: RunRecord,
        *,
        validation: Part | None,
        test: Part | None,
        out_of_fold: Part | None = None,
        measured: Part | None = None,
        history: str | None = None,
        model: Callable[[Path], None] | None = None,
    ) -> Run:
        """Write a run aside and rename it into place.

        Parameters
        ----------
        record
            Saved as `run.json`; its `model_bytes` is filled in here.
        validation, test, out_of_fold, measured
            Saved as `predictions.npz`.
        history
            The text of `history.csv`.
        model
            Called with the folder `model/` to fill.

        Raises
        ------
        InputError
            When an image's probabilities aren't a distribution over the classes.
        StoreError
            When the folder can't be written.
        """
        arrays = _arrays(
            validation=validation, test=test, out_of_fold=out_of_fold, measured=measured
        )
        with self.aside() as folder:
            if model is not None:
                (folder / "model").mkdir()
                model(folder / "model")
                record = _with_size(record, folder / "model")
            if history is not None:
                (folder / "history.csv").write_text(history, "utf8")
            np.savez_compressed(folder / "predictions.npz", **arrays)  # type: ignore[arg-type]
            (folder / "run.json").write_text(record.to_json(), "utf8")
            return self.commit(folder, record.asked)

    def commit(self, folder: Path, asked: Asked) -> Run:
        """Give a run that was written in a folder of `aside` its name; see `save`."""
        final = self.folder / asked.model / asked.folder_name
        with _writing(final.parent):
            _flush(folder)
            final.parent.mkdir(exist_ok=True)
            try:
                folder.rename(final)
            except OSError:
                # Another process finished the same run meanwhile: then its result stands.
                if not final.exists():
                    raise
        return read_run(final)

    def read_fold(self, asked: Asked, number: int) -> Part | None:
        """What a fold of an unfinished cross-validation predicted, if it is done."""
        path = self._folds(asked) / f"{number}.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                part = Part(arrays["index"], arrays["probabilities"], arrays["labels"])
            return part.checked()
        except (OSError, ValueError, KeyError, EOFError, BadZipFile):
            return None  # not there, or not whole: it is made again

    def save_fold(self, asked: Asked, number: int, part: Part) -> None:
        """Keep what a fold predicted until the run is saved. Raises InputError, StoreError."""
        folder = self._folds(asked)
        arrays = {name: vars(part.checked())[name] for name in ("index", "probabilities", "labels")}
        with self.aside() as aside:
            np.savez_compressed(aside / "fold.npz", **arrays)
            _flush(aside)
            folder.mkdir(parents=True, exist_ok=True)
            (aside / "fold.npz").replace(folder / f"{number}.npz")

    def remove_folds(self, asked: Asked) -> None:
        """Remove what was kept of a cross-validation."""
        shutil.rmtree(self._folds(asked), ignore_errors=True)

    def _folds(self, asked: Asked) -> Path:
        return self.folder / asked.model / f".folds-{asked.folder_name}"

    def drop_model(self, run: Run) -> None:
        """Delete a run's saved model, and nothing else of it."""
        model = run.folder / "model"
        if model.exists():
            with _writing(model):
                # Renamed first, so that a kill leaves no half model under the run's name.
                model.rename(trash := _partial_name(self.folder))
                shutil.rmtree(trash)

    def write_text(self, name: str, text: str) -> Path:
        """Write `name` in the data set's folder, whole or not at all."""
        return write_text(self.folder / name, text)

    def sweep(self) -> None:
        """Remove what killed processes left half written."""
        for path in self.folder.glob("*/.checkpoint-*.safetensors"):
            run = path.name.removeprefix(".checkpoint-").removesuffix(".safetensors")
            if path.with_name(run).exists():
                path.unlink(missing_ok=True)
        for path in self.folder.glob("*/.folds-*"):
            if path.with_name(path.name.removeprefix(".folds-")).exists():
                shutil.rmtree(path, ignore_errors=True)
        for path in [*self.folder.glob(".partial-*"), *self.folder.glob("*/.partial-*")]:
            match = _PARTIAL.match(path.name)
            if match and not psutil.pid_exists(int(match[1])):
                if path.is_dir():
                    shutil.rmtree(path, ignore_errors=True)
                else:
                    path.unlink(missing_ok=True)

    @contextmanager
    def aside(self) -> Iterator[Path]:
        """A folder to write in; what is left of it is removed. Raises StoreError."""
        with _writing(self.folder):
            folder = _partial_name(self.folder)
            folder.mkdir(parents=True)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)


def open_store(root: Path | str, dataset: Dataset) -> Store:
    """The store of `dataset` below `root`, made if need be.

    Raises
    ------
    StoreError
        When the folder can't be made or written.
    """
    folder = Path(root) / f"{dataset.slug}-{dataset.sha256[:8]}"
    file, known = folder / CARD, None
    with suppress(StoreError):
        known = DatasetCard.read(file)
    card = DatasetCard.of(dataset, known)
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(card), indent=2) + "\n"
        if not file.exists() or file.read_text("utf8") != text:
            write_text(file, text)
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "permission denied")
    store = Store(folder, card)
    store.sweep()
    return store


def find_store(path: Path | str) -> Store:
    """The store at `path`: a data set's folder, or a root that holds exactly one.

    Raises
    ------
    StoreError
        When there is none, more than one, or its `dataset.json` is damaged.
    """
    path = Path(path)
    folders = [path] if (path / CARD).exists() else _store_folders(path)
    if not folders:
        raise StoreError(f"no saved runs in {path}; `fittingroom compare` or `fit` makes some.")
    if len(folders) > 1:
        names = ", ".join(str(folder) for folder in folders)
        raise StoreError(f"{path} holds runs of several data sets; name one of {names}.")
    return Store(folders[0], DatasetCard.read(folders[0] / CARD))


def check_model_name(name: str) -> str:
    """`name`, if it can be a folder's name.

    Raises
    ------
    UsageError
        When it holds anything but letters, digits, `.`, `_`, `+` and `-`, or starts with a sign.
    """
    if not _NAME.match(name):
        raise UsageError(
            f"a model can't be named {name!r}; use up to 64 letters, digits and . _ + -, "
            "a letter or digit first."
        )
    return name


def write_text(path: Path, text: str) -> Path:
    """Write `text` to `path` aside, then rename it into place."""
    return write_bytes(path, text.encode())


def write_bytes(path: Path, data: bytes) -> Path:
    """Write `data` to `path` aside, then rename it into place.

    Raises
    ------
    StoreError : the file system refuses; what was at `path` is still there
    """
    partial = _partial_name(path.parent)
    with _writing(path):
        try:
            with partial.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return path


def _partial_name(folder: Path) -> Path:
    return folder / f".partial-{os.getpid()}-{secrets.token_hex(4)}"


def _store_folders(root: Path) -> list[Path]:
    return sorted(file.parent for file in root.glob(f"*/{CARD}"))


def _arrays(**parts: Part | None) -> dict[str, np.ndarray]:
    return {
        f"{name}_{field}": array
        for name, part in parts.items()
        if part is not None
        for field, array in vars(part.checked()).items()
        if field in ("index", "probabilities", "labels")
    }


def _with_size(record: RunRecord, folder: Path) -> RunRecord:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return RunRecord(**{**vars(record), "model_bytes": size})


def _flush(folder: Path) -> None:
    """Bring every file of a run to the disk before its name appears."""
    for file in folder.rglob("*"):
        if file.is_file():
            with file.open("rb") as opened:
                os.fsync(opened.fileno())


@contextmanager
def _writing(path: Path) -> Iterator[None]:
    """Say in one sentence what could not be written, and why."""
    try:
        yield
    except OSError as error:
        raise StoreError(
            f"{path} can't be written: {(error.strerror or str(error)).lower()}."
        ) from error
