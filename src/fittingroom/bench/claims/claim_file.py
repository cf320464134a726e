"""Read claims from TOML files, and reject invalid ones with one sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import ValidationError

from fittingroom.bench.claims.claim import (
    Claim,
    ClaimDifference,
    ClaimRecipe,
    ClaimSearch,
    ClaimSplit,
    Figure,
    Parameters,
    Reduced,
    Source,
    Strict,
    Until,
)
from fittingroom.errors import FittingroomError, UnknownNameError, UsageError
from fittingroom.models.making import classifier_of
from fittingroom.untrusted import MAX_TOML_BYTES, in_short, parse_toml, read_text

if TYPE_CHECKING:
    from sklearn.base import BaseEstimator

#: The claims that come with the package.
FOLDER = Path(__file__).parent


def claim_names() -> list[str]:
    """The ids of the claims that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_claims(names: Sequence[str]) -> list[Claim]:
    """Claims by id, or by the path of a TOML file, each once.

    Raises
    ------
    UnknownNameError : the claim is unknown; the message suggests similar names
    UsageError : a file isn't a valid claim, or two files have the same name
    """
    paths = list(dict.fromkeys(map(_path, names)))
    by_id: dict[str, Path] = {}
    for path in paths:
        if by_id.setdefault(path.stem, path) != path:
            raise UsageError(
                f"{by_id[path.stem]} and {path} are both called {path.stem}; rename one."
            )
    return list(map(_load, paths))


def _path(name: str) -> Path:
    if name.endswith(".toml"):
        return Path(os.path.abspath(name))
    if name not in claim_names():
        raise UnknownNameError("claim", name, claim_names())
    return FOLDER.resolve() / f"{name}.toml"


def _load(path: Path) -> Claim:
    """Load the claim of a file, with the members of an order."""
    claim = _read(path)
    members = []
    for member in claim.order:
        file = path.parent / f"{member}.toml"
        if not file.exists():
            names = sorted(other.stem for other in path.parent.glob("*.toml"))
            raise UnknownNameError(f"claim in {path.name}", member, names)
        members.append(_read(file))
        if members[-1].kind != "accuracy" or members[-1].unknown:
            raise UsageError(f"claim {claim.id}: {member} has no accuracy; an order needs one.")
    return claim.model_copy(update={"members": tuple(members)})


def _read(path: Path) -> Claim:
    text = read_text(path, UsageError, most=MAX_TOML_BYTES)
    try:
        return parse_claim(text, path.stem)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def parse_claim(text: str, name: str) -> Claim:
    """Parse the claim of a TOML file, without the members of an order.

    Parameters
    ----------
    text : of the file
    name : the claim's id

    Raises
    ------
    UsageError : it isn't TOML, or not a valid claim; the message says what is wrong and where
    """
    try:
        fields = parse_toml(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"claim {name} is not valid TOML: {in_short(error)}.") from error
    for reserved in ("id", "members"):
        if reserved in fields:
            raise UsageError(f"claim {name}: {reserved} is not a field of a claim's file.")
    try:
        claim = Claim.model_validate({**fields, "id": name})
        for check in (_check_parts, _check_figure, _check_notes, _check_split, _check_search):
            for fault in check(claim):
                raise UsageError(f"claim {name}: {fault}.")
        _check_classifiers(claim)
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


def _check_parts(claim: Claim) -> Iterator[str]:
    """Parts that are missing, and parts that a claim of this kind doesn't take."""
    kind = claim.kind
    parts = ("recipe", "search", "until", "difference", "sweep", "order", "reduced")
    present = {part for part in parts if getattr(claim, part)}
    needed = set() if claim.unknown and claim.recipe is None else _NEEDED[kind]
    for part in sorted(needed - present):
        yield f"a claim of kind {kind} needs [{part}]"
    for part in sorted(present - _NEEDED[kind] - _ALLOWED[kind]):
        yield f"a claim of kind {kind} takes no {part}"
    if claim.order and (len(claim.order) == 1 or len(set(claim.order)) < len(claim.order)):
        yield "order: name at least two claims, each once"


def _check_figure(claim: Claim) -> Iterator[str]:
    if claim.kind == "order":
        return
    try:
        value = Figure.parse(claim.claimed).value
    except ValueError as error:
        yield f"claimed: {error}"
        return
    if claim.kind == "accuracy" and not 0 <= value <= 1:
        yield f"claimed: {claim.claimed} is not an accuracy between 0 and 1"
    if claim.kind == "difference" and not 0 < value < 1:
        yield f"claimed: {claim.claimed} is not a difference between 0 and 1"
    if claim.kind == "text" and value == 0:
        yield "claimed: values are compared by ratio, so it can't be 0"


