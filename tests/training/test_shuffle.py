from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from fittingroom.data.mapped import MappedRows
from fittingroom.errors import DataError
from fittingroom.training import shuffle
from fittingroom.training.loop import batches
from fittingroom.training.shuffle import Stretch, shuffled_stretches

N = 9_001
PIXELS = np.arange(N, dtype="<u4").view(np.uint8).reshape(N, 2, 2)  # each image is its position
LABELS = torch.arange(N) * 7


@pytest.fixture(autouse=True)
def small_buffers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks of 90 images, buffers of 900."""
    monkeypatch.setattr(shuffle, "BLOCK", 4 * 100)
    monkeypatch.setattr(shuffle, "BUFFER", 4 * 900)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    PIXELS.tofile(tmp_path / "images")
    return tmp_path / "images"


@pytest.fixture
def images(path: Path) -> MappedRows:
    return MappedRows(np.memmap(path, np.uint8, mode="r", shape=PIXELS.shape))


def epoch(images: MappedRows, generator: torch.Generator, batch_size: int = 30) -> list[Stretch]:
    """An epoch's stretches, copied: the next but one is read into the same buffer."""
    return [
        Stretch(stretch.images.clone(), stretch.labels, stretch.positions)
        for stretch in shuffled_stretches(images, LABELS[: len(images)], batch_size, generator)
    ]


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def positions(stretches: list[Stretch]) -> Tensor:
    return torch.cat([stretch.positions for stretch in stretches])


def test_images_in_memory_are_one_permutation() -> None:
    (stretch,) = shuffled_stretches(torch.from_numpy(PIXELS), LABELS, 30, seeded(3))
    order = torch.randperm(N, generator=seeded(3))
    assert torch.equal(stretch.positions, order)
    assert torch.equal(stretch.images, torch.from_numpy(PIXELS)[order])
    assert torch.equal(stretch.labels, LABELS[order])


@pytest.mark.parametrize("n", [1, 29, 31, 90, 179, 180, 901, 8_999, N])
def test_every_image_comes_exactly_once_with_its_label(images: MappedRows, n: int) -> None:
    for rows in (images.rows(np.arange(n)), images.rows(np.arange(N)[-n:])):
        stretches = epoch(rows, seeded(0))
        assert torch.equal(positions(stretches).sort().values, torch.arange(n))
        for stretch in stretches:
            expected = torch.from_numpy(rows[:])[stretch.positions]
            assert torch.equal(stretch.images, expected)
            assert torch.equal(stretch.labels, LABELS[stretch.positions])


def test_a_seed_decides_the_order_and_each_epoch_has_its_own(images: MappedRows) -> None:
    generator, again = seeded(1), seeded(1)
    first, second = epoch(images, generator), epoch(images, generator)
    assert torch.equal(positions(first), positions(epoch(images, again)))
    assert torch.equal(positions(second), positions(epoch(images, again)))
    assert not torch.equal(positions(first), positions(second))
    for one, other in zip(first, second, strict=True):  # buffers have other blocks, too
        assert len(np.intersect1d(one.positions, other.positions)) < 500


def test_a_buffer_shuffles_blocks_from_all_over_the_file(
    images: MappedRows,
) -> None:
    stretches = epoch(images, seeded(0))
    assert len(stretches) == 10
    for stretch in stretches:
        places = stretch.positions.float()
        assert 900 <= len(places) <= 991
        assert places.max() - places.min() > 0.3 * N
        assert len(torch.unique(stretch.positions // 90)) <= 12  # read block by block
        # In random order neighbours are as far apart as any two images, and a half is like all.
        assert torch.corrcoef(torch.stack([places[1:], places[:-1]]))[0, 1].abs() < 0.15
        half = places[: len(places) // 2]
        assert abs(half.mean() - places.mean()) < 0.1 * N


def test_all_batches_but_one_are_full(images: MappedRows) -> None:
    sizes = [
        stop - start
        for stretch in epoch(images, seeded(0), 32)
        for start, stop in batches(len(stretch.labels), 32)
    ]
    assert sum(size != 32 for size in sizes) == 1
    assert len(epoch(images, seeded(0), 5_000)) == 1  # a batch may be larger than a buffer


def test_a_file_that_changes_stops_the_epoch(images: MappedRows, path: Path) -> None:
    stretches = shuffled_stretches(images, LABELS, 30, seeded(0))
    next(stretches)
    os.utime(path, ns=(0, 0))
    with pytest.raises(DataError, match="changed while it was read; start again"):
        list(stretches)


def test_leaving_an_epoch_early_ends_its_reader(images: MappedRows) -> None:
    before = threading.active_count()
    stretches = shuffled_stretches(images, LABELS, 30, seeded(0))
    next(stretches)
    assert threading.active_count() == before + 1
    stretches.close()  # type: ignore[attr-defined]
    assert threading.active_count() == before
