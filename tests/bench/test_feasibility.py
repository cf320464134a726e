"""feasibility.py: what is said of a fit before it starts."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from fittingroom.bench.feasibility import long_fit, why_too_large, why_too_long
from fittingroom.data.dataset import Dataset, Split
from fittingroom.formatting import duration
from fittingroom.models.catalog import MODELS
from fittingroom.runs.spec import least_memory, spec_of


@pytest.fixture
def millions(small: Dataset) -> Dataset:
    """Six million images, which take no memory."""
    n = 6_000_000
    images = np.broadcast_to(small.train.images[:1], (n, 28, 28))
    labels = np.broadcast_to(small.train.labels[:1], (n,))
    dataset = copy.copy(small)  # replace() would refuse six million equal images
    object.__setattr__(dataset, "train", Split(images, labels))
    return dataset


def test_a_long_fit_is_announced(small: Dataset, millions: Dataset) -> None:
    spec = spec_of(small, "svm-rbf")
    assert long_fit(spec, small) is None
    stock = MODELS["svm-rbf"].stock_seconds
    assert stock is not None
    days = duration(100**2 * stock)  # scikit-learn-intelex would copy too much
    assert long_fit(spec, millions) == (
        f"svm-rbf on 6,000,000 images is expected to take about {days}."
    )
    assert long_fit(spec_of(small, "cnn-32", settings={"batch_size": 9}), millions) is None


def test_a_fit_is_left_out_if_it_is_expected_to_take_longer_than_it_may() -> None:
    assert why_too_long(59, 60) is None
    assert why_too_long(None, 60) is None
    assert why_too_long(1e9, None) is None
    assert why_too_long(61, 60) == (
        "left out: expected to take about 1 min 1 s here, more than the limit of 1 min"
    )


def test_a_fit_is_refused_only_if_memory_can_not_suffice(small: Dataset, millions: Dataset) -> None:
    spec = spec_of(small, "svm-rbf")
    needed = least_memory(spec, millions)
    assert needed == 4.5 * 6_000_000 * 784
    assert why_too_large(spec, millions, needed) is None
    assert why_too_large(spec, millions, None) is None
    assert why_too_large(spec, small, 2**30) is None
    assert why_too_large(spec, millions, 2**33) == (
        "6,000,000 training images take it at least 19.7 GiB of memory, and it can have 8.0 GiB; "
        "networks read large files in blocks"
    )
    assert why_too_large(spec_of(small, "swift"), millions, 2**30) is None
