"""A published claim as a TOML file: a figure, what it says it is, how it was really come by."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fittingroom.errors import FittingroomError, UnknownNameError, UsageError
from fittingroom.models.catalog import make_classifier, row_of

#: The claims that come with the package.
FOLDER = Path(__file__).parent / "claims"

#: What may be noted of a protocol, and what that means for the figure.
NOTES = {
    "clean": "it was fitted without the test images and tested once",
    "trained-on-test": "it was trained on the test images",
    "selected-on-test": "the test images chose among its epochs or settings",
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
    """A published number and half of its last digit: it stands for all that round to it."""

    value: float
    half_digit: float

    @classmethod
    def parse(cls, text: str) -> Figure:
        """`0.8414` or `89%`. Raises ValueError for anything else."""
        match = re.fullmatch(r"\d+(?:\.(\d+))?(%?)", text)
        if match is None:
            raise ValueError(f"{text!r} is no figure such as 0.8414 or 89%")
        unit = 0.01 if match[2] else 1.0
        return cls(float(text.rstrip("%")) * unit, 0.5 * 10 ** -len(match[1] or "") * unit)

    @property
    def bounds(self) -> tuple[float, float]:
        return self.value - self.half_digit, self.value + self.half_digit


class _Strict(BaseModel):
    """Nothing unknown, nothing converted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Source(_Strict):
    """Where the claim stands: a repository, a revision, and a name for the place in it."""

    repository: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Annotated[str, Field(pattern=r"^[0-9a-f]{7,40}$")]
    block: Text | None = None


class Recipe(_Strict):
    """What was fitted, in words of the catalogue.

    Attributes
    ----------
    model, parameters : a name of the catalogue, and what replaces its parameters
    preprocessing : what was done to the pixels, for a reader
    full : the source trained on all training images, so the honest run does too
    seconds : of one fit, where it differs from the catalogue's
    """

    model: Text
    parameters: Parameters = {}
    preprocessing: Text
    full: bool = False
    seconds: Seconds | None = None


class Split(_Strict):
    """Which images were what.

    Attributes
    ----------
    kind : the official split, or both parts pooled and split anew
    test : share of the pool that was held out for the test
    validation : share of the other images that was held out then
    seed : of both draws, by `train_test_split`, not stratified
    """

    kind: Literal["official", "pooled"]
    test: Share | None = None
    validation: Share | None = None
    seed: int | None = None


class Search(_Strict):
    """A parameter of the model, and the values that were tried."""

    parameter: Text
    values: Annotated[list[int | float | str], Field(min_length=2)]


class Until(_Strict):
    """Train until the logged training accuracy has passed a value, then some epochs more."""

    train_accuracy: Share
    then: Annotated[int, Field(ge=0)]


class Difference(_Strict):
    """Two settings of the model; the claim is what the first gains over the second."""

    first: Parameters
    second: Parameters


class Reduced(_Strict):
    """What is run instead where the whole recipe takes too long. It verifies nothing."""

    parameters: Parameters
    seeds: Annotated[int, Field(ge=1)] | None = None
    seconds: Seconds


class Claim(_Strict):
    """A published figure, what it says it is, and how it was come by.

    Attributes
    ----------
    id : the file's name without `.toml`
    kind : `accuracy`; `difference` of two settings; `order` of other claims' models, worst first;
        `text`, that a value of a setting is the best
    claimed : as published, such as `0.8414` or `89%`
    says : what the source says that the figure is
    protocol : what is known of how it was come by (`NOTES`); empty where nothing is
    sweep : of a text, parameters of the one training whose loss the source read the value from
    order : ids of claims in the same folder
    unknown : why it can't be checked at all
    remark : what else a reader should know
    """

    id: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    title: Text
    kind: Literal["accuracy", "difference", "order", "text"]
    claimed: Text
    says: Text
    protocol: list[Note]
    source: Source
    recipe: Recipe | None = None
    split: Split = Split(kind="official")
    search: Search | None = None
    until: Until | None = None
    difference: Difference | None = None
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


