"""PyTorch without the names by which it says what the processor has."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import amx, capabilities
from fittingroom.models import byte_products
from fittingroom.models.making import make_classifier


def test_without_them_the_processor_counts_as_one_that_lacks_the_instructions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.delattr(torch.cpu, "_is_amx_tile_supported")
    monkeypatch.delattr(torch.cpu, "_is_vnni_supported")
    monkeypatch.delattr(torch.backends.cpu, "get_cpu_capability")
    amx.available.cache_clear()
    try:
        assert not capabilities.multiplies_bfloat16()
        assert not capabilities.multiplies_bytes()
        assert not capabilities.has_wide_vectors()
        assert not capabilities.multiplies_pairs()
        assert not amx.available()
        assert not byte_products.are_exact(784)
    finally:
        amx.available.cache_clear()


@pytest.mark.parametrize("has_tiles", [True, False])
def test_an_earlier_pytorch_is_asked_by_its_own_name(
    has_tiles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: has_tiles)
    assert capabilities.multiplies_bfloat16() is has_tiles


def test_bytes_are_not_multiplied_without_a_function_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: True)
    assert capabilities.multiplies_bytes()
    monkeypatch.delattr(torch, "_int_mm")
    assert not capabilities.multiplies_bytes()


@pytest.mark.parametrize("model", ["knn", "logistic"])
def test_models_that_use_them_work_without(
    model: str, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = small.train.images[:300], small.train.labels[:300]
    with_them = make_classifier(model).fit(images, labels).predict(small.test.images)
    monkeypatch.delattr(torch, "_int_mm")
    without = make_classifier(model).fit(images, labels).predict(small.test.images)
    assert np.mean(with_them == without) > 0.99
