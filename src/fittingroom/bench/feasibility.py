"""What is known of a fit before it starts: that it takes long, or can't have enough memory."""

from __future__ import annotations

from fittingroom.data.dataset import Dataset
from fittingroom.formatting import duration
from fittingroom.runs.spec import RunSpec, expected_seconds, least_memory

#: Expected seconds of a fit from which it is announced.
LONG = 3600.0


def long_fit(spec: RunSpec, dataset: Dataset) -> str | None:
    """A sentence about a fit of a catalogue model that is expected to take long; else None."""
    seconds = expected_seconds(spec, dataset)
    if seconds is None or seconds < LONG:
        return None
    n = len(dataset.train)
    return f"{spec.label} on {n:,} images is expected to take about {duration(seconds)}."


def why_too_long(expected: float | None, limit: float | None) -> str | None:
    """Why a fit is left out that is expected to take longer than so many seconds; else None."""
    if expected is None or limit is None or expected <= limit:
        return None
    return (
        f"left out: expected to take about {duration(expected)} here, more than the limit of "
        f"{duration(limit)}"
    )


def why_too_large(spec: RunSpec, dataset: Dataset, memory: int | None) -> str | None:
    """Why a fit of a catalogue model can't have enough memory; None if that isn't certain.

    Parameters
    ----------
    memory : the most bytes that it can have; None if unknown
    """
    needed = least_memory(spec, dataset)
    if memory is None or needed <= memory:
        return None
    return (
        f"{len(dataset.train):,} training images take it at least {needed / 2**30:.1f} GiB of "
        f"memory, and it can have {memory / 2**30:.1f} GiB; networks read large files in blocks"
    )
