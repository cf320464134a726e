from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import nn

from fittingroom.kernels.tensors import view
from fittingroom.nets.convolution import Convolution
from fittingroom.nets.stem import Stem
from fittingroom.training.compiled_step.plan import plan
from fittingroom.training.compiled_step.weights import LayerWeights, PackedWeights


def filled(modules: Sequence[nn.Module], *, half: bool = False) -> PackedWeights:
    packed = PackedWeights(plan(modules, 28, 28, half=half))
    packed.refresh()
    return packed


def of_layer(packed: PackedWeights, number: int) -> LayerWeights:
    weights = packed.layers[number]
    assert weights is not None
    return weights


def modules_with_weights(modules: Sequence[nn.Module]) -> list[nn.Module]:
    return [module for module in modules if [*module.parameters()]]


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
    weights = of_layer(filled([Stem(16), convolution], half=True), 1)
    # int16 (rows, columns, inputs, outputs)
    bits = view(convolution.weight.detach().bfloat16()).transpose(1, 2, 3, 0)
    forward = weights.kernel.view(np.int16).reshape(3, 3, 8, 32, 2)
    backward = weights.backward.view(np.int16).reshape(3, 3, 10, 16, 2)
    for which in (0, 1):
        np.testing.assert_array_equal(forward[:, :, :, :20, which], bits[:, :, which::2])
        of_outputs = bits[..., which::2].swapaxes(2, 3)
        np.testing.assert_array_equal(backward[..., which], of_outputs)
    np.testing.assert_array_equal(weights.bias[:20], view(convolution.bias))  # type: ignore[arg-type]


def test_a_gradient_has_a_place_for_every_element(modules: Sequence[nn.Module]) -> None:
    packed = filled(modules)
    gradient = np.zeros(packed.size, np.float32)
    layers = filter(None, packed.layers)
    for layer, module in zip(layers, modules_with_weights(modules), strict=True):
        for part, weight in zip(layer.as_of_module(gradient), module.parameters(), strict=True):
            assert part.numel() == weight.numel()
            part += 1  # a view
    assert set(gradient) == {0, 1}  # no two share a place
    assert gradient.sum() == sum(w.numel() for module in modules for w in module.parameters())


def test_the_layers_have_all_rows_and_biases_between_them(modules: Sequence[nn.Module]) -> None:
    packed = filled(modules)
    seen = np.zeros(packed.size, int)
    for layer in packed.layers:
        if layer is not None:
            for first, last in ((0, 4), (4, layer.n_rows)):
                seen[layer.elements(first, last)] += 1
    assert set(seen[:-64]) == {1}


def test_nothing_before_the_first_layer_needs_slopes(modules: Sequence[nn.Module]) -> None:
    packed = filled(modules)
    assert [layer.backward.size > 0 for layer in packed.layers if layer] == [False] + [True] * 4


def test_weights_that_others_change_are_read_anew(modules: Sequence[nn.Module]) -> None:
    packed = filled(modules)
    with torch.no_grad():
        modules[1].weight.fill_(2)  # type: ignore[operator]
    kernel = of_layer(packed, 1).kernel
    assert not (kernel == 2).any()
    packed.refresh()
    assert (kernel[..., :20] == 2).all()


def test_the_network_has_the_weights_once_they_are_written(modules: Sequence[nn.Module]) -> None:
    """Then they aren't read again, which would round copies anew for nothing."""
    packed = filled(modules)
    before = [weight.detach().clone() for module in modules for weight in module.parameters()]
    packed.vector *= 2
    packed.write()
    after = [weight.detach() for module in modules for weight in module.parameters()]
    for weight, old in zip(after, before, strict=True):
        assert torch.equal(weight, 2 * old)
    packed.vector[:] = 7
    packed.refresh()
    assert (packed.vector == 7).all()


def test_weights_that_were_never_read_are_not_written(modules: Sequence[nn.Module]) -> None:
    PackedWeights(plan(modules, 28, 28)).write()
    assert modules[1].weight.any()  # type: ignore[operator]


@pytest.mark.parametrize("half", [False, True])
def test_copies_of_some_rows_are_those_of_all_of_them(half: bool) -> None:
    torch.manual_seed(0)
    packed = filled(
        [Stem(16), Convolution(16, 20, 3), nn.ReLU(), Convolution(20, 18, 3)], half=half
    )
    weights = of_layer(packed, 2)
    expected = weights.kernel.copy(), weights.backward.copy()
    for copy in (weights.kernel, weights.backward) if half else (weights.backward,):
        copy[:] = 0
    for first, last in ((0, 34), (34, 36), (36, weights.n_rows)):
        weights.copy(first, last)
    np.testing.assert_array_equal(weights.kernel, expected[0])
    np.testing.assert_array_equal(weights.backward, expected[1])
