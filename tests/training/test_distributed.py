from __future__ import annotations

import json
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from fittingroom.errors import UsageError
from fittingroom.nets.cnn import CNN, NormalizedCNN
from fittingroom.training.distributed import ALONE, Group, current, refuse_unshareable
from fittingroom.training.recipe import Recipe

SCRIPT = """
import contextlib, hashlib, json, sys
from pathlib import Path

import torch
from fittingroom.data.sources import load_dataset
from fittingroom.errors import TrainingError
from fittingroom.nets.cnn import CNN
from fittingroom.training.checkpoint import Checkpoint
from fittingroom.training.distributed import ALONE, PeerError, current, process_group
from fittingroom.training.loop import train
from fittingroom.training.recipe import Recipe
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

class BackToFront(nn.Module):  # its gradients don't come in the order that DDP first expects
    def __init__(self):
        super().__init__()
        self.last, self.first = nn.Linear(40, 10), nn.Linear(784, 40)

    def forward(self, images):
        hidden = nn.functional.relu(self.first(images.flatten(1)))
        return self.last(nn.functional.dropout(hidden, 0.5, self.training))

gradients = []  # a hash per step

def note(optimizer, *_):
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    bits = b"".join(weight.grad.numpy().tobytes() for weight in weights)
    gradients.append(hashlib.sha256(bits).hexdigest())

small, folder = load_dataset(sys.argv[1]), Path(sys.argv[2])
X = torch.from_numpy(small.train.images[:602].copy())
y = torch.from_numpy(small.train.labels[:602].copy())

def run(recipe, checkpoint=None, on_epoch=None, back_to_front=False):
    torch.manual_seed(0)
    net = BackToFront() if back_to_front else CNN(features=(4, "pool"), hidden=(16,))
    result = train(
        net, X[:402], y[:402], recipe, validation=(X[402:], y[402:]), seed=3,
        mirror_keeps_class=True, checkpoint=checkpoint, on_epoch=on_epoch,
    )
    weights = [round(float(w.double().abs().sum()), 12) for w in net.parameters()]
    figures = [(e.train_loss, e.train_accuracy, e.validation_loss, e.validation_accuracy)
               for e in result.history]
    return {"figures": figures, "weights": weights, "kept": result.kept_epoch}

def stop(epoch, epochs):
    if epoch.epoch == 2:
        raise KeyboardInterrupt

# 402 images in batches of 50: the last one has fewer images than there are processes.
common = dict(epochs=3, batch_size=50, device="cpu", precision="float32")
sgd = Recipe(optimizer="sgd", learning_rate=0.1, momentum=0.9, nesterov=True, averaging=0.9,
             augmentation="crop-erase", schedule="one-cycle", **common)
adam = Recipe(keep="best-loss", label_smoothing=0.1, **common)
results = {}
alone = len(sys.argv) > 3
with contextlib.nullcontext(ALONE) if alone else process_group() as group:
    results["sgd"], results["adam"] = run(sgd), run(adam)
    if not alone:
        register_optimizer_step_pre_hook(note)
        results["dropout"] = run(adam, back_to_front=True)
        results["gradients"] = gradients[-9:]
        file = folder / "checkpoint.safetensors"
        with contextlib.suppress(KeyboardInterrupt):
            run(adam, Checkpoint(file, interval=0), stop, back_to_front=True)
        torch.distributed.barrier()  # the first process has written
        again = []
        results["resumed"] = run(
            adam, Checkpoint(file), lambda epoch, _: again.append(epoch.epoch), back_to_front=True
        )
        results["again"] = again, gradients[-9:]
results["after"] = current() is ALONE
(folder / f"{group.rank}of{group.size}.json").write_text(json.dumps(results))
"""

FAILING = """
import sys, time
from pathlib import Path
from torch import distributed
from fittingroom.errors import TrainingError
from fittingroom.training.distributed import PeerError, process_group

try:
    with process_group() as group:
        if group.rank == 1:
            raise TrainingError("its own reason")
        group.broadcast_figures([1.0])
        group.gather(__import__("torch").zeros(1, 1), 2)
except Exception as error:
    files = [Path(sys.argv[1]) / f"{rank}.txt" for rank in range(2)]
    files[group.rank].write_text(f"{type(error).__name__}: {error}")
    if group.rank == 1:
        distributed.destroy_process_group()  # as its exit would, upon which torchrun ends the other
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not (files[0].exists() and files[0].read_text()):
            time.sleep(0.05)
    sys.exit(1)
"""


