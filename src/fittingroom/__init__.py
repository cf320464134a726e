"""Which image classifier is better on Fashion-MNIST, by how much, and how sure are you?

>>> import fittingroom
>>> fittingroom.compare("fashion-mnist", ["logistic", "swift"])  # doctest: +SKIP
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fittingroom.bench.comparison.compare import compare
    from fittingroom.bench.comparison.side_by_side import side_by_side
    from fittingroom.bundles.bundle import load
    from fittingroom.data.dataset import Dataset
    from fittingroom.data.sources import load_dataset
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

# Numba reads a .numba_config.yaml in the working folder, which may have been downloaded with data
# and could say where compiled code lies. The environment goes before it; empty means Numba's own.
for _name in ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES"):
    os.environ.setdefault(_name, "")

# Imported when first asked for: scikit-learn and torch take seconds that `--help` shouldn't.
_HOMES = {
    "Dataset": "fittingroom.data.dataset",
    "compare": "fittingroom.bench.comparison.compare",
    "load": "fittingroom.bundles.bundle",
    "load_dataset": "fittingroom.data.sources",
    "make_classifier": "fittingroom.models.catalog",
    "report": "fittingroom.reporting.reports",
    "side_by_side": "fittingroom.bench.comparison.side_by_side",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'fittingroom' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
