"""unlike.py: the score, the threshold's promise, and the area under the curve."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from fittingroom.errors import InputError
from fittingroom.evaluation.unlike import separation, unlike_scores


def test_the_more_undecided_the_more_unlike() -> None:
    rows = [[1, 0, 0], [0.8, 0.1, 0.1], [0.5, 0.3, 0.2], [0.4, 0.3, 0.3], [1 / 3, 1 / 3, 1 / 3]]
    scores = unlike_scores(np.array(rows, np.float32))
    assert scores.dtype == np.float64
    assert np.all(np.diff(scores) > 0)
    assert scores[0] < 1e-4
    assert scores[1] == pytest.approx(3 * 0.008 ** (1 / 3))
    assert scores[-1] == pytest.approx(1)


def test_the_area_is_scikit_learns_and_the_interval_contains_it() -> None:
    rng = np.random.default_rng(1)
    like, unlike = rng.normal(0, 1, 300).round(1), rng.normal(1, 1, 80).round(1)  # ties, too
    result = separation(like, unlike)
    truth = np.repeat([0, 1], [300, 80])
    assert result.auroc == pytest.approx(roc_auc_score(truth, np.concatenate([like, unlike])))
    assert result.low < result.auroc < result.high
    assert 0.04 < result.high - result.low < 0.15


def test_the_interval_has_its_nominal_coverage() -> None:
    rng = np.random.default_rng(2)
    true = 0.7602  # of two normal scores one standard deviation apart: Φ(1/√2)
    hits = []
    for seed in range(100):
        result = separation(rng.normal(0, 1, 60), rng.normal(1, 1, 40), repeats=100, seed=seed)
        hits.append(result.low < true < result.high)
    assert 0.88 < np.mean(hits) <= 1


def test_a_group_without_images_is_refused() -> None:
    with pytest.raises(InputError, match="both kinds"):
        separation(np.zeros(3), np.zeros(0))
