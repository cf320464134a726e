"""How a benchmark's figures are kept: JSON with the command, the commit and the machine."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

from fittingroom.runs.run import environment
from fittingroom.runs.store import write_text

ROOT = Path(__file__).parents[1]


def write(path: Path, figures: dict[str, Any]) -> None:
    """Write `figures` to `path` with what is needed to get them again."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty", "--abbrev=12"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.strip()
    script = Path(sys.argv[0]).resolve()
    name = script.relative_to(ROOT) if script.is_relative_to(ROOT) else script.name
    record = {
        "command": shlex.join(["python", str(name), *sys.argv[1:]]),
        "commit": commit,
        "machine": environment(),
        **figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, json.dumps(record, indent=2) + "\n")
    print(f"written to {path}")
