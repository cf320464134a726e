"""describing.py: skops reads what it writes, and would have written the same."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skops
import skops.io
from skops.io._protocol import PROTOCOL as SKOPS_PROTOCOL

from fittingroom.bundles.bundle import load
from fittingroom.bundles.describing import PROTOCOL, VERSION, file_of
from fittingroom.models.nearest import NearestImages


def described(data: bytes) -> tuple[Any, dict[str, bytes]]:
    """A file's description without numbers and names of files, and its arrays in their order."""
    arrays: dict[str, bytes] = {}
    with zipfile.ZipFile(io.BytesIO(data)) as file:

        def plain(node: Any) -> Any:
            if isinstance(node, list):
                return [plain(part) for part in node]
            if not isinstance(node, dict):
                return node
            if "file" in node:
                arrays[node["file"]] = file.read(node["file"])
                node = {**node, "file": list(arrays).index(node["file"])}
            return {name: plain(part) for name, part in node.items() if name != "__id__"}

        return plain(json.loads(file.read("schema.json"))), arrays


def test_skops_would_write_the_same(classical: str, saved: Path) -> None:
    estimator = load(saved / classical).classifier.estimator_
    if isinstance(estimator, NearestImages):
        estimator = estimator.to_scikit_learn(np.uint8)
    ours, our_arrays = described(file_of(estimator))
    theirs, their_arrays = described(skops.io.dumps(estimator))
    assert ours == theirs
    assert [*our_arrays.values()] == [*their_arrays.values()]


def test_the_format_is_that_of_skops() -> None:
    assert PROTOCOL == SKOPS_PROTOCOL
    assert skops.__version__ == VERSION


def test_a_file_is_the_same_each_time(saved: Path) -> None:
    estimator = load(saved / "logistic").classifier.estimator_
    assert file_of(estimator) == file_of(estimator)


def test_a_part_of_another_kind_is_refused() -> None:
    with pytest.raises(TypeError, match="iterator"):
        file_of({"a": iter([])})
