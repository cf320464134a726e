from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from fittingroom.models import byte_matrices

needs_vnni = pytest.mark.skipif(not torch.cpu._is_vnni_supported(), reason="no such instructions")


@needs_vnni
@pytest.mark.skipif("ONEDNN_MAX_CPU_ISA" in os.environ, reason="restricted instructions")
def test_they_are_exact_here_except_for_single_bytes() -> None:
    assert byte_matrices.are_exact(784)
    assert not byte_matrices.are_exact(1)


@needs_vnni
def test_an_instruction_set_that_overflows_is_detected(small_folder: Path) -> None:
    """Nearest neighbours of 500 images are then found in another way, and are as right."""
    code = """
import sys
from sklearn.neighbors import KNeighborsClassifier
from fittingroom.data.sources import load_dataset
from fittingroom.models import byte_matrices, nearest_search
from fittingroom.models.making import make_classifier

nearest_search.byte_matrices = byte_matrices
train = load_dataset(sys.argv[1]).train
X, y = train.images[:500].reshape(500, -1), train.labels[:500]
ours = make_classifier("knn").fit(X, y).predict(X[:100])
stock = KNeighborsClassifier(**make_classifier("knn").estimator.get_params()).fit(X * 1.0, y)
print(byte_matrices.are_exact(784), (ours == stock.predict(X[:100] * 1.0)).all())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(small_folder)],
        env={**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["False", "True"]
