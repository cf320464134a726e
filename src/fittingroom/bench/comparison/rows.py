"""The rows of a leaderboard, and its pairs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fittingroom.runs.attempt import Status


@dataclass(frozen=True, kw_only=True)
class Scores:
    """Means over seeds.

    `ci95` is of the recipe's accuracy, over seeds and images; None if the spread over seeds is
    unknown. `this_fit_ci95` is of this one fit.
    """

    accuracy: float
    accuracy_sd: float | None
    ci95: tuple[float, float] | None
    this_fit_ci95: tuple[float, float] | None
    metrics: Mapping[str, float]  # the others, by the names of `METRICS`

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON, one level deep."""
        fields = dataclasses.asdict(self)
        del fields["metrics"]
        return {**fields, **self.metrics}


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model. A model that failed is a row that says so; its figures are None.

    `rank` is the best and the worst rank that the model may have.
    """

    model: str
    rank: tuple[int, int] | None = None
    indistinguishable_from: tuple[str, ...] = ()
    seeds: int = 0
    deterministic: bool = False
    trained_on: int | None = None
    test: Scores | None = None
    validation: Scores | None = None
    fit_seconds: float | None = None
    predict_us_per_image: float | None = None
    parameters: int | None = None
    engine: str | None = None
    precision: str | None = None
    status: Status = "ok"
    reason: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """The row in `leaderboard.json`."""
        scores = {"test": self.test, "validation": self.validation}
        return dataclasses.asdict(self) | {
            part: None if score is None else score.to_dict() for part, score in scores.items()
        }


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Accuracy of `a` minus accuracy of `b`, with its tests; see `PairedDifference`."""

    a: str
    b: str
    difference: float
    ci95: tuple[float, float] | None
    p: float | None
    p_adjusted: float | None
    p_these_fits: float | None
    only_a_right: float
    only_b_right: float
    method: str
    standard_error: float | None
    degrees_of_freedom: float | None
    single_seed: bool
