"""web_check.py: a page that predicts something else than its bundle is found out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fittingroom.bundles import web_check
from fittingroom.bundles.bundle import Bundle
from fittingroom.bundles.manifest import Calibrated
from fittingroom.bundles.onnx import to_onnx
from fittingroom.bundles.web_check import page_parity
from fittingroom.bundles.web_engine import Engine, find_engine
from fittingroom.bundles.web_graph import to_steps
from fittingroom.errors import BundleError


@pytest.fixture(scope="module")
def engine() -> Engine:
    found = find_engine()
    if found is None:
        pytest.skip("neither node nor chromium is installed")
    return found


@pytest.fixture(scope="module")
def graph(bundles: Mapping[str, Bundle]) -> dict[str, Any]:
    return to_steps(to_onnx(bundles["logistic"]))


def test_the_models_that_a_page_runs_predict_what_their_bundles_do(
    bundles: Mapping[str, Bundle], test_images: np.ndarray, engine: Engine
) -> None:
    for model in ("mlp-10-10", "cnn-6-16-120", "cnn-16-32-64-128", "swift-90", "swift-photo"):
        compared = page_parity(
            to_steps(to_onnx(bundles[model])), bundles[model], test_images, engine
        )
        assert compared.holds, model
        assert compared.parity.images == 300
        assert compared.parity.labels_equal >= 299  # but for near-ties
        assert compared.parity.largest_difference < 5e-4


def test_another_temperature_is_found_out(
    graph: dict[str, Any], bundles: Mapping[str, Bundle], test_images: np.ndarray, engine: Engine
) -> None:
    """It leaves all labels equal."""
    bundle = bundles["logistic"]
    colder = Calibrated(temperature=0.5, coverage=0.9, quantile=0.5, like=0.95, unlike=0.5)
    other = replace(bundle, facts=bundle.facts.model_copy(update={"calibrated": colder}))
    compared = page_parity(graph, other, test_images, engine)
    assert compared.parity.labels_equal == 300
    assert not compared.holds


def test_nan_is_found_out(
    graph: dict[str, Any], bundles: Mapping[str, Bundle], test_images: np.ndarray, engine: Engine
) -> None:
    weights = graph["weights"]
    broken = {name: {**weight, "scale": 1e308} for name, weight in weights.items()}
    compared = page_parity({**graph, "weights": broken}, bundles["logistic"], test_images, engine)
    assert compared.parity.largest_difference == np.inf


def test_many_images_are_chosen_evenly_and_a_slow_model_is_compared_on_fewer(
    graph: dict[str, Any],
    bundles: Mapping[str, Bundle],
    test_images: np.ndarray,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[np.ndarray] = []
    predict = Bundle.predict_proba

    def spy(self: Bundle, images: np.ndarray) -> np.ndarray:
        seen.append(images)
        return predict(self, images)

    monkeypatch.setattr(Bundle, "predict_proba", spy)
    monkeypatch.setattr(web_check, "IMAGES", 7)
    compared = page_parity(graph, bundles["logistic"], test_images, engine)
    assert compared.parity.images == 7
    assert compared.holds
    np.testing.assert_array_equal(seen[0][[0, 6]], test_images[[0, 299]])
    monkeypatch.setattr(web_check, "SECONDS", 0.0)
    with pytest.raises(BundleError, match="gives no probabilities"):
        page_parity(graph, bundles["logistic"], test_images, engine)
