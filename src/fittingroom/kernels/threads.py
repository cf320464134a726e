"""How many threads a computation uses."""

from __future__ import annotations

import os
import sys
from typing import Any

import psutil


def count_threads() -> int:
    """The number of threads of this process's kernels: PyTorch's, where that is imported.

    Importing it takes most of a second, and what needs no tensors does without.
    """
    torch: Any = sys.modules.get("torch")
    if hasattr(torch, "get_num_threads"):  # another thread may just be importing it
        return int(torch.get_num_threads())
    return default_threads()


def default_threads() -> int:
    """The number of threads that libraries use on this machine unless they are told otherwise."""
    asked = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
    if asked.isdigit():
        return max(1, int(asked))
    cores = psutil.cpu_count(logical=False) or 1
    if hasattr(os, "sched_getaffinity"):
        cores = min(cores, len(os.sched_getaffinity(0)))
    return cores
