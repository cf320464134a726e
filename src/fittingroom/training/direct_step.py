"""What training steps without autograd share: targets, and the optimiser's state."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.training.augment import Mixture
from fittingroom.training.recipe import Recipe


def supports_direct_step(net: nn.Module, recipe: Recipe, device: torch.device) -> bool:
    """Whether a ``DirectStep`` may train a network: all of it, on the CPU, by plain SGD or Adam."""
    trainable = all(weight.requires_grad for weight in net.parameters())
    return trainable and device.type == "cpu" and not recipe.weight_decay and not recipe.nesterov


class DirectStep(ABC):
    """A training step whose backward pass is written out, not recorded.

    It may keep the weights elsewhere: the network has them after ``write_weights``.

    The loss is the mean cross-entropy to targets: shares of the classes, smoothed, and mixed as the
    images are. Its gradient with respect to the logits is softmax minus targets.

    Parameters
    ----------
    n_classes : of the network
    recipe : specifies how labels are smoothed
    state : the optimiser's tensors by name, which each step changes in place
    """

    def __init__(self, n_classes: int, recipe: Recipe, state: dict[str, Tensor]) -> None:
        smoothing = recipe.label_smoothing
        self._targets = torch.eye(n_classes) * (1 - smoothing) + smoothing / n_classes
        self._state = state

    @torch.no_grad()
    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        learning_rate: float,
        mixture: Mixture | None = None,
    ) -> Tensor:
        """Logits (batch, classes) of images (batch, 1, height, width), before the update."""
        targets = F.embedding(labels, self._targets)
        if mixture is not None:
            targets = mixture.of(targets)
        return self._train(images, targets, learning_rate)

    @abstractmethod
    def _train(self, images: Tensor, targets: Tensor, learning_rate: float) -> Tensor:
        """The same, given targets (batch, classes)."""

    @abstractmethod
    def write_weights(self) -> None:
        """Give the network its weights."""

    def state(self) -> dict[str, Tensor]:
        """The optimiser's state, by name."""
        return dict(self._state)

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned."""
        for name, tensor in self._state.items():
            tensor.copy_(state[name])
