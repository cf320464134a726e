from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from fittingroom.kernels.tensors import view
from fittingroom.nets.convolution import Convolution
from fittingroom.nets.stem import Stem
from fittingroom.training.compiled_step.plan import plan
from fittingroom.training.compiled_step.weights import LayerWeights, PackedWeights


def filled(modules: Sequence[nn.Module], *, half: bool = False) -> PackedWeights:
    packed = PackedWeights(plan(modules, 28, 28, half=half))
    packed.fill()
    return packed


def of_layer(packed: PackedWeights, number: int) -> LayerWeights:
    weights = packed.layers[number]
    assert weights is not None
    return weights


def test_a_dense_layer_and_a_convolution_are_packed_alike(modules: Sequence[nn.Module]) -> None:
    packed = filled(modules)
    convolution, dense = of_layer(packed, 1), of_layer(packed, 4)
    weight = modules[1].weight.detach().permute(2, 3, 1, 0).numpy()  # type: ignore[operator]
    np.testing.assert_array_equal(convolution.kernel[..., :20], weight)
    assert convolution.kernel.shape == (3, 3, 6, 32)
    assert not convolution.kernel[..., 20:].any()
    np.testing.assert_array_equal(convolution.backward[..., :6], weight.swapaxes(2, 3))
    np.testing.assert_array_equal(convolution.bias[:20], view(modules[1].bias))  # type: ignore[arg-type]
    weight = modules[5].weight.detach().view(12, 4, 4, 33).permute(1, 2, 3, 0).numpy()  # type: ignore[operator]
    np.testing.assert_array_equal(dense.kernel[:, :, :33, :12], weight)
    assert not dense.kernel[:, :, 33:].any()


def test_pairs_are_of_successive_inputs_forward_and_outputs_backward() -> None:
    torch.manual_seed(0)
    convolution = Convolution(16, 20, 3)
    packed = filled([Stem(16), convolution], half=True)
    weights = of_layer(packed, 1)
    # int16 (rows, columns, inputs, outputs)
    bits = view(convolution.weight.detach().bfloat16()).transpose(1, 2, 3, 0)
    forward = weights.kernel.reshape(3, 3, 8, 32, 2)
    backward = weights.backward.reshape(3, 3, 10, 16, 2)
    for which in (0, 1):
        np.testing.assert_array_equal(forward[:, :, :, :20, which], bits[:, :, which::2])
        of_outputs = bits[..., which::2].swapaxes(2, 3)
        np.testing.assert_array_equal(backward[..., which], of_outputs)
    np.testing.assert_array_equal(weights.bias[:20], view(convolution.bias))  # type: ignore[arg-type]


def test_a_gradient_has_a_place_for_every_element(modules: Sequence[nn.Module]) -> None:
    packed = filled(modules)
    gradient = np.zeros(packed.size, np.float32)
    for weights in packed.layers:
        if weights is not None:
            for part in weights.gradients(gradient):
                part += 1
    assert set(gradient) == {0, 1}  # no two share a place; the rest is for a last tile
    places = np.concatenate([positions.gradient for positions in packed.positions])
    assert len(set(places)) == sum(weight.numel() for weight in packed.weights)
    assert gradient[places].all()


def test_filling_reads_weights_that_have_changed(modules: Sequence[nn.Module]) -> None:
    packed = filled(modules)
    with torch.no_grad():
        modules[1].weight.fill_(2)  # type: ignore[operator]
    kernel = of_layer(packed, 1).kernel
    assert not (kernel == 2).any()
    packed.fill()
    assert (kernel[..., :20] == 2).all()
