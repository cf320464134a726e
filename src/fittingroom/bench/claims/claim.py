"""A published claim: a figure, what its source says it is, and how it was obtained."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

#: Notes on a protocol, and what each means for the figure.
NOTES = {
    "clean": "it was fitted without the test images and tested once",
    "trained-on-test": "it was trained on the test images",
    "selected-on-test": "its epoch or settings were selected on the test images",
    "training-accuracy-quoted": "the figure is an accuracy on training images",
    "test-not-scaled": "training images were divided by 255 and test images were not",
    "never-tested": "it was never tested",
    "own-random-split": "training and test images were pooled and split anew",
}

Note = Literal[
    "clean",
    "trained-on-test",
    "selected-on-test",
    "training-accuracy-quoted",
    "test-not-scaled",
    "never-tested",
    "own-random-split",
]
Text = Annotated[str, Field(min_length=1, max_length=1000)]
Share = Annotated[float, Field(gt=0, lt=1)]
Seconds = Annotated[float, Field(gt=0)]
Parameters = dict[Text, Any]


@dataclass(frozen=True)
class Figure:
    """A published number and half a unit of its last digit: it stands for all that round to it."""

    value: float
    half_digit: float

    @classmethod
    def parse(cls, text: str) -> Figure:
        """`0.8414` or `89%`. Raises ValueError for anything else."""
        match = re.fullmatch(r"\d+(?:\.(\d+))?(%?)", text)
        if match is None:
            raise ValueError(f"{text!r} is not a figure such as 0.8414 or 89%")
        unit = 0.01 if match[2] else 1.0
        return cls(float(text.rstrip("%")) * unit, 0.5 * 10 ** -len(match[1] or "") * unit)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.value - self.half_digit, self.value + self.half_digit


class Strict(BaseModel):
    """A model that allows no unknown fields and converts no types."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(Strict):
    """Where the claim was published: a repository, a revision, and a name for the place in it."""

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")]
    block: Text | None = None


class ClaimRecipe(Strict):
    """What was fitted, in terms of the catalogue.

    Attributes
    ----------
    model, parameters : a name of the catalogue, and what replaces its defaults
    preprocessing : of the pixels, in words
    seconds : of one fit, if they differ from the catalogue's
    """

    model: Text
    parameters: Parameters = {}
    preprocessing: Text
    seconds: Seconds | None = None


class ClaimSplit(Strict):
    """How the source split the images.

    Attributes
    ----------
    kind : the official split, or both parts pooled and split anew
    test : share of the pool that was held out for testing
    validation : share of the remaining images that was held out for validation; None if the source
        trained on all of them
    seed : of both draws by `train_test_split`, not stratified
    """

    kind: Literal["official", "pooled"]
    test: Share | None = None
    validation: Share | None = None
    seed: int | None = None

    def parts(self, train: int, test: int) -> tuple[float, float, float]:
        """Numbers of training, validation and test images, given those of the official split."""
        pooled = self.kind == "pooled"
        tested = (train + test) * (self.test or 0.0) if pooled else float(test)
        rest = (train + test if pooled else train) - tested * pooled
        validated = rest * (self.validation or 0.0)
        return rest - validated, validated, tested


class ClaimSearch(Strict):
    """A parameter of the model, and the values that the source tried."""

    parameter: Text
    values: Annotated[list[int | float | str], Field(min_length=2)]


class Until(Strict):
    """Train until the logged training accuracy exceeds a value, then `then` more epochs."""

    train_accuracy: Share
    then: Annotated[int, Field(ge=0)]


class ClaimDifference(Strict):
    """Two settings of the model; the claim is the gain of the first over the second."""

    first: Parameters
    second: Parameters


class Reduced(Strict):
    """What is run instead if the recipe takes too long. It verifies nothing."""

    parameters: Parameters
    seeds: Annotated[int, Field(ge=1)] | None = None
    seconds: Seconds


class Claim(Strict):
    """A published figure, what its source says it is, and how it was obtained.

    Attributes
    ----------
    id : the file's name without `.toml`
    kind : `accuracy`; `difference` of two settings; `order` of other claims' models, worst first;
        `text`, that a value of a setting is the best
    claimed : as published, such as `0.8414` or `89%`
    says : what the source says that the figure is
    protocol : what is known about how it was obtained (`NOTES`); empty if nothing is
    sweep : for a text, parameters of the single training from whose loss the source read the value
    order : ids of claims in the same folder
    unknown : why it can't be checked; a recipe, if there is one, is run but verifies nothing
    remark : what else a reader should know
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    title: Text
    kind: Literal["accuracy", "difference", "order", "text"]
    claimed: Text
    says: Text
    protocol: list[Note]
    source: Source
    recipe: ClaimRecipe | None = None
    split: ClaimSplit = ClaimSplit(kind="official")
    search: ClaimSearch | None = None
    until: Until | None = None
    difference: ClaimDifference | None = None
    sweep: Parameters | None = None
    order: list[Text] = []
    reduced: Reduced | None = None
    unknown: Text | None = None
    remark: Text | None = None
    #: The claims that `order` names, in its order.
    members: tuple[Claim, ...] = ()

    @property
    def figure(self) -> Figure | None:
        """The claimed number; None for an order."""
        return None if self.kind == "order" else Figure.parse(self.claimed)

    @property
    def pooled(self) -> bool:
        return self.split.kind == "pooled"


def nearest(values: Sequence[Any], wanted: float) -> Any:
    """The value nearest to `wanted`, by ratio."""
    return min(values, key=lambda value: abs(math.log(value / wanted)))
