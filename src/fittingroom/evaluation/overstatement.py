"""By how much the best of many overstates itself, since it was chosen for how it came out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fittingroom.errors import InputError
from fittingroom.evaluation.correctness import check_correct
from fittingroom.evaluation.intervals import CONFIDENCE, Interval

BOOTSTRAPS = 1000
_AT_ONCE = 50  # bootstraps: 24 MB of counts for 60,000 images


@dataclass(frozen=True, kw_only=True)
class Overstatement:
    """What the winner's accuracy is worth, the choice allowed for.

    Attributes
    ----------
    winner : which model has most images right; of equals the first
    observed : its accuracy on the images it was chosen by
    expected : its accuracy on images it was not chosen by, as the bootstrap estimates it
    interval : 95% of the bootstraps' estimates
    models, images : how many there were to choose among, and by
    """

    winner: int
    observed: float
    expected: float
    interval: Interval
    models: int
    images: int

    @property
    def overstated(self) -> float:
        """How much of the observed accuracy is expected to be luck of the choice."""
        return self.observed - self.expected


def overstatement(
    correct: NDArray[np.bool_], *, bootstraps: int = BOOTSTRAPS, seed: int = 0
) -> Overstatement:
    """Bootstrap bias correction of the best of several models on the same images.

    Images are drawn with replacement; the model that is best on those drawn is scored on those
    that were not, and the mean of these scores stands for the winner's accuracy on new images.
    Tsamardinos, Greasidou and Borboudakis 2018, "Bootstrapping the out-of-sample predictions for
    efficient and accurate cross-validation", Machine Learning 107:1895-1922, algorithm BBC-CV.

    A bootstrap scores on 37% of the images, so the interval is wider rather than narrower than it
    should be.

    Parameters
    ----------
    correct : bool (models, n), which images each model has right
    bootstraps : how many
    seed : of the draws

    Raises
    ------
    InputError : `correct` isn't such an array, or has fewer than two images
    """
    check_correct(correct)
    models, n = correct.shape
    if n < 2:
        raise InputError("one image can't both choose and score; give at least two.")
    right = correct.T.astype(np.float64)  # (n, models)
    random = np.random.RandomState(seed)
    scores: list[NDArray[np.float64]] = []
    for start in range(0, bootstraps, _AT_ONCE):
        size = min(_AT_ONCE, bootstraps - start)
        counts = np.stack(
            [np.bincount(random.randint(n, size=n), minlength=n) for _ in range(size)]
        ).astype(np.float64)  # (size, n): how often each image was drawn
        best = (counts @ right).argmax(axis=1)
        out = (counts == 0).astype(np.float64)
        held = out.sum(axis=1)
        of_best = (out @ right)[np.arange(size), best]
        scores.append(of_best[held > 0] / held[held > 0])  # of two images none may be left
    found = np.concatenate(scores)
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(found, [tail, 100 - tail])
    winner = int(correct.sum(axis=1).argmax())
    return Overstatement(
        winner=winner,
        observed=float(correct[winner].mean()),
        expected=float(found.mean()),
        interval=Interval(float(low), float(high)),
        models=models,
        images=n,
    )
