"""How fast is training on a data set that doesn't fit in memory?

    python benchmarks/large.py --out benchmarks/results/large.json
    python benchmarks/large.py --model mlp-256-256 --out benchmarks/results/large-mlp.json

The set: each of the 60,000 training images of Fashion-MNIST, shifted in 135 ways; 8.1 million
images in a file of 6.4 GB. Copies of one image would be on both sides of any split, so accuracies
on such a set mean nothing; what is measured here is speed.

Two processes train the same network. One has 200,000 of the images in memory; the other reads all
8.1 million from the file, blocks shuffled, in a control group that may have 2 GB of memory, the
file's pages included (where no group can be made: under RLIMIT_DATA, which leaves them out). The
file's pages are dropped before, so that they come from the disk. The two take turns of a second or
so; while one trains, the other waits in the middle of its epoch. By default all turns together are
longer than a buffer of shuffled blocks, so that the change from one to the next and the reading of
a third are among them. Told are the ratio of images a second within a turn and over all turns, and
the most memory that the second process had, sampled.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import record
from speed import spread

from fittingroom.data import idx
from fittingroom.data.dataset import Dataset
from fittingroom.data.sources import load_dataset
from fittingroom.execution.children import SPIN

LIMIT = 2 * 10**9  # bytes
IN_MEMORY = 200_000  # images that the first process has
SHIFTS = sorted(
    ((down, right) for down in range(-6, 7) for right in range(-6, 7)),
    key=lambda shift: (shift[0] ** 2 + shift[1] ** 2, shift),
)[:135]

#: Images of a turn: about a second of training, since the machine's speed changes within seconds.
IMAGES = {"swift-90": 6_000, "mlp-256-256": 36_000}


def make_set(dataset: Dataset, folder: Path, n: int = len(SHIFTS) * 60_000) -> None:
    """Write n shifted images as IDX files, aside, and rename the folder: shift by shift."""
    needed = n * dataset.train.images[0].size + 10**8
    if shutil.disk_usage(folder.parent).free < needed:
        raise SystemExit(f"{folder.parent} has no room for {needed / 1e9:.1f} GB.")
    partial = folder.with_name(f"{folder.name}.partial")
    partial.mkdir()
    try:
        with (partial / idx.TRAIN_IMAGES).open("wb") as file:
            file.write(struct.pack(">4I", 0x803, n, *dataset.image_shape))
            for shift, count in shares(n, len(dataset.train)):
                file.write(shifted(dataset.train.images[:count], *shift).data)
            file.flush()
            os.fsync(file.fileno())  # pages that aren't on the disk yet can't be dropped
        arrays = dataset.idx_arrays()
        labels = np.resize(arrays[idx.TRAIN_LABELS], n)  # again and again
        idx.write_idx(partial / idx.TRAIN_LABELS, labels)
        for name in (idx.TEST_IMAGES, idx.TEST_LABELS):
            idx.write_idx(partial / name, arrays[name])
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def shares(n: int, each: int) -> Iterator[tuple[tuple[int, int], int]]:
    """The shifts of so many images, and of how many of `each` images they are."""
    for number, shift in enumerate(SHIFTS[: -(-n // each)]):
        yield shift, min(each, n - number * each)


def shifted(images: np.ndarray, down: int, right: int) -> np.ndarray:
    """Images moved by whole pixels, black coming in."""
    height, width = images.shape[1:]
    moved = np.zeros_like(images)
    moved[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)] = images[
        :, max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)
    ]
    return moved


def drop_pages(path: Path) -> None:
    """Ask the system to forget what it has of a file in memory."""
    with path.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Limit:
    """A limit of memory for a process that is yet to be started."""

    def __init__(self, group: Path | None) -> None:
        self._group = group
        self.kind = "control group" if group else "RLIMIT_DATA"

    def around(self, command: Sequence[str]) -> list[str]:
        if self._group:
            join = 'echo $$ > "$0" && exec "$@"'
            return ["sh", "-c", join, str(self._group / "cgroup.procs"), *command]
        return ["sh", "-c", 'ulimit -d "$0" && exec "$@"', str(LIMIT // 1024), *command]

    def figures(self) -> dict[str, int]:
        """What the group counted: the most memory, file pages included."""
        names = {"memory.peak", "memory.max_usage_in_bytes", "memory.failcnt"}
        if not self._group:
            return {}
        return {
            file.name: int(file.read_text()) for file in self._group.iterdir() if file.name in names
        }


@contextlib.contextmanager
def limited() -> Iterator[Limit]:
    """A control group below this process's own, with a limit; without one where that is refused."""
    group = None
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/cgroup").read_text().splitlines()
        controller, own = next(
            line.split(":")[1:] for line in lines if line.split(":")[1] in ("memory", "")
        )
        root = Path("/sys/fs/cgroup") / controller
        group = root / own.strip("/") / f"fittingroom-{os.getpid()}"
        group.mkdir()
        limit = "memory.limit_in_bytes" if controller else "memory.max"
        try:
            (group / limit).write_text(str(LIMIT))
        except OSError:
            group.rmdir()
            group = None
    try:
        yield Limit(group if group and group.exists() else None)
    finally:
        if group and group.exists():
            group.rmdir()


