"""Runs with as many mistakes as a test needs, saved without a fit."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from fittingroom.bench.comparison.comparison import Entry
from fittingroom.data.dataset import Dataset
from fittingroom.runs.run import Part, RunRecord
from fittingroom.runs.spec import RunSpec
from fittingroom.runs.store import Store


@pytest.fixture
def entry(store: Store) -> Callable[..., Entry]:
    """`entry("knn", 2)`: a line of a plan with two seeds."""

    def made(model: str, seeds: int, *, fixed: bool = False) -> Entry:
        spec = RunSpec(dataset=store.card.sha256, model=model, parameters={})
        return Entry.of(
            spec, label=model, seeds=tuple(range(seeds)), deterministic=fixed, trained_on=1800
        )

    return made


@pytest.fixture
def save(store: Store, small: Dataset, entry: Callable[..., Entry]) -> Callable[..., Entry]:
    """`save("knn", 2, 0.1)`: two seeds, a tenth of the test images wrong; their finished entry."""

    def saved(
        model: str,
        seeds: int,
        wrong: float,
        *,
        fixed: bool = False,
        alike: bool = False,
        settings: Mapping[str, Any] | None = None,
        aims: np.ndarray = small.test.labels,
        labels: np.ndarray = small.test.labels,
        into: Store = store,
        **changes: object,
    ) -> Entry:
        """Seeds have different images wrong, unless they are `alike`.

        The others are predicted as `aims`; the run holds `labels`.
        """
        for seed in range(seeds):
            random = np.random.default_rng([0 if alike else seed, len(model)])
            predicted = aims.copy()
            missed = random.permutation(len(predicted))[: round(wrong * len(predicted))]
            predicted[missed] = (predicted[missed] + 1) % 10
            probabilities = np.full((len(predicted), 10), 0.02, np.float32)
            probabilities[np.arange(len(predicted)), predicted] = 0.82
            record = RunRecord(
                spec=RunSpec(
                    dataset=into.card.sha256,
                    model=model,
                    parameters={},
                    settings=settings or {},
                    seed=seed,
                ),
                family="classical",
                deterministic=fixed,
                trained_on=1800,
                fit_seconds=1.0 + seed,
                predict_us_per_image=3.0,
                environment={"torch": "2.13.0"},
            )
            part = Part(np.arange(len(labels)), probabilities, labels)
            into.save(dataclasses.replace(record, **changes), {"validation": part, "test": part})  # type: ignore[arg-type]
        return entry(model, seeds, fixed=fixed).ended("ok")

    return saved
