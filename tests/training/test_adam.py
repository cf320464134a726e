from __future__ import annotations

import numpy as np
import torch

from fittingroom.training.adam import AdamAverages, adam


def test_the_first_step_is_the_rate() -> None:
    """Kingma and Ba 2015, section 2.1: the step is bounded by the rate, whatever the gradient."""
    gradient, change = np.array([3.0, -1e-3, 0.0], np.float32), np.zeros(3, np.float32)
    averages = AdamAverages(3)
    adam(gradient, *averages.vectors, change, *averages.next_step(0.1))
    np.testing.assert_allclose(change, [0.1, -0.1, 0], rtol=2e-4)
    np.testing.assert_allclose(averages.state()["mean"], 0.1 * gradient, rtol=1e-5)


def test_its_steps_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    theirs = torch.zeros(5, requires_grad=True)
    optimizer = torch.optim.Adam([theirs], lr=0.1, eps=1e-7)
    ours, averages = np.zeros(5, np.float32), AdamAverages(5)
    for _ in range(4):
        theirs.grad = torch.randn(5, generator=generator)
        change = np.empty(5, np.float32)
        adam(theirs.grad.numpy(), *averages.vectors, change, *averages.next_step(0.1))
        ours -= change
        optimizer.step()
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-4, atol=1e-6)
    assert averages.state()["steps"].tolist() == [4]