class Trainer:
    """A process that trains in turns, and the most anonymous memory that it was seen to have."""

    def __init__(self, folder: Path, model: str, images: int, limit: Limit | None) -> None:
        script = str(record.ROOT / "benchmarks" / "peers" / "in_turns.py")
        command = [sys.executable, script, str(folder), model, str(images)]
        self._process = subprocess.Popen(
            limit.around(command) if limit else command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={"GOMP_SPINCOUNT": SPIN, "PYTHONPATH": str(record.ROOT / "src"), **os.environ},
        )
        self.peak_anonymous = 0
        threading.Thread(target=self._watch, daemon=True).start()

    def __enter__(self) -> Trainer:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def turn(self, images: int) -> float:
        """Images a second over the next so many."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"images": images}) + "\n")
        self._process.stdin.flush()
        if not (line := self._process.stdout.readline()):
            raise SystemExit(f"{self._process.args!r} ended with {self._process.wait()}.")
        answer = json.loads(line)
        return float(answer["images"] / answer["seconds"])

    def _watch(self) -> None:
        status = Path(f"/proc/{self._process.pid}/status")
        with contextlib.suppress(OSError):
            while self._process.poll() is None:
                for line in status.read_text().splitlines():
                    if line.startswith("RssAnon:"):
                        self.peak_anonymous = max(self.peak_anonymous, 1024 * int(line.split()[1]))
                time.sleep(0.02)


def compare(folder: Path, model: str, rounds: int) -> dict[str, Any]:
    """Images a second from memory and from the file, turn by turn, and their ratios."""
    drop_pages(folder / idx.TRAIN_IMAGES)
    speeds: dict[str, list[float]] = {"memory": [], "map": []}
    with (
        limited() as limit,
        Trainer(folder, model, IN_MEMORY, None) as memory,
        Trainer(folder, model, 0, limit) as mapped,
    ):
        for trainer in (memory, mapped):
            trainer.turn(IMAGES[model])  # compiles the kernels
        for number in range(rounds):
            order = [("memory", memory), ("map", mapped)]
            for name, trainer in order if number % 2 else order[::-1]:
                speeds[name].append(trainer.turn(IMAGES[model]))
            print(*(f"{name} {seen[-1]:,.0f}" for name, seen in speeds.items()), flush=True)
        counted = limit.figures()
    ratios = [a / b for a, b in zip(speeds["map"], speeds["memory"], strict=True)]
    overall = sum(1 / s for s in speeds["memory"]) / sum(1 / s for s in speeds["map"])
    return {
        "images_a_turn": IMAGES[model],
        "images_per_second": {name: list(map(round, seen)) for name, seen in speeds.items()},
        "map_to_memory": spread(ratios),
        "map_to_memory_overall": round(overall, 3),
        "limit": limit.kind,
        "limit_bytes": LIMIT,
        "peak_anonymous_bytes": mapped.peak_anonymous,
        **counted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", choices=IMAGES, default="swift-90")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--folder", type=Path, help="of the set, made and left there")
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that all is tidied up
    with tempfile.TemporaryDirectory() as temporary:
        folder = options.folder or Path(temporary) / "shifted"
        if not folder.exists():
            make_set(load_dataset("fashion-mnist"), folder)
        found = compare(folder, options.model, options.rounds)
        size = (folder / idx.TRAIN_IMAGES).stat().st_size
    print(json.dumps(found, indent=2))
    record.write(options.out, {"file_bytes": size, "model": options.model, **found})


if __name__ == "__main__":
    main()
