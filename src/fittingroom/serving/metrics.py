"""What the server counts, in the format of Prometheus."""

from __future__ import annotations

from collections import Counter as Counts
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)

from fittingroom.serving.served_model import ServedModel

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)
_IMAGES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Requests, latencies, queues, batches; and of each model, the classes that it gives.

    The share of each class, and of images unlike the data, would drift if those who ask had other
    images than those that the model was fitted on.
    """

    MEDIA_TYPE = CONTENT_TYPE_LATEST

    def __init__(self, models: Sequence[ServedModel]) -> None:
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "fittingroom_requests", "Requests by kind and HTTP status.",
            ["kind", "status"], registry=registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "fittingroom_request_seconds", "Time from a request's head to its answer.",
            ["kind"], registry=registry, buckets=_SECONDS,
        )  # fmt: skip
        self._batches = Histogram(
            "fittingroom_batch_images", "Images computed at once.",
            ["model"], registry=registry, buckets=_IMAGES,
        )  # fmt: skip
        self._waiting = Gauge(
            "fittingroom_waiting_images", "Images that wait or are computed.",
            ["model"], registry=registry,
        )  # fmt: skip
        self._classes = Counter(
            "fittingroom_classes", "Images by their most probable class.",
            ["model", "class"], registry=registry,
        )  # fmt: skip
        self._unlike = Counter(
            "fittingroom_photos", "Photos, and whether they are unlike the training images.",
            ["model", "unlike"], registry=registry,
        )  # fmt: skip
        for model in models:
            for name in model.class_names:
                self._classes.labels(model.name, name)

    def request(self, kind: str, status: int, seconds: float) -> None:
        self._requests.labels(kind, str(status)).inc()
        self._seconds.labels(kind).observe(seconds)

    def batch_of(self, model: str) -> Callable[[int], None]:
        """A function that counts a batch of that model."""
        return self._batches.labels(model).observe

    def waiting(self, model: str, images: int) -> None:
        self._waiting.labels(model).set(images)

    def classified(self, model: ServedModel, labels: NDArray[np.integer]) -> None:
        """Count the most probable classes (n,) of images, as positions in the model's classes."""
        for label, n in Counts(labels.tolist()).items():
            self._classes.labels(model.name, model.class_names[label]).inc(n)

    def photo(self, model: ServedModel, label: str, unlike: bool | None) -> None:
        """Count a photo's most probable class, and whether it is unlike the data, if known."""
        self._classes.labels(model.name, label).inc()
        in_words = {True: "yes", False: "no", None: "unknown"}[unlike]
        self._unlike.labels(model.name, in_words).inc()

    def text(self) -> bytes:
        return generate_latest(self._registry)
