"""Export a bundle as a model in a Triton Inference Server's model repository."""

from __future__ import annotations

from pathlib import Path

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.onnx import INPUT, OUTPUT, write_onnx

CONFIG, LABELS, MODEL = "config.pbtxt", "labels.txt", "1/model.onnx"
FILES = frozenset({CONFIG, LABELS, MODEL})
#: Largest batch that the server may form; nearest neighbours take 0.6 MB per image.
MAX_BATCH = 256


def write_triton(bundle: Bundle, folder: Path, name: str) -> Path:
    """Fill the folder of a model called `name`; returns its ONNX file.

    Raises
    ------
    BundleError : the classifier can't be converted to a graph
    """
    file = folder / MODEL
    file.parent.mkdir()
    write_onnx(bundle, file)
    (folder / CONFIG).write_text(config(bundle, name), encoding="utf-8")
    labels = "".join(f"{label}\n" for label in bundle.class_names)
    (folder / LABELS).write_text(labels, encoding="utf-8")
    return file


def config(bundle: Bundle, name: str) -> str:
    """`config.pbtxt`: the server's ``ModelConfig`` in protobuf's text format.

    Dimensions are without the batch's, which the server adds itself.
    """
    facts = bundle.facts
    height, width = facts.image_shape
    return f"""name: "{name}"
backend: "onnxruntime"
max_batch_size: {MAX_BATCH}
input [
  {{
    name: "{INPUT}"
    data_type: TYPE_UINT8
    dims: [ {height}, {width} ]
  }}
]
output [
  {{
    name: "{OUTPUT}"
    data_type: TYPE_FP32
    dims: [ {len(facts.classes)} ]
    label_filename: "{LABELS}"
  }}
]
dynamic_batching {{ }}
parameters {{
  key: "preparation"
  value: {{ string_value: "{bundle.preparation}" }}
}}
"""
