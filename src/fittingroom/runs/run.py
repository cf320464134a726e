"""`Run`: one classifier fitted once, as plain files that any program can read."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import numpy as np
import psutil
from numpy.typing import NDArray

from fittingroom.array_file import MAX_BYTES, ArrayFile
from fittingroom.errors import InputError, StoreError
from fittingroom.evaluation.metrics import find_fault
from fittingroom.kernels.threads import count_threads
from fittingroom.models.layer import Layer
from fittingroom.runs.spec import RunSpec
from fittingroom.training.epoch import Epoch
from fittingroom.untrusted import (
    MAX_JSON_BYTES,
    STRICT,
    convert,
    parse_json,
    raise_as,
    read_bytes,
    read_text,
)

SCHEMA_VERSION = 1
#: The files of a run, besides its model.
RECORD, PREDICTIONS, HISTORY = "run.json", "predictions.npz", "history.csv"
LAYERS = "layers.json"
#: The folder of its model, and the largest size of a file there in bytes.
MODEL, MAX_MODEL_BYTES = "model", 2**31
#: Largest size of a history in bytes: of 100,000 epochs.
MAX_HISTORY_BYTES = 2**24
#: The most layers of a network.
MAX_LAYERS = 1000
#: The parts of the data that a run may have predicted.
PARTS = ("validation", "test", "out_of_fold", "measured")


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """`run.json`. Times are wall time; the peak is the fitting process's resident size."""

    __pydantic_config__ = STRICT

    spec: RunSpec
    family: Literal["classical", "network", "own", "added"]
    deterministic: bool  # the seed changes nothing, so one fit stands for all seeds
    trained_on: int | None  # images
    engine: str | None = None
    precision: str | None = None
    device: str | None = None
    kept_epoch: int | None = None
    fit_seconds: float | None = None
    predict_us_per_image: float | None = None
    parameters: int | None = None
    model_bytes: int | None = None
    peak_memory_bytes: int | None = None
    environment: Mapping[str, str | int]
    #: SHA-256 of each file of the run by its path in the folder, and of the official test labels
    #: (int64, little-endian). None in runs of version 0.1.
    files: Mapping[str, str] | None = None
    test_labels_sha256: str | None = None
    schema_version: int = SCHEMA_VERSION

    @property
    def label(self) -> str:
        """The name in a table: the model, and the settings that replace the catalogue's."""
        return f"{self.spec.label} (added)" if self.family == "added" else self.spec.label

    def holds(self, name: str, data: bytes) -> bool:
        """Whether a file of the run, by its path in the folder, has these bytes.

        Runs without hashes hold anything.
        """
        return self.files is None or self.files.get(name) == _digest(data)

    def to_json(self) -> str:
        """`run.json`, which holds the hash of everything else in it."""
        fields = dataclasses.asdict(self)
        fields["asked"] = fields.pop("spec")  # the words of version 0.1
        fields["overrides"] = fields["asked"].pop("settings")
        return _canonical({**fields, "sha256": _digest(_canonical(fields).encode())})

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        """The record of a `run.json`.

        Raises
        ------
        ValueError, RecursionError : it isn't one, or was changed after it was written
        """
        fields = parse_json(text)
        version = fields.get("schema_version") if isinstance(fields, dict) else None
        if isinstance(version, int) and version > SCHEMA_VERSION:
            raise ValueError(f"a newer version wrote it (schema_version {version})")
        sha256 = fields.pop("sha256", None) if isinstance(fields, dict) else None
        if sha256 is not None and sha256 != _digest(_canonical(fields).encode()):
            raise ValueError("it was changed after it was written")
        fields["spec"] = {**fields.pop("asked"), "settings": fields.pop("overrides")}
        record = convert(cls, fields)
        if record.files is not None and sha256 is None:
            raise ValueError("it was changed after it was written")
        # Before users could say so, all were recorded as deterministic, which nobody knows.
        if record.family == "added" and not record.spec.parameters.get("deterministic"):
            return dataclasses.replace(record, deterministic=False)
        return record


def _canonical(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, indent=2, sort_keys=True, allow_nan=False) + "\n"


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True, eq=False)
class Part:
    """What a run predicted for one part of the data.

    `index` (n,) int64 are positions in the split the images come from, `probabilities`
    (n, classes) float32, `labels` (n,) int64 the truth, so that a table needs no data set.
    `selection` (n,) bool marks the selection half of a validation part; None for other parts, and
    in runs of version 0.1.
    """

    index: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray
    selection: np.ndarray | None = None

    @cached_property
    def correct(self) -> np.ndarray:
        """Which images are predicted right, (n,) bool."""
        right: np.ndarray = self.probabilities.argmax(axis=1) == self.labels
        return right

    @cached_property
    def fault(self) -> str | None:
        """What is wrong, if some image's probabilities aren't a distribution over the classes."""
        if (problem := find_fault(self.probabilities)) is None:
            return None
        row, fault = problem
        return f"the probabilities of image {self.index[row]} {fault}"

    def validated(self) -> Part:
        """The part itself. Raises InputError if anything is wrong with it."""
        if self.fault is not None:
            raise InputError(f"{self.fault}.")
        return self

    def among(self, positions: np.ndarray) -> Part:
        """The images at some positions of the split."""
        return self[np.isin(self.index, positions)]

    def __getitem__(self, images: np.ndarray | slice) -> Part:
        """Some of its images, by a mask (n,) or a slice."""
        return Part(self.index[images], self.probabilities[images], self.labels[images])

    def accuracy_on(self, positions: np.ndarray) -> float:
        """The accuracy on the images at some positions of the split."""
        return float(self.among(positions).correct.mean())


