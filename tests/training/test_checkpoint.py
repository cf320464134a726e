from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from fittingroom.data.dataset import Dataset
from fittingroom.data.idx import write_idx
from fittingroom.data.mapped import MappedRows
from fittingroom.nets.cnn import CNN, NormalizedCNN
from fittingroom.nets.mlp import MLP
from fittingroom.nets.swift import Swift
from fittingroom.nets.wide_resnet import WideResNet
from fittingroom.training import shuffle
from fittingroom.training.checkpoint import Checkpoint, State
from fittingroom.training.epoch import Epoch
from fittingroom.training.loop import TrainingResult, train
from fittingroom.training.recipe import Recipe


class Killed(BaseException):
    """Stands in for the end of a process."""


def run(
    small: Dataset, net: nn.Module, recipe: Recipe, path: Path | None = None, stop: int = 0
) -> tuple[dict[str, Tensor], TrainingResult]:
    """Train on 200 images, until after epoch `stop` if given; returns weights and result."""
    images = torch.from_numpy(small.train.images[:300].copy())
    labels = torch.from_numpy(small.train.labels[:300].copy()).long()

    def on_epoch(epoch: Epoch, _: int) -> None:
        if epoch.epoch == stop:
            raise Killed

    result = train(
        *(net, images[:200], labels[:200], recipe),
        validation=(images[200:], labels[200:]),
        seed=3,
        checkpoint=Checkpoint(path, interval=0) if path else None,
        on_epoch=on_epoch,
    )
    return net.state_dict(), result


def fresh(kind: str) -> nn.Module:
    torch.manual_seed(5)
    if kind == "wide":
        return WideResNet(depth=10, width=1)
    if kind == "swift":
        return Swift(widths=(16, 32), hidden=16, pool_first=True)
    if kind == "compiled":
        return CNN(features=(8, "pool", 20), hidden=(16,), dropout=(0.5,))
    return NormalizedCNN() if kind == "cnn" else MLP(hidden=(16,))


RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    "adam": ("mlp", {}),
    "plain-sgd": ("mlp", {"optimizer": "sgd", "learning_rate": 0.1}),
    "momentum-one-cycle": (
        "mlp",
        {
            **{"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
            **{"schedule": "one-cycle", "weight_decay": 1e-3},
        },
    ),
    "compiled-adam": ("compiled", {}),
    "compiled-momentum": ("compiled", {"optimizer": "sgd", "momentum": 0.9}),
    "averaging": ("mlp", {"averaging": 0.9}),
    "best-kept": ("mlp", {"keep": "best-accuracy", "learning_rate": 0.05}),
    "patience": (
        "mlp",
        {"patience": 1, "watch": "loss", "restore": True, "learning_rate": 0.03},
    ),
    "dropout-and-augmentation": ("cnn", {"augmentation": "keras-shift-flip"}),
    "several-layers-at-once": (
        "swift",
        {
            **{"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
            **{"schedule": "one-cycle", "weight_decay": 5e-4, "label_smoothing": 0.1},
            **{"augmentation": "crop-flip", "precision": "bfloat16"},
        },
    ),
    "mixed-images": (
        "wide",
        {
            **{"optimizer": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True},
            **{"schedule": "cosine", "weight_decay": 5e-4, "label_smoothing": 0.1},
            **{"augmentation": "crop-erase-mix", "averaging": 0.9, "precision": "bfloat16"},
        },
    ),
}


@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_training_has_the_same_result_to_the_bit(
    name: str, small: Dataset, tmp_path: Path
) -> None:
    kind, fields = RECIPES[name]
    recipe = Recipe(epochs=4, batch_size=64, **fields)
    weights, uninterrupted = run(small, fresh(kind), recipe)
    path = tmp_path / "state.safetensors"
    for stop in (1, 2):
        with pytest.raises(Killed):
            run(small, fresh(kind), recipe, path, stop)
    resumed, result = run(small, fresh(kind), recipe, path)
    assert all(torch.equal(weights[key], resumed[key]) for key in weights)
    assert result.kept_epoch == uninterrupted.kept_epoch
    assert result.seconds_before > 0
    assert len(result.history) == len(uninterrupted.history)
    for now, then in zip(result.history, uninterrupted.history, strict=True):
        assert {**vars(now), "seconds": 0} == {**vars(then), "seconds": 0}


def test_a_state_of_another_training_is_not_resumed(small: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "state.safetensors"
    with pytest.raises(Killed):
        run(small, fresh("mlp"), Recipe(epochs=3), path, stop=2)
    for other in (Recipe(epochs=4), Recipe(epochs=3, batch_size=64)):
        weights, _ = run(small, fresh("mlp"), other)
        again, result = run(small, fresh("mlp"), other, Path(path))
        assert result.seconds_before == 0
        assert all(torch.equal(weights[key], again[key]) for key in weights)


@pytest.mark.parametrize("changed", ["images", "labels", "weights", "mirroring"])
def test_a_state_from_other_inputs_is_not_resumed(
    changed: str, small: Dataset, tmp_path: Path
) -> None:
    images = torch.from_numpy(small.train.images[:200].copy())
    labels = torch.from_numpy(small.train.labels[:200].copy()).long()
    checkpoint = Checkpoint(tmp_path / "state.safetensors", interval=0)
    net = fresh("mlp")
    train(net, images, labels, Recipe(epochs=2), checkpoint=checkpoint)
    again = fresh("mlp")
    assert train(again, images, labels, Recipe(epochs=2), checkpoint=checkpoint).seconds_before > 0
    with torch.no_grad():
        {"images": images, "labels": labels, "weights": next(net.parameters())}.get(
            changed, torch.ones(1)
        ).view(-1)[0] = 1
    result = train(
        *(net, images, labels, Recipe(epochs=2)),
        checkpoint=checkpoint,
        mirror_keeps_class=changed == "mirroring",
    )
    assert result.seconds_before == 0


def test_a_training_from_a_map_is_resumed_to_the_bit(
    small: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shuffle, "BLOCK", 784 * 40)
    monkeypatch.setattr(shuffle, "BUFFER", 784 * 200)
    path = tmp_path / "images"
    write_idx(path, small.train.images)
    images = MappedRows(np.memmap(path, np.uint8, "r", 16, small.train.images.shape))
    labels = torch.from_numpy(small.train.labels.copy())
    checkpoint = Checkpoint(tmp_path / "state.safetensors", interval=0)

    def run(stop: int, checkpoint: Checkpoint | None) -> tuple[Tensor, float]:
        def on_epoch(epoch: Epoch, _: int) -> None:
            if epoch.epoch == stop:
                raise Killed

        net = fresh("mlp")
        result = train(
            *(net, images, labels, Recipe(epochs=3, augmentation="crop-flip")),
            mirror_keeps_class=True,
            checkpoint=checkpoint,
            on_epoch=on_epoch,
        )
        return torch.cat([w.flatten() for w in net.state_dict().values()]), result.seconds_before

    uninterrupted, _ = run(0, None)
    for stop in (1, 2):
        with pytest.raises(Killed):
            run(stop, checkpoint)
    resumed, before = run(0, checkpoint)
    assert before > 0
    assert torch.equal(uninterrupted, resumed)
    os.utime(path, ns=(0, 0))
    images = MappedRows(np.memmap(path, np.uint8, "r", 16, small.train.images.shape))
    assert run(0, checkpoint)[1] == 0  # perhaps another file


@pytest.mark.parametrize("damage", ["empty", "cut", "noise"])
def test_a_damaged_file_is_reported_and_not_resumed(
    damage: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "state.safetensors"
    checkpoint = Checkpoint(path)
    checkpoint.write(State({"a": torch.ones(100)}, {"history": []}))
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "cut": content[:-7], "noise": bytes(50)}[damage])
    with caplog.at_level(logging.WARNING):
        assert checkpoint.read() is None
    assert "training starts from scratch" in caplog.text


def test_a_state_is_read_as_written(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "folder" / "state.safetensors")
    assert checkpoint.read() is None
    shared = torch.arange(6.0)
    checkpoint.write(State({"a": shared[:3], "b": shared}, {"n": [1, None]}))
    state = checkpoint.read()
    assert state is not None
    assert torch.equal(state.tensors["b"], shared)
    assert state.facts == {"n": [1, None]}
    assert [file.name for file in checkpoint.path.parent.iterdir()] == ["state.safetensors"]
    checkpoint.remove()
    assert checkpoint.read() is None


def test_a_checkpoint_is_due_once_a_minute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoint = Checkpoint(tmp_path / "state.safetensors")
    assert not checkpoint.due
    now = 161.0
    assert checkpoint.due
    checkpoint.write(State({}, {}))
    assert not checkpoint.due
    now = 222.0
    assert checkpoint.due


def test_a_failed_write_is_only_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("in the way")
    checkpoint = Checkpoint(tmp_path / "file" / "state.safetensors")
    with caplog.at_level(logging.WARNING):
        checkpoint.write(State({}, {}))
    assert "the checkpoint couldn't be written" in caplog.text


# Imports once, then forks a child per training, which is safe with one thread.
SCRIPT = """
import os, random, signal, sys, time
from pathlib import Path
from fittingroom.data.sources import load_dataset
from fittingroom.models.making import make_classifier
from fittingroom.training.checkpoint import Checkpoint
from safetensors.torch import save_file

data = load_dataset(sys.argv[1])
X, y = data.train.images[:600], data.train.labels[:600]
validation = data.train.images[600:700], data.train.labels[600:700]

def train(folder):
    model = make_classifier("swift", epochs=6, keep="best-loss", mirror_keeps_class=True)
    model.fit(X, y, validation=validation, checkpoint=Checkpoint(folder / "state", interval=0))
    save_file({k: v.contiguous() for k, v in model.net_.state_dict().items()}, folder / "weights")

def start(folder):
    child = os.fork()
    if not child:
        train(folder)
        os._exit(0)
    return child

def running(child):
    return os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None

def written(folder):
    return (folder / "state").stat().st_mtime_ns if (folder / "state").exists() else 0

whole, killed = Path(sys.argv[2]), Path(sys.argv[3])
began = time.monotonic()
assert os.waitpid(start(whole), 0)[1] == 0
epoch = (time.monotonic() - began) / 6
moments = random.Random(0)
for _ in range(3):
    before, child = written(killed), start(killed)
    while running(child) and written(killed) == before:
        time.sleep(0.01)
    time.sleep(moments.uniform(0, 1) * epoch)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
assert written(killed)
assert os.waitpid(start(killed), 0)[1] == 0
"""


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_at_any_moment_it_is_resumed_to_the_bit(small_folder: Path, tmp_path: Path) -> None:
    folders = tmp_path / "whole", tmp_path / "killed"
    for folder in folders:
        folder.mkdir()
    command = [sys.executable, "-c", SCRIPT, str(small_folder), *map(str, folders)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    whole, killed = ((folder / "weights").read_bytes() for folder in folders)
    assert whole == killed
