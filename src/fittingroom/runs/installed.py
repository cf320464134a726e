"""Code that is trusted by name and version: the standard library and installed distributions."""

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

#: Packages whose versions every run records (a table that mixes them says so), so a name suffices.
RECORDED = frozenset(
    {"fittingroom", "numpy", "scipy", "sklearn", "sklearnex", "daal4py", "onedal", "torch"}
)

#: Modules with functions that don't say where they are: SciPy's, and NumPy's before 2.2.
_NAMELESS = ("numpy", "scipy.special")
_STDLIB = {*map(sysconfig.get_path, ("stdlib", "platstdlib")), str(Path(os.__file__).parent)}
_INSTALLED = {"site-packages", "dist-packages"}
_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class made at run time


def known_by_name(value: Any) -> str | None:
    """Name and version of a library's module, class or function that is found by its name."""
    if isinstance(value, types.ModuleType):
        version = version_of(value.__name__)
        return None if version is None else f"{value.__name__} {version}"
    module = getattr(value, "__module__", None)
    if module is None:
        name = getattr(value, "__name__", "")
        module = next((each for each in _NAMELESS if _look_up(each, name) is value), None)
    if not isinstance(module, str) or (version := version_of(module)) is None:
        return None
    builtin = isinstance(value, type) and not value.__flags__ & _HEAP_TYPE
    for name in (getattr(value, "__qualname__", None), getattr(value, "__name__", None)):
        if isinstance(name, str) and (builtin or _look_up(module, name) is value):
            return f"{module}.{name} {version}"
    return None


def version_of(module: str) -> str | None:
    """The version that a library's module is trusted by, None for code of the caller's own.

    It is empty for the standard library and for packages whose versions every run records. It
    covers the installer's record of files, since a project of the caller's own may be reinstalled
    without a new version.
    """
    top = module.partition(".")[0]
    if top in RECORDED:
        return ""
    file = _file_of(module) or _file_of(top)
    if top in sys.stdlib_module_names:
        in_stdlib = file is None or any(Path(file).is_relative_to(path) for path in _STDLIB if path)
        return "" if in_stdlib else None
    if file is None or not _INSTALLED & {*Path(file).parts}:
        return None
    return _versions(top)


def _look_up(module: str, name: str) -> Any:
    value: Any = sys.modules.get(module)
    for part in name.split("."):
        value = getattr(value, part, None)
    return value


def _file_of(module: str) -> str | None:
    """The file of a module's code; the module needn't have been imported."""
    if (loaded := sys.modules.get(module)) is not None:
        return getattr(loaded, "__file__", None)
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
