"""nearest_search.py: against distances in 64-bit integers, in blocks of any size."""

from __future__ import annotations

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import capabilities
from fittingroom.models import byte_matrices, nearest_search


@pytest.mark.parametrize("k", [1, 5, 64])
@pytest.mark.parametrize("blocks", [(1000, 2000), (70, 130)])
@pytest.mark.parametrize("products", ["bytes", "matrices of bytes", "floats"])
def test_the_nearest_are_exact(
    k: int,
    blocks: tuple[int, int],
    products: str,
    small: Dataset,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By each kind of products, if this processor has them."""
    monkeypatch.setattr(nearest_search, "_QUERIES", blocks[0])
    monkeypatch.setattr(nearest_search, "_BLOCK", blocks[1])
    by_matrices = byte_matrices if products == "matrices of bytes" else None
    monkeypatch.setattr(nearest_search, "byte_matrices", by_matrices)
    if products == "floats":
        monkeypatch.setattr(capabilities, "multiplies_bytes", lambda: False)
    images, queries = (
        (part.images.reshape(len(part), -1) ^ 0x80).view(np.int8)
        for part in (small.train, small.test)
    )
    wide, asked = images.astype(np.int64), queries[::3][:300].astype(np.int64)
    norms = (wide**2).sum(axis=1)
    expected = norms - 2 * asked @ wide.T
    order = np.argsort(expected, axis=1, kind="stable")[:, :k]
    positions, squared = nearest_search.search(
        queries[::3][:300], images, norms.astype(np.int32), k
    )
    np.testing.assert_array_equal(positions, order)
    np.testing.assert_array_equal(squared, np.take_along_axis(expected, order, axis=1))
