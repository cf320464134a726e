"""`Tuning`: the result of a search for settings, computed from its trials' saved runs."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from fittingroom.bench.tuning.space import Space
from fittingroom.evaluation.frames import frame
from fittingroom.evaluation.overstatement import Overstatement
from fittingroom.formatting import short_path
from fittingroom.json_text import json_text
from fittingroom.models.catalog import row_of
from fittingroom.models.settings import text_of

SCHEMA_VERSION = 1
#: Subfolder of the runs folder for trials, which would otherwise fill every table.
FOLDER = "tune"

Status = Literal["ok", "pruned", "failed", "nan", "out-of-memory", "running", "waiting"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial. Its validation accuracy is None unless its status is `ok`."""

    number: int
    status: Status
    settings: Mapping[str, Any] | None = None
    accuracy: float | None = None
    fit_seconds: float | None = None
    kept_epoch: int | None = None
    reason: str | None = None
    run: str | None = None  # its folder, relative to the store

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self.status not in ("running", "waiting")


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """Test accuracy of the best settings, fitted once more."""

    accuracy: float
    this_fit_ci95: tuple[float, float]  # of this fit, on new images
    run: str


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The trials of a search, the best one, and how good it really is.

    Attributes
    ----------
    study : its name in the database and in file names
    storage : URL of the database, without a password
    model : of the catalogue
    dataset : as the user gave it; `dataset_title` is its own name
    folds : of a cross-validation over the training split; 0 if the selection half is used
    n_trials : total number of trials of the search
    overstatement : None if no trial has an accuracy
    importance : share of the accuracies' variance by parameter, largest first; None if there are
        too few trials
    test : None until the best settings are fitted once more
    test_failure : why that fit failed, if it did
    interrupted : by the user
    runs : the folder of saved runs
    folder : of the search's files
    """

    study: str
    storage: str
    model: str
    dataset: str
    dataset_title: str
    dataset_sha256: str
    space: Space
    sampler: str
    seed: int
    folds: int
    n_trials: int
    trials: tuple[Trial, ...]
    overstatement: Overstatement | None
    importance: Mapping[str, float] | None
    test: TestResult | None = None
    test_failure: str | None = None
    interrupted: bool = False
    runs: str = "runs"
    folder: Path = Path()

    @property
    def best(self) -> Trial | None:
        """The trial with the highest accuracy, the first one in a tie."""
        scored = self.scored
        return max(scored, key=lambda trial: (trial.accuracy, -trial.number)) if scored else None

    @property
    def scored(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.status == "ok"]

    @property
    def complete(self) -> bool:
        """Whether all `n_trials` trials have ended."""
        return len(self.trials) >= self.n_trials and all(trial.ended for trial in self.trials)

    def recipe(self) -> tuple[str, dict[str, Any]]:
        """Model and settings of the best trial, as `fit` takes them."""
        assert self.best is not None
        settings = dict(self.best.settings or {})
        return settings.pop("model", self.model), settings

    @property
    def command(self) -> str:
        """The command that fits the best settings."""
        model, settings = self.recipe()
        arguments = ["fittingroom", "fit", model, *self._path_options()]
        if self.seed:
            arguments += ["--seed", str(self.seed)]
        for name, value in settings.items():
            arguments += ["--set", f"{name}={text_of(value)}"]
        return shlex.join(arguments)

    @property
    def recipe_name(self) -> str:
        """Name of the file with the best settings."""
        return f"{self.study}.best.json"

    @property
    def comparison(self) -> str:
        """The command that compares the best settings with the defaults of `model`."""
        file = str(short_path(self.folder / self.recipe_name))
        arguments = ["fittingroom", "compare", "--models", self.model, "--settings", file]
        fixed = all(row_of(model).deterministic for model in (self.model, self.recipe()[0]))
        return shlex.join([*arguments, *self._path_options(), *([] if fixed else ["--seeds", "5"])])

    def _path_options(self) -> list[str]:
        """Options for the data set and the runs folder, where they aren't the defaults."""
        data = [] if self.dataset == "fashion-mnist" else ["--dataset", self.dataset]
        return data if self.runs == "runs" else [*data, "--runs", self.runs]

    def recipe_json(self) -> str:
        """The best settings, as `--settings` of `fit` and `compare` reads them."""
        model, settings = self.recipe()
        fields = {"schema_version": SCHEMA_VERSION, "model": model, "settings": settings}
        return json_text(fields)

    def to_dict(self) -> dict[str, Any]:
        """`<study>.json`."""
        overstatement, best = self.overstatement, None
        if self.best is not None:
            model, settings = self.recipe()
            best = {
                "trial": self.best.number,
                "model": model,
                "settings": settings,
                "accuracy": self.best.accuracy,
                "command": self.command,
            }
        return {
            "schema_version": SCHEMA_VERSION,
            "study": self.study,
            "storage": self.storage,
            "dataset": {"name": self.dataset, "sha256": self.dataset_sha256},
            "model": self.model,
            "space": self.space.to_dict(),
            "fixed": dict(self.space.fixed),
            "sampler": self.sampler,
            "seed": self.seed,
            "folds": self.folds,
            "asked": self.n_trials,
            "complete": self.complete,
            "best": best,
            "overstatement": None
            if overstatement is None
            else {
                "images": overstatement.images,
                "trials": overstatement.models,
                "observed": overstatement.observed,
                "expected": overstatement.expected,
                "overstated": overstatement.overstated,
                "ci95": list(overstatement.interval.bounds),
            },
            "importance": None if self.importance is None else dict(self.importance),
            "test": None if self.test is None else dataclasses.asdict(self.test),
            "untested": self.test_failure,
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
        }

    def to_json(self) -> str:
        return json_text(self.to_dict())

    def to_frame(self) -> Any:
        """One row per trial, one column per setting. Raises UsageError without pandas."""
        return frame(
            (
                {**dataclasses.asdict(t), "settings": None, **(t.settings or {})}
                for t in self.trials
            ),
            index="number",
        )


def best_so_far(accuracies: Sequence[float | None]) -> NDArray[np.float64]:
    """The highest accuracy up to each trial, NaN before the first."""
    scores = np.array([np.nan if a is None else a for a in accuracies], float)
    best: NDArray[np.float64] = np.fmax.accumulate(scores) if len(scores) else scores
    return best
