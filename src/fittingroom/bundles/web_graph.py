"""Turn an ONNX graph into the steps that `web/interpreter.js` runs, for one image at a time.

The graph is the one that every other format has. With a batch of one all shapes are known, so that
what only renames numbers (a cast, another shape) disappears, and the interpreter has no shapes to
compute. Weights become 16-bit integers with a scale for each array: half the size of float32, and
closer to it than float16.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, helper, numpy_helper, shape_inference
from onnxscript import optimizer

from fittingroom.errors import BundleError

#: Arrays of at most this many numbers stay float32: biases, a few kernels, the last layer.
FEW = 8192

Step = dict[str, Any]
Attributes = Mapping[str, Any]


def to_steps(model: ModelProto, *, exact: bool = False) -> dict[str, Any]:
    """The `steps`, `weights` and `output` of an ONNX model, as JSON values.

    Parameters
    ----------
    model : its input is uint8 (batch, height, width), its output (batch, classes)
    exact : keep all weights float32

    Raises
    ------
    BundleError : the interpreter lacks an operator, or a form of it
    """
    plan = _StepPlan(model)
    for node in plan.nodes:
        plan.add(node)
    return {
        "steps": plan.steps,
        "weights": {name: _encoded(array, exact) for name, array in plan.weights.items()},
        "output": plan.names[model.graph.output[0].name],
    }


def _encoded(array: NDArray[np.float32], exact: bool) -> dict[str, Any]:
    if exact or array.size <= FEW:
        return {"data": base64.b64encode(array.astype("<f4").tobytes()).decode()}
    scale = float(np.abs(array).max()) / 32767 or 1.0
    whole = np.rint(array / scale).astype("<i2")
    return {"scale": scale, "data": base64.b64encode(whole.tobytes()).decode()}


class _StepPlan:
    """Steps under construction.

    Attributes
    ----------
    shapes : of every value, for one image
    nodes, arrays : the graph's operators, in order, and its constants
    names : of each value that was computed, the step's output that holds its numbers
    steps, weights : see `to_steps`
    """

    def __init__(self, model: ModelProto) -> None:
        single = ModelProto()
        single.CopyFrom(model)
        for value in (*single.graph.input, *single.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1
        single = optimizer.optimize(single)  # some versions of PyTorch compute shapes in the graph
        inferred = shape_inference.infer_shapes(single, strict_mode=True, data_prop=True).graph
        values = (*inferred.input, *inferred.value_info, *inferred.output)
        self.shapes = {
            value.name: tuple(d.dim_value for d in value.type.tensor_type.shape.dim)
            for value in values
        }
        self.nodes = single.graph.node
        self.arrays = {a.name: numpy_helper.to_array(a) for a in single.graph.initializer}
        self.shapes |= {name: array.shape for name, array in self.arrays.items()}
        self.names = {model.graph.input[0].name: "images"}
        self.steps: list[Step] = []
        self.weights: dict[str, NDArray[np.float32]] = {}

    def add(self, node: NodeProto) -> None:
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type not in _OPERATORS or node.domain:
            raise BundleError(f"it can't compute {node.op_type}")
        if not _OPERATORS[node.op_type](self, node, attributes):
            raise BundleError(f"it can't compute {node.op_type} in this form")

    def rename(self, node: NodeProto) -> bool:
        """The node's output has the numbers of its first input, in their order."""
        self.names[node.output[0]] = self.names[node.input[0]]
        return True

    def step(self, node: NodeProto, operator: str, *weights: str, **parameters: Any) -> bool:
        """A step on the node's first input and weights."""
        name = f"v{len(self.steps)}"
        inputs = [self.names[node.input[0]], *weights]
        self.steps.append({"operator": operator, "inputs": inputs, "output": name, **parameters})
        self.names[node.output[0]] = name
        return True

    def weight(self, array: NDArray[Any]) -> str:
        """The name of an array among the weights; equal arrays are one."""
        array = np.ascontiguousarray(array, np.float32)
        for name, other in self.weights.items():
            if other.shape == array.shape and np.array_equal(other, array):
                return name
        name = f"w{len(self.weights)}"
        self.weights[name] = array
        return name

    def optional(self, node: NodeProto, position: int) -> NDArray[Any] | None:
        """A constant input that may be left out."""
        name = node.input[position] if len(node.input) > position else ""
        return self.arrays[name] if name else None


