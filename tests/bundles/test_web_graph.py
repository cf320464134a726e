"""web_graph.py: each operator does in JavaScript what onnxruntime does, or is refused."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import ModelProto, TensorProto, helper

from fittingroom.bundles import web_graph
from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.graph import IR_VERSION, OPSET, Graph
from fittingroom.bundles.onnx import to_onnx
from fittingroom.bundles.web_graph import to_steps
from fittingroom.errors import BundleError

#: Those of `bundles` that a page can run.
RUN = {"logistic", "linear-svm", "mlp-10-10", "cnn-32", "cnn-6-16-120", "cnn-16-32-64-128"}
RUN |= {"swift-90", "swift-photo"}

Evaluate = Callable[[str, str], Any]
numbers = np.random.default_rng(0)
MAPS = (1, 3, 7, 6)  # of every image, from its 126 pixels


def random(*shape: int) -> np.ndarray:
    return numbers.normal(0, 1, shape).astype(np.float32)


def model_of(graph: Graph, result: str) -> ModelProto:
    row = graph.constant(np.array([1, -1]))
    graph.nodes.append(helper.make_node("Reshape", [result, row], ["y"]))
    image = helper.make_tensor_value_info("images", TensorProto.UINT8, ["batch", 9, 14])
    made = helper.make_graph(
        graph.nodes,
        "graph",
        [image],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", None])],
        graph.initializers,
    )
    return helper.make_model(
        made, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION
    )


def maps(graph: Graph) -> str:
    """The image as maps of small numbers of both signs."""
    scaled = graph.add("Div", graph.cast("images", np.float32), np.array(100, np.float32))
    centred = graph.add("Sub", scaled, random(14))
    return graph.add("Reshape", centred, np.array(MAPS))


def row(graph: Graph) -> str:
    return graph.add("Reshape", maps(graph), np.array([1, 126]))


def convolved(kernel: tuple[int, int], **attributes: Any) -> Callable[[Graph], str]:
    def build(graph: Graph) -> str:
        weight = random(5, 3, *kernel)
        return graph.add("Conv", maps(graph), weight, random(5), kernel_shape=kernel, **attributes)

    return build


def normalized(graph: Graph) -> str:
    constants = random(3), random(3), random(3), np.abs(random(3)) + 0.1
    return graph.add("BatchNormalization", maps(graph), *constants, epsilon=0.01)


def unequal(graph: Graph) -> str:
    """Two branches that meet."""
    x = maps(graph)
    return graph.add("Mul", graph.add("Relu", x), graph.add("Add", x, np.array(2, np.float32)))


BUILD: dict[str, Callable[[Graph], str]] = {
    "convolution": convolved((3, 3), pads=[1, 1, 1, 1]),
    "strided convolution": convolved((3, 2), strides=[2, 3], pads=[1, 0, 1, 0]),
    "convolution of single pixels": convolved((1, 1)),
    "maximum": lambda g: g.add("MaxPool", maps(g), kernel_shape=[2, 2], strides=[2, 2]),
    "overlapping maxima": lambda g: g.add("MaxPool", maps(g), kernel_shape=[3, 2], strides=[2, 1]),
    "transposed maps": lambda g: g.add("Transpose", maps(g), perm=[0, 2, 3, 1]),
    "mirrored": lambda g: g.add("Slice", maps(g), *map(np.array, ([-1], [-(2**63)], [-1], [-1]))),
    "sliced": lambda g: g.add("Slice", maps(g), *map(np.array, ([1, 5], [9, 1], [2, 3], [2, -1]))),
    "padded": lambda g: g.add("Pad", maps(g), np.array([0, 0, 1, 2, 0, 0, 0, 1])),
    "shifted": lambda g: g.add("Pad", maps(g), np.array([0, 0, 1, -1, 0, 0, -1, 1])),
    "dense": lambda g: g.add("Gemm", row(g), random(4, 126), random(4), transB=1),
    "product": lambda g: g.add("MatMul", maps(g), random(6, 5)),
    "normalization of maps": normalized,
    "relu": lambda g: g.add("Relu", maps(g)),
    "clip and log": lambda g: g.add(
        "Log", g.add("Clip", maps(g), np.array(0.5, np.float32), np.array(1.5, np.float32))
    ),
    "a vector": lambda g: g.add("Sub", maps(g), random(6)),
    "branches": unequal,
    "softmax": lambda g: g.add("Softmax", row(g), axis=1),
    "one of a single one": lambda g: g.add("Gather", maps(g), np.array(0), axis=0),
}

REFUSED: dict[str, Callable[[Graph], str]] = {
    "Cast in this form": lambda g: g.cast(g.cast(maps(g), np.int32), np.float32),
    "Sigmoid": lambda g: g.add("Sigmoid", maps(g)),
    "Conv in this form": convolved((3, 3), dilations=[2, 2]),
    "MaxPool in this form": lambda g: g.add(
        "MaxPool", maps(g), kernel_shape=[2, 2], pads=[1, 1, 1, 1]
    ),
    "Pad in this form": lambda g: g.add(
        "Pad", maps(g), np.array([0, 0, 1, 1, 0, 0, 1, 1]), np.array(1, np.float32)
    ),
    "Gemm in this form": lambda g: g.add("Gemm", row(g), random(126, 4), alpha=0.5),
    "MatMul in this form": lambda g: g.add(
        "MatMul", maps(g), g.add("Transpose", maps(g), perm=[0, 1, 3, 2])
    ),
    "Softmax in this form": lambda g: g.add("Softmax", maps(g), axis=1),
    "Gather in this form": lambda g: g.add("Gather", maps(g), np.array(1), axis=1),
    "Sub in this form": lambda g: g.add("Sub", maps(g), random(7, 1)),
    "Div in this form": lambda g: g.add("Div", np.array(1, np.float32), maps(g)),
}


@pytest.mark.parametrize("form", BUILD)
def test_a_step_computes_what_onnxruntime_does(form: str, evaluate: Evaluate) -> None:
    graph = Graph()
    model = model_of(graph, BUILD[form](graph))
    session = onnxruntime.InferenceSession(model.SerializeToString())
    image = numbers.integers(0, 256, (1, 9, 14)).astype(np.uint8)
    expected = session.run(None, {"images": image})[0].ravel()
    given = f"new Model({json.dumps(to_steps(model, exact=True))})"
    actual = evaluate("interpreter.js", f"{given}.predict(Uint8Array.of({_spelt(image)}))")
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5)


def _spelt(image: np.ndarray) -> str:
    return ", ".join(map(str, image.ravel().tolist()))


@pytest.mark.parametrize("form", REFUSED)
def test_what_a_page_can_not_compute_is_refused(form: str) -> None:
    graph = Graph()
    model = model_of(graph, REFUSED[form](graph))
    with pytest.raises(BundleError, match=f"it can't compute {form}"):
        to_steps(model)


def test_which_models_a_page_can_run(model: str, bundles: Mapping[str, Bundle]) -> None:
    graph = to_onnx(bundles[model])
    if model in RUN:
        assert to_steps(graph)["steps"]
    else:
        with pytest.raises(BundleError, match=r"it can't compute [A-Z]"):
            to_steps(graph)


def test_large_arrays_take_two_bytes_a_number(bundles: Mapping[str, Bundle]) -> None:
    graph = to_onnx(bundles["cnn-32"])
    weights, exact = to_steps(graph)["weights"], to_steps(graph, exact=True)["weights"]
    halved = 0
    for name, weight in weights.items():
        full = np.frombuffer(base64.b64decode(exact[name]["data"]), "<f4")
        if full.size <= web_graph.FEW:
            assert weight == exact[name]
            continue
        halved += 1
        whole = np.frombuffer(base64.b64decode(weight["data"]), "<i2")
        assert np.abs(whole * weight["scale"] - full).max() <= weight["scale"] / 2 * 1.01
        assert np.abs(whole).max() == 32767
    assert halved == 1


def test_weights_that_two_views_share_are_there_once(bundles: Mapping[str, Bundle]) -> None:
    steps = to_steps(to_onnx(bundles["swift-photo"]))
    uses = [name for step in steps["steps"] for name in step["inputs"] if name[0] == "w"]
    assert max(map(uses.count, uses)) == 3  # three views of a data set that isn't mirrored
    assert len(steps["weights"]) < len(uses) / 2
