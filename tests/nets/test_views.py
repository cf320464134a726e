from __future__ import annotations

import pytest
import torch
from torch import Tensor

from fittingroom.nets.swift import Swift
from fittingroom.nets.views import mean_logits

X = torch.arange(1.0, 10).view(1, 1, 3, 3)


def logits(x: Tensor) -> Tensor:
    """The middle pixel and the one to its right."""
    return x[:, 0, 1, 1:]


def test_one_view_is_the_image_itself() -> None:
    assert mean_logits(logits, X, mirrored=False).tolist() == [[5, 6]]


def test_a_mirrored_view_has_half_the_weight() -> None:
    assert mean_logits(logits, X, mirrored=True).tolist() == [[5, (6 + 4) / 2]]


def test_views_shifted_by_a_pixel_along_the_diagonal_are_a_quarter_each() -> None:
    first, second = [1, 2], [9, 0]  # the pixels in the middle of the shifted images
    shifted = mean_logits(logits, X, mirrored=False, shifted=True)
    assert shifted[:, 0].tolist() == [5 / 2 + (first[0] + second[0]) / 4]
    assert shifted[:, 1].tolist() == [6 / 2 + (first[1] + second[1]) / 4]


@pytest.mark.parametrize("shift_views", [True, False])
def test_a_network_predicts_from_all_views_and_trains_on_one(shift_views: bool) -> None:
    net = Swift(widths=(4, 8), shift_views=shift_views).eval()
    x = torch.rand(5, 1, 28, 28)
    expected = mean_logits(net._logits, x, mirrored=False, shifted=shift_views)
    torch.testing.assert_close(net(x), expected)
    assert torch.allclose(net(x), net._logits(x)) is not shift_views
