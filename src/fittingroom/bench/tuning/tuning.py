"""`Tuning`: what a search for settings found, computed from its trials' saved runs."""

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
#: The folder of trials' runs below that of all runs: they would fill every table.
FOLDER = "tune"

Status = Literal["ok", "pruned", "failed", "nan", "out-of-memory", "running", "waiting"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One trial. Its accuracy is that on the selection half; None unless its status is `ok`."""

    number: int
    status: Status
    settings: Mapping[str, Any] | None = None
    accuracy: float | None = None
    fit_seconds: float | None = None
    kept_epoch: int | None = None
    reason: str | None = None
    run: str | None = None  # its folder, below the trials' own

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.status not in ("running", "waiting")


@dataclass(frozen=True, kw_only=True)
class Tested:
    """The best settings fitted once more, and how they do on the test split."""

    accuracy: float
    this_fit_ci95: tuple[float, float]  # of this fit, on other images
    run: str


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The trials of a search, the best of them, and what that is worth.

    Attributes
    ----------
    study : its name in the database, and of its files
    storage : the database, without a password
    model : of the catalogue
    dataset : the name that it was asked for by; `dataset_title` is its own
    space : what was searched, and what was the same in every trial
    folds : of a cross-validation over the training split; 0 where the selection half decides
    asked : of how many trials the search is to consist
    overstatement : None where no trial has a figure
    importance : share of the accuracies' variance by parameter, largest first; None of few trials
    tested : None until the best settings were fitted once more
    untested : why that failed, if it did
    interrupted : by the user
    runs : the folder of saved runs
    folder : of the files of the search
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
    asked: int
    trials: tuple[Trial, ...]
    overstatement: Overstatement | None
    importance: Mapping[str, float] | None
    tested: Tested | None = None
    untested: str | None = None
    interrupted: bool = False
    runs: str = "runs"
    folder: Path = Path()

    @property
    def best(self) -> Trial | None:
        """The trial with the highest accuracy, the first of equals."""
        scored = self.scored
        return max(scored, key=lambda trial: (trial.accuracy, -trial.number)) if scored else None

    @property
    def scored(self) -> list[Trial]:
        return [trial for trial in self.trials if trial.status == "ok"]

    @property
    def complete(self) -> bool:
        """Whether every trial that was asked for is over."""
        return len(self.trials) >= self.asked and all(trial.over for trial in self.trials)

    def recipe(self) -> tuple[str, dict[str, Any]]:
        """Model and settings of the best trial, as `fit` takes them."""
        assert self.best is not None
        settings = dict(self.best.settings or {})
        return settings.pop("model", self.model), settings

    @property
    def command(self) -> str:
        """How to fit the best settings."""
        model, settings = self.recipe()
        asked = ["fittingroom", "fit", model, *self._places()]
        if self.seed:
            asked += ["--seed", str(self.seed)]
        for name, value in settings.items():
            asked += ["--set", f"{name}={text_of(value)}"]
        return shlex.join(asked)

    @property
    def recipe_name(self) -> str:
        """The file of the best settings."""
        return f"{self.study}.best.json"

    @property
    def comparison(self) -> str:
        """How to compare the best settings with those of `model`."""
        file = str(short_path(self.folder / self.recipe_name))
        asked = ["fittingroom", "compare", "--models", self.model, "--settings", file]
        fixed = all(row_of(model).deterministic for model in (self.model, self.recipe()[0]))
        return shlex.join([*asked, *self._places(), *([] if fixed else ["--seeds", "5"])])

    def _places(self) -> list[str]:
        """Where data are read and runs are kept, if that isn't where they usually are."""
        data = [] if self.dataset == "fashion-mnist" else ["--dataset", self.dataset]
        return data if self.runs == "runs" else [*data, "--runs", self.runs]

    def recipe_json(self) -> str:
        """What `--settings` of `fit` and `compare` reads."""
        model, settings = self.recipe()
        told = {"schema_version": SCHEMA_VERSION, "model": model, "settings": settings}
        return json_text(told)

    def to_dict(self) -> dict[str, Any]:
        """`<study>.json`."""
        found, best = self.overstatement, None
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
            "asked": self.asked,
            "complete": self.complete,
            "best": best,
            "overstatement": None
            if found is None
            else {
                "images": found.images,
                "trials": found.models,
                "observed": found.observed,
                "expected": found.expected,
                "overstated": found.overstated,
                "ci95": list(found.interval.bounds),
            },
            "importance": None if self.importance is None else dict(self.importance),
            "test": None if self.tested is None else dataclasses.asdict(self.tested),
            "untested": self.untested,
            "trials": [dataclasses.asdict(trial) for trial in self.trials],
        }

    def to_json(self) -> str:
        return json_text(self.to_dict())

    def to_frame(self) -> Any:
        """A line a trial, a column a setting. Raises UsageError without pandas."""
        return frame(
            (
                {**dataclasses.asdict(t), "settings": None, **(t.settings or {})}
                for t in self.trials
            ),
            index="number",
        )


def best_so_far(accuracies: Sequence[float | None]) -> NDArray[np.float64]:
    """After each trial the highest accuracy until then, NaN before the first."""
    known = np.array([np.nan if a is None else a for a in accuracies], float)
    best: NDArray[np.float64] = np.fmax.accumulate(known) if len(known) else known
    return best