def _check_notes(claim: Claim) -> Iterator[str]:
    notes, kind = set(claim.protocol), claim.kind
    if len(notes) < len(claim.protocol):
        yield "protocol: a note is repeated"
    if "clean" in notes and len(notes) > 1:
        yield "protocol: clean excludes all other notes"
    if notes and kind in ("difference", "order"):
        yield f"protocol: it must be empty for a claim of kind {kind}"
    if claim.until is not None and "trained-on-test" not in notes:
        yield "until requires the note trained-on-test"


def _check_split(claim: Claim) -> Iterator[str]:
    notes, split = set(claim.protocol), claim.split
    if (split.kind == "pooled") != ("own-random-split" in notes):
        yield "the note own-random-split and split kind pooled require each other"
    if split.kind == "pooled" and split.test is None:
        yield "split: kind pooled needs the share of its test part"
    if split.kind == "official" and split.test is not None:
        yield "split: the official split has its own test part"
    if (split.test or split.validation) and split.seed is None:
        yield "split: a part that was drawn needs the seed of the draw"
    without_test = claim.kind == "text" or "training-accuracy-quoted" in notes
    if "never-tested" in notes and not split.validation and not without_test:
        yield "never-tested needs the share of the validation part that it was measured on"


def _check_search(claim: Claim) -> Iterator[str]:
    search = claim.search
    if search is None:
        return
    if claim.kind == "accuracy" and "selected-on-test" not in claim.protocol:
        yield "search requires the note selected-on-test"
    if len(set(search.values)) < len(search.values):
        yield "search.values: a value is repeated"
    if claim.kind == "text" and not all(
        isinstance(value, int | float) and value > 0 for value in search.values
    ):
        yield "search.values: for a text they must be numbers above 0, to be compared by ratio"
    if claim.sweep is not None and search.parameter != "learning_rate":
        yield "sweep: only a learning rate can be read off the loss of one training"


def _check_classifiers(claim: Claim) -> None:
    """Build its classifiers, unfitted, so that wrong names and values raise now."""
    recipe = claim.recipe
    if recipe is None:
        return
    variants: list[Parameters] = [{}]
    if claim.search:
        variants = [{claim.search.parameter: value} for value in claim.search.values]
    if claim.difference:
        variants = [claim.difference.first, claim.difference.second]
    for extra in (claim.sweep, claim.reduced and claim.reduced.parameters):
        variants += [extra] if extra else []
    built = [classifier_of(recipe.model, {**recipe.parameters, **variant}) for variant in variants]
    for fault in _check_protocol(claim, recipe.model, built[0]):
        raise UsageError(f"{fault}.")


def _check_protocol(claim: Claim, model: str, classifier: BaseEstimator) -> Iterator[str]:
    """Parts of the protocol that can't be done with this classifier."""
    notes, recipe = set(claim.protocol), getattr(classifier, "recipe", None)  # of networks only
    if recipe is None and ("training-accuracy-quoted" in notes or claim.until or claim.sweep):
        yield f"only networks log their training, and {model} isn't one"
    if "test-not-scaled" in notes and getattr(classifier, "scale", 1.0) == 1.0:
        yield f"test-not-scaled needs a model that divides the pixels, and {model} doesn't"
    selects = claim.search is not None or (recipe is not None and recipe.needs_validation)
    if "selected-on-test" in notes and not selects:
        yield f"selected-on-test needs a [search], since {model} selects no epoch"
    if claim.until and recipe is not None and recipe.schedule != "constant":
        yield f"until needs a constant learning rate, and {model} has schedule {recipe.schedule}"


def _short(error: ValidationError) -> str:
    """The first error, as a sentence."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part)[:50] for part in first["loc"])
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "extra_forbidden":
        table = Claim if len(first["loc"]) == 1 else _TABLES.get(str(first["loc"][0]), Claim)
        names = set(table.model_fields) - {"id", "members"}
        return str(UnknownNameError("field", place.split(".")[-1], names)).rstrip(".?")
    message = first["msg"]
    return f"{place}: {message[:1].lower()}{message[1:]}"[:300]


_TABLES: dict[str, type[Strict]] = {
    "source": Source,
    "recipe": ClaimRecipe,
    "split": ClaimSplit,
    "search": ClaimSearch,
    "until": Until,
    "difference": ClaimDifference,
    "reduced": Reduced,
}
