from __future__ import annotations

import base64

import numpy as np
import pytest

from fittingroom.bench.comparison.analysis import Analysis
from fittingroom.reporting import explorer


def test_the_page_holds_every_image_that_a_model_gets_wrong(compared: Analysis) -> None:
    models = [*compared.models.values()]
    held = explorer.images_to_explore(compared, (28, 28), models)
    wrong = np.any([m.probabilities.argmax(axis=1) != compared.labels for m in models], axis=0)
    assert set(np.flatnonzero(wrong)) <= set(held)
    others = compared.labels[np.setdiff1d(held, np.flatnonzero(wrong))]
    assert 0 < np.bincount(others).max() <= explorer.SAMPLES
    assert (np.diff(held) > 0).all()


def test_of_too_many_images_those_that_most_models_get_wrong_stay(
    compared: Analysis, monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [*compared.models.values()]
    monkeypatch.setattr(explorer, "PIXELS", 20 * 28 * 28)
    held = explorer.images_to_explore(compared, (28, 28), models)
    assert len(held) == 20
    n_wrong = np.sum([m.probabilities.argmax(axis=1) != compared.labels for m in models], axis=0)
    left_out = np.setdiff1d(np.arange(len(compared.labels)), held)
    assert n_wrong[held].min() >= n_wrong[left_out].max()
    assert not explorer.payload(compared, held, models, {}, 64)["isWhole"]


def test_the_payload_has_every_models_predictions(compared: Analysis) -> None:
    models = [*compared.models.values()]
    held = explorer.images_to_explore(compared, (28, 28), models)
    payload = explorer.payload(compared, held, models, {"0-1": "a sentence"}, 64)

    def array(name: str, kind: str) -> np.ndarray[tuple[int], np.dtype[np.integer]]:
        return np.frombuffer(base64.b64decode(payload[name]), kind)

    np.testing.assert_array_equal(array("positions", "<u4"), held)
    np.testing.assert_array_equal(array("labels", "<u2"), compared.labels[held])
    predicted = array("predicted", "<u2").reshape(len(models), len(held))
    shares = array("probabilities", "u1").reshape(len(models), len(held), 10)
    for model, classes, share in zip(models, predicted, shares, strict=True):
        np.testing.assert_array_equal(classes, model.probabilities[held].argmax(axis=1))
        np.testing.assert_allclose(share / 255, model.probabilities[held], atol=0.5 / 255 + 1e-6)
    assert payload["isWhole"]
    assert payload["models"] == [*compared.models]
