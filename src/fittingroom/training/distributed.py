"""Data-parallel training: several processes, each with its share of every batch.

`torchrun` starts the processes. All go through the same epochs with the same order, augmentation
and weights; each computes a part of every batch, and the gradients are averaged before the update
(Li et al. 2020, arXiv 2006.15704). The recipe's batch size is that of all processes together: their
number changes the rounding and nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn
from torch.distributed.rendezvous import rendezvous
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parameters_to_vector, vector_to_parameters

from fittingroom.errors import FittingroomError, TrainingError, UsageError
from fittingroom.training.augment import MIXINGS, Mixture
from fittingroom.training.recipe import Recipe
from fittingroom.training.step import AutogradStep, Loss


class PeerError(TrainingError):
    """Another process of this training failed, and reported why."""


@dataclass(frozen=True)
class Group:
    """The processes that train one network, as one of them sees them.

    Attributes
    ----------
    rank : of this process, from 0
    size : the number of processes
    local_rank : of this process among those on its machine
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """This process's GPU if they train on GPUs, otherwise the device itself."""
        if self.size == 1 or device.type != "cuda":
            return device
        mine = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(mine)
        return mine

    def bounds(self, n: int) -> list[tuple[int, int]]:
        """Each process's part of a batch of n images; sizes differ by at most one image."""
        stops = [n * (rank + 1) // self.size for rank in range(self.size)]
        return list(zip([0, *stops], stops, strict=False))

    def gather(self, part: Tensor, n: int) -> Tensor:
        """All processes' rows, in order: (own part, m) to (n, m)."""
        sizes = [stop - start for start, stop in self.bounds(n)]
        padded = part.new_zeros(max(sizes), part.shape[1])
        padded[: sizes[self.rank]] = part[: sizes[self.rank]]
        received = [torch.empty_like(padded) for _ in sizes]
        distributed.all_gather(received, padded)
        _await_release(padded, *received)
        return torch.cat([rows[:size] for rows, size in zip(received, sizes, strict=True)])

    def broadcast_figures(self, figures: Sequence[float]) -> list[float]:
        """The first process's figures, so that all decide the same."""
        if self.size == 1:
            return list(figures)
        shared = torch.tensor(figures, dtype=torch.float64)
        distributed.broadcast(shared, 0)
        _await_release(shared)
        return shared.tolist()

    def broadcast(self, content: bytes) -> bytes:
        """The first process's content, in every process."""
        if self.size == 1:
            return content
        (size,) = self.broadcast_figures([len(content)])
        if not size:
            return b""
        buffer = bytearray(content) if self.first else bytearray(int(size))
        shared = torch.frombuffer(buffer, dtype=torch.uint8)
        distributed.broadcast(shared, 0)
        _await_release(shared)
        return bytes(buffer)

    def all_equal(self, content: bytes) -> bool:
        """Whether all processes have the same content; all get the same answer."""
        n_different = torch.tensor([float(self.broadcast(content) != content)])
        distributed.all_reduce(n_different)
        _await_release(n_different)
        return not n_different.item()

    def seed_epoch(self, seed: int, epoch: int) -> None:
        """Seed each process's dropout differently for an epoch; does nothing for one process."""
        if self.size > 1:
            torch.manual_seed((seed * 1_000_003 + epoch) * self.size + self.rank)


def _await_release(*tensors: Tensor) -> None:
    """Wait until gloo's threads have released the tensors that they sent or received.

    Now and then they hold one slightly longer than the call takes. If Python exits meanwhile, they
    can't free it any more, and the process aborts after all its work is done.
    """
    on_cpu = [tensor for tensor in tensors if tensor.device.type == "cpu"]
    while any(tensor._use_count() > 1 for tensor in on_cpu):  # type: ignore[attr-defined]
        time.sleep(0)


#: A single process, which has every image of a batch.
ALONE = Group()

_CURRENT: ContextVar[Group] = ContextVar("group", default=ALONE)


def current() -> Group:
    """The processes that train together here: outside of `process_group`, only this one."""
    return _CURRENT.get()


@contextmanager
def process_group() -> Iterator[Group]:
    """Train together with the other processes that torchrun started, inside the `with` block.

    If all fail, only the first to fail raises its own error.

    Raises
    ------
    UsageError : torchrun didn't start this process
    PeerError : another process failed first
    TrainingError : another process died without reporting why
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, size = next(rendezvous("env://"))
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    except ValueError as error:
        raise UsageError(
            f"torchrun's environment variables are missing or invalid ({error}); start this "
            "with torchrun."
        ) from error
    distributed.init_process_group(backend, store=store, rank=rank, world_size=size)
    token = _CURRENT.set(Group(rank, size, local_rank))
    try:
        yield _CURRENT.get()
        distributed.destroy_process_group()
    except Exception as error:
        if store.add("fittingroom/failures", 1) > 1:
            raise PeerError("another process failed.") from error
        if isinstance(error, RuntimeError) and not isinstance(error, FittingroomError):
            first_line = str(error).strip().splitlines()[0]
            raise TrainingError(f"process {rank} of {size} can't continue: {first_line}") from error
        raise
    finally:
        _CURRENT.reset(token)


def refuse_unshareable(net: nn.Module, recipe: Recipe) -> None:
    """Raise UsageError if training in several processes would give another result."""
    if any(isinstance(module, _BatchNorm) for module in net.modules()):
        raise UsageError(
            "batch norm needs the whole batch, but each process has only a part of it; train this "
            "network in one process, or choose one without batch norm."
        )
    if recipe.augmentation in MIXINGS:
        raise UsageError(
            f"augmentation {recipe.augmentation!r} mixes the images of a batch, but each process "
            "has only a part of it; train this network in one process."
        )


class SharedStep:
    """A step of several processes: each runs forward and backward on its part of the batch.

    Parameters
    ----------
    as for ``AutogradStep``
    """

    def __init__(
        self,
        net: nn.Module,
        recipe: Recipe,
        loss: Loss,
        number_format: str,
        device: torch.device,
        group: Group,
    ) -> None:
        self._net, self._group, self._share = net, group, 1.0
        for tensor in (*net.parameters(), *net.buffers()):
            shared = tensor.detach()
            distributed.broadcast(shared, 0)
            _await_release(shared)

        def weighted(logits: Tensor, labels: Tensor, mixture: Mixture | None) -> Tensor:
            return loss(logits, labels, mixture) * self._share

        self._step = AutogradStep(
            net, recipe, weighted, number_format, device, between=self._sum_gradients
        )

    def __call__(
        self,
        images: Tensor,
        labels: Tensor,
        learning_rate: float,
        mixture: Mixture | None = None,
    ) -> Tensor:
        """Logits (batch, classes) of all images (batch, 1, height, width), before the update."""
        n = len(images)
        start, stop = self._group.bounds(n)[self._group.rank]
        # A process without images takes part with one image of weight zero.
        self._share = (stop - start) / n
        mine = slice(start, stop) if stop > start else slice(0, 1)
        logits = self._step(images[mine], labels[mine], learning_rate)
        return self._group.gather(logits, n)

    def _sum_gradients(self) -> None:
        """Give every process the sum of all gradients.

        They are concatenated into one vector, always in the same order. A number's position decides
        the order of summation, and so its last digits: with DistributedDataParallel, which arranges
        its buckets anew after the first step, a resumed training would differ.
        """
        gradients = [p.grad for p in self._net.parameters() if p.grad is not None]
        summed = parameters_to_vector(gradients)
        distributed.all_reduce(summed)
        _await_release(summed)
        vector_to_parameters(summed, gradients)

    def state(self) -> dict[str, Tensor]:
        """The optimiser's state, as ``AutogradStep`` returns it."""
        return self._step.state()

    def load(self, state: dict[str, Tensor]) -> None:
        """Restore what ``state`` returned."""
        self._step.load(state)
