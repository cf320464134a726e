"""Saved runs on disk: `<root>/<data set>-<8 of its hash>/<model>/<key>-s<seed>/`.

A run is written in a temporary folder and renamed into place. The rename is the commit: whatever
kills the process, a run is either complete or absent.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from fittingroom.array_file import open_arrays
from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError, StoreError, UsageError
from fittingroom.files import (
    flush,
    folder_aside,
    partial_path,
    remove_abandoned,
    replace_file,
    writing,
)
from fittingroom.json_text import json_text
from fittingroom.models.catalog import ALIASES, BASELINES, MODELS
from fittingroom.models.layer import Layer
from fittingroom.runs.dataset_card import CARD, DatasetCard, NewerError
from fittingroom.runs.run import (
    HISTORY,
    LAYERS,
    PREDICTIONS,
    RECORD,
    Part,
    Run,
    RunRecord,
    labels_sha256,
    read_run,
)
from fittingroom.runs.spec import RunSpec
from fittingroom.untrusted import require_inside

_RUN = re.compile(r"[0-9a-f]{12}-s\d+")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}")
#: Names that no folder can have on Windows, with any suffix; and suffixes of the files that lie
#: beside the models' folders.
_DEVICES = re.compile(r"(?:con|prn|aux|nul|com\d|lpt\d)(?:\..*)?", re.IGNORECASE)
_FILE_ENDINGS = (".json", ".html", ".md", ".csv", ".db")


@dataclass(frozen=True)
class Unreadable:
    """A saved run that can't be used: damaged, of a newer version, or not what its name says."""

    folder: Path
    reason: str


