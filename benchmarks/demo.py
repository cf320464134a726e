"""Keep what `make demo` gives, and how long that takes without the installation.

    python benchmarks/demo.py --out benchmarks/results/demo.json

Nothing is saved before: every model is fitted.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import record
from printed import reads_of

#: As in the Makefile.
COMMAND = ("compare", "--suite", "quick", "--seeds", "1")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as runs:
        fittingroom = [sys.executable, "-P", "-m", "fittingroom.cli.main"]
        start = time.perf_counter()
        done = subprocess.run(
            [*fittingroom, *COMMAND, "--runs", runs, "--json"],
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        seconds = round(time.perf_counter() - start, 1)
    board = json.loads(done.stdout)
    figures = {"compared_by": COMMAND, "seconds": seconds, "leaderboard": board}
    record.write(options.out, figures, test_reads=reads_of(board))


if __name__ == "__main__":
    main()
