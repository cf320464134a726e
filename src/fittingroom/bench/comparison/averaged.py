"""What the average of a table's best models would score."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.evaluation.agreement import average, fit_weights
from fittingroom.evaluation.calibration import at_temperature
from fittingroom.evaluation.intervals import CONFIDENCE
from fittingroom.evaluation.metrics import accuracy, balanced_accuracy, correctness, log_loss
from fittingroom.evaluation.recipe_fits import Fits, accuracy_interval
from fittingroom.evaluation.seed_spread import NO_SPREAD
from fittingroom.runs.run import Part

#: Number of models in the average.
AVERAGED = 3


@dataclass(frozen=True)
class AverageScore:
    """Test scores of an average of the best models, chosen and weighted on validation images.

    `best_accuracy` and `best_log_loss` are of the best model alone, with the same fit and
    calibration.
    """

    weights: Mapping[str, float]
    accuracy: float
    these_fits_ci95: tuple[float, float]
    log_loss: float
    best_accuracy: float
    best_log_loss: float


@dataclass(frozen=True, eq=False)
class Member:
    """A candidate: predictions of a fit, and the temperature that calibrates them."""

    selection: Part
    test: Part
    temperature: float

    def calibrated(self, part: Part) -> NDArray[np.float64]:
        return at_temperature(part.probabilities, self.temperature)


def average_of_best(
    members: Mapping[str, Member],
    copies: NDArray[np.int64] | None = None,
    *,
    balanced: bool = False,
) -> AverageScore | None:
    """Average the three models that are best on the selection half, with weights fitted on it.

    Each is calibrated first, since an overconfident model would dominate the average. None if
    there are fewer than three. `copies` of test images as in `Fits`; accuracies are `balanced` if
    the models are ranked by those.
    """
    if len(members) < AVERAGED:
        return None
    parts = {label: member.selection for label, member in members.items()}
    score = balanced_accuracy if balanced else accuracy
    scores = {label: score(part.probabilities, part.labels) for label, part in parts.items()}
    best = sorted(scores, key=lambda label: -scores[label])[:AVERAGED]
    labels = parts[best[0]].labels
    weights = fit_weights([members[label].calibrated(parts[label]) for label in best], labels)
    predicted = [members[label].calibrated(members[label].test) for label in best]
    truth = members[best[0]].test.labels
    mean = average(predicted, weights)
    fits = Fits(
        correctness(mean, truth)[None],
        deterministic=True,
        copies=copies,
        classes=truth if balanced else None,
    )
    return AverageScore(
        weights=dict(zip(best, weights, strict=True)),
        accuracy=fits.accuracy,
        these_fits_ci95=accuracy_interval(fits, NO_SPREAD, (1 - CONFIDENCE) / 2).bounds,
        log_loss=log_loss(mean, truth),
        best_accuracy=score(predicted[0], truth),
        best_log_loss=log_loss(predicted[0], truth),
    )
