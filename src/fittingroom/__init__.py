"""Which image classifier is better on Fashion-MNIST, by how much, and how sure are you?

>>> import fittingroom
>>> fittingroom.compare("fashion-mnist", ["logistic", "swift"])  # doctest: +SKIP
"""

from __future__ import annotations

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fittingroom import figures
    from fittingroom.bench.claims.verify import verify
    from fittingroom.bench.comparison.compare import compare
    from fittingroom.bench.comparison.side_by_side import side_by_side
    from fittingroom.bench.explore import explore
    from fittingroom.bench.fit_one import fit
    from fittingroom.bench.tuning.tune import tune
    from fittingroom.bench.zalando.zalando import zalando
    from fittingroom.bundles.bundle import load
    from fittingroom.bundles.export import export
    from fittingroom.data.dataset import Dataset
    from fittingroom.data.describe import describe
    from fittingroom.data.preparation import prepare
    from fittingroom.data.sources import load_dataset
    from fittingroom.models.making import make_classifier
    from fittingroom.reporting.reports import report
    from fittingroom.training.distributed import process_group

__all__ = [
    "Dataset",
    "compare",
    "describe",
    "explore",
    "export",
    "figures",
    "fit",
    "load",
    "load_dataset",
    "make_classifier",
    "prepare",
    "process_group",
    "report",
    "side_by_side",
    "tune",
    "verify",
    "zalando",
]

# Numba reads .numba_config.yaml from the working folder, which may have come with downloaded data
# and could redirect the cache of compiled code. The environment wins; empty means the default.
for _name in ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES"):
    os.environ.setdefault(_name, "")

# Imported on first access: scikit-learn and torch take seconds, which `--help` shouldn't.
_MODULES = {
    "Dataset": "fittingroom.data.dataset",
    "compare": "fittingroom.bench.comparison.compare",
    "describe": "fittingroom.data.describe",
    "explore": "fittingroom.bench.explore",
    "export": "fittingroom.bundles.export",
    "fit": "fittingroom.bench.fit_one",
    "load": "fittingroom.bundles.bundle",
    "load_dataset": "fittingroom.data.sources",
    "make_classifier": "fittingroom.models.making",
    "prepare": "fittingroom.data.preparation",
    "process_group": "fittingroom.training.distributed",
    "report": "fittingroom.reporting.reports",
    "side_by_side": "fittingroom.bench.comparison.side_by_side",
    "tune": "fittingroom.bench.tuning.tune",
    "verify": "fittingroom.bench.claims.verify",
    "zalando": "fittingroom.bench.zalando.zalando",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        return import_module("importlib.metadata").version("fittingroom")
    if name == "figures":
        return import_module("fittingroom.figures")
    if name not in _MODULES:
        raise AttributeError(f"module 'fittingroom' has no attribute {name!r}")
    value = getattr(import_module(_MODULES[name]), name)
    if name in ("compare", "fit", "tune", "verify", "zalando"):
        value = import_module("fittingroom.interactive").with_progress(value)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
