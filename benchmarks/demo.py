"""Keep what `make demo` gave: its leaderboard, with the machine that made it.

make demo && python benchmarks/demo.py --out benchmarks/results/demo.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import record

from fittingroom.bench.leaderboard import leaderboard
from fittingroom.runs.store import find_store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    board = leaderboard(find_store(options.runs))
    figures = {"compared_by": board.command, "leaderboard": board.to_dict()}
    record.write(options.out, figures, test_reads=board.test_reads)


if __name__ == "__main__":
    main()
