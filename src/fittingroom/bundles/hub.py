"""A bundle as a folder for the Hugging Face Hub: weights, configuration, graph and model card."""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import save

from fittingroom.bundles import manifest as manifests
from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.manifest import ARRAYS, ESTIMATOR, Calibrated, Facts, Network, Validation
from fittingroom.bundles.onnx import INPUT, write_onnx
from fittingroom.data.catalog import row_of_content
from fittingroom.evaluation.calibration import at_temperature, reliability
from fittingroom.evaluation.intervals import wilson
from fittingroom.evaluation.metrics import METRICS, accuracy
from fittingroom.models.catalog import MODELS
from fittingroom.models.network import NetworkClassifier

CARD, CONFIG, GRAPH, WEIGHTS = "README.md", "config.json", "model.onnx", "model.safetensors"
FILES = frozenset({CARD, CONFIG, GRAPH, WEIGHTS, manifests.FILE, ESTIMATOR, ARRAYS})

#: Names of data sets on the hub.
_ON_THE_HUB = {"fashion-mnist": "zalando-datasets/fashion_mnist", "mnist": "ylecun/mnist"}
_METRICS = {
    "accuracy": ("accuracy", "Accuracy"),
    **{name: (metric.hub, metric.heading) for name, metric in METRICS.items()},
    "expected_calibration_error": ("expected_calibration_error", "Expected calibration error"),
}

#: Probabilities (n, class names) of a classifier, not yet calibrated, and labels (n,).
Predictions = tuple[NDArray[np.floating], NDArray[np.integer]]


def write_hub(bundle: Bundle, folder: Path, name: str, test: Predictions | None = None) -> Path:
    """Fill a folder with what the hub shows and others load; returns its ONNX file.

    A network's weights are in `model.safetensors`; a classical model, which has none, comes as the
    bundle's own files.

    Parameters
    ----------
    name : of the model on its card
    test : predictions of the official test split, for the card

    Raises
    ------
    BundleError : the classifier can't be converted to a graph
    """
    file = write_onnx(bundle, folder / GRAPH)
    if isinstance(bundle.classifier, NetworkClassifier):
        weights = {key: t.contiguous() for key, t in bundle.classifier.net_.state_dict().items()}
        (folder / WEIGHTS).write_bytes(save(weights, metadata={"format": "pt"}))
    else:
        bundle.write(folder)
    (folder / CONFIG).write_text(_json(config(bundle)), encoding="utf-8")
    (folder / CARD).write_text(card(bundle, name, test), encoding="utf-8")
    return file


def config(bundle: Bundle) -> dict[str, Any]:
    """`config.json`: the classes, the images, and what it takes to rebuild the model."""
    facts, class_names = bundle.facts, bundle.class_names
    classifier = facts.classifier
    height, width = facts.image_shape
    return {
        "model_type": "fittingroom",
        "architectures": [facts.model],
        "id2label": {str(number): label for number, label in enumerate(class_names)},
        "label2id": {label: number for number, label in enumerate(class_names)},
        "image_size": [height, width],
        "num_channels": 1,
        "pixels": "uint8, 0 is black",
        "preparation": bundle.preparation,
        "temperature": facts.calibrated.temperature if facts.calibrated else None,
        "classifier": classifier.model_dump(mode="json"),
        "parameters": facts.parameters,
        "data": facts.data.model_dump(mode="json"),
        "versions": {**facts.versions, "exported_by": metadata.version("fittingroom")},
    }


def card(bundle: Bundle, name: str, test: Predictions | None) -> str:
    """`README.md`: metadata that the hub reads, then what a person should know."""
    facts = bundle.facts
    figures = _test_figures(facts, test) or _validation_figures(facts.validation)
    sections = [
        _opening(bundle, name),
        _use(facts),
        _pictures(bundle),
        _results(figures),
        _calibration(facts),
    ]
    sections += [_limits(facts), _origin(facts)]
    # The hub reads this block as YAML; JSON is valid YAML and needs no package.
    front = _json(_metadata(facts, name, figures))
    return f"---\n{front}---\n\n" + "\n".join(section for section in sections if section)


def _metadata(facts: Facts, name: str, figures: dict[str, Any] | None) -> dict[str, Any]:
    """Metadata as hub-docs' `modelcard.md` specifies it; without figures it has no results."""
    hub_name = _dataset_on_the_hub(facts)
    fields: dict[str, Any] = {
        "library_name": "fittingroom",
        "pipeline_tag": "image-classification",
        "tags": ["image-classification", "onnx", "fittingroom", facts.model],
    }
    if hub_name:
        fields["datasets"] = [hub_name]
    if figures is None:
        return fields
    dataset = {
        "type": hub_name or facts.data.name,
        "name": _title(facts),
        "split": figures["split"],
    }
    metrics = [
        {"type": kind, "value": figures[key], "name": title}
        for key, (kind, title) in _METRICS.items()
        if key in figures
    ]
    result = {
        "task": {"type": "image-classification", "name": "Image classification"},
        "dataset": dataset,
        "metrics": metrics,
    }
    return fields | {
        "metrics": ["accuracy", "f1"],
        "model-index": [{"name": name, "results": [result]}],
    }


