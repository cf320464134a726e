"""What commands write about the 3,000 images is what they wrote before, figure by figure.

Where a change means to write something else: `GOLDEN=write pytest tests/test_golden.py`, then read
the difference. Models whose figures depend on the processor have no part in it.
"""

from __future__ import annotations

import json
import math
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from fittingroom.data.dataset import Dataset

GOLDEN = Path(__file__).parent / "data" / "golden"
#: What differs from run to run, or by machine.
_VARIES = {"fit_seconds", "predict_us_per_image", "environment", "location", "source", "storage"}

Cli = Callable[..., subprocess.CompletedProcess[str]]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Each figure, text and list of those in a result, by its place."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _VARIES:
                yield from leaves(inner, f"{path}/{key}")
    elif isinstance(value, list) and any(isinstance(inner, dict | list) for inner in value):
        for number, inner in enumerate(value):
            yield from leaves(inner, f"{path}/{number}")
    else:
        yield path, value


def agrees(now: Any, before: Any) -> bool:
    if isinstance(now, list) and isinstance(before, list):
        return len(now) == len(before) and all(map(agrees, now, before))
    if isinstance(now, float) and isinstance(before, float):
        return math.isclose(now, before, rel_tol=1e-4, abs_tol=1e-6)
    return bool(now == before)


@pytest.fixture
def mirrored(small: Dataset, tmp_path: Path) -> str:
    """The folder of another data set: every image upside down."""
    arrays = [x for s in (small.train, small.test) for x in (s.images[:, ::-1], s.labels)]
    other = Dataset.from_arrays(*arrays, class_names=small.class_names, name="mirrored")
    other.write_idx(tmp_path / "mirrored")
    return "mirrored"


def without_paths(value: Any, folder: Path) -> Any:
    return json.loads(json.dumps(value).replace(str(folder), "."))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["compare", "side-by-side", "verify", "tune", "zalando"])
def test_what_is_written_is_what_was_written(
    name: str, small_folder: Path, mirrored: str, run_cli: Cli, tmp_path: Path
) -> None:
    data = tmp_path / "small"
    data.symlink_to(small_folder)
    claims = (small_folder.parent / "leak.toml").read_text("utf8")
    (tmp_path / "leak.toml").write_text(claims)
    (tmp_path / "clean.toml").write_text(claims.replace('"trained-on-test"', '"clean"'))
    models = ("--models", "knn,random-forest,logistic", "--seeds", "2")
    commands = {
        "compare": ("compare", "-d", "small", *models),
        "side-by-side": ("compare", "-d", "small", "-d", mirrored, "--models", "knn,random-forest"),
        "verify": ("verify", "leak.toml", "clean.toml", "-d", "small"),
        "tune": ("tune", "knn", "-d", "small", "--trials", "4"),
        "zalando": (
            *("compare", "-d", "small", "--suite", "zalando"),
            *("--models", "zalando-decision-tree", "--seeds", "2"),
        ),
    }
    result = run_cli(*commands[name], "--json", env={"OMP_NUM_THREADS": "1"})
    assert result.returncode == 0, result.stderr
    written = {"printed": json.loads(result.stdout)}
    if name == "compare":
        (study,) = tmp_path.glob("runs/*/study.json")
        written["study"] = json.loads(study.read_text("utf8"))
    written["runs"] = sorted(
        str(path.parent.relative_to(tmp_path)) for path in tmp_path.glob("runs/**/run.json")
    )
    found = dict(leaves(without_paths(written, tmp_path)))
    golden = GOLDEN / f"{name}.json"
    if os.environ.get("GOLDEN") == "write":
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(json.dumps(found, indent=0) + "\n", "utf8")
    before = json.loads(golden.read_text("utf8"))
    assert found.keys() == before.keys()
    assert {p: (found[p], before[p]) for p in found if not agrees(found[p], before[p])} == {}
