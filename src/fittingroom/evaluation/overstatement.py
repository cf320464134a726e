"""Selection bias: how much the accuracy of a model is overstated when it was chosen by it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.correctness import check_correct
from fittingroom.evaluation.intervals import CONFIDENCE, Interval

BOOTSTRAPS = 1000
_BATCH = 50  # bootstraps computed at once: 24 MB of counts for 60,000 images


@dataclass(frozen=True, kw_only=True)
class Overstatement:
    """The accuracy of the best model, corrected for selection bias.

    Attributes
    ----------
    winner : the position of the model with the most correct images, the first if several tie
    observed : its accuracy on the images it was chosen on
    expected : the bootstrap estimate of its accuracy on other images
    interval : the central 95% of the bootstrap estimates
    models : the number of models to choose from
    images : the number of images the choice was made on
    """

    winner: int
    observed: float
    expected: float
    interval: Interval
    models: int
    images: int

    @property
    def overstated(self) -> float:
        """The expected selection bias: observed minus expected accuracy."""
        return self.observed - self.expected


def overstatement(
    correct: NDArray[np.bool_], *, bootstraps: int = BOOTSTRAPS, seed: int = 0
) -> Overstatement:
    """Correct the accuracy of the best of several models for selection bias, by bootstrap.

    Images are drawn with replacement. The model that is best on the images drawn is scored on the
    rest, and the mean of these scores estimates the winner's accuracy on new images.
    Tsamardinos, Greasidou and Borboudakis 2018, "Bootstrapping the out-of-sample predictions for
    efficient and accurate cross-validation", Machine Learning 107:1895-1922, algorithm BBC-CV.

    Each bootstrap scores on about 37% of the images, so the interval is rather too wide than too
    narrow.

    Parameters
    ----------
    correct : bool (models, n), which images each model classifies correctly
    bootstraps : number of bootstrap samples
    seed : of the draws

    Raises
    ------
    InputError : `correct` isn't such an array, or has fewer than two images
    """
    check_correct(correct)
    models, n = correct.shape
    if n < 2:
        raise InputError("one image can't both choose and score a model; give at least two.")
    right = correct.T.astype(np.float64)  # (n, models)
    random = np.random.RandomState(seed)
    scores: list[NDArray[np.float64]] = []
    for start in range(0, bootstraps, _BATCH):
        size = min(_BATCH, bootstraps - start)
        counts = np.stack(
            [np.bincount(random.randint(n, size=n), minlength=n) for _ in range(size)]
        ).astype(np.float64)  # (size, n): how often each image was drawn
        best = (counts @ right).argmax(axis=1)
        out_of_bag = (counts == 0).astype(np.float64)  # (size, n)
        n_out = out_of_bag.sum(axis=1)
        best_right = (out_of_bag @ right)[np.arange(size), best]
        scores.append(best_right[n_out > 0] / n_out[n_out > 0])  # few images may all be drawn
    estimates = np.concatenate(scores)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(estimates, [tail, 100 - tail])
    winner = int(correct.sum(axis=1).argmax())
    return Overstatement(
        winner=winner,
        observed=float(correct[winner].mean()),
        expected=float(estimates.mean()),
        interval=Interval(float(low), float(high)),
        models=models,
        images=n,
    )
