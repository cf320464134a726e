"""The order in which an epoch sees the training images.

Images in memory are shuffled as a whole. From a memory map that would be a read from the disk for
every image; there, blocks of consecutive images are read in random order, as many as fill a buffer,
and the buffer is shuffled as a whole. While it is trained on, a thread fills the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fittingroom.data.mapped import MappedRows

#: Bytes of consecutive images that are read at once: for a disk as good as one after the other.
BLOCK = 2 << 20
#: Bytes of images that are shuffled together. There are two such buffers.
BUFFER = 128 << 20

#: Pixels (n, height, width) in 0..255: in memory, uint8 or float32, or mapped.
Images = Tensor | MappedRows


@dataclass(frozen=True, eq=False)
class Stretch:
    """Images in the order in which they are trained on: an epoch, or a part of one."""

    images: Tensor  # (m, height, width), on the device
    labels: Tensor  # (m,), on the device
    positions: Tensor  # (m,) int64, on the CPU: where each stands in the training set


def shuffled(
    images: Images, labels: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Stretch]:
    """Every image once, in an order that the generator decides.

    Parameters
    ----------
    images : (n, height, width); a tensor is on the device already
    labels : (n,), on the device
    batch_size : blocks are whole batches, so that but one batch an epoch can be smaller

    Raises
    ------
    DataError : the file of mapped images changed
    """
    if isinstance(images, MappedRows):
        yield from _from_blocks(images, labels, batch_size, generator)
        return
    order = torch.randperm(len(images), generator=generator)
    there = order.to(labels.device)
    # Shuffled as bytes, once: cheaper than gathering each batch.
    yield Stretch(images[there], labels[there], order)


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a buffer will hold."""

    blocks: list[tuple[int, int]]  # bounds of each, in the order of reading
    places: Tensor  # (m,) int64: where in the buffer each image goes

    @property
    def positions(self) -> Tensor:
        """(m,) int64: which image each place holds."""
        read = torch.cat([torch.arange(start, stop) for start, stop in self.blocks])
        positions = torch.empty_like(read)
        positions[self.places] = read
        return positions


def _from_blocks(
    images: MappedRows, labels: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Stretch]:
    groups = _groups(images, batch_size, generator)
    most = max(sum(stop - start for start, stop in blocks) for blocks in groups)
    buffers = [np.empty((most, *images.shape[1:]), np.uint8) for _ in range(min(2, len(groups)))]
    with ThreadPoolExecutor(1) as reader:
        plan = _plan(groups[0], generator)
        filling = reader.submit(_fill, buffers[0], images, plan)
        for number in range(len(groups)):
            filled, positions = filling.result(), plan.positions
            if number + 1 < len(groups):
                plan = _plan(groups[number + 1], generator)
                filling = reader.submit(_fill, buffers[(number + 1) % 2], images, plan)
            there = positions.to(labels.device)
            yield Stretch(torch.from_numpy(filled).to(labels.device), labels[there], positions)


def _groups(
    images: MappedRows, batch_size: int, generator: torch.Generator
) -> list[list[tuple[int, int]]]:
    """The bounds of all blocks in random order, shared out evenly to as few buffers as do."""
    size = batch_size * max(1, BLOCK // (batch_size * images.row_bytes))
    starts = range(0, max(1, len(images) - size + 1), size)  # the last block takes the rest
    bounds = list(zip(starts, [*starts[1:], len(images)], strict=True))
    order = torch.randperm(len(bounds), generator=generator)
    at_once = max(1, BUFFER // (size * images.row_bytes))
    parts = order.tensor_split(-(-len(bounds) // at_once))
    return [[bounds[block] for block in part.tolist()] for part in parts]


def _plan(blocks: list[tuple[int, int]], generator: torch.Generator) -> _Plan:
    m = sum(stop - start for start, stop in blocks)
    return _Plan(blocks, torch.randperm(m, generator=generator))


def _fill(buffer: np.ndarray, images: MappedRows, plan: _Plan) -> np.ndarray:
    """The part of a buffer that holds the images of a plan."""
    places, begun = plan.places.numpy(), 0
    for start, stop in plan.blocks:
        buffer[places[begun : begun + stop - start]] = images[start:stop]
        begun += stop - start
    return buffer[:begun]
