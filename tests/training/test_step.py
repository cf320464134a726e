"""The cost of a training step, counted instead of timed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from fittingroom.data.dataset import Dataset
from fittingroom.models.making import make_classifier
from fittingroom.nets.mlp import MLP
from fittingroom.nets.pooling import MaxPool
from fittingroom.training.loop import train

#: Name, input tensors, output tensors.
Operation = tuple[str, list[Tensor], list[Tensor]]

BATCH, STEPS = 32, 5
#: Operations that move nothing in memory.
VIEWS = {
    *("view", "_unsafe_view", "t", "permute", "select", "slice", "as_strided", "detach"),
    *("expand", "unsqueeze", "transpose", "split", "unfold", "alias", "squeeze", "lift_fresh"),
}


class Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records the name, inputs and outputs of every operation."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[Operation] = []

    def __torch_dispatch__(
        self, function: Any, types: Any, arguments: Any = (), options: Any = None
    ) -> Any:
        result = function(*arguments, **(options or {}))
        name = function.__name__.split(".")[0]
        if name not in VIEWS:
            self.seen.append((name, tensors_of(arguments), tensors_of(result)))
        return result


def tensors_of(values: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]


def epoch(name: str, small: Dataset, **options: Any) -> Operations:
    """The operations of an epoch of five steps in bfloat16 (a perceptron's are in float32)."""
    classifier = make_classifier(
        name,
        **{"epochs": 1, "batch_size": BATCH, "keep": "last", "random_state": 0, **options},
        mirror_keeps_class=True,
    )
    images, labels = small.train.images[: BATCH * STEPS], small.train.labels[: BATCH * STEPS]
    net = classifier.fit(images, labels).net_
    recipe = classifier.recipe
    if not isinstance(net, MLP):
        recipe = make_classifier(name, **{**recipe.to_dict(), "precision": "bfloat16"}).recipe
    arrays = torch.from_numpy(images.copy()), torch.from_numpy(labels.copy()).long()
    seen = Operations()
    with seen:
        train(net.train(), *arrays, recipe, mirror_keeps_class=True)
    return seen


#: Networks, options that make them small, and the most operations per step.
NETWORKS: dict[str, tuple[dict[str, Any], int]] = {
    "cnn-32": ({}, 70),
    "cnn-64-128-64": ({}, 170),
    "cnn-16-32-64-128": ({"pooling": True, "patience": None, "restore": False}, 420),
    "swift-93": ({"epochs": 1}, 260),
    "wide-resnet": ({"depth": 10, "width": 1}, 600),
    "mlp-256-256": ({}, 50),
}
#: Networks that a processor may train without PyTorch's convolutions, or that have none.
PLAIN = {"cnn-32", "cnn-64-128-64", "mlp-256-256"}
every_network = pytest.mark.parametrize("name", NETWORKS)


@pytest.fixture(scope="module")
def seen(small: Dataset) -> Callable[[str], list[Operation]]:
    @cache
    def of(name: str) -> list[Operation]:
        return epoch(name, small, **NETWORKS[name][0]).seen

    return of


Seen = Callable[[str], list[Operation]]


@every_network
def test_a_step_has_few_operations(name: str, seen: Seen) -> None:
    counts = Counter(kind for kind, *_ in seen(name))
    assert sum(counts.values()) / STEPS < NETWORKS[name][1], counts.most_common()


@every_network
def test_convolutions_run_in_bfloat16(name: str, seen: Seen) -> None:
    convolutions = [(kind, tensors) for kind, tensors, _ in seen(name) if "convolution" in kind]
    assert convolutions or name in PLAIN
    for _, tensors in convolutions:
        assert {tensor.dtype for tensor in tensors} == {torch.bfloat16}


@every_network
def test_no_map_is_copied_into_another_layout(name: str, seen: Seen) -> None:
    for kind, tensors, outputs in seen(name):
        if kind in ("clone", "copy_", "_to_copy") and outputs[0].ndim == 4:
            same_type = len({tensor.dtype for tensor in (*tensors, *outputs)}) == 1
            maps = len(outputs[0]) == BATCH and outputs[0].shape[2] > 3  # no kernels
            assert not (same_type and maps), (kind, [t.shape for t in tensors])


@every_network
def test_the_data_set_is_moved_once_per_epoch(name: str, seen: Seen) -> None:
    counts = Counter(
        kind
        for kind, _, outputs in seen(name)
        for tensor in outputs
        if tensor.ndim > 2 and len(tensor) == BATCH * STEPS
    )
    assert counts["index"] == 1  # shuffled, as bytes
    assert max(counts.values()) < STEPS, counts


def test_pooling_copies_no_map_in_its_backward_pass() -> None:
    x = torch.randn(8, 16, 28, 28).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = MaxPool(relu=True)(x)
    with Operations() as seen:
        y.backward(torch.ones_like(y))
    assert not {"clone", "copy_", "_to_copy", "zero_", "fill_"} & {kind for kind, *_ in seen.seen}


def test_the_counter_sees_operations() -> None:
    x = torch.randn(8, 16, 4, 4)
    with Operations() as seen:
        x.contiguous(memory_format=torch.channels_last)
        nn.Conv2d(16, 2, 3)(x)
    assert {"clone", "convolution"} <= {kind for kind, *_ in seen.seen}
