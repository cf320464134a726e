"""`manifest.json`: what a bundle holds, read strictly since it is untrusted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import AfterValidator, BaseModel, Field, ValidationError

from fittingroom.bundles.options import CONFIG, audit_of
from fittingroom.data.rendering import Preparation
from fittingroom.errors import BundleError
from fittingroom.untrusted import in_short, parse_json

#: The format that is written, and those that are read.
FORMAT: Final = 3
FORMATS = (1, 2, FORMAT)
FILE = "manifest.json"
#: The weights of a network; a classical model's estimator, and the mean image that it subtracts.
WEIGHTS, ESTIMATOR, ARRAYS = "weights.safetensors", "estimator.skops", "arrays.safetensors"
#: Largest manifest that is read, far larger than any of ours.
MAX_BYTES = 2**20
#: Largest file of a bundle; no classifier of small images has this size.
MAX_FILE_BYTES = 2**31

Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


def _require_printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds characters that can't be printed")
    return text


Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_require_printable)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0, lt=1e6)]
#: Largest height and width of an image in pixels.
MAX_SIDE = 1024
Side = Annotated[int, Field(ge=1, le=MAX_SIDE)]


class _Strict(BaseModel):
    model_config = CONFIG


def _require_known(net: str) -> str:
    from fittingroom.models.network import NETS  # torch, which a classical model doesn't need

    if net not in NETS:
        raise ValueError(f"isn't one of our networks, {', '.join(NETS)}")
    return net


class Network(_Strict):
    """A network: its name, all its options, and how it was trained."""

    kind: Literal["network"]
    net: Annotated[str, AfterValidator(_require_known)]
    options: dict[str, Any]
    precision: Literal["float32", "bfloat16"]
    kept_epoch: Annotated[int, Field(ge=1)]


class Hog(_Strict):
    """All parameters of `HogFeatures`."""

    orientations: Annotated[int, Field(ge=1, le=64)]
    cell: Annotated[int, Field(ge=1, le=256)]
    block: Annotated[int, Field(ge=1, le=256)]
    square_root: bool
    second_grid: bool
    image_shape: tuple[Side, Side] | None


class Classical(_Strict):
    """A classical model: what surrounds its scikit-learn estimator."""

    kind: Literal["classical"]
    estimator: Text
    scale: Positive
    centred: bool
    hog: Hog | None
    temperature: Positive | None


class File(_Strict):
    bytes: Annotated[int, Field(ge=1, le=MAX_FILE_BYTES)]
    sha256: Digest


class Data(_Strict):
    """The data that it was fitted on."""

    name: Text
    sha256: Digest
    images: Annotated[int, Field(ge=1)]


class FitFacts(_Strict):
    """How it was fitted."""

    seed: int
    engine: Text


class Validation(_Strict):
    """Its metrics on the validation part, without the temperature."""

    images: Annotated[int, Field(ge=1)]
    accuracy: Share
    macro_f1: Share
    log_loss: Annotated[float, Field(ge=0)]


class Calibrated(_Strict):
    """What was fitted on the calibration half of the validation part.

    Attributes
    ----------
    temperature : of the probabilities, see `at_temperature`
    coverage, quantile : see `prediction_sets`; at this temperature
    class_quantiles : one for each of `classes`, so that each gets the coverage; None if one has too
        few images, and before format 3
    like, unlike : that share of images like the data has at most this score, see `unlike_scores`
    """

    temperature: Positive
    coverage: Share
    quantile: Share
    class_quantiles: Annotated[list[Share], Field(min_length=2, max_length=256)] | None = None
    like: Share
    unlike: Share


class Facts(_Strict):
    """What a manifest says about a classifier, apart from its files.

    Attributes
    ----------
    model : a name of the catalogue
    parameters : the settings that replace the catalogue's, for information
    class_names, classes : those of the data set, and the labels that it was fitted on, which are
        indices into `class_names`
    image_shape : (height, width)
    preparation : how its images were made from pictures; None in format 1, which doesn't say
    classifier : what it takes to rebuild it from the files
    """

    format: Literal[1, 2, 3] = FORMAT
    model: Text
    parameters: Annotated[dict[Text, Any], Field(max_length=64)]
    class_names: Annotated[list[Text], Field(min_length=2, max_length=256)]
    classes: Annotated[list[int], Field(min_length=2, max_length=256)]
    image_shape: tuple[Side, Side]
    preparation: Preparation | None = None
    data: Data
    fitted: FitFacts
    versions: Annotated[dict[Text, Text], Field(max_length=32)]
    validation: Validation | None
    calibrated: Calibrated | None
    classifier: Annotated[Network | Classical, Field(discriminator="kind")]


class Manifest(_Strict):
    """A bundle's `manifest.json`; `sha256` is the hash of everything else in it."""

    facts: Facts
    files: Annotated[dict[Text, File], Field(min_length=1, max_length=4)]
    sha256: Digest

    @classmethod
    def of(cls, facts: Facts, files: Mapping[str, bytes]) -> Manifest:
        """The manifest of a classifier whose files hold these bytes."""
        entries = {
            name: File(bytes=len(data), sha256=hashlib.sha256(data).hexdigest())
            for name, data in files.items()
        }
        unsigned = cls(facts=facts, files=entries, sha256="0" * 64)
        return unsigned.model_copy(update={"sha256": unsigned.digest()})

    @classmethod
    def parse(cls, data: bytes) -> Manifest:
        """Read `manifest.json`; only what `to_json` writes is accepted.

        Raises
        ------
        BundleError : anything else, to the last byte
        """
        try:
            fields = parse_json(data.decode("utf-8"))
        except (ValueError, RecursionError) as error:
            raise BundleError(f"{FILE} isn't valid JSON ({in_short(error)}).") from error
        facts = fields.get("facts") if isinstance(fields, dict) else None
        if isinstance(facts, dict) and facts.get("format", FORMAT) not in FORMATS:
            raise BundleError(
                f"{FILE} has format {str(facts['format'])[:50]!r}, but this version reads formats "
                f"{FORMATS[0]} to {FORMAT}; a newer fittingroom may read it."
            )
        try:
            # Via JSON, where strict mode accepts a list for a tuple.
            manifest = cls.model_validate_json(json.dumps(fields))
            check(manifest.facts)
        except (ValidationError, RecursionError) as error:
            raise BundleError(f"{FILE} isn't a valid manifest: {in_short(error)}.") from error
        if manifest.sha256 != manifest.digest() or manifest.to_json().encode() != data:
            raise BundleError(f"{FILE} was changed after it was written.")
        return manifest

    def to_json(self) -> str:
        return _canonical(self._fields())

    def digest(self) -> str:
        """The hash of everything but `sha256`."""
        fields = self._fields()
        del fields["sha256"]
        return hashlib.sha256(_canonical(fields).encode()).hexdigest()

    def _fields(self) -> dict[str, Any]:
        """The fields as in the file; those of an earlier format as its version wrote them."""
        fields = self.model_dump(mode="json")
        if self.facts.format < 3 and self.facts.calibrated is not None:
            del fields["facts"]["calibrated"]["class_quantiles"]
        if self.facts.format == 1:
            del fields["facts"]["preparation"]
        return fields


def files_of(description: Network | Classical) -> set[str]:
    """The names of the files that hold a classifier, besides the manifest."""
    if isinstance(description, Network):
        return {WEIGHTS}
    return {ESTIMATOR, ARRAYS} if description.centred else {ESTIMATOR}


def check(facts: Facts) -> None:
    """Check what types alone can't. Raises BundleError, and ValidationError for options."""
    classifier, classes = facts.classifier, facts.classes
    if isinstance(classifier, Network):
        from fittingroom.models.network import NETS

        audit_of(NETS[classifier.net]).model_validate_json(json.dumps(classifier.options))
    in_order = sorted(set(classes)) == classes
    if not in_order or classes[0] < 0 or classes[-1] >= len(facts.class_names):
        raise BundleError(f"{FILE} is invalid: its classes aren't indices of class names.")
    quantiles = facts.calibrated and facts.calibrated.class_quantiles
    mismatch = (facts.preparation is None) != (facts.format == 1)
    if mismatch or (quantiles and (facts.format < 3 or len(quantiles) != len(classes))):
        raise BundleError(f"{FILE} is invalid: format {facts.format} has other fields.")


def _canonical(fields: dict[str, Any]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