def _test_figures(facts: Facts, test: Predictions | None) -> dict[str, Any] | None:
    if test is None:
        return None
    probabilities, labels = test
    if facts.calibrated:
        probabilities = at_temperature(probabilities, facts.calibrated.temperature)
    calibration = reliability(probabilities, labels).expected_calibration_error
    figures = {"accuracy": accuracy(probabilities, labels)} | {
        name: metric.compute(probabilities, labels) for name, metric in METRICS.items()
    }
    return _round(figures | {"expected_calibration_error": calibration}) | {
        "split": "test",
        "images": len(labels),
        "what": "the official test split, on which no choice was based",
    }


def _validation_figures(validation: Validation | None) -> dict[str, Any] | None:
    if validation is None:
        return None
    figures = validation.model_dump()
    return _round({key: figures[key] for key in _METRICS if key in figures}) | {
        "split": "train",
        "images": validation.images,
        "what": "training images that it wasn't fitted on, without the temperature",
    }


def _round(figures: dict[str, float]) -> dict[str, Any]:
    return {key: round(value, 4) for key, value in figures.items()}


def _opening(bundle: Bundle, name: str) -> str:
    facts = bundle.facts
    height, width = facts.image_shape
    row = MODELS.get(facts.model)
    about = f": {row.about}" if row else ""
    return (
        f"# {name}\n\nA classifier of grey images of {height}×{width} pixels, fitted on "
        f"{_title(facts)}: `{facts.model}` of Fittingroom{about}.\n\n"
        f"Its classes: {', '.join(bundle.class_names)}.\n"
    )


def _use(facts: Facts) -> str:
    height, width = facts.image_shape
    text = f"""## Use

The whole pipeline is inside `{GRAPH}`: bytes in, calibrated probabilities out.

```python
import json
from pathlib import Path

import numpy as np
import onnxruntime

labels = json.loads(Path("{CONFIG}").read_text("utf8"))["id2label"]
session = onnxruntime.InferenceSession("{GRAPH}")
images = np.zeros((1, {height}, {width}), np.uint8)  # yours: (n, height, width), 0 is black
(probabilities,) = session.run(None, {{"{INPUT}": images}})
print(labels[str(probabilities[0].argmax())], probabilities[0].max())
```
"""
    return text + (_use_of_weights() if isinstance(facts.classifier, Network) else _use_of_bundle())


def _pictures(bundle: Bundle) -> str:
    """How to turn a picture file into the graph's input, as in `preparation.prepare`."""
    height, width = bundle.facts.image_shape
    if bundle.preparation not in _MADE:
        ground = "black" if bundle.preparation == "image-on-black" else "white"
        return f"""## From a picture to an image

It was fitted on whole pictures in grey, on {ground} if they are transparent. Scale one of another
size, and pad it by its border's grey:

```python
import numpy as np
import onnxruntime
from PIL import Image, ImageOps

picture = ImageOps.exif_transpose(Image.open("picture.png")).convert("RGBA")
ground = Image.new("RGBA", picture.size, "{ground}")
picture = Image.alpha_composite(ground, picture).convert("L")
grey = np.asarray(picture)
border = round(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))
picture = ImageOps.pad(picture, ({width}, {height}), Image.Resampling.BILINEAR, color=border)
images = np.asarray(picture)[None]
session = onnxruntime.InferenceSession("{GRAPH}")
(probabilities,) = session.run(None, {{"{INPUT}": images}})
print(probabilities[0])
```
"""
    return f"""## From a picture to an image

A photo isn't such an image: {_MADE[bundle.preparation]}. A photo that is only shrunk
usually gets a wrong class. Fittingroom renders it as several images, whose probabilities are
combined by their weighted geometric mean:

```python
import numpy as np
import onnxruntime
from fittingroom.data.preparation import prepare

rendering = prepare("picture.png", "{bundle.preparation}", ({height}, {width}))
session = onnxruntime.InferenceSession("{GRAPH}")
(probabilities,) = session.run(None, {{"{INPUT}": rendering.views}})
joined = np.exp(rendering.weights @ np.log(np.maximum(probabilities, 1e-7)))
print(joined / joined.sum())
```
"""


