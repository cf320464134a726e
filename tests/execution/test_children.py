from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

from fittingroom.execution import children
from fittingroom.execution.children import IMPORTED, SPIN, environment_of, threads_of


def test_networks_wait_for_each_other_without_spinning(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    assert "GOMP_SPINCOUNT" not in environment_of("classical", None)
    assert environment_of("network", None)["GOMP_SPINCOUNT"] == SPIN
    monkeypatch.setenv("GOMP_SPINCOUNT", "7")
    assert environment_of("network", 2)["GOMP_SPINCOUNT"] == "7"
    assert environment_of("network", 2)["OMP_NUM_THREADS"] == "2"


def test_fits_share_the_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "5")
    assert [threads_of(at_once) for at_once in (1, 2, 8)] == [None, 2, 1]


def test_a_family_is_prepared_once_and_kernels_in_the_order_of_fits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, compiled = [], []
    monkeypatch.setattr(children, "start_server", lambda modules, _: started.append(modules))
    monkeypatch.setattr(children, "compile_ahead", lambda names, _: compiled.append(names))
    children.prepare_children(name for name in ("swift", "knn", "logistic"))
    assert sorted(started) == sorted(IMPORTED.values())
    assert compiled == [["swift", "knn", "logistic"]]


def test_what_is_imported_exists() -> None:
    for modules in IMPORTED.values():
        for module in ",".join(modules).split(","):
            importlib.import_module(module)


def test_asking_for_children_imports_little() -> None:
    """It is the first thing that a command does."""
    code = "import sys, fittingroom.execution.children; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "numba", "sklearn", "torch", "pydantic"} & set(done.stdout.split())
