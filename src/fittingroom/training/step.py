"""One training step: forward, backward, update."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from fittingroom.kernels import capabilities
from fittingroom.training import precision
from fittingroom.training.augment import Mixture
from fittingroom.training.compiled_step.step import (
    CompiledStep,
    is_small,
    prefers_bfloat16,
    supports_compiled_step,
)
from fittingroom.training.dense_step import DenseStep, supports_dense_step
from fittingroom.training.direct_step import DirectStep
from fittingroom.training.optim import make_optimizer, update
from fittingroom.training.recipe import Recipe

Loss = Callable[[Tensor, Tensor, Mixture | None], Tensor]


class AutogradStep:
    """A training step of any network.

    Parameters
    ----------
    net : on the device, in training mode when called
    recipe : specifies the optimiser
    loss : of float32 logits (batch, classes), labels (batch,) and how images were mixed, or None
    number_format : ``"float32"`` or ``"bfloat16"``, of the forward pass
    between : called between the backward pass and the update, if several processes share a step
    """

    def __init__(
        self,
        net: nn.Module,
        recipe: Recipe,
        loss: Loss,
        number_format: str,
        device: torch.device,
        between: Callable[[], None] = lambda: None,
    ) -> None:
        self._net, self._loss, self._between = net, loss, between
        self._number_format, self._device = number_format, device
        self._optimizer = make_optimizer(net, recipe)

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        learning_rate: float,
        mixture: Mixture | None = None,
    ) -> Tensor:
        """Logits (batch, classes) of images (batch, 1, height, width), before the update."""
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        with precision.autocast(self._number_format, self._device):
            logits: Tensor = self._net(images)
        logits = logits.float()
        self._loss(logits, labels, mixture).backward()  # type: ignore[no-untyped-call]
        self._between()
        update(self._optimizer)
        self._optimizer.zero_grad()
        return logits.detach()

    def state(self) -> dict[str, Tensor]:
        """The optimiser's state, by the number of the weight and name."""
        numbered = self._optimizer.state_dict()["state"]
        return {
            f"{number}.{name}": value
            for number, values in numbered.items()
            for name, value in values.items()
            if isinstance(value, Tensor)
        }

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned."""
        numbered: dict[int, dict[str, Tensor]] = {}
        for key, value in state.items():
            number, _, name = key.partition(".")
            numbered.setdefault(int(number), {})[name] = value
        self._optimizer.load_state_dict({**self._optimizer.state_dict(), "state": numbered})


def resolve_precision(
    net: nn.Module, recipe: Recipe, device: torch.device, image_shape: tuple[int, int]
) -> str:
    """``precision.resolve``, but with what is fastest for the step that ``make_step`` makes."""
    if recipe.precision == "auto" and prefers_bfloat16(net, recipe, device, image_shape):
        return "bfloat16"
    return precision.resolve(recipe.precision, net, device)


def make_step(
    net: nn.Module,
    recipe: Recipe,
    loss: Loss,
    number_format: str,
    device: torch.device,
    image_shape: tuple[int, int] = (28, 28),
) -> AutogradStep | DirectStep:
    """The fastest step for this training."""
    if supports_compiled_step(net, recipe, number_format, device):
        matrices = number_format == "bfloat16" and capabilities.multiplies_matrices_of_bfloat16()
        if not matrices or is_small(net, recipe, image_shape):
            return CompiledStep(net, recipe, number_format, image_shape)
    if supports_dense_step(net, recipe, number_format, device):
        return DenseStep(net, recipe)
    return AutogradStep(net, recipe, loss, number_format, device)
