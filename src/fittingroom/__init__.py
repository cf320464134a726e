"""Which image classifier is better on Fashion-MNIST, by how much, and how sure are you?

>>> import fittingroom
>>> fittingroom.compare("fashion-mnist", ["logistic", "swift"])  # doctest: +SKIP
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fittingroom.bench.comparison.side_by_side import side_by_side
    from fittingroom.bundles.bundle import load
    from fittingroom.data.dataset import Dataset
    from fittingroom.data.sources import load_dataset
    from fittingroom.interactive import compare
    from fittingroom.models.catalog import make_classifier
    from fittingroom.reporting.reports import report

__all__ = [
    "Dataset",
    "compare",
    "load",
    "load_dataset",
    "make_classifier",
    "report",
    "side_by_side",
]

# Numba reads .numba_config.yaml from the working folder, which may have come with downloaded data
# and could redirect the cache of compiled code. The environment wins; empty means the default.
for _name in ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES"):
    os.environ.setdefault(_name, "")

# Imported on first access: scikit-learn and torch take seconds, which `--help` shouldn't.
_MODULES = {
    "Dataset": "fittingroom.data.dataset",
    "compare": "fittingroom.interactive",
    "load": "fittingroom.bundles.bundle",
    "load_dataset": "fittingroom.data.sources",
    "make_classifier": "fittingroom.models.catalog",
    "report": "fittingroom.reporting.reports",
    "side_by_side": "fittingroom.bench.comparison.side_by_side",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("fittingroom")
    if name not in _MODULES:
        raise AttributeError(f"module 'fittingroom' has no attribute {name!r}")
    return getattr(import_module(_MODULES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
