from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from fittingroom.training.loss import cross_entropy


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("scale", [1, 300])
def test_the_loss_and_its_gradient_are_torchs(smoothing: float, scale: float) -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(50, 7) * scale, torch.randint(7, (50,))
    ours, torchs = (logits.clone().requires_grad_() for _ in range(2))
    loss = cross_entropy(ours, labels, smoothing)
    expected = F.cross_entropy(torchs, labels, label_smoothing=smoothing)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    torch.autograd.backward((3 * loss, 3 * expected))
    torch.testing.assert_close(ours.grad, torchs.grad)


def test_without_a_gradient_it_is_torchs_own() -> None:
    logits, labels = torch.randn(50, 7), torch.randint(7, (50,))
    expected = F.cross_entropy(logits, labels, label_smoothing=0.2)
    assert torch.equal(cross_entropy(logits, labels, 0.2), expected)


def test_nan_stays_nan() -> None:
    for k in range(3):
        logits = torch.randn(4, 3)
        logits[2, k] = float("nan")
        loss = cross_entropy(logits.requires_grad_(), torch.tensor([0, 1, 2, 0]), 0.1)
        assert loss.isnan()