#: How the data's images were made from pictures.
_MADE = {
    "garment": "the garment was cut out, negated, trimmed, shrunk to the longest edge and centred "
    "on black",
    "digit": "the ink was made bright on black, shrunk into a box of 20×20 pixels and centred by "
    "its mass",
}


def _use_of_weights() -> str:
    return f"""
`{WEIGHTS}` holds the weights for PyTorch, without the temperature:

```python
import json
from pathlib import Path

import torch
from fittingroom.models.network import NETS
from safetensors.torch import load_model

config = json.loads(Path("{CONFIG}").read_text("utf8"))
described, classes = config["classifier"], len(config["id2label"])
net = NETS[described["net"]](tuple(config["image_size"]), classes, **described["options"])
load_model(net, "{WEIGHTS}")
images = torch.zeros(1, 1, *config["image_size"])  # float32 in 0..1
print(net.eval()(images).softmax(dim=1))
```
"""


def _use_of_bundle() -> str:
    return f"""
The scikit-learn estimator itself is in `{ESTIMATOR}`, which holds no code. With Fittingroom
installed, this folder loads as a bundle:

```python
import fittingroom

print(fittingroom.load(".").classifier)
```
"""


def _results(figures: dict[str, Any] | None) -> str:
    if figures is None:
        return ""
    images, accuracy = figures["images"], figures["accuracy"]
    interval = wilson(accuracy * images, images)
    rows = "".join(
        f"| {title} | {figures[key]:.4f} |\n"
        for key, (_, title) in _METRICS.items()
        if key in figures
    )
    return (
        f"## Results\n\nOn {images:,} images: {figures['what']}.\n\n| | |\n|---|---|\n{rows}\n"
        f"The 95% interval of the accuracy is {interval.low:.4f} to {interval.high:.4f} "
        "(Wilson); it is for other images of the same kind, not for another fit.\n"
    )


def _calibration(facts: Facts) -> str:
    fitted = facts.calibrated
    if fitted is None:
        return "## Calibration\n\nThe probabilities are the model's own, not calibrated.\n"
    return (
        f"## Calibration\n\nThe probabilities are softmax(log p / T) with T = "
        f"{fitted.temperature:.4f}, fitted on validation images that nothing was chosen by. The "
        f"set of all classes with a probability of {1 - fitted.quantile:.4f} or more, and always "
        f"the most probable one, holds the true class for {fitted.coverage:.0%} of images like "
        f"those (split conformal prediction).{_by_class(facts, fitted)}\n"
    )


def _by_class(facts: Facts, fitted: Calibrated) -> str:
    """The thresholds that give each class the coverage."""
    if fitted.class_quantiles is None:
        return ""
    thresholds = ", ".join(
        f"{facts.class_names[k]} {1 - quantile:.4f}"
        for k, quantile in zip(facts.classes, fitted.class_quantiles, strict=True)
    )
    return f" With one threshold per class, this holds for each class by itself: {thresholds}."


def _limits(facts: Facts) -> str:
    height, width = facts.image_shape
    return (
        f"## Limits\n\n- It expects images of {height}×{width} grey pixels made like those of "
        f"{_title(facts)}: same size, background and framing.\n"
        "- It gives every image one of its classes, and a probability that means nothing if the "
        "image is unlike those that it was fitted on.\n"
        f"- {_fits(facts)}\n"
        "- The figures above hold only for its data set, mistakes in its labels included.\n"
    )


def _fits(facts: Facts) -> str:
    row = MODELS.get(facts.model)
    if row is not None and row.deterministic:
        return "It is deterministic: another fit on the same images gives the same model."
    return f"It is one fit (seed {facts.fitted.seed}); another seed may give another accuracy."


def _origin(facts: Facts) -> str:
    row = row_of_content(facts.data.sha256)
    source = f" {row.citation}. The data's licence: {row.licence}." if row else ""
    versions = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    settings = json.dumps(facts.parameters, ensure_ascii=False)
    return (
        f"## Where it comes from\n\nFitted on {facts.data.images:,} images of {_title(facts)} "
        f"(content hash `{facts.data.sha256}`) with seed {facts.fitted.seed} by "
        f"{facts.fitted.engine}; settings other than the catalogue's: `{settings}`. Versions: "
        f"{versions}.{source}\n"
    )


def _title(facts: Facts) -> str:
    row = row_of_content(facts.data.sha256)
    return row.title if row else facts.data.name


def _dataset_on_the_hub(facts: Facts) -> str | None:
    """The hub's name of the data set, which is recognised by its content."""
    row = row_of_content(facts.data.sha256)
    return _ON_THE_HUB[row.name] if row else None


def _json(fields: dict[str, Any]) -> str:
    return json.dumps(fields, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
