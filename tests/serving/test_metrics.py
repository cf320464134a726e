from __future__ import annotations

import numpy as np

from fittingroom.serving.metrics import Metrics
from fittingroom.serving.served_model import ServedModel


def test_what_is_counted(served: dict[str, ServedModel]) -> None:
    """Each figure in the format of Prometheus; classes that never occurred are 0."""
    model = served["logistic"]
    metrics = Metrics([model])
    metrics.request("infer", 200, 0.003)
    metrics.request("infer", 503, 0.0001)
    metrics.batch_of("logistic")(5)
    metrics.waiting("logistic", 3)
    metrics.classified(model, np.array([9, 9, 0]))
    metrics.photo(model, "Ankle boot", None)
    metrics.photo(model, "Bag", True)
    metrics.photo(model, "Bag", False)
    lines = metrics.text().decode().splitlines()
    for line in (
        'fittingroom_requests_total{kind="infer",status="503"} 1.0',
        'fittingroom_request_seconds_bucket{kind="infer",le="0.001"} 1.0',
        'fittingroom_request_seconds_bucket{kind="infer",le="0.005"} 2.0',
        'fittingroom_batch_images_sum{model="logistic"} 5.0',
        'fittingroom_waiting_images{model="logistic"} 3.0',
        'fittingroom_classes_total{class="Ankle boot",model="logistic"} 3.0',
        'fittingroom_classes_total{class="Coat",model="logistic"} 0.0',
        'fittingroom_photos_total{model="logistic",unlike="unknown"} 1.0',
        'fittingroom_photos_total{model="logistic",unlike="yes"} 1.0',
    ):
        assert line in lines
