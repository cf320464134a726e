"""Time axes: their ticks, and which models are the fastest at what they reach."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Ticks of time axes, in seconds: of fits, and of predicting an image.
FIT_TICKS = (0.001, 0.01, 0.1, 1, 10, 60, 600, 3600, 36_000, 360_000)
PREDICT_TICKS = (1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0)


def pareto_front(times: NDArray[np.floating], means: NDArray[np.floating]) -> list[bool]:
    """Whether each model (n,) is on the Pareto front: no faster model reaches its mean."""
    return [not np.any((times < t) & (means >= m)) for t, m in zip(times, means, strict=True)]


def short_time(seconds: float) -> str:
    """The seconds as "1 ms"."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds / 1e-9:g} ns"
