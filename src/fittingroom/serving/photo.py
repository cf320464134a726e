"""A picture's answer: the predictions of each model, and what explains them where asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, cast

from fittingroom.bundles.predictor import predict_rendering, preparation_as
from fittingroom.data.decode import LONGEST, decode
from fittingroom.data.preparation import prepare
from fittingroom.data.rendering import Preparation, Rendering
from fittingroom.errors import InputError
from fittingroom.reporting.images import data_uri
from fittingroom.serving.outline import outline_of
from fittingroom.serving.served_model import ServedModel
from fittingroom.serving.training_images import TrainingImages

#: The most training images that are shown beside a picture.
MOST_NEAREST = 24


@dataclass(frozen=True)
class PhotoQuery:
    """What a request for a picture's predictions asks for.

    Attributes
    ----------
    taken_as : what the picture is, see `preparation_as`
    show : whether the answer has the model's image and the object's outline
    nearest : how many of the nearest training images it has
    """

    taken_as: Literal["photo", "image"] | None = None
    show: bool = False
    nearest: int = 0

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> PhotoQuery:
        """Read a URL's parameters. Raises InputError."""
        taken_as, show = parameters.get("as"), parameters.get("show", "false")
        nearest = parameters.get("nearest", "0")
        if taken_as not in (None, "photo", "image"):
            raise InputError(f"as is photo or image, not {taken_as!r:.100}.")
        if show not in ("true", "false"):
            raise InputError(f"show is true or false, not {show!r:.100}.")
        is_number = nearest.isascii() and nearest.isdigit() and len(nearest) <= 10
        if not is_number or int(nearest) > MOST_NEAREST:
            raise InputError(
                f"nearest is a whole number from 0 to {MOST_NEAREST}, not {nearest!r:.100}."
            )
        kind = cast("Literal['photo', 'image'] | None", taken_as)
        return cls(kind, show == "true", int(nearest))


def classify_photo(
    models: Sequence[ServedModel], content: bytes, query: PhotoQuery
) -> list[dict[str, Any]]:
    """An entry for each model, as `predict --json` has it, with what else is asked for.

    Raises
    ------
    DataError : the picture can't be read
    """
    longest = max(LONGEST, *(side for model in models for side in model.image_shape))
    picture = decode(content, longest=longest)
    explanations = _Explanations(query)
    renderings: dict[tuple[Preparation, tuple[int, int]], Rendering] = {}
    entries = []
    for model in models:
        way = preparation_as(model, query.taken_as), model.image_shape
        if way not in renderings:  # finding an object takes longer than all else
            renderings[way] = prepare(picture, *way)
        prediction = predict_rendering(model, renderings[way])
        entries.append({**prediction.to_dict(), **explanations.of(renderings[way], model)})
    return entries


class _Explanations:
    """What explains predictions of one picture; most models see the same image of it."""

    def __init__(self, query: PhotoQuery) -> None:
        self._query = query
        self._nearest: dict[tuple[TrainingImages, bytes], list[dict[str, Any]]] = {}

    def of(self, rendering: Rendering, model: ServedModel) -> dict[str, Any]:
        explanation: dict[str, Any] = {}
        if self._query.show:
            explanation["image"] = data_uri(rendering.views[0])
            explanation["views"] = len(rendering.views)
            explanation["outline"] = outline_of(rendering.mask)
        if self._query.nearest:
            training = model.training
            explanation["nearest"] = training and self._neighbours(training, rendering)
        return explanation

    def _neighbours(self, training: TrainingImages, rendering: Rendering) -> list[dict[str, Any]]:
        image = rendering.views[0]
        key = training, image.tobytes()
        if key not in self._nearest:
            self._nearest[key] = [
                {
                    "position": neighbour.position,
                    "label": neighbour.label,
                    "distance": round(neighbour.distance, 1),
                    "image": data_uri(neighbour.image),
                }
                for neighbour in training.nearest(image, self._query.nearest)
            ]
        return self._nearest[key]