class Saved(NamedTuple):
    """The runs of a store by model, key and seed, and those that can't be read."""

    runs: list[Run]
    unreadable: list[Unreadable]


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

    def find(self, spec: RunSpec) -> Run | None:
        """The saved run of exactly this spec, if there is one."""
        return self.get(spec.model, spec.key, spec.seed)

    def holds(self, spec: RunSpec) -> bool:
        """Whether a run of exactly this spec is saved, readable or not."""
        return os.path.lexists(self.folder / spec.model / spec.folder_name)

    def get(self, model: str, key: str, seed: int) -> Run | None:
        """The saved run of that name, key and seed, if there is one. Raises StoreError."""
        folder = self.folder / model / f"{key}-s{seed}"
        if not os.path.lexists(folder):
            return None
        try:
            return self._run(folder)
        except StoreError as error:
            remedy = f"move {folder} away to fit it again"
            raise StoreError(f"{str(error).rstrip('.')}; {remedy}.") from error

    def checkpoint_path(self, spec: RunSpec) -> Path:
        """The file in which a training of that run keeps its state until the run is saved."""
        return self.folder / spec.model / f".checkpoint-{spec.folder_name}.safetensors"

    def runs(self, model: str = "*", seed: int | Literal["*"] = "*") -> list[Run]:
        """Every saved run (of one model, or one seed) that can be read; see `saved`."""
        return self.saved(model, seed).runs

    def saved(self, model: str = "*", seed: int | Literal["*"] = "*") -> Saved:
        """The saved runs (of one model, or one seed)."""
        runs, unreadable = [], []
        for file in sorted(self.folder.glob(f"{model}/*-s{seed}/{RECORD}")):
            if _RUN.fullmatch(file.parent.name):
                try:
                    runs.append(self._run(file.parent))
                except StoreError as error:
                    unreadable.append(Unreadable(file.parent, str(error)))
        return Saved(sorted(runs, key=_order), unreadable)

    def _run(self, folder: Path) -> Run:
        """Read the run in a folder, checking it against the folder's name. Raises StoreError."""
        run = read_run(folder)
        spec = run.record.spec
        if (spec.model, spec.folder_name) != (folder.parent.name, folder.name):
            raise StoreError(f"{folder} holds another run, {spec.model}/{spec.folder_name}.")
        if spec.dataset != self.card.sha256:
            raise StoreError(f"{folder} holds a run on another data set.")
        if not _NAME.fullmatch(spec.model):
            raise StoreError(f"{folder} has a name that no model can have.")
        if folder.is_symlink() or folder.parent.is_symlink():
            require_inside(folder, self.folder, StoreError)
        return run

    def save(
        self,
        record: RunRecord,
        parts: Mapping[str, Part],
        *,
        history: str | None = None,
        layers: Sequence[Layer] | None = None,
        model: Callable[[Path], None] | None = None,
    ) -> Run:
        """Write a run aside and rename it into place.

        Parameters
        ----------
        record
            Saved as `run.json`; its `model_bytes` and hashes are filled in here.
        parts
            What was predicted, by the names of `PARTS`; saved as `predictions.npz`.
        history
            The text of `history.csv`.
        layers
            Of a network, saved as `layers.json`.
        model
            Called with the folder `model/` to fill.

        Raises
        ------
        InputError
            When an image's probabilities aren't a distribution over the classes.
        StoreError
            When the folder can't be written.
        """
        arrays, test = _arrays(parts), parts.get("test")
        with folder_aside(self.folder) as folder:
            if model is not None:
                (folder / "model").mkdir()
                model(folder / "model")
                record = _with_size(record, folder / "model")
            if history is not None:
                (folder / HISTORY).write_text(history, "utf8")
            if layers is not None:
                (folder / LAYERS).write_text(json_text([asdict(layer) for layer in layers]), "utf8")
            np.savez_compressed(folder / PREDICTIONS, **arrays)  # type: ignore[arg-type]
            record = replace(
                record,
                files=_hashes(folder),
                test_labels_sha256=None if test is None else labels_sha256(test.labels),
            )
            (folder / RECORD).write_text(record.to_json(), "utf8")
            return self.commit(folder, record.spec)

    def commit(self, folder: Path, spec: RunSpec) -> Run:
        """Rename a run that was written to a `folder_aside` into place; see `save`."""
        final = self.folder / spec.model / spec.folder_name
        with writing(final.parent):
            flush(folder)
            final.parent.mkdir(exist_ok=True)
            try:
                folder.rename(final)
            except OSError:
                # Another process has finished the same run meanwhile; keep its result.
                if not final.exists():
                    raise
        return read_run(final)

    def read_fold(self, spec: RunSpec, number: int) -> Part | None:
        """The predictions of a fold of an unfinished cross-validation, if it is done."""
        path = self._folds(spec) / f"{number}.npz"
        try:
            with open_arrays(path, StoreError) as arrays:
                part = Part(*arrays.read("index", "probabilities", "labels"))
            return part.validated()
        except (StoreError, InputError):
            return None  # missing or damaged: it is fitted again

    def save_fold(self, spec: RunSpec, number: int, part: Part) -> None:
        """Keep a fold's predictions until the run is saved. Raises InputError, StoreError."""
        folder = self._folds(spec)
        arrays = {
            name: vars(part.validated())[name] for name in ("index", "probabilities", "labels")
        }
        with folder_aside(self.folder) as aside:
            np.savez_compressed(aside / "fold.npz", **arrays)
            flush(aside)
            folder.mkdir(parents=True, exist_ok=True)
            (aside / "fold.npz").replace(folder / f"{number}.npz")

    def forget(self, spec: RunSpec) -> None:
        """Remove the saved state of an unfinished fit that nobody will resume."""
        self.checkpoint_path(spec).unlink(missing_ok=True)
        self.remove_folds(spec)

    def remove_folds(self, spec: RunSpec) -> None:
        """Remove the saved folds of a cross-validation."""
        shutil.rmtree(self._folds(spec), ignore_errors=True)

    def _folds(self, spec: RunSpec) -> Path:
        return self.folder / spec.model / f".folds-{spec.folder_name}"

    def drop_model(self, run: Run) -> None:
        """Delete a run's saved model and nothing else."""
        model = run.folder / "model"
        if model.exists():
            with writing(model):
                # Renamed first, so that a kill leaves no partial model in the run.
                model.rename(trash := partial_path(self.folder))
                shutil.rmtree(trash)

    def write_text(self, name: str, text: str) -> Path:
        """Write the file `name` in the data set's folder, atomically."""
        return replace_file(self.folder / name, text)

    def sweep(self) -> None:
        """Remove what killed processes left behind."""
        for path in self.folder.glob("*/.checkpoint-*.safetensors"):
            run = path.name.removeprefix(".checkpoint-").removesuffix(".safetensors")
            if path.with_name(run).exists():
                path.unlink(missing_ok=True)
        for path in self.folder.glob("*/.folds-*"):
            if path.with_name(path.name.removeprefix(".folds-")).exists():
                shutil.rmtree(path, ignore_errors=True)
        remove_abandoned(self.folder, ".partial-*", "*/.partial-*")


