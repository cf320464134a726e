"""Optimisers, learning-rate schedules and weight averaging, as a recipe specifies them."""

from __future__ import annotations

import copy
import math
from typing import Any

import torch
from torch import Tensor, nn

from fittingroom.training.recipe import Recipe

#: Adam's betas and epsilon, with Keras's defaults.
BETAS, EPSILON = (0.9, 0.999), 1e-7


def make_optimizer(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser over the trainable weights; weight decay applies only to kernels."""
    trained = [weight for weight in net.parameters() if weight.requires_grad]
    kernels = [weight for weight in trained if weight.ndim >= 2]
    vectors = [weight for weight in trained if weight.ndim < 2]  # biases and batch norm
    groups: list[dict[str, Any]] = [{"params": trained, "weight_decay": 0.0}]
    if recipe.weight_decay:
        groups = [
            {"params": kernels, "weight_decay": recipe.weight_decay},
            {"params": vectors, "weight_decay": 0.0},
        ]
    # One fused kernel per step: small networks spend their time between kernels.
    fused = all(weight.device.type in ("cpu", "cuda") for weight in trained)
    if recipe.optimizer == "adam":
        return torch.optim.AdamW(
            groups, lr=recipe.learning_rate, betas=BETAS, eps=EPSILON, fused=fused
        )
    return torch.optim.SGD(
        groups,
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.nesterov,
        fused=fused,
    )


@torch.no_grad()
def update(optimizer: torch.optim.Optimizer) -> None:
    """``optimizer.step()``, for momentum SGD without the work around its fused kernel.

    At every step PyTorch sorts the weights by device and type and notes what a profiler could ask
    for: 0.2 ms, twice what the kernel takes for a hundred thousand weights.
    """
    if not _is_prepared(optimizer):
        optimizer.step()
        return
    for group in optimizer.param_groups:
        torch._fused_sgd_(
            group["params"],
            [weight.grad for weight in group["params"]],
            [optimizer.state[weight]["momentum_buffer"] for weight in group["params"]],
            weight_decay=group["weight_decay"],
            momentum=group["momentum"],
            lr=group["lr"],
            dampening=group["dampening"],
            nesterov=group["nesterov"],
            maximize=group["maximize"],
            is_first_step=False,
        )


def _is_prepared(optimizer: torch.optim.Optimizer) -> bool:
    """Whether SGD's kernel may be called: weights have gradients, and velocities from before."""
    return isinstance(optimizer, torch.optim.SGD) and all(
        group["fused"] and weight.grad is not None and "momentum_buffer" in optimizer.state[weight]
        for group in optimizer.param_groups
        for weight in group["params"]
    )


def learning_rate(recipe: Recipe, epoch: int, progress: float) -> float:
    """The learning rate in an epoch (1-based) after the share ``progress`` of its steps."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    if recipe.schedule == "rising":
        return recipe.learning_rate * 10 ** ((epoch - 1) / 20)
    done = (epoch - 1 + progress) / recipe.epochs
    if done < recipe.warmup:
        return recipe.learning_rate * done / recipe.warmup
    if recipe.schedule == "cosine":
        decay = (done - recipe.warmup) / (1 - recipe.warmup)
        return recipe.learning_rate * (1 + math.cos(math.pi * decay)) / 2
    return recipe.learning_rate * (1 - done) / (1 - recipe.warmup)


class Average:
    """An exponential moving average of a network's weights and running statistics.

    The decay starts small, (1 + t) / (10 + t) after t steps, so that the random initial weights are
    soon forgotten.
    """

    # torch.optim.swa_utils.AveragedModel takes 0.67 ms per step of `swift` instead of 0.19, since
    # it sorts the tensors by device and type each time. It starts from a copy of the weights after
    # the first step, so results would change, and its state names differ from saved checkpoints'.

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).requires_grad_(False)
        self._decay = decay
        self.steps = 0
        self._averaged = _float_tensors(self.net)
        self._source = _float_tensors(net)

    @torch.no_grad()
    def update(self) -> None:
        self.steps += 1
        decay = min(self._decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(self._averaged, self._source, 1 - decay)


def _float_tensors(net: nn.Module) -> list[Tensor]:
    state = net.state_dict(keep_vars=True).values()
    return [tensor for tensor in state if tensor.is_floating_point()]
