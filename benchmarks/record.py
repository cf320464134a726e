"""How a benchmark's figures are kept: JSON with the command, the commit and the machine."""

from __future__ import annotations

import inspect
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fittingroom.files import replace_file
from fittingroom.runs.run import environment

ROOT = Path(__file__).parents[1]


def write(path: Path, figures: dict[str, Any], arguments: Sequence[str] | None = None) -> None:
    """Write `figures` to `path` with what is needed to get them again.

    `arguments` are those of the script, where they weren't taken from the command line.
    """
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    caller = Path(inspect.stack()[1].filename)
    given = sys.argv[1:] if arguments is None else arguments
    record = {
        "command": shlex.join(["python", f"benchmarks/{caller.name}", *given]),
        "commit": commit,
        "machine": environment(),
        **figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(record, indent=2) + "\n")
