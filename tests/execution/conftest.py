"""Jobs on the data set `small`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psutil
import pytest

from fittingroom.data.dataset import Dataset
from fittingroom.execution.child import NAME
from fittingroom.execution.job import Job
from fittingroom.runs.spec import spec_of
from fittingroom.runs.store import Store


@pytest.fixture
def job(store: Store, small: Dataset) -> Callable[..., Job]:
    """`job(model, **settings)`: a fit on `small`, nearest neighbours unless said otherwise."""

    def made(model: str = "knn", **settings: Any) -> Job:
        spec = spec_of(small, model, settings=settings)
        return Job(spec=spec, dataset=str(small.location), store=str(store.folder))

    return made


@pytest.fixture
def children() -> Callable[..., list[psutil.Process]]:
    """`children()`, or `children(parent)`: those that fit; not a fork server and its watchers."""

    def found(parent: psutil.Process | None = None) -> list[psutil.Process]:
        descendants = (parent or psutil.Process()).children(recursive=True)
        return [process for process in descendants if process.name() == NAME]

    return found
