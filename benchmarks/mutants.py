"""What becomes of thousands of damaged data sets, in every form that can be read.

    python benchmarks/mutants.py --out benchmarks/results/mutants.json

Writes a small part of Fashion-MNIST in each form, damages a random file of it at random (bytes
changed, cut off, inserted, zeroed), and loads it. Counts what is refused, what is read as the same
data, and what as other data: without a checksum, as in an IDX or CSV file, another pixel can't be
noticed. Every mutant must end in data or in one sentence that names the file, within seconds, and
take at most twice the memory of the whole file. Six minutes on two cores.
"""

from __future__ import annotations

import argparse
import faulthandler
import logging
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import record
from forms import FORMS

from fittingroom.data.dataset import Dataset, Split
from fittingroom.data.sources import load_dataset
from fittingroom.errors import DataError

#: Images of each split, and of each class a few.
IMAGES = 60
#: A mutant that takes longer than this counts as one that hangs.
SECONDS = 5.0
#: Bytes that any load may take more, whatever it reads: buffers, modules imported late.
SLACK = 16e6
#: Text of a sentence that names no file.
UNNAMED = "no file"


@dataclass(frozen=True)
class Outcome:
    """What became of one load: the hash or the complaint, seconds, and bytes of memory at most."""

    sha256: str
    complaint: str
    seconds: float
    peak: float


@contextmanager
def peak_of(found: list[float]) -> Iterator[None]:
    """Append the most memory that was taken above what is held at the beginning (Linux)."""
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = psutil.Process().memory_info().rss
    yield
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    found.append(float(line.split()[1]) * 1024 - before)


def load(path: Path) -> Outcome:
    """Load a data set that may be damaged."""
    sha256 = complaint = ""
    peaks: list[float] = []
    start = time.perf_counter()
    with peak_of(peaks):
        try:
            sha256 = load_dataset(path).sha256
        except DataError as error:
            complaint = str(error)
    return Outcome(sha256, complaint, time.perf_counter() - start, peaks[0])


def damaged(whole: bytes, rng: np.random.Generator) -> bytes:
    """A copy with one kind of damage at a random place."""
    data, place = bytearray(whole), int(rng.integers(len(whole)))
    if rng.random() < 0.3:  # headers are short, and decide most
        place = min(place, int(rng.integers(64)))
    kind = rng.integers(5)
    if kind == 0:
        for _ in range(rng.integers(1, 4)):
            data[place] = int(rng.integers(256))
            place = int(rng.integers(len(data)))
    elif kind == 1:
        data[place] ^= 1 << int(rng.integers(8))
    elif kind == 2:
        del data[place:]
    elif kind == 3:
        data[place:place] = rng.bytes(int(rng.integers(1, 9)))
    else:
        data[place : place + 8] = bytes(len(data[place : place + 8]))
    return bytes(data)


def small_part(data: Dataset) -> Dataset:
    """A few images of each class."""

    def few(split: Split) -> list[Any]:
        positions = [np.flatnonzero(split.labels == c)[: IMAGES // 10] for c in range(10)]
        index = np.sort(np.concatenate(positions))
        return [split.images[index], split.labels[index]]

    parts = [*few(data.train), *few(data.test)]
    return Dataset.from_arrays(*parts, class_names=data.class_names, name="few")


def campaign(path: Path, n: int, rng: np.random.Generator) -> dict[str, Any]:
    """Load `n` damaged copies of the data set at a path."""
    load(path)  # imports what it takes
    honest = load(path)
    assert honest.sha256, honest.complaint
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    outcomes: Counter[str] = Counter()
    slowest = largest = 0.0
    for _ in range(n):
        file = files[int(rng.integers(len(files)))]
        whole = file.read_bytes()
        file.write_bytes(damaged(whole, rng))
        found = load(path)
        file.write_bytes(whole)
        if found.complaint:
            named = (path if path.is_file() else file).name in found.complaint
            outcomes["refused" if named else UNNAMED] += 1
        else:
            outcomes["same" if found.sha256 == honest.sha256 else "other"] += 1
        outcomes["slow"] += found.seconds > SECONDS
        outcomes["large"] += found.peak > 2 * max(honest.peak, 0) + SLACK
        slowest, largest = max(slowest, found.seconds), max(largest, found.peak)
    assert load(path).sha256 == honest.sha256
    return {
        "mutants": n,
        **{kind: outcomes[kind] for kind in ("refused", "same", "other", UNNAMED, "slow", "large")},
        "slowest_seconds": round(slowest, 3),
        "largest_bytes": int(largest),
        "honest_bytes": int(max(honest.peak, 0)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=2000, help="mutants of each form")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    logging.getLogger("fittingroom").setLevel(logging.ERROR)
    warnings.simplefilter("error")  # of our readers; a damaged file must not leave one
    faulthandler.enable()
    data = small_part(load_dataset("fashion-mnist"))
    rows = []
    for title, write in FORMS.items():
        faulthandler.dump_traceback_later(1200, exit=True)  # a mutant that never ends
        with tempfile.TemporaryDirectory() as scratch:
            folder = Path(scratch) / "garments"
            folder.mkdir()
            path = write(data, folder)
            rows.append({"form": title, **campaign(path, options.each, np.random.default_rng(1))})
        print(rows[-1], flush=True)
    faulthandler.cancel_dump_traceback_later()
    record.write(options.out, {"rows": rows})


if __name__ == "__main__":
    main()
