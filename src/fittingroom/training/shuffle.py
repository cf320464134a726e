"""Shuffling: the order in which an epoch sees the training images.

Images in memory are shuffled as a whole. With a memory map that would mean a disk read per image,
so blocks of consecutive images are read in random order, as many as fill a buffer, and the buffer
is shuffled as a whole. While it is trained on, a thread fills the next one.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from fittingroom.data.mapped import MappedRows

#: Bytes of consecutive images read at once: for a disk as fast as sequential reading.
BLOCK = 2 << 20
#: Bytes of images shuffled together. There are two such buffers.
BUFFER = 128 << 20

#: Pixels (n, height, width) in 0..255: in memory, uint8 or float32, or mapped.
Images = Tensor | MappedRows


@dataclass(frozen=True, eq=False)
class Stretch:
    """Images in the order of training: an epoch or a part of one."""

    images: Tensor  # (m, height, width), on the device
    labels: Tensor  # (m,), on the device
    positions: Tensor  # (m,) int64 in the training set, on the CPU


def shuffled_stretches(
    images: Images, labels: Tensor, batch_size: int, generator: torch.Generator
) -> Iterator[Stretch]:
    """Every image once, in a random order.

    Parameters
    ----------
    images : (n, height, width); a tensor is on the device already
    labels : (n,), on the device
    batch_size : blocks are whole batches, so that at most one batch per epoch is smaller

    Raises
    ------
    DataError : the file of mapped images changed
    """
    if isinstance(images, MappedRows):
        yield from _shuffle_blocks(images, labels, batch_size, generator)
        return
    order = torch.randperm(len(images), generator=generator)
    on_device = order.to(labels.device)
    # Shuffled as bytes, once: cheaper than gathering each batch.
    yield Stretch(images[on_device], labels[on_device], order)


@dataclass(frozen=True, eq=False)
class _Plan:
    """The contents of a buffer."""

    blocks: list[tuple[int, int]]  # bounds of each, in reading order
    places: Tensor  # (m,) int64: where in the buffer each image goes

    @property
    def positions(self) -> Tensor:
        """(m,) int64: which image is at each place."""
        read = torch.cat([torch.arange(start, stop) for start, stop in self.blocks])
        positions = torch.empty_like(read)
        positions[self.places] = read
        return positions


def _shuffle_blocks(
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
            on_device = positions.to(labels.device)
            yield Stretch(torch.from_numpy(filled).to(labels.device), labels[on_device], positions)


def _groups(
    images: MappedRows, batch_size: int, generator: torch.Generator
) -> list[list[tuple[int, int]]]:
    """The bounds of all blocks in random order, split evenly over as few buffers as possible."""
    size = batch_size * max(1, BLOCK // (batch_size * images.row_bytes))
    starts = range(0, max(1, len(images) - size + 1), size)  # the last block takes the rest
    bounds = list(zip(starts, [*starts[1:], len(images)], strict=True))
    order = torch.randperm(len(bounds), generator=generator)
    at_once = max(1, BUFFER // (size * images.row_bytes))
    groups = order.tensor_split(-(-len(bounds) // at_once))
    return [[bounds[block] for block in group.tolist()] for group in groups]


def _plan(blocks: list[tuple[int, int]], generator: torch.Generator) -> _Plan:
    m = sum(stop - start for start, stop in blocks)
    return _Plan(blocks, torch.randperm(m, generator=generator))


def _fill(buffer: np.ndarray, images: MappedRows, plan: _Plan) -> np.ndarray:
    """Read the images of a plan into a buffer; returns the filled part."""
    places, done = plan.places.numpy(), 0
    for start, stop in plan.blocks:
        buffer[places[done : done + stop - start]] = images[start:stop]
        done += stop - start
    return buffer[:done]
