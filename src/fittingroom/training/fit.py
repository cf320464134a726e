"""The state of a training run: network, optimiser, averages, random state and history."""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fittingroom.errors import TrainingError
from fittingroom.training import precision
from fittingroom.training.augment import AUGMENTATIONS, MIXINGS, Mixture
from fittingroom.training.checkpoint import Checkpoint, State
from fittingroom.training.direct_step import DirectStep
from fittingroom.training.distributed import ALONE, Group, SharedStep
from fittingroom.training.epoch import Epoch
from fittingroom.training.loss import cross_entropy
from fittingroom.training.optim import Average
from fittingroom.training.recipe import Recipe, Watch
from fittingroom.training.shuffle import Images
from fittingroom.training.step import AutogradStep, make_step, resolve_precision

#: Version of a checkpoint's contents; other versions aren't resumed.
STATE_VERSION = 3


class Fit:
    """The state of a training run: what is fixed, and what changes from epoch to epoch."""

    def __init__(
        self,
        net: nn.Module,
        images: Images,
        labels: Tensor,
        recipe: Recipe,
        device: torch.device,
        seed: int,
        mirror_keeps_class: bool,
        group: Group = ALONE,
    ) -> None:
        self.net, self.images, self.labels, self.recipe = net, images, labels, recipe
        self.device = device
        self.mirror_keeps_class = mirror_keeps_class
        self.group = group
        self.step: AutogradStep | DirectStep | SharedStep
        if self.group.size == 1:
            shape = (images.shape[1], images.shape[2])
            self.precision = resolve_precision(net, recipe, device, shape)
            self.step = make_step(net, recipe, self.loss, self.precision, device, shape)
        else:
            self.precision = precision.resolve(recipe.precision, net, device)
            self.step = SharedStep(net, recipe, self.loss, self.precision, device, self.group)
        self.average = Average(net, recipe.averaging) if recipe.averaging else None
        self.measured = net if self.average is None else self.average.net
        self.augment = AUGMENTATIONS[recipe.augmentation]
        self.mix = MIXINGS.get(recipe.augmentation)
        self.generator = torch.Generator().manual_seed(seed)
        self.history: list[Epoch] = []
        self.kept: dict[str, Tensor] | None = None
        self.seconds_before = 0.0  # spent by processes that were killed
        self.seed = seed
        self._identity: dict[str, Any] = {}

    def loss(self, logits: Tensor, labels: Tensor, mixture: Mixture | None = None) -> Tensor:
        """Mean cross-entropy, whose sparse and one-hot form are the same function.

        An image that shows a part of another has both labels, each with its share of the image.
        """
        smoothing = self.recipe.label_smoothing
        if mixture is None:
            return cross_entropy(logits, labels, smoothing)
        target = mixture.of(F.one_hot(labels, logits.shape[1]).to(logits.dtype))
        return F.cross_entropy(logits, target, label_smoothing=smoothing)

    def write_weights(self) -> None:
        """Give the network its weights, if a step keeps them elsewhere."""
        if isinstance(self.step, DirectStep):
            self.step.write_weights()

    def note(self, epoch: Epoch) -> None:
        """Add an epoch to the history, and keep its weights if it is the best so far."""
        self.history.append(epoch)
        chosen_by = self.recipe.chosen_by
        if chosen_by and best_epoch(self.history, chosen_by) == epoch.epoch:
            self.kept = copy.deepcopy(self.measured.state_dict())

    def out_of_patience(self) -> bool:
        patience = self.recipe.patience
        if not patience or not self.history:
            return False
        return len(self.history) - best_epoch(self.history, self.recipe.watch) >= patience

    @property
    def kept_epoch(self) -> int:
        """The epoch whose weights are the result if training ends here."""
        chosen_by = self.recipe.chosen_by
        return best_epoch(self.history, chosen_by) if chosen_by else len(self.history)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Resume from a checkpoint, if it holds a state of this very training.

        Call it before the first epoch: a training is identified by its initial weights, too.
        """
        self._identity = self._identify()
        state = checkpoint.read()
        # Compared after a round trip through JSON, which turns tuples into lists.
        if state and state.facts.get("identity") == json.loads(json.dumps(self._identity)):
            self._restore(state)
        (n_epochs,) = self.group.broadcast_figures([len(self.history)])
        path = self.group.broadcast(os.fsencode(checkpoint.path))  # others have temporary copies
        if n_epochs != len(self.history):
            raise TrainingError(
                f"process {self.group.rank} can't resume after epoch {n_epochs:.0f} as the first "
                f"process can; delete its checkpoint {os.fsdecode(path)} to start over."
            )

    def save(self, checkpoint: Checkpoint, seconds: float) -> None:
        """Write the state to a checkpoint from which this training can be resumed."""
        if self.group.first:
            checkpoint.write(self._state(seconds))

    def _identify(self) -> dict[str, Any]:
        """Everything that decides this training's result to the bit."""
        processes = {"processes": self.group.size} if self.group.size > 1 else {}
        return {
            **processes,
            "version": STATE_VERSION,
            "net": repr(self.net),
            "weights": _digest(self.net.state_dict().values()),
            "data": self._data_identity(),
            "recipe": dataclasses.asdict(self.recipe),
            "seed": self.seed,
            "mirror_keeps_class": self.mirror_keeps_class,
            "precision": self.precision,
            "device": self.device.type,  # not the index: each process has another GPU
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        }

    def _data_identity(self) -> str:
        """A hash of images and labels; mapped images are identified by their file."""
        if isinstance(self.images, Tensor):
            return _digest([self.images, self.labels])
        return f"{self.images.identity()} {_digest([self.labels])}"

    def _state(self, seconds: float) -> State:
        """Everything that training has changed so far."""
        groups = {
            "net": self.net.state_dict(),
            "kept": self.kept or {},
            "average": self.average.net.state_dict() if self.average else {},
            "step": self.step.state(),
            "random": self._random_states(),
        }
        tensors = {
            f"{group}/{name}": value
            for group, values in groups.items()
            for name, value in values.items()
            if isinstance(value, Tensor)
        }
        facts = {
            "identity": self._identity,
            "history": [dataclasses.asdict(epoch) for epoch in self.history],
            "average_steps": self.average.steps if self.average else 0,
            "seconds": seconds,
        }
        return State(tensors, facts)

    def _restore(self, state: State) -> None:
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in state.tensors.items():
            group, _, key = name.partition("/")
            groups.setdefault(group, {})[key] = tensor
        self.net.load_state_dict(groups["net"])
        if self.average is not None:
            self.average.net.load_state_dict(groups["average"])
            self.average.steps = state.facts["average_steps"]
        self.kept = groups.get("kept")
        self.step.load(groups.get("step", {}))
        self.generator.set_state(groups["random"]["order"])
        torch.set_rng_state(groups["random"]["cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(groups["random"]["cuda"], self.device)
        self.history = [Epoch(**epoch) for epoch in state.facts["history"]]
        self.seconds_before = state.facts["seconds"]

    def _random_states(self) -> dict[str, Tensor]:
        states = {"order": self.generator.get_state(), "cpu": torch.get_rng_state()}
        if self.device.type == "cuda":
            states["cuda"] = torch.cuda.get_rng_state(self.device)
        return states


def _digest(tensors: Iterable[Tensor]) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def best_epoch(history: Sequence[Epoch], quantity: Watch) -> int:
    """The first epoch with the lowest validation loss or the highest validation accuracy."""
    if quantity == "loss":
        return min(history, key=lambda e: _require(e.validation_loss)).epoch
    return max(history, key=lambda e: _require(e.validation_accuracy)).epoch


def _require(figure: float | None) -> float:
    assert figure is not None, "a recipe that chooses has validation figures"
    return figure
