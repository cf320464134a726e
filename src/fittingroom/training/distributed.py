"""One training over several processes, each with its share of every batch.

The processes are those that `torchrun` starts. All go through the same epochs with the same order,
augmentation and weights; of each batch one computes a part, and the gradients are averaged before
the update (Li and others 2020, arXiv 2006.15704). A batch is as large as the recipe says, over all
processes together: how many there are changes the rounding, and nothing else that a recipe says.
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
    """Another process of this training failed, and said why."""


@dataclass(frozen=True)
class Group:
    """The processes that train one network, as one of them sees them.

    Attributes
    ----------
    rank : which of them this is, from 0
    size : how many there are
    local_rank : which of those on this machine this is
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def first(self) -> bool:
        """Whether this is the one that writes and speaks."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """The GPU of this process where they compute on GPUs, else the device itself."""
        if self.size == 1 or device.type != "cuda":
            return device
        mine = torch.device("cuda", self.local_rank)
        torch.cuda.set_device(mine)
        return mine

    def bounds(self, n: int) -> list[tuple[int, int]]:
        """Of a batch of n images the part of each process; they differ by one image at most."""
        stops = [n * (rank + 1) // self.size for rank in range(self.size)]
        return list(zip([0, *stops], stops, strict=False))

    def gathered(self, part: Tensor, n: int) -> Tensor:
        """Every process's rows of n, (its part, m) to (n, m), in order."""
        parts = [stop - start for start, stop in self.bounds(n)]
        padded = part.new_zeros(max(parts), part.shape[1])
        padded[: parts[self.rank]] = part[: parts[self.rank]]
        received = [torch.empty_like(padded) for _ in parts]
        distributed.all_gather(received, padded)
        _let_go(padded, *received)
        return torch.cat([rows[:m] for rows, m in zip(received, parts, strict=True)])

    def agreed(self, figures: Sequence[float]) -> list[float]:
        """The first process's figures, by which all decide the same."""
        if self.size == 1:
            return list(figures)
        shared = torch.tensor(figures, dtype=torch.float64)
        distributed.broadcast(shared, 0)
        _let_go(shared)
        return shared.tolist()

    def sent(self, content: bytes) -> bytes:
        """The first process's content."""
        if self.size == 1:
            return content
        (size,) = self.agreed([len(content)])
        if not size:
            return b""
        buffer = bytearray(content) if self.first else bytearray(int(size))
        shared = torch.frombuffer(buffer, dtype=torch.uint8)
        distributed.broadcast(shared, 0)
        _let_go(shared)
        return bytes(buffer)

    def same(self, content: bytes) -> bool:
        """Whether all processes have the same content; all are told so, or all that it isn't."""
        others = torch.tensor([float(self.sent(content) != content)])
        distributed.all_reduce(others)
        _let_go(others)
        return not others.item()

    def seed_epoch(self, seed: int, epoch: int) -> None:
        """Other random numbers in every process for the dropout of an epoch; alone, nothing."""
        if self.size > 1:
            torch.manual_seed((seed * 1_000_003 + epoch) * self.size + self.rank)


def _let_go(*tensors: Tensor) -> None:
    """Wait until gloo's threads have let go of tensors that they have sent or received.

    Now and then they hold one a moment longer than the call takes. Where Python ends meanwhile,
    they can't free it any more, and the process is aborted after all its work is done.
    """
    of_gloo = [tensor for tensor in tensors if tensor.device.type == "cpu"]
    while any(tensor._use_count() > 1 for tensor in of_gloo):  # type: ignore[attr-defined]
        time.sleep(0)


#: One process, which has every image of a batch.
ALONE = Group()

_CURRENT: ContextVar[Group] = ContextVar("group", default=ALONE)


def current() -> Group:
    """The processes that train together here: this one alone, outside of `joined`."""
    return _CURRENT.get()


@contextmanager
def joined() -> Iterator[Group]:
    """Train together with the other processes that torchrun started, as long as the `with` lasts.

    Of an error that ends all of them only the first to meet one raises its own.

    Raises
    ------
    UsageError : torchrun didn't start this process
    PeerError : another process failed before
    TrainingError : another process is gone without a word
    """
    backend = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    try:
        store, rank, size = next(rendezvous("env://"))
        local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    except ValueError as error:
        raise UsageError(
            f"the variables that torchrun sets make no sense ({error}); start this by torchrun."
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
            raise TrainingError(f"process {rank} of {size} can't go on: {first_line}") from error
        raise
    finally:
        _CURRENT.reset(token)


def refuse_unshareable(net: nn.Module, recipe: Recipe) -> None:
    """Raise UsageError where a training of several processes would be another one."""
    if any(isinstance(module, _BatchNorm) for module in net.modules()):
        raise UsageError(
            "batch norm looks at a whole batch, of which each process has only a part; train this "
            "network in one process, or choose one without batch norm."
        )
    if recipe.augmentation in MIXINGS:
        raise UsageError(
            f"augmentation {recipe.augmentation!r} mixes the images of a batch, of which each "
            "process has only a part; train this network in one process."
        )


class SharedStep:
    """A step of several processes: each goes forward and back through its part of the batch.

    Parameters
    ----------
    as those of ``AutogradStep``
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
            _let_go(shared)

        def weighted(logits: Tensor, labels: Tensor, mixture: Mixture | None) -> Tensor:
            return loss(logits, labels, mixture) * self._share

        self._step = AutogradStep(
            net, recipe, weighted, number_format, device, between=self._add_gradients
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
        # One that has no image takes part with one that counts for nothing.
        self._share = (stop - start) / n
        mine = slice(start, stop) if stop > start else slice(0, 1)
        logits = self._step(images[mine], labels[mine], learning_rate)
        return self._group.gathered(logits, n)

    def _add_gradients(self) -> None:
        """Give every process the sum of all gradients.

        They stand one after the other in one vector, always in the same order. Where a number
        stands decides in which order it is added up, and so its last digits: a resumed training
        would differ by DistributedDataParallel, which lays its vectors out anew after each first
        step.
        """
        gradients = [p.grad for p in self._net.parameters() if p.grad is not None]
        added = parameters_to_vector(gradients)
        distributed.all_reduce(added)
        _let_go(added)
        vector_to_parameters(added, gradients)

    def state(self) -> dict[str, Tensor]:
        """What the optimiser remembers, as ``AutogradStep`` gives it."""
        return self._step.state()

    def load(self, state: dict[str, Tensor]) -> None:
        """Remember what ``state`` gave."""
        self._step.load(state)
