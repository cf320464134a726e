"""Build an ONNX graph: constants, and nodes in the order in which they compute."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper

#: The versions that graphs are written in; onnxruntime reads them from 1.18 on.
OPSET, ML_OPSET, IR_VERSION = 20, 5, 10
ML = "ai.onnx.ml"

Operand = str | NDArray[Any]


class Graph:
    """A graph under construction; every method that adds something returns its result's name.

    Attributes
    ----------
    nodes, initializers : as a ``GraphProto`` takes them
    """

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._names = 0

    def add(self, op: str, *operands: Operand, **attributes: Any) -> str:
        """Add a node with one result; an operand is a name or a constant."""
        return self.add_several(op, 1, *operands, **attributes)[0]

    def add_several(
        self, op: str, results: int, *operands: Operand, domain: str = "", **attributes: Any
    ) -> list[str]:
        """Add a node with several results."""
        inputs = [o if isinstance(o, str) else self.constant(o) for o in operands]
        names = [self._name() for _ in range(results)]
        self.nodes.append(helper.make_node(op, inputs, names, domain=domain, **attributes))
        return names

    def constant(self, array: NDArray[Any]) -> str:
        name = self._name()
        self.initializers.append(numpy_helper.from_array(np.asarray(array, order="C"), name))
        return name

    def cast(self, value: str, to: type[np.generic]) -> str:
        return self.add("Cast", value, to=helper.np_dtype_to_tensor_dtype(np.dtype(to)))

    def slice(self, value: str, axis: int, start: int, stop: int) -> str:
        """Add NumPy's ``value[..., start:stop]`` on one axis."""
        bounds = (np.array([number]) for number in (start, stop, axis))
        return self.add("Slice", value, *bounds)

    def softmax(self, value: str) -> str:
        """Add the softmax of each row."""
        return self.add("Softmax", value, axis=1)

    def size(self) -> int:
        """Bytes of all nodes and constants."""
        nodes = sum(int(node.ByteSize()) for node in self.nodes)
        return nodes + sum(int(array.ByteSize()) for array in self.initializers)

    def _name(self) -> str:
        self._names += 1
        return f"tensor_{self._names}"
