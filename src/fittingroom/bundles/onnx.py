"""Convert a bundle to an ONNX model: uint8 images in, calibrated probabilities out.

The graph of a network computes in float32, that of a classical model in float64 where scikit-learn
does, so that nearly equal scores keep their order.
"""

from __future__ import annotations

import json
from importlib import metadata
from pathlib import Path

import numpy as np
from onnx import ModelProto, TensorProto, ValueInfoProto, checker, helper

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.classical_graph import add_classical
from fittingroom.bundles.graph import IR_VERSION, ML, ML_OPSET, OPSET, Graph
from fittingroom.bundles.manifest import Facts
from fittingroom.bundles.network_graph import add_network
from fittingroom.errors import BundleError
from fittingroom.evaluation.metrics import CLIP
from fittingroom.models.network import NetworkClassifier

INPUT, OUTPUT = "images", "probabilities"
#: Largest ONNX file, which is a protobuf message.
MAX_BYTES = 2**31 - 2**16


def to_onnx(bundle: Bundle) -> ModelProto:
    """The ONNX model that predicts what `bundle.predict_proba` does.

    Its input `images` is uint8 (batch, height, width), its output `probabilities` float32 (batch,
    classes); its `metadata_props` describe them.

    Raises
    ------
    BundleError : the classifier can't be converted to a graph
    """
    facts, graph = bundle.facts, Graph()
    if isinstance(bundle.classifier, NetworkClassifier):
        probabilities = add_network(graph, INPUT, bundle.classifier.net_, facts.image_shape)
    else:
        probabilities = add_classical(graph, INPUT, bundle.classifier, facts.image_shape)
    if facts.calibrated is not None:
        probabilities = _at_temperature(graph, probabilities, facts.calibrated.temperature)
    graph.nodes.append(helper.make_node("Identity", [probabilities], [OUTPUT]))
    if (size := graph.size()) > MAX_BYTES:
        raise BundleError(
            f"the graph of this {facts.model} has {size:,} bytes, more than an ONNX file can hold."
        )
    model = helper.make_model(
        helper.make_graph(graph.nodes, facts.model, *_signature(facts), graph.initializers),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(ML, ML_OPSET)],
        ir_version=IR_VERSION,
        producer_name="fittingroom",
        producer_version=metadata.version("fittingroom"),
    )
    helper.set_model_props(model, properties(bundle))
    checker.check_model(model)
    return model


def write_onnx(bundle: Bundle, file: Path) -> Path:
    """Write the ONNX model as a file, to be verified by `parity.verify`.

    Raises
    ------
    BundleError : the classifier can't be converted to a graph
    """
    file.write_bytes(to_onnx(bundle).SerializeToString())
    return file


def properties(bundle: Bundle) -> dict[str, str]:
    """The model's `metadata_props`; anything but plain text is JSON."""
    facts = bundle.facts
    return {
        "labels": json.dumps(bundle.class_names, ensure_ascii=False),
        "image_shape": json.dumps(facts.image_shape),
        "preparation": bundle.preparation,
        "model": facts.model,
        "parameters": json.dumps(facts.parameters),
        "data": facts.data.name,
        "data_sha256": facts.data.sha256,
        "temperature": json.dumps(facts.calibrated.temperature if facts.calibrated else None),
        "fittingroom": metadata.version("fittingroom"),
        "fitted_with": facts.versions.get("fittingroom", ""),
    }


def _signature(facts: Facts) -> tuple[list[ValueInfoProto], list[ValueInfoProto]]:
    """Types and shapes of the inputs and outputs."""
    images: list[str | int | None] = ["batch", *facts.image_shape]
    classes: list[str | int | None] = ["batch", len(facts.classes)]
    return (
        [helper.make_tensor_value_info(INPUT, TensorProto.UINT8, images)],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, classes)],
    )


def _at_temperature(graph: Graph, probabilities: str, temperature: float) -> str:
    """Calibrate probabilities (batch, classes) like `Bundle.predict_proba`."""
    clipped = graph.add(
        "Clip", graph.cast(probabilities, np.float64), np.array(CLIP), np.array(1.0)
    )
    logits = graph.add("Div", graph.add("Log", clipped), np.array(temperature))
    return graph.cast(graph.softmax(logits), np.float32)
