from __future__ import annotations

import numpy as np
import torch

from fittingroom.training.compiled_step.factors import Factors, PairedFactors
from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.plan import MapShape


def maps() -> tuple[Maps, Maps]:
    """Maps before and after a convolution: 7 pixels a row, and 5."""
    x, y = Maps(2, MapShape(6, 7, 16, 16)), Maps(2, MapShape(4, 5, 20, 32))
    random = np.random.default_rng(0)
    x.values[:] = random.normal(size=x.values.shape)
    y.slopes[:] = random.normal(size=y.slopes.shape)
    return x, y


def rounded(values: np.ndarray) -> np.ndarray:
    """The bits of bfloat16."""
    return torch.from_numpy(values.copy()).bfloat16().view(torch.int16).numpy()


def test_in_float32_they_are_the_maps() -> None:
    x, y = maps()
    factors = Factors(x, y)
    assert factors.inputs is factors.pixels is x.values
    assert factors.slopes is factors.pixel_slopes is y.slopes


def test_in_bfloat16_channels_are_paired_by_being_neighbours() -> None:
    x, y = maps()
    factors = PairedFactors(x, y)
    factors.read_values()
    factors.read_slopes()
    np.testing.assert_array_equal(factors.inputs, rounded(x.values))
    np.testing.assert_array_equal(factors.slopes, rounded(y.slopes))


def test_in_bfloat16_every_pixel_is_paired_with_the_next() -> None:
    """And every other pixel's slopes, the last of an odd row with zeros."""
    x, y = maps()
    factors = PairedFactors(x, y)
    factors.read_values()
    factors.read_slopes()
    pixels = rounded(x.values).reshape(-1, 16)
    pairs = factors.pixels.view(np.int16).reshape(-1, 16, 2)
    np.testing.assert_array_equal(pairs[..., 0], pixels)
    np.testing.assert_array_equal(pairs[:-1, :, 1], pixels[1:])
    assert not pairs[-1, :, 1].any()
    slopes = rounded(y.slopes)
    pairs = factors.pixel_slopes.view(np.int16).reshape(2, 4, 3, 32, 2)
    np.testing.assert_array_equal(pairs[..., 0], slopes[:, :, ::2])
    np.testing.assert_array_equal(pairs[:, :, :2, :, 1], slopes[:, :, 1::2])
    assert not pairs[:, :, 2, :, 1].any()
