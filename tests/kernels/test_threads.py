from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest
import torch

from fittingroom.kernels.threads import count_threads, default_threads


def test_the_default_is_omp_num_threads_or_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, threads in (("3", 3), ("4,2", 4), ("0", 1)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert default_threads() == threads
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert 1 <= default_threads() <= (psutil.cpu_count() or 1)


def test_pytorchs_number_counts_once_it_is_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        assert count_threads() == 3
    finally:
        torch.set_num_threads(before)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert count_threads() == default_threads()


@pytest.mark.parametrize("asked", ["", "2"])
def test_the_default_is_pytorchs(asked: str) -> None:
    code = """
import torch
from fittingroom.kernels.threads import default_threads
print(torch.get_num_threads(), default_threads())
"""
    environment = os.environ | {"OMP_NUM_THREADS": asked}
    if not asked:
        del environment["OMP_NUM_THREADS"]
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    theirs, ours = done.stdout.split()
    assert theirs == ours
