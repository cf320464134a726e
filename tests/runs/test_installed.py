from __future__ import annotations

import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
import torch.nn.functional as F
from sklearn.svm import SVC

from fittingroom.runs import installed
from fittingroom.runs.installed import known_by_name, version_of


@pytest.mark.parametrize("module", ["json", "sys", "torch.nn", "sklearn.svm", "fittingroom.runs"])
def test_recorded_packages_are_known_by_name_alone(module: str) -> None:
    assert version_of(module) == ""


def test_other_packages_are_known_by_their_version() -> None:
    import optuna

    version = version_of("optuna.samplers")
    assert version is not None
    assert version.split()[0] == optuna.__version__


@pytest.mark.parametrize("module", [__name__, "__main__", "mine_alone", "", "mine.alone"])
def test_own_code_has_no_version(module: str) -> None:
    assert version_of(module) is None


def test_an_own_file_is_not_the_standard_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = types.ModuleType("statistics")
    mine.__file__ = str(tmp_path / "statistics.py")
    assert version_of("statistics") == ""
    monkeypatch.setitem(sys.modules, "statistics", mine)
    assert version_of("statistics") is None


def test_the_same_version_installed_again_is_known_by_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packages = tmp_path / "site-packages"
    (packages / "acme").mkdir(parents=True)
    (packages / "acme" / "__init__.py").touch()
    facts = packages / "acme-1.0.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (facts / "top_level.txt").write_text("acme\n")
    monkeypatch.syspath_prepend(packages)
    names = []
    for files in ("acme/__init__.py,sha256=one,1\n", "acme/__init__.py,sha256=two,1\n"):
        (facts / "RECORD").write_text(files)
        for cached in (installed._versions, installed._distributions):
            cached.cache_clear()
        names.append(version_of("acme.part"))
    for cached in (installed._versions, installed._distributions):
        cached.cache_clear()
    assert [version and version.split()[0] for version in names] == ["1.0", "1.0"]
    assert names[0] != names[1]


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (SVC, "sklearn.svm._classes.SVC"),
        (F.relu, "torch.nn.functional.relu"),
        (F.max_pool2d, "torch.nn.functional.max_pool2d"),
        (torch.relu, "torch.relu"),
        (np.exp, "numpy.exp"),
        (np.sum, "numpy.sum"),
        # Its generator may be anyone's; NumPy 2.0 names the module in which it is made.
        (np.random.rand, f"{np.random.rand.__module__}.rand"),
        (scipy.special.expit, "scipy.special.expit"),
        (np, "numpy"),
        (len, "builtins.len"),
        (types.GeneratorType, "builtins.generator"),
    ],
)
def test_library_objects_are_known_by_name(value: Any, name: str) -> None:
    assert known_by_name(value) == f"{name} "


class Mine(SVC):  # type: ignore[misc]
    pass


@pytest.mark.parametrize(
    "value", [Mine, Mine(), SVC(), "text", [1], sys.modules[__name__], lambda: None]
)
def test_own_objects_and_those_with_state_are_not_known_by_name(value: Any) -> None:
    assert known_by_name(value) is None
