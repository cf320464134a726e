"""Keep what a command of Fittingroom prints as JSON, with the machine that it ran on.

    python benchmarks/printed.py benchmarks/results/side-by-side.json \\
        compare --suite quick --dataset fashion-mnist --dataset mnist --seeds 3

What the command saved already it doesn't do again.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("command", nargs=argparse.REMAINDER, help="without `fittingroom`")
    options = parser.parse_args()
    done = subprocess.run(
        [sys.executable, "-m", "fittingroom.cli.main", *options.command, "--json"],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    try:  # a path in the working folder as anybody may have it
        printed = json.loads(done.stdout.replace(f"{Path.cwd().as_posix()}/", ""))
    except ValueError:
        raise SystemExit(f"no JSON came, and exit code {done.returncode}") from None
    # 1 is a comparison's where a model failed: its row says so, and the others' figures stand.
    if done.returncode not in (0, 1):
        raise SystemExit(f"exit code {done.returncode}")
    code = {"exit_code": done.returncode} if done.returncode else {}
    record.write(options.out, {**code, "printed": printed}, test_reads=reads_of(printed))


def reads_of(printed: dict[str, Any]) -> int:
    """How many fits' accuracies on the test images of Fashion-MNIST a command printed."""
    boards = printed.get("leaderboards") or [printed.get("leaderboard") or printed]
    if "trials" in printed:  # of a search the last fit alone reads them
        return int(printed["test"] is not None)
    return sum(
        row["seeds"]
        for board in boards
        if board["dataset"]["name"] == "fashion-mnist"
        for row in board["rows"]
        if row["test"] is not None
    )


if __name__ == "__main__":
    main()
