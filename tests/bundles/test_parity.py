"""parity.py: any difference is detected."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.manifest import Calibrated
from fittingroom.bundles.onnx import write_onnx
from fittingroom.bundles.parity import Parity, onnx_predictor, parity, verify
from fittingroom.errors import BundleError


@pytest.fixture
def file(bundles: Mapping[str, Bundle], tmp_path: Path) -> Path:
    return write_onnx(bundles["logistic"], tmp_path / "model.onnx")


def test_another_temperature_is_detected(
    file: Path, bundles: Mapping[str, Bundle], test_images: np.ndarray
) -> None:
    """It leaves all labels equal."""
    bundle = bundles["logistic"]
    colder = Calibrated(temperature=0.5, coverage=0.9, quantile=0.5, like=0.95, unlike=0.5)
    other = replace(bundle, facts=bundle.facts.model_copy(update={"calibrated": colder}))
    result = parity(file, other, test_images)
    assert result.labels_equal == 300
    assert result.largest_difference > 0.01
    with pytest.raises(BundleError, match="other labels than the bundle for 0 of 300 images"):
        verify(file, other, test_images)


def test_another_model_is_detected(
    file: Path, bundles: Mapping[str, Bundle], test_images: np.ndarray
) -> None:
    result = parity(file, bundles["knn"], test_images)
    assert 100 < result.labels_equal < 300
    assert not result.holds


def test_one_label_is_enough() -> None:
    assert Parity(10_000, 10_000, 1e-4).holds
    assert not Parity(10_000, 9_999, 1e-7).holds
    assert not Parity(10_000, 10_000, 1.1e-4).holds
    assert not Parity(10_000, 10_000, float("inf")).holds


def test_nan_counts_as_a_difference(
    file: Path, bundles: Mapping[str, Bundle], monkeypatch: pytest.MonkeyPatch
) -> None:
    images = np.zeros((3, 28, 28), np.uint8)
    nothing = np.full((3, 10), np.nan, np.float32)
    monkeypatch.setattr(Bundle, "predict_proba", lambda self, images: nothing)
    assert parity(file, bundles["logistic"], images).largest_difference == np.inf


def test_a_file_that_is_not_a_graph(tmp_path: Path, bundles: Mapping[str, Bundle]) -> None:
    (tmp_path / "model.onnx").write_bytes(b"nothing")
    with pytest.raises(BundleError, match=r"onnxruntime can't read model\.onnx"):
        onnx_predictor(tmp_path / "model.onnx")


def test_images_of_another_shape(file: Path, bundles: Mapping[str, Bundle]) -> None:
    with pytest.raises(BundleError, match=r"onnxruntime can't run model\.onnx"):
        parity(file, _of_any(bundles["logistic"]), np.zeros((2, 27, 28), np.uint8))


def _of_any(bundle: Bundle) -> Bundle:
    class OfAny(Bundle):
        def predict_proba(self, images: object) -> np.ndarray:
            return np.full((2, 10), 0.1, np.float32)

    return OfAny(bundle.facts, bundle.classifier)
