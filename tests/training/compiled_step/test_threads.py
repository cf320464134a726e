from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from fittingroom.training.compiled_step.plan import plan
from fittingroom.training.compiled_step.threads import TOGETHER, ThreadPasses
from fittingroom.training.compiled_step.weights import PackedWeights

N = 2 * TOGETHER + 5  # more than a thread takes through at once
IMAGES = np.random.default_rng(0).random((N, 28, 28), np.float32)
TARGETS = np.eye(10, dtype=np.float32)[np.arange(N) % 10]


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def passes(modules: Sequence[nn.Module], threads: int) -> ThreadPasses:
    torch.set_num_threads(threads)
    layers = plan(modules, 28, 28)
    return ThreadPasses(layers, PackedWeights(layers))


def test_threads_share_the_images_and_their_gradients_add_up(modules: Sequence[nn.Module]) -> None:
    alone, together = (passes(modules, threads) for threads in (1, 2))
    torch.set_num_threads(1)
    expected = alone.gradients(IMAGES, TARGETS, [])
    torch.set_num_threads(2)
    logits = together.gradients(IMAGES, TARGETS, [])
    assert len(alone.sums) == 1
    assert len(together.sums) == 2
    assert all(of_thread.any() for of_thread in together.sums)
    torch.testing.assert_close(logits, expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(together.sums.sum(axis=0), alone.sums[0], rtol=1e-3, atol=1e-6)


def test_few_images_are_left_to_one_thread(modules: Sequence[nn.Module]) -> None:
    both = passes(modules, 2)
    both.gradients(IMAGES, TARGETS, [])
    both.gradients(IMAGES[:2], TARGETS[:2], [])
    assert len(both.sums) == 1


def test_gradients_are_those_of_the_last_images_alone(modules: Sequence[nn.Module]) -> None:
    alone = passes(modules, 1)
    alone.gradients(IMAGES, TARGETS, [])
    first = alone.sums.copy()
    alone.gradients(IMAGES, TARGETS, [])
    np.testing.assert_array_equal(alone.sums, first)


def test_weights_are_read_anew_if_they_have_changed(modules: Sequence[nn.Module]) -> None:
    alone = passes(modules, 1)
    before = alone.gradients(IMAGES, TARGETS, [])
    with torch.no_grad():
        modules[-1].bias.add_(1)  # type: ignore[operator]
    after = alone.gradients(IMAGES, TARGETS, [])
    torch.testing.assert_close(after, before + 1)
