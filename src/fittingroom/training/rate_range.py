"""Learning-rate range test: the loss of a network while the rate rises from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from fittingroom.training import precision
from fittingroom.training.fit import Fit
from fittingroom.training.loop import batches, begin, resumable, train_batch
from fittingroom.training.recipe import Recipe
from fittingroom.training.shuffle import Images, Stretch, shuffled_stretches

#: The first and the last rate, and the number of steps.
LOW, HIGH, STEPS = 1e-5, 10.0, 300
#: Decay of the smoothed loss; the test ends when it reaches this multiple of its lowest value.
SMOOTHING, TOO_HIGH = 0.9, 4.0
#: The rate of the lowest loss is divided by this, to stay clear of where the loss rises again.
MARGIN = 10.0

RULE = "a tenth of the rate at which the smoothed training loss is lowest"


@dataclass(frozen=True, eq=False)
class RateRange:
    """The result of a range test, up to the last step or until the loss exploded.

    Attributes
    ----------
    rates : (steps,) learning rates
    losses : (steps,) training loss of each step's batch, before the step
    smoothed : (steps,) exponential moving average of the losses, with bias correction
    """

    rates: NDArray[np.float64]
    losses: NDArray[np.float64]
    smoothed: NDArray[np.float64]

    @property
    def lowest(self) -> float:
        """The rate at which the smoothed loss is lowest."""
        return float(self.rates[self.smoothed.argmin()])

    @property
    def suggested(self) -> float:
        """The rate to try, by `RULE`, to two digits."""
        return float(f"{self.lowest / MARGIN:.2g}")

    @property
    def exploded(self) -> bool:
        """Whether the loss exploded, so that the rate rose no further."""
        too_high = bool(self.smoothed[-1] > TOO_HIGH * self.smoothed.min())
        return too_high or len(self.rates) < STEPS  # or it wasn't finite

    def to_dict(self) -> dict[str, Any]:
        return {
            "suggested": self.suggested,
            "rule": RULE,
            "lowest": self.lowest,
            "rates": [float(f"{rate:.6g}") for rate in self.rates],
            "losses": [float(f"{loss:.6g}") for loss in self.losses],
            "smoothed": [float(f"{loss:.6g}") for loss in self.smoothed],
        }


def rate_range(
    net: nn.Module,
    images: Images,
    labels: Tensor,
    recipe: Recipe,
    *,
    seed: int = 0,
    mirror_keeps_class: bool = False,
    on_step: Callable[[int, int], None] | None = None,
) -> RateRange:
    """Train a network for a few hundred steps, raising the rate by the same factor at each.

    The learning-rate range test of Smith 2017, "Cyclical learning rates for training neural
    networks", section 3.3, with an exponential instead of a linear rise. It ends early when the
    smoothed loss exceeds four times its lowest value or isn't finite. Everything but the rate is
    the recipe's. The network is useless afterwards.

    Parameters
    ----------
    net, images, labels, seed, mirror_keeps_class : as for ``loop.train``
    recipe : how to train it; its learning rate and schedule are ignored
    on_step : called after every step with the number of steps done and the greatest number
    """
    device = precision.resolve_device(recipe.device)
    fit = begin(net, images, labels, recipe, device, seed, mirror_keeps_class)
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    net.train()
    with resumable(fit, seed):
        for step, (epoch, stretch, start, stop) in zip(range(STEPS), _batches(fit), strict=False):
            logits, mixture = train_batch(fit, epoch, stretch, start, stop, _rate(step))
            loss = float(fit.loss(logits, stretch.labels[start:stop], mixture))
            if not math.isfinite(loss):
                break
            average = SMOOTHING * average + (1 - SMOOTHING) * loss
            losses.append(loss)
            smoothed.append(average / (1 - SMOOTHING ** (step + 1)))
            if on_step is not None:
                on_step(step + 1, STEPS)
            if smoothed[-1] > TOO_HIGH * min(smoothed):
                break
    rates = [_rate(step) for step in range(len(losses))]
    return RateRange(np.array(rates), np.array(losses), np.array(smoothed))


def _rate(step: int) -> float:
    return float(LOW * (HIGH / LOW) ** (step / (STEPS - 1)))


def _batches(fit: Fit) -> Iterator[tuple[int, Stretch, int, int]]:
    """Endless batches: the epoch, a stretch of its images, and the bounds of the batch in it."""
    size = fit.recipe.batch_size
    for epoch in count(1):
        for stretch in shuffled_stretches(fit.images, fit.labels, size, fit.generator):
            for start, stop in batches(len(stretch.labels), size):
                yield epoch, stretch, start, stop
