from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.errors import InputError
from fittingroom.serving.served_model import ONNX, OURS, ServedModel, name_bundles, serve_bundle

Served = dict[str, ServedModel]


def test_a_graph_answers_where_there_is_one(served: Served) -> None:
    runtimes = {name: model.runtime for name, model in served.items()}
    assert runtimes == {"logistic": ONNX, "mlp-10-10": ONNX, "knn": OURS}


@pytest.mark.parametrize("name", ["logistic", "mlp-10-10", "knn"])
def test_the_probabilities_are_the_bundles(name: str, served: Served, small: Dataset) -> None:
    images = small.test.images[::50]
    found = served[name].predict_proba(images)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, served[name].bundle.predict_proba(images), atol=1e-4)
    # Also of lists of other whole numbers, and of parts of an array.
    np.testing.assert_array_equal(found[:2], served[name].predict_proba(images[:2].tolist()))
    np.testing.assert_array_equal(found[::2], served[name].predict_proba(images[::2]))


def test_images_of_another_size_are_refused(served: Served) -> None:
    with pytest.raises(InputError, match=r"shape \(1, 28, 27\); logistic takes \(n, 28, 28\)"):
        served["logistic"].predict_proba(np.zeros((1, 28, 27), np.uint8))


def test_our_own_kernels_compute_one_request_at_a_time(served: Served, small: Dataset) -> None:
    """Photos and tensors come from different threads."""
    computing, most, lock = 0, 0, threading.Lock()
    bundle = served["knn"].bundle
    predict = type(bundle).predict_proba

    def watched(images: np.ndarray) -> np.ndarray:
        nonlocal computing, most
        with lock:
            computing += 1
            most = max(most, computing)
        found = predict(bundle, images)
        with lock:
            computing -= 1
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fittingroom.bundles.onnx.MAX_BYTES", 1000)
        patch.setattr(type(bundle), "predict_proba", lambda _, images: watched(images))
        model = serve_bundle("knn", bundle)
        with ThreadPoolExecutor(4) as threads:
            [*threads.map(model.predict, [small.test.images[:50]] * 12)]
    assert most == 1


def test_the_second_of_a_name_gets_a_number(served: Served) -> None:
    bundles = [served[name].bundle for name in ("logistic", "knn", "logistic", "logistic")]
    named = name_bundles(bundles)
    assert list(named) == ["logistic", "knn", "logistic-2", "logistic-3"]
    assert [*named.values()] == bundles
