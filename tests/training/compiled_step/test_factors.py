from __future__ import annotations

import numpy as np
import pytest
import torch

from fittingroom.nets.convolution import Convolution
from fittingroom.training.compiled_step.factors import Factors, PairedFactors
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.plan import MapShape, PlannedLayer


def layer(padding: int = 0) -> PlannedLayer:
    """A convolution of rows of 7 pixels to rows of 5."""
    before, after = MapShape(6, 7, 16, 16), MapShape(4, 5, 20, 32)
    return PlannedLayer(Convolution(16, 20, 3), before, after, padding=padding)


def maps(n: int = 2) -> tuple[Maps, Maps]:
    x, y = Maps(n, layer().input), Maps(n, layer().output)
    random = np.random.default_rng(0)
    x.values[:] = random.normal(size=x.values.shape)
    y.slopes[:] = random.normal(size=y.slopes.shape)
    return x, y


def rounded(values: np.ndarray) -> np.ndarray:
    """The bits of bfloat16."""
    return torch.from_numpy(values.copy()).bfloat16().view(torch.int16).numpy()


def test_in_float32_they_are_the_maps() -> None:
    x, y = maps()
    factors = Factors(layer(), x, y)
    assert factors.inputs is factors.pixels is x.values
    assert factors.slopes is factors.pixel_slopes is y.slopes


def test_padding_surrounds_copies_of_the_values() -> None:
    """The padding stays zero however often they are read."""
    x, y = maps()
    for factors in (Factors(layer(padding=2), x, y), PairedFactors(layer(padding=2), x, y)):
        for _ in range(2):
            factors.read_values()
        values = rounded(x.values) if factors.paired else x.values
        surrounded = np.pad(values, ((0, 0), (2, 2), (2, 2), (0, 0)))
        np.testing.assert_array_equal(factors.inputs, surrounded)


def test_in_bfloat16_channels_are_paired_by_being_neighbours() -> None:
    x, y = maps()
    factors = PairedFactors(layer(), x, y)
    factors.read_values()
    factors.read_slopes()
    np.testing.assert_array_equal(factors.inputs, rounded(x.values))
    np.testing.assert_array_equal(factors.slopes, rounded(y.slopes))


@pytest.mark.parametrize("n", [4, 5])
def test_in_bfloat16_every_pixel_is_paired_with_that_of_the_next_image(n: int) -> None:
    """And those of the last of an odd number of images with zeros."""
    x, y = maps(n)
    factors = PairedFactors(layer(padding=1), x, y)
    factors.read_values()
    factors.read_slopes()
    for single, pairs in (
        (factors.inputs, factors.pixels),
        (factors.slopes, factors.pixel_slopes),
    ):
        halves = pairs.view(np.int16).reshape(-1, *single.shape[1:], 2)
        np.testing.assert_array_equal(halves[..., 0], single[::2])
        np.testing.assert_array_equal(halves[: n // 2, ..., 1], single[1::2])
        assert not halves[n // 2 :, ..., 1].any()
