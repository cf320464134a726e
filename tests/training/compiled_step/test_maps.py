from __future__ import annotations

import numpy as np
import pytest

from fittingroom.training.compiled_step.maps import Maps
from fittingroom.training.compiled_step.plan import MapShape


@pytest.mark.parametrize("step", [20, 32])
def test_slopes_fill_vectors_and_values_need_not(step: int) -> None:
    maps = Maps(3, MapShape(5, 4, 20, step))
    assert maps.values.shape == (3, 5, 4, step)
    assert maps.slopes.shape == (3, 5, 4, 32)


def test_a_last_tile_may_write_a_row_after_the_end() -> None:
    maps = Maps(3, MapShape(5, 4, 20, 32))
    for array in (maps.values, maps.slopes):
        memory = array
        while isinstance(memory.base, np.ndarray):
            memory = memory.base
        assert memory.size == array.size + 32


def test_images_have_no_slopes() -> None:
    assert Maps(3, MapShape(28, 28, 1, 1), trained=False).slopes.size == 0
