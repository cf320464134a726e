"""`Run`: one classifier fitted once, as plain files that any program can read."""

from __future__ import annotations

import csv
import dataclasses
import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import Any, Literal
from zipfile import BadZipFile

import numpy as np
import psutil

from fittingroom.errors import InputError, StoreError
from fittingroom.evaluation.metrics import fault_of
from fittingroom.runs.asked import Asked
from fittingroom.training.epoch import Epoch

SCHEMA_VERSION = 1


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """`run.json`. Times are wall time; the peak is the fitting process's resident size."""

    asked: Asked
    overrides: Mapping[str, Any]  # what differs from the catalogue's row
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
    schema_version: int = SCHEMA_VERSION

    @property
    def label(self) -> str:
        """The name in a table: the model, and what was set otherwise than in the catalogue."""
        return label(self.asked.model, self.overrides)

    def to_json(self) -> str:
        return (
            json.dumps(dataclasses.asdict(self), indent=2, sort_keys=True, allow_nan=False) + "\n"
        )

    @classmethod
    def from_json(cls, text: str) -> RunRecord:
        fields = json.loads(text)
        if fields.get("schema_version") != SCHEMA_VERSION:
            raise ValueError(f"schema_version is {fields.get('schema_version')!r}")
        if fields["family"] == "added":  # was recorded as deterministic, which nobody knows
            fields["deterministic"] = False
        return cls(**{**fields, "asked": Asked(**fields["asked"])})


def label(model: str, overrides: Mapping[str, Any]) -> str:
    """`cnn-32`, or `cnn-32[epochs=3]`."""
    settings = ",".join(f"{name}={value}" for name, value in sorted(overrides.items()))
    return f"{model}[{settings}]" if settings else model


@dataclass(frozen=True, eq=False)
class Part:
    """What a run predicted for one part of the data.

    `index` (n,) int64 are positions in the split the images come from, `probabilities`
    (n, classes) float32, `labels` (n,) int64 the truth, so that a table needs no data set.
    """

    index: np.ndarray
    probabilities: np.ndarray
    labels: np.ndarray

    @cached_property
    def correct(self) -> np.ndarray:
        """Which images were right, (n,) bool."""
        right: np.ndarray = self.probabilities.argmax(axis=1) == self.labels
        return right

    @cached_property
    def fault(self) -> str | None:
        """What is wrong, if some image's probabilities aren't a distribution over the classes."""
        if (found := fault_of(self.probabilities)) is None:
            return None
        row, fault = found
        return f"the probabilities of image {self.index[row]} {fault}"

    def checked(self) -> Part:
        """Itself, where nothing is wrong with it. Raises InputError."""
        if self.fault is not None:
            raise InputError(f"{self.fault}.")
        return self

    def among(self, positions: np.ndarray) -> Part:
        """The images at some positions of the split."""
        there = np.isin(self.index, positions)
        return Part(self.index[there], self.probabilities[there], self.labels[there])

    def accuracy_on(self, positions: np.ndarray) -> float:
        """The share that is right among the images at some positions of the split."""
        return float(self.among(positions).correct.mean())


@dataclass(frozen=True, eq=False)
class Run:
    """One saved run: its folder and its record; the predictions are read when asked for."""

    folder: Path
    record: RunRecord

    @cached_property
    def test(self) -> Part | None:
        """The official test split, or None where the run left it unread."""
        return self._part("test")

    @cached_property
    def validation(self) -> Part | None:
        """The validation part, or None where the run was fitted on it."""
        return self._part("validation")

    @cached_property
    def measured(self) -> Part | None:
        """What a published protocol took its figure from, or None for an honest run.

        `index` are positions in the training split followed by the test split.
        """
        return self._part("measured")

    @cached_property
    def history(self) -> tuple[Epoch, ...]:
        """The epochs of a network's training, or none.

        Raises
        ------
        StoreError
            When `history.csv` is damaged.
        """
        path = self.folder / "history.csv"
        if not path.exists():
            return ()
        try:
            with path.open(encoding="utf8", newline="") as file:
                return tuple(_epoch(line) for line in csv.DictReader(file))
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise _unreadable(path, error) from error

    @cached_property
    def out_of_fold(self) -> Part | None:
        """The whole training split, each image by the fit that didn't see it, or None."""
        return self._part("out_of_fold")

    def _part(self, name: str) -> Part | None:
        path = self.folder / "predictions.npz"
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                if f"{name}_probabilities" not in arrays:
                    return None
                return Part(*(arrays[f"{name}_{f.name}"] for f in dataclasses.fields(Part)))
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise _unreadable(path, error) from error


def read_run(folder: Path) -> Run:
    """The run in `folder`.

    Raises
    ------
    StoreError
        When `run.json` is missing, damaged or of another format.
    """
    path = folder / "run.json"
    try:
        return Run(folder, RunRecord.from_json(path.read_text("utf8")))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise _unreadable(path, error) from error


def _epoch(line: Mapping[str, str]) -> Epoch:
    """An epoch of `history.csv`; what was not measured is empty there."""
    figures = {name: float(text) if text else None for name, text in line.items()}
    return Epoch(**{**figures, "epoch": int(line["epoch"])})  # type: ignore[arg-type]


def _unreadable(path: Path, error: Exception) -> StoreError:
    return StoreError(f"{path} can't be read ({error}); remove its folder to fit it again.")


def environment() -> dict[str, str | int]:
    """Where a run was made: versions, processor, cores, threads; processes if several."""
    import torch

    from fittingroom.training.distributed import current

    processes = current().size
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
        "threads": torch.get_num_threads(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", ""),
        **({"processes": processes} if processes > 1 else {}),
    }


def processor() -> str:
    """The processor's own name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text("utf8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
