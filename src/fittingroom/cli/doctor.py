"""`fittingroom doctor`: what this installation has and uses; for a bug report."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from fittingroom.cli.options import RUNS, JsonOption, RunsOption
from fittingroom.errors import install_command
from fittingroom.formatting import with_tilde
from fittingroom.json_text import json_text


@dataclass(frozen=True)
class Extra:
    """Packages that are installed on request.

    Attributes
    ----------
    packages : the modules without which something is missing
    adds : what they bring, in words
    """

    packages: tuple[str, ...]
    adds: str

    @property
    def is_installed(self) -> bool:
        return all(find_spec(package) is not None for package in self.packages)


EXTRAS = {
    "photos": Extra(("cv2",), "a better outline of the object in a photo"),
    "tune": Extra(("optuna",), "fittingroom tune"),
    "onnx": Extra(("onnx", "onnxruntime", "onnxscript"), "fittingroom export"),
    "serve": Extra(
        (
            *("starlette", "uvicorn", "httptools", "prometheus_client"),
            *("onnx", "onnxruntime", "onnxscript"),
        ),
        "fittingroom serve",
    ),
    "ray": Extra(("ray",), "--on ray"),
    "parquet": Extra(("pyarrow",), "data sets in Parquet files"),
    "labels": Extra(("cleanlab",), "cleanlab's estimate of which labels are wrong"),
}


def command(runs: RunsOption = RUNS, as_json: JsonOption = False) -> None:
    """Report versions, fast paths, folders and extras, to paste into a bug report."""
    from fittingroom.cli.output import say

    report = inspect_installation(runs)
    if as_json:
        return say(json_text({"schema_version": 1, **report}).rstrip())
    for i, (title, facts) in enumerate(report.items()):
        say(("\n" if i else "") + title.replace("_", " "))
        width = max(map(len, facts)) + 2
        for name, value in facts.items():
            shown = name if name.isupper() else name.replace("_", " ")
            say(f"  {shown:{width}}{_in_words(value)}")
    return None


def inspect_installation(runs: Path) -> dict[str, Mapping[str, Any]]:
    """What is reported, by section."""
    from fittingroom.runs.run import environment

    recorded = environment()
    machine = {name: recorded.pop(name) for name in ("platform", "processor", "cores", "threads")}
    machine["OMP_NUM_THREADS"] = recorded.pop("omp_num_threads")
    return {
        "versions": {**recorded, **_other_versions(recorded)},
        "machine": {**machine, **_memory(), "gpu": _gpu()},
        "fast_paths": _fast_paths(),
        "folders": _folders(runs),
        "extras": {
            name: True if extra.is_installed else f"no; {install_command(name)} adds {extra.adds}"
            for name, extra in EXTRAS.items()
        },
    }


def _other_versions(recorded: Collection[str]) -> dict[str, str]:
    """Of what this package depends on besides what runs record, as far as it is installed."""
    versions = {}
    for requirement in metadata.requires("fittingroom") or ():
        extra = re.search(r"extra == ['\"](\w+)", requirement)
        name = re.split(r"[^\w.-]", requirement, maxsplit=1)[0]
        if name not in recorded and (extra is None or extra[1] in EXTRAS):
            with suppress(metadata.PackageNotFoundError):
                versions[name] = metadata.version(name)
    return dict(sorted(versions.items()))


def _in_words(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value) or "not set"


def _memory() -> dict[str, str]:
    import psutil

    memory = psutil.virtual_memory()
    return {"memory": f"{memory.total / 2**30:.1f} GiB, {memory.available / 2**30:.1f} free"}


def _gpu() -> str:
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none"


def _fast_paths() -> dict[str, Any]:
    """Which instructions and libraries are used where there is a choice."""
    import torch

    from fittingroom.kernels import amx
    from fittingroom.models.engine import intel_estimators
    from fittingroom.training.precision import multiplies_bfloat16

    return {
        "convolutions_in_bfloat16": multiplies_bfloat16(torch.device("cpu")),
        "our_kernels_with_AMX": amx.available(),
        "scikit-learn-intelex": bool(intel_estimators()),
        "compiled_kernels_cached": len(_cached_kernels()),
    }


def _cached_kernels() -> list[Path]:
    """The kernels that later processes needn't compile."""
    package = Path(__file__).parents[1]
    places = [package]
    if cache := os.environ.get("NUMBA_CACHE_DIR", ""):
        places = [Path(cache)]
    return [file for place in places for file in place.rglob("*.nbi")]


def _folders(runs: Path) -> dict[str, str]:
    from fittingroom.data.places import DATA_VARIABLE, cache_folder

    found = {
        DATA_VARIABLE: os.environ.get(DATA_VARIABLE, ""),
        "data_cache": str(cache_folder()),
        "runs": str(runs.absolute()),
    }
    return {name: path and _with_state(path) for name, path in found.items()}


def _with_state(path: str) -> str:
    shown = with_tilde(path)
    return shown if os.path.isdir(path) else f"{shown} (not there yet)"
