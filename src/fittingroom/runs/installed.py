"""Code that is believed by name and version: the standard library and installed distributions."""

from __future__ import annotations

import functools
import hashlib
import os
import sys
import sysconfig
import types
from collections.abc import Mapping
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

#: Whose versions every run records; a table that mixes them says so. Named by name alone.
RECORDED = frozenset(
    {"fittingroom", "numpy", "scipy", "sklearn", "sklearnex", "daal4py", "onedal", "torch"}
)

_STDLIB = {*map(sysconfig.get_path, ("stdlib", "platstdlib")), str(Path(os.__file__).parent)}
_INSTALLED = {"site-packages", "dist-packages"}
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that was made when the program ran


def known_by_name(value: Any) -> str | None:
    """Name and version of a module, class or function of a library that stands under its name."""
    if isinstance(value, types.ModuleType):
        version = version_of(value.__name__)
        return None if version is None else f"{value.__name__} {version}"
    module = getattr(value, "__module__", None)
    if module is None and isinstance(value, np.ufunc):  # SciPy's don't say where they are from
        module = "scipy.special"
    if not isinstance(module, str) or (version := version_of(module)) is None:
        return None
    builtin = isinstance(value, type) and not value.__flags__ & _HEAP_TYPE
    for name in (getattr(value, "__qualname__", None), getattr(value, "__name__", None)):
        if isinstance(name, str) and (builtin or _found(module, name) is value):
            return f"{module}.{name} {version}"
    return None


def version_of(module: str) -> str | None:
    """What the code of a module of a library is believed by, None for code of the caller's own.

    It is empty for the standard library and those whose versions every run records. What an
    installer wrote of the files counts too: a project of the caller's own may have been installed
    again without a new version.
    """
    top = module.partition(".")[0]
    if top in RECORDED:
        return ""
    file = _file_of(module) or _file_of(top)
    if top in sys.stdlib_module_names:
        inside = file is None or any(Path(file).is_relative_to(path) for path in _STDLIB if path)
        return "" if inside else None
    if file is None or not _INSTALLED & {*Path(file).parts}:
        return None
    return _versions(top)


def _found(module: str, name: str) -> Any:
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = getattr(found, part, None)
    return found


def _file_of(module: str) -> str | None:
    """Where a module's code is; it needn't have been imported."""
    if (found := sys.modules.get(module)) is not None:
        return getattr(found, "__file__", None)
    try:
        spec = find_spec(module) if module and "." not in module else None
    except (ImportError, ValueError):
        return None
    return spec.origin if spec and spec.has_location else None


@functools.cache
def _versions(top: str) -> str | None:
    versions = []
    for name in sorted({*_distributions().get(top, ())}):
        package = metadata.distribution(name)
        files = hashlib.sha256((package.read_text("RECORD") or "").encode())
        versions.append(f"{package.version} {files.hexdigest()[:16]}")
    return " ".join(versions) or None


@functools.cache
def _distributions() -> Mapping[str, list[str]]:
    return metadata.packages_distributions()
