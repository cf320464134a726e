"""Convert a network to an ONNX graph with PyTorch's own exporter."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.onnx import ONNXProgram
from torch.onnx.errors import OnnxExporterError

from fittingroom.bundles.graph import OPSET, Graph
from fittingroom.errors import BundleError
from fittingroom.training.loop import to_unit


def add_network(graph: Graph, images: str, net: nn.Module, image_shape: tuple[int, int]) -> str:
    """Add a network's probabilities (batch, classes) float32 of uint8 images.

    Parameters
    ----------
    images : name of the graph's input (batch, height, width)
    net : from float32 (batch, 1, height, width) in 0..1 to logits

    Raises
    ------
    BundleError : PyTorch can't export the network
    """
    # Two, since the exporter would take a batch of one for a constant.
    example = torch.zeros(2, *image_shape, dtype=torch.uint8)
    try:
        program = _export(_Prediction(net).eval(), example, images)
    except OnnxExporterError as error:
        reason = str(error.__cause__ or error).splitlines()[0]
        raise BundleError(f"PyTorch can't export this network: {reason:.200}") from error
    exported = program.model_proto.graph
    for node in exported.node:
        node.ClearField("metadata_props")  # the stack at export, with this machine's paths
    graph.nodes += exported.node
    graph.initializers += exported.initializer
    return "given"


def _export(module: nn.Module, example: Tensor, images: str) -> ONNXProgram:
    with torch.no_grad(), _quietly():
        program = torch.onnx.export(
            module,
            (example,),
            # The graph takes a single image, too; but PyTorch 2.9 refuses a range with a one, for
            # which a product of matrices may copy less.
            dynamic_shapes=({0: torch.export.Dim("batch", min=2)},),
            input_names=[images],
            output_names=["given"],
            opset_version=OPSET,
            dynamo=True,
            verbose=False,
        )
    assert program is not None
    return program


class _Prediction(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.net(to_unit(images))
        return logits.softmax(dim=1)


@contextmanager
def _quietly() -> Iterator[None]:
    """Silence what the exporter says of its internals and of packages that aren't needed here."""
    logger = logging.getLogger("torch.onnx._internal.exporter._registration")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