def claim_names() -> list[str]:
    """The ids of the claims that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_claims(names: Sequence[str]) -> list[Claim]:
    """Claims by id, or by the path of a TOML file, each once.

    Raises
    ------
    UnknownNameError : there is no such claim; the message proposes what is near
    UsageError : a file is no claim
    """
    return list({name: _load(_path(name)) for name in names}.values())


def _path(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(name).resolve()
    if name not in claim_names():
        raise UnknownNameError("claim", name, claim_names())
    return FOLDER / f"{name}.toml"


def _load(path: Path) -> Claim:
    try:
        text = path.read_text("utf8")
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} can't be read ({error}).") from error
    claim = parse_claim(text, path.stem)
    if not claim.order:
        return claim
    members = []
    for member in claim.order:
        file = path.parent / f"{member}.toml"
        if not file.exists():
            known = sorted(each.stem for each in path.parent.glob("*.toml"))
            raise UnknownNameError(f"claim in {path.name}", member, known)
        members.append(_load(file))
    for each in members:
        if each.kind != "accuracy" or each.unknown:
            raise UsageError(f"claim {claim.id}: {each.id} has no accuracy to be put in order.")
    return claim.model_copy(update={"members": tuple(members)})


def parse_claim(text: str, name: str) -> Claim:
    """The claim that a TOML file holds.

    Parameters
    ----------
    text : of the file
    name : the claim's id

    Raises
    ------
    UsageError : it is no TOML, or no claim; the message says what is wrong where
    """
    try:
        fields = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"claim {name} is not valid TOML: {error}.") from error
    for reserved in ("id", "members"):
        if reserved in fields:
            raise UsageError(f"claim {name}: {reserved} is no field of a claim's file.")
    try:
        claim = Claim.model_validate({**fields, "id": name})
        for what in _wrong(claim):
            raise UsageError(f"claim {name}: {what}.")
        _build(claim)
    except ValidationError as error:
        raise UsageError(f"claim {name}: {_short(error)}.") from error
    except FittingroomError as error:
        sentence = str(error)
        prefix = "" if sentence.startswith(f"claim {name}") else f"claim {name}: "
        raise UsageError(f"{prefix}{sentence}") from error
    return claim


#: The parts that a claim of each kind must have, and those that it may have.
_NEEDED = {
    "accuracy": {"recipe"},
    "difference": {"recipe", "difference"},
    "order": {"order"},
    "text": {"recipe", "search"},
}
_ALLOWED = {
    "accuracy": {"search", "until", "reduced"},
    "difference": {"reduced"},
    "order": set(),
    "text": {"sweep"},
}


def _wrong(claim: Claim) -> list[str]:
    """What types alone can't say: parts that contradict each other."""
    notes, split, kind = set(claim.protocol), claim.split, claim.kind
    parts = ("recipe", "search", "until", "difference", "sweep", "order", "reduced")
    given = {part for part in parts if getattr(claim, part)}
    needed = set() if claim.unknown else _NEEDED[kind]
    wrong = [f"a claim of kind {kind} needs [{part}]" for part in sorted(needed - given)]
    extra = given - _NEEDED[kind] - _ALLOWED[kind]
    wrong += [f"a claim of kind {kind} takes no {part}" for part in sorted(extra)]
    if kind != "order":
        try:
            Figure.parse(claim.claimed)
        except ValueError as error:
            wrong.append(f"claimed: {error}")
    if (
        kind in ("accuracy", "difference")
        and not wrong
        and not 0 < Figure.parse(claim.claimed).value < 1
    ):
        wrong.append(f"claimed: {claim.claimed} is no share between 0 and 1")
    if len(notes) < len(claim.protocol):
        wrong.append("protocol: a note stands twice")
    if "clean" in notes and len(notes) > 1:
        wrong.append("protocol: what is clean has no other note")
    if notes and kind in ("difference", "order"):
        wrong.append(f"protocol: of a claim of kind {kind} it must be empty")
    if (split.kind == "pooled") != ("own-random-split" in notes):
        wrong.append("own-random-split goes with split kind pooled, and with no other")
    if split.kind == "pooled" and split.test is None:
        wrong.append("split: what was pooled needs the share of its test part")
    if split.kind == "official" and split.test is not None:
        wrong.append("split: the official split has its own test part")
    if (split.test or split.validation) and split.seed is None:
        wrong.append("split: what was drawn needs the seed of the draw")
    elsewhere = kind == "text" or "training-accuracy-quoted" in notes
    if "never-tested" in notes and not split.validation and not elsewhere:
        wrong.append("never-tested needs the share of the validation part that it was measured on")
    if (claim.until is not None) and "trained-on-test" not in notes:
        wrong.append("until goes with the note trained-on-test")
    if claim.search and kind == "accuracy" and "selected-on-test" not in notes:
        wrong.append("search goes with the note selected-on-test")
    return wrong


def _build(claim: Claim) -> None:
    """Make its classifiers, unfitted: names and values that are wrong are told now."""
    recipe = claim.recipe
    if recipe is None:
        return
    family = row_of(recipe.model).family
    if "training-accuracy-quoted" in claim.protocol and family != "network":
        raise UsageError("only networks log an accuracy while training.")
    if "test-not-scaled" in claim.protocol and family == "network":
        raise UsageError("test-not-scaled is for classical models.")
    variants: list[Parameters] = [{}]
    if claim.search:
        variants = [{claim.search.parameter: value} for value in claim.search.values]
    if claim.difference:
        variants = [claim.difference.first, claim.difference.second]
    for extra in (claim.sweep, claim.reduced and claim.reduced.parameters):
        variants += [extra] if extra else []
    for variant in variants:
        make_classifier(recipe.model, **{**recipe.parameters, **variant})


def _short(error: ValidationError) -> str:
    """The first thing that is wrong, in a sentence."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:50] for part in first["loc"])
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "extra_forbidden":
        known = Claim if len(first["loc"]) == 1 else _TABLES.get(str(first["loc"][0]), Claim)
        names = set(known.model_fields) - {"id", "members"}
        return str(UnknownNameError("field", place.split(".")[-1], names)).rstrip(".?")
    message = first["msg"]
    return f"{place}: {message[:1].lower()}{message[1:]}"[:300]


_TABLES: dict[str, type[_Strict]] = {
    "source": Source,
    "recipe": Recipe,
    "split": Split,
    "search": Search,
    "until": Until,
    "difference": Difference,
    "reduced": Reduced,
}


def nearest(values: Sequence[Any], wanted: float) -> Any:
    """The value that is nearest to the wanted one, by ratio."""
    return min(values, key=lambda value: abs(math.log(value / wanted)))