def open_store(root: Path | str, dataset: Dataset, *, search_near: bool = False) -> Store:
    """Open the store of `dataset` below `root`, creating it if needed.

    Parameters
    ----------
    root : the folder of all runs
    dataset : whose runs it holds
    search_near : whether test images are searched for that are nearly training images, a second or
        two for a large data set that wasn't searched yet

    Raises
    ------
    StoreError
        When the folder can't be created or written.
    """
    folder = _folder_of(Path(root), dataset)
    file, saved = folder / CARD, None
    try:
        saved = DatasetCard.read(file)
    except NewerError:
        raise
    except StoreError:  # missing or damaged: it is written again
        pass
    card = DatasetCard.of(dataset, saved, search_near=search_near)
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if card != saved:
            replace_file(file, json.dumps(asdict(card), indent=2) + "\n")
        if not os.access(folder, os.W_OK):
            raise PermissionError(13, "permission denied")
    store = Store(folder, card)
    store.sweep()
    return store


def find_store(path: Path | str) -> Store:
    """Open the store at `path`: a data set's folder, or a root that holds exactly one.

    Raises
    ------
    StoreError
        When there is none, more than one, or its `dataset.json` is damaged.
    """
    stores = find_stores(path)
    if len(stores) > 1:
        names = ", ".join(str(store.folder) for store in stores)
        raise StoreError(f"{path} holds runs of several data sets; name one of {names}.")
    return stores[0]


def find_stores(path: Path | str) -> list[Store]:
    """Open the stores at `path`: a data set's folder, or a root that holds some.

    Raises
    ------
    StoreError
        When there is none, or a `dataset.json` is damaged.
    """
    path = Path(path)
    folders = [path] if (path / CARD).exists() else sorted(f.parent for f in path.glob(f"*/{CARD}"))
    if not folders:
        raise StoreError(f"no saved runs in {path}; `fittingroom compare` or `fit` makes some.")
    return [Store(folder, DatasetCard.read(folder / CARD)) for folder in folders]


def remove_run(run: Run) -> None:
    """Delete a run with everything in it. Raises StoreError."""
    with writing(run.folder):
        # Renamed first, so that a kill leaves no partial run.
        run.folder.rename(trash := partial_path(run.folder.parent))
        shutil.rmtree(trash)


def check_model_name(name: str) -> str:
    """Return `name` if a model outside the catalogue can have it, and a folder on any system.

    Raises
    ------
    UsageError
        When it holds anything but letters, digits, `.`, `_`, `+` and `-`, doesn't start with a
        letter or digit, ends with a dot, or is the name of a catalogue model or a reserved one.
    """
    if not _NAME.fullmatch(name) or name.endswith("."):
        raise UsageError(
            f"a model can't be named {name!r}; use up to 64 letters, digits and . _ + -, "
            "starting with a letter or digit and not ending in a dot."
        )
    if name.lower() in (*MODELS, *ALIASES, *BASELINES):
        raise UsageError(f"{name} is a model of the catalogue; give yours another name.")
    if _DEVICES.fullmatch(name) or name.lower().endswith(_FILE_ENDINGS):
        raise UsageError(f"a model can't be named {name!r}, like a file; give it another name.")
    return name


def _folder_of(root: Path, dataset: Dataset) -> Path:
    """The folder of a data set's runs; the data set may have had another name then."""
    end = dataset.sha256[:8]
    folder = root / f"{dataset.slug}-{end}"
    for card_file in [] if folder.exists() else sorted(root.glob(f"*-{end}/{CARD}")):
        with suppress(StoreError):
            if DatasetCard.read(card_file).sha256 == dataset.sha256:
                return card_file.parent
    return folder


def _arrays(parts: Mapping[str, Part]) -> dict[str, np.ndarray]:
    return {
        f"{name}_{field}": array
        for name, part in parts.items()
        for field, array in vars(part.validated()).items()
        if field in ("index", "probabilities", "labels", "selection") and array is not None
    }


def _with_size(record: RunRecord, folder: Path) -> RunRecord:
    size = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return replace(record, model_bytes=size)


def _hashes(folder: Path) -> dict[str, str]:
    """The SHA-256 of every file below a folder, by its path there."""
    hashes = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        hashes[path.relative_to(folder).as_posix()] = digest
    return hashes


def _order(run: Run) -> tuple[str, str, int]:
    return run.record.spec.model, run.record.spec.key, run.record.spec.seed
