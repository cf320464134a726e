from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from fittingroom.data.dataset import Dataset
from fittingroom.errors import TrainingError
from fittingroom.nets.mlp import MLP
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.distributed import Group
from fittingroom.training.epoch import Epoch
from fittingroom.training.fit import Fit
from fittingroom.training.recipe import Recipe


def new_fit(small: Dataset, device: str = "cpu") -> Fit:
    torch.manual_seed(5)
    images = torch.from_numpy(small.train.images[:50].copy())
    labels = torch.from_numpy(small.train.labels[:50].copy()).long()
    recipe = Recipe(precision="float32")
    return Fit(MLP(hidden=(16,)), images, labels, recipe, torch.device(device), 3, True)


def save_first_epoch(fit: Fit, checkpoint: Checkpoint) -> None:
    """Write the state after one epoch."""
    fit.resume(checkpoint)
    fit.note(
        Epoch(
            epoch=1,
            learning_rate=0.1,
            train_loss=1.0,
            train_accuracy=0.5,
            validation_loss=None,
            validation_accuracy=None,
            seconds=2.0,
        )
    )
    fit.save(checkpoint, seconds=2.0)


def test_a_training_is_resumed_on_another_gpu_but_not_on_another_device(
    small: Dataset, tmp_path: Path
) -> None:
    """Several processes each have another GPU and get the first one's state."""
    checkpoint = Checkpoint(tmp_path / "state.safetensors")
    save_first_epoch(new_fit(small, "meta:0"), checkpoint)  # in place of a GPU
    for device, epochs in (("meta:1", 1), ("meta", 1), ("cpu", 0)):
        fit = new_fit(small, device)
        fit.resume(checkpoint)
        assert len(fit.history) == epochs


class Second(Group):
    """The second of two processes, the first of which resumes after epoch 7."""

    def broadcast_figures(self, figures: Sequence[float]) -> list[float]:
        return [7.0]

    def broadcast(self, content: bytes) -> bytes:
        return b"/first/state.safetensors"


def test_if_processes_resume_from_different_epochs_the_first_ones_file_is_named(
    small: Dataset, tmp_path: Path
) -> None:
    fit = new_fit(small)
    fit.group = Second(1, 2)
    with pytest.raises(TrainingError, match=r"epoch 7 .* delete its checkpoint /first/state"):
        fit.resume(Checkpoint(tmp_path / "none"))