def _rename(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    return plan.rename(node)


def _cast(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    """To a float; an integer would be rounded."""
    kind = helper.tensor_dtype_to_np_dtype(attributes["to"])
    return np.issubdtype(kind, np.floating) and plan.rename(node)


def _select(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    """The only one of an axis."""
    if plan.shapes[node.input[0]][attributes.get("axis", 0)] != 1 or plan.shapes[node.input[1]]:
        return False
    return plan.rename(node)


def _transpose(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    axes = list(attributes["perm"])
    source = plan.shapes[node.input[0]]
    moving = [axis for axis in axes if source[axis] != 1]
    if moving == sorted(moving):
        return plan.rename(node)
    return _move(plan, node, axes, [0] * len(axes), [1] * len(axes))


def _slice(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    source = plan.shapes[node.input[0]]
    starts, strides = [0] * len(source), [1] * len(source)
    first, last, axes, steps = (plan.optional(node, position) for position in range(1, 5))
    assert first is not None
    assert last is not None
    axes = np.arange(len(first)) if axes is None else axes
    steps = np.ones(len(first), np.int64) if steps is None else steps
    for start, stop, axis, step in zip(first, last, axes, steps, strict=True):
        starts[axis] = slice(int(start), int(stop), int(step)).indices(source[axis])[0]
        strides[axis] = int(step)
    return _move(plan, node, list(range(len(source))), starts, strides)


def _pad(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    widths, value = plan.optional(node, 1), plan.optional(node, 2)
    other_value = value is not None and bool(np.any(value))
    if attributes.get("mode", b"constant") != b"constant" or other_value or widths is None:
        return False
    rank = len(plan.shapes[node.input[0]])
    before = [-int(width) for width in widths[:rank]]
    return _move(plan, node, list(range(rank)), before, [1] * rank)


def _move(
    plan: _StepPlan, node: NodeProto, axes: list[int], starts: list[int], strides: list[int]
) -> bool:
    source, target = plan.shapes[node.input[0]], plan.shapes[node.output[0]]
    places = {"from": list(source), "to": list(target)}
    return plan.step(node, "move", **places, axes=axes, starts=starts, strides=strides)


def _convolution(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    weight, bias = plan.optional(node, 1), plan.optional(node, 2)
    if weight is None or not _is_plain(attributes, weight.ndim):
        return False
    inputs = [plan.weight(weight.reshape(len(weight), -1))]
    inputs += [] if bias is None else [plan.weight(bias)]
    pads = list(attributes.get("pads", [0] * 4))
    attributes = {"kernel_shape": weight.shape[2:], **attributes}
    return plan.step(
        node, "convolution", *inputs, **_windows(plan, node, attributes), padding=pads[:2]
    )


def _maximum(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    pads = any(attributes.get("pads", ()))
    if pads or attributes.get("ceil_mode") or not _is_plain(attributes, 4):
        return False
    return plan.step(node, "maximum", **_windows(plan, node, attributes))


def _is_plain(attributes: Attributes, rank: int) -> bool:
    """Whether windows slide over maps (batch, channels, height, width) without anything special."""
    together = set(attributes.get("dilations", [1])) | {attributes.get("group", 1)}
    return rank == 4 and together == {1} and attributes.get("auto_pad", b"NOTSET") == b"NOTSET"


def _windows(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> dict[str, Any]:
    kernel = attributes["kernel_shape"]
    return {
        "from": list(plan.shapes[node.input[0]][1:]),
        "to": list(plan.shapes[node.output[0]][1:]),
        "kernel": list(kernel),
        "stride": list(attributes.get("strides", [1] * len(kernel))),
    }


def _gemm(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    factors = attributes.get("alpha", 1.0), attributes.get("beta", 1.0)
    if factors != (1.0, 1.0) or attributes.get("transA"):
        return False
    return _dense(plan, node, transposed=bool(attributes.get("transB")))


def _matmul(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    return _dense(plan, node, transposed=False)


def _dense(plan: _StepPlan, node: NodeProto, *, transposed: bool) -> bool:
    weight, bias = plan.arrays.get(node.input[1]), plan.optional(node, 2)
    if weight is None or weight.ndim != 2:
        return False
    weight = weight if transposed else weight.T
    columns, inner = weight.shape
    inputs = [plan.weight(weight), *([] if bias is None else [plan.weight(bias)])]
    rows = math.prod(plan.shapes[node.input[0]]) // inner
    return plan.step(node, "dense", *inputs, rows=rows, inner=inner, columns=columns)


def _normalization(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    weight, bias, mean, variance = (
        plan.arrays[name].astype(np.float64) for name in node.input[1:5]
    )
    scale = weight / np.sqrt(variance + attributes.get("epsilon", 1e-5))
    shape = plan.shapes[node.input[0]]
    inputs = plan.weight(scale), plan.weight(bias - mean * scale)
    sizes = {"size": math.prod(shape), "inner": math.prod(shape[2:])}
    return plan.step(node, "normalization", *inputs, **sizes)


def _softmax(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
    shape = plan.shapes[node.input[0]]
    if attributes.get("axis", -1) not in (-1, len(shape) - 1) or math.prod(shape[:-1]) != 1:
        return False
    return plan.step(node, "softmax", size=shape[-1])


def _each(operator: str) -> Callable[[_StepPlan, NodeProto, Attributes], bool]:
    """A step on each number; a further input repeats itself along the first one's last axes."""

    def add(plan: _StepPlan, node: NodeProto, attributes: Attributes) -> bool:
        shape = plan.shapes[node.output[0]]
        inputs = []
        for name in node.input[1:]:
            other = plan.shapes[name]
            if shape[len(shape) - len(other) :] != other:
                return False
            inputs.append(
                plan.names[name] if name in plan.names else plan.weight(plan.arrays[name])
            )
        if node.input[0] not in plan.names or plan.shapes[node.input[0]] != shape:
            return False
        return plan.step(node, operator, *inputs, size=math.prod(shape))

    return add


#: A function adds a node's step; it returns whether the interpreter has that form.
_OPERATORS: dict[str, Callable[[_StepPlan, NodeProto, Attributes], bool]] = {
    "Identity": _rename,
    "Cast": _cast,
    "Reshape": _rename,
    "Unsqueeze": _rename,
    "Gather": _select,
    "Transpose": _transpose,
    "Slice": _slice,
    "Pad": _pad,
    "Conv": _convolution,
    "MaxPool": _maximum,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "BatchNormalization": _normalization,
    "Relu": _each("relu"),
    "Log": _each("log"),
    "Clip": _each("clip"),
    "Add": _each("add"),
    "Sub": _each("subtract"),
    "Mul": _each("multiply"),
    "Div": _each("divide"),
    "Softmax": _softmax,
}
