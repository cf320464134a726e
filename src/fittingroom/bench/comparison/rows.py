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

    Attributes
    ----------
    accuracy : the share of the images that is classified correctly
    balanced_accuracy : the mean over classes of that share, if models are ranked by it; else None
    accuracy_sd : over seeds, of the figure that models are ranked by
    ci95 : of the same figure of the recipe, over seeds and images; None if the spread over seeds is
        unknown
    this_fit_ci95 : of this one fit
    metrics : the others, by the names of `METRICS`
    """

    accuracy: float
    balanced_accuracy: float | None = None
    accuracy_sd: float | None
    ci95: tuple[float, float] | None
    this_fit_ci95: tuple[float, float] | None
    metrics: Mapping[str, float]

    @property
    def headline(self) -> float:
        """The figure that models are ranked by: the balanced accuracy if there is one."""
        return self.accuracy if self.balanced_accuracy is None else self.balanced_accuracy

    @property
    def ends(self) -> tuple[float, float]:
        """The headline's interval; twice the headline itself where that is unknown."""
        return self.ci95 or (self.headline, self.headline)

    def to_dict(self) -> dict[str, Any]:
        """The scores in JSON, one level deep."""
        fields = dataclasses.asdict(self)
        del fields["metrics"]
        if self.balanced_accuracy is None:
            del fields["balanced_accuracy"]
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

    @property
    def scores(self) -> list[Scores]:
        """Those that it has."""
        return [score for score in (self.test, self.validation) if score is not None]

    @property
    def balanced(self) -> bool:
        """Whether it is ranked by its balanced accuracy."""
        return any(score.balanced_accuracy is not None for score in self.scores)

    def to_dict(self) -> dict[str, Any]:
        """The row in `leaderboard.json`."""
        scores = {"test": self.test, "validation": self.validation}
        return dataclasses.asdict(self) | {
            part: None if score is None else score.to_dict() for part, score in scores.items()
        }


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Headline of `a` minus headline of `b`, with its tests; see `PairedDifference`."""

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

    @property
    def reversed(self) -> Pair:
        """The same comparison, `b` minus `a`."""
        return dataclasses.replace(
            self,
            a=self.b,
            b=self.a,
            difference=-self.difference,
            ci95=None if self.ci95 is None else (-self.ci95[1], -self.ci95[0]),
            only_a_right=self.only_b_right,
            only_b_right=self.only_a_right,
        )