@dataclass(frozen=True, eq=False)
class Run:
    """One saved run: its folder and its record; predictions are read on demand."""

    folder: Path
    record: RunRecord

    @property
    def test(self) -> Part | None:
        """The official test split, or None if the run didn't read it."""
        return self._parts["test"]

    @property
    def validation(self) -> Part | None:
        """The validation part, or None if the run was fitted on it."""
        return self._parts["validation"]

    @property
    def measured(self) -> Part | None:
        """What a published protocol took its figure from, or None for an honest run.

        `index` are positions in the training split followed by the test split.
        """
        return self._parts["measured"]

    @property
    def out_of_fold(self) -> Part | None:
        """The whole training split, each image predicted by the fit that didn't see it, or None."""
        return self._parts["out_of_fold"]

    @cached_property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs of a network's training, or none.

        Raises
        ------
        StoreError
            When `history.csv` is damaged.
        """
        if not os.path.lexists(self.folder / HISTORY):
            return ()
        data = self._read(HISTORY, MAX_HISTORY_BYTES)
        with raise_as(self.folder / HISTORY, StoreError):
            lines = csv.DictReader(io.StringIO(data.decode("utf-8")))
            return tuple(_epoch(line) for line in lines)

    @cached_property
    def layers(self) -> tuple[Layer, ...] | None:
        """The layers of a network of the catalogue; None of others, and in runs of version 0.1.

        Raises
        ------
        StoreError
            When `layers.json` is damaged.
        """
        if not os.path.lexists(self.folder / LAYERS):
            return None
        data = self._read(LAYERS, MAX_JSON_BYTES)
        with raise_as(self.folder / LAYERS, StoreError):
            layers = convert(tuple[Layer, ...], parse_json(data.decode("utf-8")))
            if len(layers) > MAX_LAYERS or not all(layer.is_plausible for layer in layers):
                raise ValueError("it has a layer that no network has")
            return layers

    @cached_property
    def _parts(self) -> Mapping[str, Part | None]:
        """The predictions by part of the data. Raises StoreError."""
        data = self._read(PREDICTIONS)
        with raise_as(self.folder / PREDICTIONS, StoreError):
            arrays = ArrayFile(io.BytesIO(data))
            parts = {name: _part(arrays, name) for name in PARTS}
            test, expected = parts["test"], self.record.test_labels_sha256
            if test is not None and expected is not None and labels_sha256(test.labels) != expected:
                raise ValueError("its labels aren't those of the data set")
            return parts

    def check_model(self) -> None:
        """Check the saved model's files against their hashes. Raises StoreError."""
        for name in self.record.files or {}:
            if name.startswith(f"{MODEL}/"):
                self._read(name, MAX_MODEL_BYTES)

    def _read(self, name: str, most: int = MAX_BYTES) -> bytes:
        """Read a file of the run, checking its hash. Raises StoreError."""
        path = self.folder / name
        data = read_bytes(path, StoreError, most=most, within=self.folder)
        if not self.record.holds(name, data):
            raise StoreError(f"{path} was changed after it was saved.")
        return data


def labels_sha256(labels: NDArray[np.int64]) -> str:
    """The hash of labels (n,), as int64, little-endian."""
    return _digest(np.ascontiguousarray(labels, dtype="<i8").tobytes())


def read_run(folder: Path) -> Run:
    """The run in `folder`.

    Raises
    ------
    StoreError
        When `run.json` is missing, damaged or of a newer version.
    """
    path = folder / RECORD
    text = read_text(path, StoreError, most=MAX_JSON_BYTES, within=folder)
    with raise_as(path, StoreError):
        return Run(folder, RunRecord.from_json(text))


def _part(arrays: ArrayFile, name: str) -> Part | None:
    """Read a part of a run's predictions. Raises ValueError, KeyError if it makes no sense."""
    names = [f"{name}_{field}" for field in ("index", "probabilities", "labels")]
    if not any(array_name in arrays.headers for array_name in names):
        return None
    index, probabilities, labels = arrays.read(*names)
    n, kinds = len(index), [array.dtype.kind for array in (index, probabilities, labels)]
    shapes = (index.shape, probabilities.shape[:1], labels.shape)
    if kinds != ["i", "f", "i"] or {*shapes} != {(n,)} or probabilities.ndim != 2 or n == 0:
        raise ValueError(f"its {name} part has an unexpected type or shape")
    if index.min() < 0 or labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f"its {name} part has a label or a position that doesn't exist")
    if f"{name}_selection" not in arrays.headers:
        return Part(index, probabilities, labels)
    (selection,) = arrays.read(f"{name}_selection")
    halves = np.bincount(selection, minlength=2) if selection.dtype == bool else None
    if halves is None or selection.shape != (n,) or halves.min() < 2:
        raise ValueError(f"its {name} part has invalid halves")
    return Part(index, probabilities, labels, selection)


def _epoch(line: Mapping[str, str]) -> Epoch:
    """An epoch of `history.csv`, in which what was not measured is empty."""
    figures = {name: float(text) if text else None for name, text in line.items()}
    return convert(Epoch, {**figures, "epoch": int(line["epoch"])})


def environment() -> dict[str, str | int]:
    """Where a run was made: versions, processor, cores, threads; processes if several."""
    distributed = sys.modules.get("fittingroom.training.distributed")
    processes = 1 if distributed is None else distributed.current().size
    versions = {}
    for name in ("fittingroom", "numpy", "scipy", "scikit-learn", "scikit-learn-intelex", "torch"):
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "absent"
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "processor": processor(),
        "cores": psutil.cpu_count() or 1,
        "threads": count_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", ""),
        **({"processes": processes} if processes > 1 else {}),
    }


def processor() -> str:
    """The processor's model name if the system reports it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
