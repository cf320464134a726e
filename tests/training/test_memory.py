from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from fittingroom.training.memory import keep_freed_memory

if sys.argv[1] == "keep":
    keep_freed_memory()
def step():
    torch.ones(2**23)  # 32 MB, mapped anew each time by default
for _ in range(20):  # until the blocks are where they will be reused
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def page_faults(mode: str) -> int:
    command = [sys.executable, "-c", FAULTS, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(
    sys.platform != "linux" or not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"),
    reason="glibc's allocator only",
)
def test_large_tensors_are_not_mapped_anew() -> None:
    assert page_faults("keep") < page_faults("default") / 10
