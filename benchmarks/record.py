"""How a benchmark's figures are kept: JSON with the command, the commit and the machine.

A result that is committed is made by one committed state of the code, so `write` refuses others.
How often the official test images of Fashion-MNIST were read for it, and for all results before,
stands in it; `benchmarks/results/test-reads.json` is the ledger of these reads.
"""

from __future__ import annotations

import inspect
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fittingroom.files import replace_file
from fittingroom.runs.run import environment

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
LEDGER = RESULTS / "test-reads.json"
#: What decides a figure: everything else may differ from the commit.
CODE = ("src", "benchmarks", "pyproject.toml", "constraints.txt", "requirements")


def code_state() -> str:
    """The last commit that changed the code; with -dirty where some of it isn't committed."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
        )
        return done.stdout.strip()

    code = (*CODE, ":!benchmarks/results", ":!src/fittingroom/runs/measured_spread.json")
    changed = git("status", "--porcelain", "--", *code)
    return git("log", "-1", "--format=%h", "--abbrev=12", "--", *code) + "-dirty" * bool(changed)


def kept(path: Path) -> dict[str, Any]:
    """What an earlier start of the same state of the code wrote to `path`; empty where none did."""
    if not path.exists():
        return {}
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found if found.get("commit") == code_state() else {}


def write(
    path: Path,
    figures: dict[str, Any],
    arguments: Sequence[str] | None = None,
    *,
    test_reads: int = 0,
) -> None:
    """Write `figures` to `path` with what is needed to get them again.

    `arguments` are those of the script, where they weren't taken from the command line.
    `test_reads` counts the fits whose accuracy on the official test images of Fashion-MNIST is in
    the figures.

    Raises SystemExit for a result that is to be committed, where the code isn't.
    """
    commit = code_state()
    is_result = path.resolve().parent in (RESULTS, RESULTS / "recipes")
    if is_result and commit.endswith("-dirty"):
        raise SystemExit(f"{path} is made by committed code alone; commit the changes first.")
    caller = Path(inspect.stack()[1].filename)
    given = sys.argv[1:] if arguments is None else arguments
    record = {
        "command": shlex.join(["python", f"benchmarks/{caller.name}", *map(_told, given)]),
        "commit": commit,
        "machine": environment(),
        "test_reads": test_reads,
        "test_reads_before": _reads_before(name_of(path), commit, test_reads)
        if is_result
        else None,
        **figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(record, indent=2) + "\n")


def name_of(path: Path) -> str:
    """A result's name in the ledger: its path in the folder of results."""
    return path.resolve().relative_to(RESULTS).as_posix()


def _told(argument: str) -> str:
    """An argument as anybody may give it: of a folder elsewhere the name alone."""
    return Path(argument).name if Path(argument).is_absolute() else argument


def _reads_before(result: str, commit: str, reads: int) -> int:
    """Enter this result in the ledger; how many reads stood there before it."""
    ledger = json.loads(LEDGER.read_text(encoding="utf-8"))
    entered = [(each["for"], each["commit"]) for each in ledger]
    known = (result, commit) in entered
    place = entered.index((result, commit)) if known else len(ledger)
    if reads:
        date = f"{datetime.now(UTC):%Y-%m-%d}"
        entry = {"for": result, "commit": commit, "date": date, "reads": reads}
        ledger[place : place + 1] = [entry]
        replace_file(LEDGER, json.dumps(ledger, indent=1) + "\n")
    return sum(each["reads"] for each in ledger[:place])