def start(
    folder: Path, script: str, processes: int, *arguments: str
) -> subprocess.CompletedProcess[str]:
    (folder / "script.py").write_text(script)
    launch = [sys.executable]
    if processes > 1:
        launch += ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    return subprocess.run(
        [*launch, str(folder / "script.py"), *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )


@pytest.fixture(scope="module")
def results(
    small_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, dict[str, Any]]:
    """The results of the same trainings in one process, and in each of three."""
    folder = tmp_path_factory.mktemp("results")
    for processes, more in ((1, ["alone"]), (3, [])):
        done = start(folder, SCRIPT, processes, str(small_folder), str(folder), *more)
        assert done.returncode == 0, done.stderr
    return {path.stem: json.loads(path.read_text()) for path in folder.glob("*.json")}


@pytest.mark.parametrize("recipe", ["sgd", "adam"])
def test_several_processes_train_like_one(results: dict[str, Any], recipe: str) -> None:
    """The same loss curve and weights up to rounding, and identical in all processes."""
    alone, first = results["0of1"][recipe], results["0of3"][recipe]
    assert first == results["1of3"][recipe] == results["2of3"][recipe]
    assert first["kept"] == alone["kept"]
    for expected, figures in zip(alone["figures"], first["figures"], strict=True):
        assert figures[::2] == pytest.approx(expected[::2], rel=1e-4)  # losses
        assert figures[1::2] == pytest.approx(expected[1::2], abs=1.5 / 200)  # an image may flip
    assert first["weights"] == pytest.approx(alone["weights"], rel=1e-4)


def test_several_processes_resume_to_the_bit(results: dict[str, Any]) -> None:
    for rank in range(3):
        assert results[f"{rank}of3"]["resumed"] == results["0of3"]["dropout"]
        assert results[f"{rank}of3"]["resumed"]["kept"] == 3  # trained after resuming
        assert results[f"{rank}of3"]["again"] == [[3], results["0of3"]["gradients"]]
        assert results[f"{rank}of3"]["after"]


def test_only_the_process_that_failed_reports_why(tmp_path: Path) -> None:
    assert start(tmp_path, FAILING, 2, str(tmp_path)).returncode != 0
    assert (tmp_path / "1.txt").read_text() == "TrainingError: its own reason"
    assert (tmp_path / "0.txt").read_text() == "PeerError: another process failed."


def test_a_batch_is_split_evenly_and_completely() -> None:
    for size in (1, 2, 3, 7):
        for n in (1, 2, 50, 51):
            bounds = Group(size=size).bounds(n)
            assert [bounds[0][0], bounds[-1][1], len(bounds)] == [0, n, size]
            assert all(a[1] == b[0] for a, b in pairwise(bounds))
            sizes = [stop - start for start, stop in bounds]
            assert max(sizes) - min(sizes) <= 1


def test_processes_draw_different_masks_and_a_single_one_is_not_reseeded() -> None:
    def draw(group: Group, epoch: int) -> float:
        torch.manual_seed(1)
        group.seed_epoch(5, epoch)
        return torch.rand(1).item()

    several = {draw(Group(rank, 3), epoch) for rank in range(3) for epoch in (1, 2)}
    assert len(several) == 6
    assert draw(ALONE, 1) == draw(ALONE, 2)
    assert current() is ALONE


def test_networks_that_need_a_whole_batch_are_refused() -> None:
    refuse_unshareable(CNN(), Recipe(augmentation="crop-flip"))
    with pytest.raises(UsageError, match="batch norm"):
        refuse_unshareable(NormalizedCNN(), Recipe())
    with pytest.raises(UsageError, match="batch norm"):
        refuse_unshareable(nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784)), Recipe())
    with pytest.raises(UsageError, match="mixes the images"):
        refuse_unshareable(CNN(), Recipe(augmentation="photo"))


def test_each_process_has_a_gpu_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    assert Group(3, 4, local_rank=1).device(cuda) == torch.device("cuda", 1)
    assert Group(3, 4, local_rank=1).device(cpu) == cpu
    assert ALONE.device(cuda) == cuda
