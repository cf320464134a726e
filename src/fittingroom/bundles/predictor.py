"""What a saved classifier says of somebody's picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from fittingroom.bundles.bundle import Bundle
from fittingroom.data.catalog import DATASETS
from fittingroom.data.decode import Picture
from fittingroom.data.preparation import prepare
from fittingroom.data.rendering import Preparation, Rendering
from fittingroom.evaluation.conformal import prediction_sets
from fittingroom.evaluation.metrics import CLIP
from fittingroom.evaluation.unlike import unlike_scores


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is in a picture, and how sure that is.

    Attributes
    ----------
    probabilities : float64 (classes,), calibrated
    class_names : of `probabilities`
    labels : the set of classes that holds the true one with the bundle's coverage, whichever that
        is, on data like those that it was fitted on; the most probable first. Empty where nothing
        was calibrated. Of a bundle without `class_quantiles` the coverage is one over all classes
    unlike_score : how undecided the classifier is, 0 … 1, see `unlike_scores`
    unlike_data : whether that is more than images like the data are; None where nothing tells
    odds : float64 (classes,), what the probabilities were multiplied by
    without_odds : the most probable class without them, and its probability
    rendering : what the classifier saw
    """

    probabilities: NDArray[np.float64]
    class_names: tuple[str, ...]
    labels: tuple[str, ...]
    unlike_score: float
    unlike_data: bool | None
    odds: NDArray[np.float64]
    without_odds: tuple[str, float]
    rendering: Rendering

    def top(self, n: int | None = None) -> list[tuple[str, float]]:
        """The n most probable classes, or all, and their probabilities, falling."""
        order = np.argsort(-self.probabilities, kind="stable")[:n]
        return [(self.class_names[k], float(self.probabilities[k])) for k in order]


def predict_picture(
    bundle: Bundle, picture: Picture, preparation: Preparation | None = None
) -> Prediction:
    """Make images of the data's kind of a picture, show them to the classifier, and join the views.

    The views' probabilities are joined by their weighted geometric mean. Of a photo they are then
    multiplied by how much oftener people take photos of each class than the data set shows it,
    where that is known (Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a
    Classifier to New a Priori Probabilities", equation 2.4). The score of what is unlike the data
    leaves that out.

    Parameters
    ----------
    preparation : how the images are made; None as those that the classifier was fitted on

    Raises
    ------
    InputError : a classifier that can't take such images
    """
    rendering = prepare(picture, preparation or bundle.preparation, bundle.facts.image_shape)
    seen = joined(bundle.predict_proba(rendering.views), rendering.weights)
    odds = odds_of_photos(bundle) if rendering.is_photo else np.ones(len(seen))
    probabilities = seen * odds
    probabilities /= probabilities.sum()
    calibrated, names = bundle.facts.calibrated, bundle.class_names
    score = float(unlike_scores(seen[None])[0])
    labels: tuple[str, ...] = ()
    if calibrated is not None:
        quantile = np.array(calibrated.class_quantiles or calibrated.quantile)
        within = prediction_sets(probabilities[None], quantile)[0]
        order = np.argsort(-probabilities, kind="stable")
        labels = tuple(names[k] for k in order if within[k])
    # Of too few validation images the threshold is 1, which no score exceeds: nothing tells then.
    known = calibrated is not None and calibrated.unlike < 1
    unlike = score > calibrated.unlike if calibrated is not None and known else None
    first = int(seen.argmax())
    return Prediction(
        probabilities=probabilities,
        class_names=names,
        labels=labels,
        unlike_score=score,
        unlike_data=unlike,
        odds=odds,
        without_odds=(names[first], float(seen[first])),
        rendering=rendering,
    )


def joined(
    probabilities: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The geometric mean (classes,) of the views' probabilities (views, classes).

    `weights` (views,) have a sum of one.
    """
    logs = weights @ np.log(np.maximum(probabilities.astype(np.float64), CLIP))
    return np.asarray(softmax(logs))


def odds_of_photos(bundle: Bundle) -> NDArray[np.float64]:
    """How much oftener each class (classes,) is in photos than in the data; 1 where unknown."""
    odds: Mapping[str, float] = {}
    for row in DATASETS.values():
        if tuple(bundle.facts.class_names) == row.class_names:
            odds = row.photo_odds
    return np.array([odds.get(name, 1.0) for name in bundle.class_names])
