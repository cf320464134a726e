"""Processors that lack some instructions."""

from __future__ import annotations

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.kernels import amx, capabilities
from fittingroom.models import nearest_search
from fittingroom.models.making import make_classifier

WIDE = dict.fromkeys(("avx512f", "avx512bw", "avx512dq", "avx512vl"), True)


@pytest.mark.parametrize(
    ("features", "found"),
    [
        ({}, set()),
        ({"avx2": True, "avxvnni": True}, set()),
        (WIDE, {"has_wide_vectors"}),
        (WIDE | {"avx512vl": False, "avx512vnni": True}, set()),
        (WIDE | {"avx512vnni": True}, {"has_wide_vectors", "multiplies_bytes"}),
        (
            WIDE | {"avx512bf16": True},
            {"has_wide_vectors", "multiplies_pairs", "multiplies_bfloat16"},
        ),
        ({"amx-bf16": True}, {"multiplies_matrices_of_bfloat16", "multiplies_bfloat16"}),
        ({"amx-int8": True}, {"multiplies_matrices_of_bytes"}),
    ],
)
def test_what_llvm_calls_them(
    features: dict[str, bool], found: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capabilities, "_features", lambda: features)
    amx.available.cache_clear()
    try:
        assert {
            name
            for name in dir(capabilities)
            if name.startswith(("has_", "multiplies_")) and getattr(capabilities, name)()
        } == found
        if "multiplies_matrices_of_bfloat16" not in found:
            assert not amx.available()
    finally:
        amx.available.cache_clear()


@pytest.mark.parametrize("model", ["knn", "logistic"])
def test_models_that_multiply_bytes_work_without(
    model: str, small: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = small.train.images[:300], small.train.labels[:300]
    with_them = make_classifier(model).fit(images, labels).predict(small.test.images)
    monkeypatch.setattr(capabilities, "_features", dict)
    monkeypatch.setattr(nearest_search, "byte_matrices", None)
    without = make_classifier(model).fit(images, labels).predict(small.test.images)
    assert np.mean(with_them == without) > 0.99
