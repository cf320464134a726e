from __future__ import annotations

import pytest

from fittingroom.models.layer import Layer


@pytest.mark.parametrize(
    ("shape", "parameters", "plausible"),
    [((32, 13, 9), 320, True), ((10,), 0, True), ((), 1, False), ((0,), 1, False),
     ((3, -2, 2), 1, False), ((10,), -1, False)],
)  # fmt: skip
def test_a_layer_has_outputs_and_no_negative_number_of_parameters(
    shape: tuple[int, ...], parameters: int, plausible: bool
) -> None:
    assert Layer("0", "Linear", shape, parameters).is_plausible is plausible
