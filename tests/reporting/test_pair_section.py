from __future__ import annotations

import numpy as np

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.data.dataset import Dataset
from fittingroom.reporting.pair_section import FIXED, analyse_pair, pair_section
from fittingroom.reporting.sprite import Sprite


def test_a_pair_in_either_order_is_the_same_comparison(compared: Analysis) -> None:
    best, second, *_ = compared.models
    pair, other = analyse_pair(compared, second, best), analyse_pair(compared, best, second)
    assert pair is not None
    assert other is not None
    assert pair.pair == other.pair.reversed
    assert (pair.pair.a, pair.pair.b) == (second, best)
    np.testing.assert_array_equal(pair.fixed, other.broken)
    np.testing.assert_array_equal(pair.broken, other.fixed)
    assert pair.pair.reversed.reversed == pair.pair
    assert analyse_pair(compared, best, "unknown") is None


def test_the_section_counts_what_one_model_fixes_and_breaks(
    compared: Analysis, small: Dataset
) -> None:
    best, second, *_ = compared.models
    pair = analyse_pair(compared, second, best)
    assert pair is not None
    section = pair_section(pair, compared, Sprite(small.test.images))
    right = {
        name: compared.models[name].probabilities.argmax(axis=1) == compared.labels
        for name in (best, second)
    }
    fixed = right[best] & ~right[second]
    assert sum(row.fixed for row in section.by_class) == fixed.sum()
    shirts = next(row for row in section.by_class if row.name == "Shirt")
    assert shirts.fixed == (fixed & (compared.labels == small.class_names.index("Shirt"))).sum()
    assert len(section.fixed) == min(FIXED, fixed.sum())
    assert pair_section(pair, compared, None).fixed == []
