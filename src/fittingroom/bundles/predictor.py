"""Predict somebody's picture with a saved classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import softmax

from fittingroom.bundles.manifest import Facts
from fittingroom.data.catalog import DATASETS
from fittingroom.data.decode import Picture
from fittingroom.data.preparation import prepare
from fittingroom.data.rendering import Preparation, Rendering
from fittingroom.evaluation.conformal import prediction_sets
from fittingroom.evaluation.metrics import CLIP
from fittingroom.evaluation.unlike import unlike_scores


class SavedClassifier(Protocol):
    """What a prediction needs of a `Bundle`."""

    @property
    def facts(self) -> Facts: ...

    @property
    def preparation(self) -> Preparation: ...

    @property
    def class_names(self) -> tuple[str, ...]: ...

    def predict_proba(self, images: ArrayLike) -> NDArray[np.float32]: ...


@dataclass(frozen=True, eq=False)
class Prediction:
    """What is in a picture, and how sure that is.

    Attributes
    ----------
    probabilities : float64 (classes,), calibrated
    class_names : of `probabilities`
    labels : the set of classes that holds the true one with the bundle's coverage, for each class,
        on data like that it was fitted on; the most probable first. Empty if nothing was
        calibrated. Without `class_quantiles` the coverage is an average over all classes
    unlike_score : how undecided the classifier is, 0 … 1, see `unlike_scores`
    unlike_data : whether that is more than for images like the data; None if it can't be decided
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
        """The n most probable classes, or all, with their probabilities in descending order."""
        order = np.argsort(-self.probabilities, kind="stable")[:n]
        return [(self.class_names[k], float(self.probabilities[k])) for k in order]

    def to_dict(self) -> dict[str, Any]:
        """All of it but the images, for JSON."""
        odds = dict(zip(self.class_names, self.odds.tolist(), strict=True))
        return {
            "top": [{"label": name, "probability": share} for name, share in self.top()],
            "set": list(self.labels),
            "unlike_data": self.unlike_data,
            "unlike_score": self.unlike_score,
            "odds": odds if self.rendering.is_photo else None,
            "is_photo": self.rendering.is_photo,
            "decisions": list(self.rendering.decisions),
        }


def predict_picture(
    bundle: SavedClassifier, picture: Picture, preparation: Preparation | None = None
) -> Prediction:
    """Render a picture as images like the data's, and predict those.

    Parameters
    ----------
    preparation : how the images are made; None for the way the classifier's own were

    Raises
    ------
    InputError : the classifier can't take such images
    """
    shape = bundle.facts.image_shape
    return predict_rendering(bundle, prepare(picture, preparation or bundle.preparation, shape))


def predict_rendering(bundle: SavedClassifier, rendering: Rendering) -> Prediction:
    """Classify the views of a picture, and combine what they give.

    The views' probabilities are combined by their weighted geometric mean. Those of a photo are
    then multiplied by how much more often people photograph each class than it occurs in the data
    set, if that is known (Saerens, Latinne and Decaestecker 2002, "Adjusting the Outputs of a
    Classifier to New a Priori Probabilities", equation 2.4). The score of unlike data ignores that.

    Raises
    ------
    InputError : the classifier can't take such images
    """
    combined = combine_views(bundle.predict_proba(rendering.views), rendering.weights)
    odds = odds_of_photos(bundle) if rendering.is_photo else np.ones(len(combined))
    probabilities = combined * odds
    probabilities /= probabilities.sum()
    calibrated, names = bundle.facts.calibrated, bundle.class_names
    score = float(unlike_scores(combined[None])[0])
    labels: tuple[str, ...] = ()
    if calibrated is not None:
        quantile = np.array(calibrated.class_quantiles or calibrated.quantile)
        in_set = prediction_sets(probabilities[None], quantile)[0]
        order = np.argsort(-probabilities, kind="stable")
        labels = tuple(names[k] for k in order if in_set[k])
    # With too few validation images the threshold is 1, which no score exceeds.
    decidable = calibrated is not None and calibrated.unlike < 1
    unlike = score > calibrated.unlike if calibrated is not None and decidable else None
    first = int(combined.argmax())
    return Prediction(
        probabilities=probabilities,
        class_names=names,
        labels=labels,
        unlike_score=score,
        unlike_data=unlike,
        odds=odds,
        without_odds=(names[first], float(combined[first])),
        rendering=rendering,
    )


def preparation_as(
    bundle: SavedClassifier, taken_as: Literal["photo", "image"] | None
) -> Preparation:
    """How a picture is prepared: as the classifier's own images were, unless `taken_as` differs.

    "photo" locates an object in a picture of which all would be taken; "image" takes all.
    """
    own = bundle.preparation
    is_image = own in ("image", "image-on-black")
    if taken_as == "image" and not is_image:
        return "image"
    return "garment" if taken_as == "photo" and is_image else own


def combine_views(
    probabilities: NDArray[np.floating], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weighted geometric mean (classes,) of the views' probabilities (views, classes).

    `weights` (views,) sum to one.
    """
    logs = weights @ np.log(np.maximum(probabilities.astype(np.float64), CLIP))
    return np.asarray(softmax(logs))


def odds_of_photos(bundle: SavedClassifier) -> NDArray[np.float64]:
    """How much more often each class (classes,) is in photos than in the data; 1 if unknown."""
    odds: Mapping[str, float] = {}
    for row in DATASETS.values():
        if tuple(bundle.facts.class_names) == row.class_names:
            odds = row.photo_odds
    return np.array([odds.get(name, 1.0) for name in bundle.class_names])
